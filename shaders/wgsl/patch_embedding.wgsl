// out[(t, h, w), n] = sum over (c, dt, dh, dw) of x[c, t pt + dt, h ph + dh, w pw + dw] * weight[n, c, dt, dh, dw] + bias[n]
// (+ residual[(t, h, w), n]):
// a convolution whose stride is its kernel, as a matrix product that gathers its rows from the latents.
// A segment is one line of a patch (c, dt, dh fixed).
#import X_READ
#import W_READ
#import GEMM
#import STORE

struct Params {
    rows: u32,           // tokens of this launch; out begins at its first one
    cols: u32,           // features of this launch; the weight binding begins at its first one
    segments: u32,       // channels * patch_t * patch_h
    segment_length: u32, // patch_w
    row_start: u32,      // first token of the launch
    out_cols: u32,       // features of a token
    col_start: u32,      // where the launch's features begin in out and bias
    gate_start: u32,     // 0
    split_rows: u32,     // 0
    split_start: u32,    // 0
    patch_t: u32,
    patch_h: u32,
    frames: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;             // [channels, frames, height, width]
@group(0) @binding(2) var<storage, read> weight: array<WeightUnit>;   // [cols, channels, patch_t, patch_h, patch_w], packed
@group(0) @binding(3) var<storage, read> bias: array<f32>;            // [out_cols]
@group(0) @binding(4) var<storage, read> residual: array<Res>;        // as out
@group(0) @binding(5) var<storage, read> gate: array<f32>;            // [out_cols]
@group(0) @binding(6) var<storage, read> mul: array<Mul>;             // as out
@group(0) @binding(7) var<storage, read_write> out: array<Out>;       // [rows, out_cols]

struct ARow {
    t: u32,
    h: u32,
    w: u32,
}

struct APlace {
    start: u32,
}

fn a_row(row: u32) -> ARow {
    let token = params.row_start + min(row, params.rows - 1u);
    let grid_w = params.width / params.segment_length;
    let grid_h = params.height / params.patch_h;
    return ARow(
        token / grid_w / grid_h * params.patch_t,
        token / grid_w % grid_h * params.patch_h,
        token % grid_w * params.segment_length,
    );
}

fn a_place(row: ARow, segment: u32) -> APlace {
    let dh = segment % params.patch_h;
    let dt = segment / params.patch_h % params.patch_t;
    let channel = segment / params.patch_h / params.patch_t;
    let frame = channel * params.frames + row.t + dt;
    return APlace((frame * params.height + row.h + dh) * params.width + row.w);
}

fn a_quad(place: APlace, k: u32) -> XQuad {
    return x_quad(place.start + k, params.segment_length - k);
}

fn w_row(col: u32) -> u32 {
    return min(col, params.cols - 1u) * params.segments * params.segment_length;
}

fn w_quad(row: u32, segment: u32, k: u32) -> WeightQuad {
    return weight_quad(row + segment * params.segment_length + k, params.segment_length - k);
}
