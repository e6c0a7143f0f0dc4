// out[i, h] = sum_j softmax_j(scale * q[i, h] . k[j, h] + bias[j - i + L - 1, h]) * v[j, h], one head h at a time.
//
// One pass over the keys with a running maximum and a running sum in f32; the score matrix is never stored.
// Rows belong to `frames` groups that attend within themselves. q, k and v each have a row stride and a column
// offset, so that the three may be thirds of one matrix. Exponentials are powers of two: scale and bias arrive
// multiplied by log2(e). All strides, offsets and sizes count vec4s; a head has DH4 of them.
//
// When the keys exceed one binding, they come in several launches, which carry maximum, sum and accumulator
// along (CARRY_IN: this is not the first, CARRY_OUT: not the last).
//
// CARRY supplies where they are kept: attention_carry, or attention_whole if there is one launch.
// ATTENTION supplies `main`: attention_register (subgroups of a CPU), attention_shared (workgroup memory) or
// attention_cooperative (tensor cores).

struct Params {
    heads: u32,
    q_rows: u32,       // of one frame, in this launch
    k_rows: u32,       // of one frame, in this launch
    q_frame: u32,      // from the first query of a frame to the first of the next, in rows
    k_frame: u32,      // the same for keys
    q_stride: u32,
    q_offset: u32,
    k_stride: u32,
    k_offset: u32,
    v_stride: u32,
    v_offset: u32,
    out_stride: u32,
    out_offset: u32,
    bias_origin: u32,  // L - 1 + (position of the first key) - (position of the first query), wrapping
    scale: f32,        // times log2(e)
    head_size: u32,    // DH4, for loops that must not unroll
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<Q>>;              // [frames * q_frame, q_stride]
@group(0) @binding(2) var<storage, read> k: array<vec4<K>>;              // [frames * k_frame, k_stride]
@group(0) @binding(3) var<storage, read> v: array<vec4<V>>;              // [frames * k_frame, v_stride]
@group(0) @binding(4) var<storage, read> bias: array<f32>;               // [2L - 1, heads], if HAS_BIAS
@group(0) @binding(5) var<storage, read_write> out: array<vec4<Out>>;    // [frames * q_frame, out_stride]

const LOG2_E: f32 = 1.4426950408889634;
// Below every score: the maximum of no keys, and the score of keys beyond the last.
const LOWEST: f32 = -3.0e38;

// Rows beyond the last repeat it.
fn query_start(frame: u32, row: u32, head: u32) -> u32 {
    return (frame * params.q_frame + min(row, params.q_rows - 1u)) * params.q_stride + params.q_offset + head * DH4;
}

// The scaled query.
fn load_query(frame: u32, row: u32, head: u32, d: u32) -> vec4<f32> {
    return vec4<f32>(q[query_start(frame, row, head) + d]) * params.scale;
}

fn key_start(frame: u32, row: u32, head: u32) -> u32 {
    return (frame * params.k_frame + min(row, params.k_rows - 1u)) * params.k_stride + params.k_offset + head * DH4;
}

fn value_start(frame: u32, row: u32, head: u32) -> u32 {
    return (frame * params.k_frame + min(row, params.k_rows - 1u)) * params.v_stride + params.v_offset + head * DH4;
}

// What a score starts from; keys beyond the last are out of reach.
fn first_score(row: u32, key: u32, head: u32) -> f32 {
    if key >= params.k_rows {
        return LOWEST;
    }
    if HAS_BIAS != 0u {
        let relative = key + params.bias_origin - min(row, params.q_rows - 1u);
        return bias[relative * params.heads + head] * LOG2_E;
    }
    return 0.0;
}

// Where the state of a query is carried: 4 DH4 values of the accumulator, the maximum, the sum.
fn carry_start(row: u32, head: u32) -> u32 {
    return (min(row, params.q_rows - 1u) * params.heads + head) * (4u * DH4 + 2u);
}

fn store_output(frame: u32, row: u32, head: u32, d: u32, value: vec4<f32>) {
    let at = frame * params.q_frame + row;
    out[at * params.out_stride + params.out_offset + head * DH4 + d] = vec4<Out>(value);
}

#import CARRY
#import ATTENTION
