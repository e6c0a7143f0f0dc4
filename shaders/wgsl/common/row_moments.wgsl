// Mean of a row, and the factor that brings its variance to one. The sum is of differences from the row's first value and the
// variance is taken about the mean, so a large mean does not cancel. A row is read once where it can be held.
//
// The importer has what `held_row` asks for, and `params.cols`, the elements of a row, and `params.eps`. All invocations
// of a workgroup call it, for there may be barriers in it.
#import held_row

struct RowMoments {
    mean: f32,
    scale: f32,
}

fn row_moments(start: u32, lane: u32) -> RowMoments {
    let pivot = first_of(load(start));
    var sum = 0.0;
    for (var step = 0u; step < steps(); step++) {
        let c = unit_at(step, lane);
        if c < params.units {
            sum += total_of(fetch(start + c, step) - pivot);
        }
    }
    let mean = pivot + row_sum(sum, lane) / f32(params.cols);
    var squares = 0.0;
    for (var step = 0u; step < steps(); step++) {
        let c = unit_at(step, lane);
        if c < params.units {
            squares += dot_self(fetch_again(start + c, step) - mean);
        }
    }
    let scale = inverseSqrt(row_sum(squares, lane) / f32(params.cols) + params.eps);
    return RowMoments(mean, scale);
}
