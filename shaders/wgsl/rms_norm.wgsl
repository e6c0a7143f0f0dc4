// For each of `parts` runs of columns p: y[r, p, c] = x[r, first + p cols + c] / sqrt(mean over c of x[r, first + p cols + c]^2 + eps)
// * weight[p, c]; then, with TURN, each pair (2i, 2i + 1) of a head is turned by the row's angle i. Sums in f32.
// A "row" of ROW is a part of a row; it is read once where it can be held. A unit is one element, two or four.
// IN_PLACE: 1 if `out` holds x.
#import UNIT
#import held_row
#import workgroup_index

struct Params {
    items: u32,        // parts of all rows
    parts: u32,        // of a row
    cols: u32,         // of a part
    units: u32,        // of a part
    x_units: u32,      // of a row of x
    first_unit: u32,   // of x
    half_head: u32,    // pairs of a head
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;           // [rows, x_units]
@group(0) @binding(2) var<storage, read> weight: array<Value>;      // [parts, units]
@group(0) @binding(3) var<storage, read> cosines: array<f32>;       // [rows, half_head]
@group(0) @binding(4) var<storage, read> sines: array<f32>;         // [rows, half_head]
@group(0) @binding(5) var<storage, read_write> out: array<OutUnit>; // [rows, parts, units]
#import TURN

fn load(index: u32) -> Value {
    if IN_PLACE != 0u {
        return Value(out[index]);
    }
    return Value(x[index]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let wanted_item = row_of(workgroup_index(group, groups), lane);
    let item = min(wanted_item, params.items - 1u);
    let row = item / params.parts;
    let weight_start = item % params.parts * params.units;
    let x_start = row * params.x_units + params.first_unit + weight_start;
    var squares = 0.0;
    for (var step = 0u; step < steps(); step++) {
        let c = unit_at(step, lane);
        if c < params.units {
            squares += dot_self(fetch(x_start + c, step));
        }
    }
    let scale = inverseSqrt(row_sum(squares, lane) / f32(params.cols) + params.eps);
    if wanted_item != item {
        return;
    }
    for (var step = 0u; step < steps(); step++) {
        let c = unit_at(step, lane);
        if c < params.units {
            let y = fetch_again(x_start + c, step) * scale * weight[weight_start + c];
            out[item * params.units + c] = OutUnit(turned(y, c, params.half_head, row * params.half_head));
        }
    }
}
