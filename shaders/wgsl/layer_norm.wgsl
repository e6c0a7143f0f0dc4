// y[r, c] = (x[r, c] - mean) / sqrt(variance + eps) of row r; with AFFINE y * weight[c] + bias[c]; then, with MODULATION,
// y * (1 + table[scale_row, c]) + table[shift_row, c]. The first split_rows rows take rows of the table that are split_offset further down.
// A unit is one element, or four.
// AFFINE, MODULATION: 0 or 1. IN_PLACE: 1 if `out` holds x.
#import UNIT
#import row_moments
#import workgroup_index

struct Params {
    rows: u32,
    cols: u32,
    units: u32,        // of a row
    x_start: u32,      // where row 0 begins in x, in units
    shift_row: u32,    // of table
    scale_row: u32,    // of table
    split_rows: u32,
    split_offset: u32, // in rows of table
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;           // [rows, cols]
@group(0) @binding(2) var<storage, read> weight: array<Value>;      // [cols]
@group(0) @binding(3) var<storage, read> bias: array<Value>;        // [cols]
@group(0) @binding(4) var<storage, read> table: array<Value>;       // [table rows, cols]
@group(0) @binding(5) var<storage, read_write> out: array<OutUnit>; // [rows, cols]

fn load(index: u32) -> Value {
    if IN_PLACE != 0u {
        return Value(out[index]);
    }
    return Value(x[params.x_start + index]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let wanted_row = row_of(workgroup_index(group, groups), lane);
    let row = min(wanted_row, params.rows - 1u);
    let start = row * params.units;
    let moments = row_moments(start, lane);
    if wanted_row != row {
        return;
    }
    let moved = select(0u, params.split_offset, row < params.split_rows);
    let scales = (params.scale_row + moved) * params.units;
    let shifts = (params.shift_row + moved) * params.units;
    for (var step = 0u; step < steps(); step++) {
        let c = unit_at(step, lane);
        if c < params.units {
            var y = (fetch_again(start + c, step) - moments.mean) * moments.scale;
            if AFFINE != 0u {
                y = y * weight[c] + bias[c];
            }
            if MODULATION != 0u {
                y = y * (1.0 + table[scales + c]) + table[shifts + c];
            }
            out[start + c] = OutUnit(y);
        }
    }
}
