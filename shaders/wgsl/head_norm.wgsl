// Layer norm of each head of each row: columns first..first + heads * head_size of x are heads side by side, of which
// part_heads in turn share a row of weight and bias. y = (x - mean) / sqrt(variance + eps) * weight + bias; then, with
// ROPE, from row rope_row on each pair (2i, 2i + 1) is turned by the row's angle i. A "row" of ROW is a head of a row.
// ROPE: 0 or 1.
#import ROW

struct Params {
    items: u32,        // heads of all rows
    heads: u32,        // of a row
    part_heads: u32,   // of a part
    head_size: u32,    // columns, an even number
    x_cols: u32,
    first_column: u32, // of x
    row_start: u32,    // first row of the launch
    rope_row: u32,     // first row that is turned
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;              // [rows, x_cols]
@group(0) @binding(2) var<storage, read> weight: array<f32>;       // [parts, head_size]
@group(0) @binding(3) var<storage, read> bias: array<f32>;         // [parts, head_size]
@group(0) @binding(4) var<storage, read> cosines: array<f32>;      // [rows from rope_row on, head_size / 2]
@group(0) @binding(5) var<storage, read> sines: array<f32>;        // as cosines
@group(0) @binding(6) var<storage, read_write> out: array<Out>;    // [rows, heads * head_size]

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let wanted_item = row_of(group.y * groups.x + group.x, lane);
    let item = min(wanted_item, params.items - 1u);
    let row = item / params.heads;
    let head = item % params.heads;
    let start = row * params.x_cols + params.first_column + head * params.head_size;
    let pairs = params.head_size / 2u;

    let pivot = f32(x[start]);
    var sum = 0.0;
    for (var pair = first_column(lane); pair < pairs; pair += column_step()) {
        let c = start + 2u * pair;
        sum += f32(x[c]) - pivot + (f32(x[c + 1u]) - pivot);
    }
    let mean = pivot + row_sum(sum, lane) / f32(params.head_size);
    var squares = 0.0;
    for (var pair = first_column(lane); pair < pairs; pair += column_step()) {
        let c = start + 2u * pair;
        let centred = vec2(f32(x[c]), f32(x[c + 1u])) - mean;
        squares += dot(centred, centred);
    }
    let scale = inverseSqrt(row_sum(squares, lane) / f32(params.head_size) + params.eps);
    if wanted_item != item {
        return;
    }

    let part = head / params.part_heads * params.head_size;
    let whole_row = params.row_start + row;
    for (var pair = first_column(lane); pair < pairs; pair += column_step()) {
        let c = 2u * pair;
        let w = part + c;
        var a = (f32(x[start + c]) - mean) * scale * weight[w] + bias[w];
        var b = (f32(x[start + c + 1u]) - mean) * scale * weight[w + 1u] + bias[w + 1u];
        if ROPE != 0u && whole_row >= params.rope_row {
            let angle = (whole_row - params.rope_row) * pairs + pair;
            let cosine = cosines[angle];
            let sine = sines[angle];
            let turned = a * sine + b * cosine;
            a = a * cosine - b * sine;
            b = turned;
        }
        let place = item * params.head_size + c;
        out[place] = Out(a);
        out[place + 1u] = Out(b);
    }
}
