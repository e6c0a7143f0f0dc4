// For each of `parts` runs of columns p: y[r, p, c] = x[r, first + p cols + c] / sqrt(mean over c of x[r, first + p cols + c]^2 + eps)
// * weight[p, c]; then, with ROPE, each pair (2i, 2i + 1) of a head is turned by the row's angle i. Sums in f32.
// A "row" of ROW is a part of a row.
// ROPE: 0 or 1. IN_PLACE: 1 if `out` holds x.
#import ROW

struct Params {
    items: u32,        // parts of all rows
    parts: u32,        // of a row
    cols: u32,         // of a part
    x_cols: u32,
    first_column: u32, // of x
    half_head: u32,    // pairs of a head
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;              // [rows, x_cols]
@group(0) @binding(2) var<storage, read> weight: array<f32>;       // [parts, cols]
@group(0) @binding(3) var<storage, read> cosines: array<f32>;      // [rows, half_head]
@group(0) @binding(4) var<storage, read> sines: array<f32>;        // [rows, half_head]
@group(0) @binding(5) var<storage, read_write> out: array<Out>;    // [rows, parts, cols]

fn load(index: u32) -> f32 {
    if IN_PLACE != 0u {
        return f32(out[index]);
    }
    return f32(x[index]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let wanted_item = row_of(group.y * groups.x + group.x, lane);
    let item = min(wanted_item, params.items - 1u);
    let row = item / params.parts;
    let weight_start = item % params.parts * params.cols;
    let x_start = row * params.x_cols + params.first_column + weight_start;
    var squares = 0.0;
    for (var c = first_column(lane); c < params.cols; c += column_step()) {
        let value = load(x_start + c);
        squares += value * value;
    }
    let scale = inverseSqrt(row_sum(squares, lane) / f32(params.cols) + params.eps);
    if wanted_item != item {
        return;
    }
    let out_start = item * params.cols;
    if ROPE == 0u {
        for (var c = first_column(lane); c < params.cols; c += column_step()) {
            out[out_start + c] = Out(load(x_start + c) * scale * weight[weight_start + c]);
        }
    } else {
        for (var pair = first_column(lane); pair < params.cols / 2u; pair += column_step()) {
            let c = 2u * pair;
            let a = load(x_start + c) * scale * weight[weight_start + c];
            let b = load(x_start + c + 1u) * scale * weight[weight_start + c + 1u];
            let angle = row * params.half_head + pair % params.half_head;
            let cosine = cosines[angle];
            let sine = sines[angle];
            out[out_start + c] = Out(a * cosine - b * sine);
            out[out_start + c + 1u] = Out(a * sine + b * cosine);
        }
    }
}
