// out[(t, y, x), n] = epilogue(sum over (dt, dy, dx, c) of in[t st + dt - front, y sh + dy - top, x sw + dx - left, c]
//                              * weight[n, dt, dy, dx, c]): a convolution, causal in time, as an implicit matrix product.
// Frames before the first come from the cache (CACHE 1), are the first one (CACHE 2) or zero; outside the picture all is zero.
// UPSAMPLE 2 reads x enlarged twice in height and width, nearest neighbour. A segment is one tap (dt, dy, dx).
#import X_READ
#import C_READ
#import W_READ
#import GEMM
#import STORE

struct Params {
    rows: u32,           // output positions of this launch; out and residual begin at its first one
    cols: u32,           // output channels of this launch; the weight binding begins at its first one
    segments: u32,       // taps of this launch
    segment_length: u32, // input channels
    row_start: u32,      // first output position of the launch
    out_cols: u32,       // output channels
    col_start: u32,      // where the launch's channels begin in out and bias
    out_skip: u32,       // elements of out before its binding (not for `store_rows`)
    out_h: u32,
    out_w: u32,
    in_h: u32,           // before upsampling
    in_w: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_t: u32,
    stride_h: u32,
    stride_w: u32,
    front: u32,          // frames before the first frame of x
    pad_top: u32,
    pad_left: u32,
    first_tap_t: u32,    // the launch's first tap along time
    x_skip: u32,         // elements of x before its binding
    cache_skip: u32,     // elements of the cache before its binding
    weight_stride: u32,  // elements from output channel to output channel of the weight
    weight_start: u32,   // the launch's first tap in it
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;             // [frames, in_h, in_w, channels]
@group(0) @binding(2) var<storage, read> weight: array<WeightUnit>;   // [cols, taps, channels], packed
@group(0) @binding(3) var<storage, read> bias: array<f32>;            // [out_cols]
@group(0) @binding(4) var<storage, read> residual: array<Res>;        // as out
@group(0) @binding(5) var<storage, read> partial: array<f32>;         // [rows, out_cols]
@group(0) @binding(6) var<storage, read> cache: array<XUnit>;         // [front, in_h, in_w, channels]
@group(0) @binding(7) var<storage, read_write> out: array<Out>;       // [rows, out_cols]

const NOWHERE = 0u;
const IN_X = 1u;
const IN_CACHE = 2u;

// Where the first tap of an output position lies, counted from `front` frames, `pad_top` lines and `pad_left` columns
// before the input.
struct ARow {
    t: u32,
    y: u32,
    x: u32,
}

struct APlace {
    start: u32,
    source: u32,
}

fn a_row(row: u32) -> ARow {
    let position = params.row_start + min(row, params.rows - 1u);
    let x = position % params.out_w;
    let y = position / params.out_w % params.out_h;
    let t = position / params.out_w / params.out_h;
    return ARow(t * params.stride_t, y * params.stride_h, x * params.stride_w);
}

fn a_place(row: ARow, segment: u32) -> APlace {
    let dx = segment % params.kernel_w;
    let dy = segment / params.kernel_w % params.kernel_h;
    let dt = params.first_tap_t + segment / params.kernel_w / params.kernel_h;
    // Unsigned: what lies before the picture wraps to far behind it.
    let y = row.y + dy - params.pad_top;
    let x = row.x + dx - params.pad_left;
    if y >= UPSAMPLE * params.in_h || x >= UPSAMPLE * params.in_w {
        return APlace(0u, NOWHERE);
    }
    let pixel = y / UPSAMPLE * params.in_w + x / UPSAMPLE;
    let frame_size = params.in_h * params.in_w;
    var t = row.t + dt;
    if CACHE == 2u {
        t = max(t, params.front);
    }
    if t >= params.front {
        let start = ((t - params.front) * frame_size + pixel) * params.segment_length;
        return APlace(start - params.x_skip, IN_X);
    }
    if CACHE != 1u {
        return APlace(0u, NOWHERE);
    }
    return APlace((t * frame_size + pixel) * params.segment_length - params.cache_skip, IN_CACHE);
}

// Loads do not wait for the branches of one another: what lies nowhere is read at the start and dropped.
fn a_quad(place: APlace, k: u32) -> XQuad {
    let inside = place.source == IN_X;
    let quad = select(XQuad(0.0), x_quad(select(0u, place.start, inside) + k, params.segment_length - k), inside);
    if CACHE == 1u && place.source == IN_CACHE {
        return cache_quad(place.start + k, params.segment_length - k);
    }
    return quad;
}

fn w_row(col: u32) -> u32 {
    return min(col, params.cols - 1u) * params.weight_stride + params.weight_start;
}

fn w_quad(row: u32, segment: u32, k: u32) -> WeightQuad {
    return weight_quad(row + segment * params.segment_length + k, params.segment_length - k);
}
