// y[r, c] = (x[r, c] - mean) / sqrt(variance + eps) of row r; with AFFINE y * weight[c] + bias[c]; then, with MODULATION,
// y * (1 + table[scale_row, c]) + table[shift_row, c]. The sum is of differences from the row's
// first value and the variance is taken about the mean, so a large mean does not cancel.
// The first split_rows rows take rows of the table that are split_offset further down.
// AFFINE, MODULATION: 0 or 1. IN_PLACE: 1 if `out` holds x.
#import ROW

struct Params {
    rows: u32,
    cols: u32,
    x_start: u32,      // where row 0 begins in x
    shift_row: u32,    // of table
    scale_row: u32,    // of table
    split_rows: u32,
    split_offset: u32, // in rows of table
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;              // [rows, cols]
@group(0) @binding(2) var<storage, read> weight: array<f32>;       // [cols]
@group(0) @binding(3) var<storage, read> bias: array<f32>;         // [cols]
@group(0) @binding(4) var<storage, read> table: array<f32>;        // [table rows, cols]
@group(0) @binding(5) var<storage, read_write> out: array<Out>;    // [rows, cols]

fn load(index: u32) -> f32 {
    if IN_PLACE != 0u {
        return f32(out[index]);
    }
    return f32(x[params.x_start + index]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let wanted_row = row_of(group.y * groups.x + group.x, lane);
    let row = min(wanted_row, params.rows - 1u);
    let start = row * params.cols;
    let pivot = load(start);
    var sum = 0.0;
    for (var c = first_column(lane); c < params.cols; c += column_step()) {
        sum += load(start + c) - pivot;
    }
    let mean = pivot + row_sum(sum, lane) / f32(params.cols);
    var squares = 0.0;
    for (var c = first_column(lane); c < params.cols; c += column_step()) {
        let centred = load(start + c) - mean;
        squares += centred * centred;
    }
    let scale = inverseSqrt(row_sum(squares, lane) / f32(params.cols) + params.eps);
    if wanted_row != row {
        return;
    }
    let moved = select(0u, params.split_offset, row < params.split_rows);
    let scales = (params.scale_row + moved) * params.cols;
    let shifts = (params.shift_row + moved) * params.cols;
    for (var c = first_column(lane); c < params.cols; c += column_step()) {
        var y = (load(start + c) - mean) * scale;
        if AFFINE != 0u {
            y = y * weight[c] + bias[c];
        }
        if MODULATION != 0u {
            y = y * (1.0 + table[scales + c]) + table[shifts + c];
        }
        out[start + c] = Out(y);
    }
}
