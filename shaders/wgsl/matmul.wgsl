// out[r, n] = epilogue(sum over k of x[r, k] * weight[n, k]): the linear layer.
// Rows of x may lie inside wider rows; the result may be a run of columns of out, or (STORE) be un-patchified.
#import X_READ
#import W_READ
#import GEMM
#import STORE

struct Params {
    rows: u32,           // rows of this launch; the bindings begin at its first row
    cols: u32,           // columns of this launch; the weight binding begins at its first column
    segments: u32,       // 1
    segment_length: u32, // K
    x_stride: u32,       // elements from row to row of x
    x_start: u32,        // the first element of a row that counts
    out_cols: u32,       // elements from row to row of out, residual and mul
    col_start: u32,      // where the launch's columns begin in out, bias and gate
    gate_start: u32,     // where the gate begins in its buffer
    split_rows: u32,     // rows of this launch that take another gate
    split_start: u32,    // where that one begins
    row_start: u32,      // first row of the launch in the whole result
    // Un-patchify only: the patch and the whole extent of out, [channels, frames, height, width].
    patch_t: u32,
    patch_h: u32,
    patch_w: u32,
    frames: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;             // [rows, x_stride]
@group(0) @binding(2) var<storage, read> weight: array<WeightUnit>;   // [cols, K], packed
@group(0) @binding(3) var<storage, read> bias: array<f32>;            // [out_cols]
@group(0) @binding(4) var<storage, read> residual: array<Res>;        // as out
@group(0) @binding(5) var<storage, read> gate: array<f32>;            // [.., out_cols]
@group(0) @binding(6) var<storage, read> mul: array<Mul>;             // as out
@group(0) @binding(7) var<storage, read_write> out: array<Out>;       // [rows, out_cols]

struct ARow {
    start: u32,
}

struct APlace {
    start: u32,
}

fn a_row(row: u32) -> ARow {
    return ARow(min(row, params.rows - 1u) * params.x_stride + params.x_start);
}

fn a_place(row: ARow, segment: u32) -> APlace {
    return APlace(row.start);
}

fn a_quad(place: APlace, k: u32) -> XQuad {
    return x_quad(place.start + k, params.segment_length - k);
}

fn w_row(col: u32) -> u32 {
    return min(col, params.cols - 1u) * params.segment_length;
}

fn w_quad(row: u32, segment: u32, k: u32) -> WeightQuad {
    return weight_quad(row + k, params.segment_length - k);
}
