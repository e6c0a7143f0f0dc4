// Layer norm of each head of each row: columns first..first + heads * head_size of x are heads side by side, of which
// part_heads in turn share a row of weight and bias. y = (x - mean) / sqrt(variance + eps) * weight + bias; then, with
// TURN, from row rope_row on each pair (2i, 2i + 1) is turned by the row's angle i. A "row" of ROW is a head of a row; it is read
// once where it can be held. A unit is one element, two or four.
#import UNIT
#import row_moments
#import workgroup_index

struct Params {
    items: u32,        // heads of all rows
    heads: u32,        // of a row
    part_heads: u32,   // of a part
    cols: u32,         // of a head
    units: u32,        // of a head
    x_units: u32,      // of a row of x
    first_unit: u32,   // of x
    row_start: u32,    // first row of the launch
    rope_row: u32,     // first row that is turned
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;           // [rows, x_units]
@group(0) @binding(2) var<storage, read> weight: array<Value>;      // [parts, units]
@group(0) @binding(3) var<storage, read> bias: array<Value>;        // [parts, units]
@group(0) @binding(4) var<storage, read> cosines: array<f32>;       // [rows from rope_row on, cols / 2]
@group(0) @binding(5) var<storage, read> sines: array<f32>;         // as cosines
@group(0) @binding(6) var<storage, read_write> out: array<OutUnit>; // [rows, heads * units]
#import TURN

fn load(index: u32) -> Value {
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
    let row = item / params.heads;
    let head = item % params.heads;
    let start = row * params.x_units + params.first_unit + head * params.units;

    let moments = row_moments(start, lane);
    if wanted_item != item {
        return;
    }

    let part = head / params.part_heads * params.units;
    let whole_row = params.row_start + row;
    let pairs = params.cols / 2u;
    for (var step = 0u; step < steps(); step++) {
        let c = unit_at(step, lane);
        if c < params.units {
            var y = (fetch_again(start + c, step) - moments.mean) * moments.scale * weight[part + c] + bias[part + c];
            if whole_row >= params.rope_row {
                y = turned(y, c, pairs, (whole_row - params.rope_row) * pairs);
            }
            out[item * params.units + c] = OutUnit(y);
        }
    }
}
