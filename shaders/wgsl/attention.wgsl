// out[i, h] = sum_j softmax_j(scale * q[i, h] . k[j, h] + bias[j - i + L - 1, h]) * v[j, h], one head h at a time.
//
// One pass over the keys with a running maximum and a running sum in f32; the score matrix is never stored.
// Rows belong to groups that attend within themselves. q, k and v each have a row stride and a column
// offset, so that the three may be thirds of one matrix. Exponentials are powers of two: scale and bias arrive
// multiplied by log2(e). All strides, offsets and sizes count vec4s; a head has DH4 of them.
//
// When the keys exceed one binding, they come in several launches, which carry maximum, sum and accumulator
// along (CARRY_IN: this is not the first, CARRY_OUT: not the last).
//
// MASK: 0 all keys are seen, 1 those of one's own block of positions and of blocks before, 2 those around one's own position.
// Tiles of keys that no query of a workgroup sees are left out.
//
// KV_READ supplies how keys and values are read: kv_quads, or kv_quads_64 for software.
// CARRY supplies where they are kept: attention_carry, or attention_whole if there is one launch.
// ATTENTION supplies `main`: attention_register (subgroups of a CPU), attention_shared (workgroup memory) or
// attention_cooperative (tensor cores).

struct Params {
    heads: u32,
    q_rows: u32,       // of one frame, in this launch
    k_rows: u32,       // of one frame, in this launch
    q_group: u32,      // from the first query of a group to the first of the next, in rows
    k_group: u32,      // the same for keys
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
    query_position: u32, // of the launch's first query, in a frame's keys
    key_position: u32,   // of its first key
    mask_before: u32,    // positions of a block (MASK 1) or seen before one's own (MASK 2)
    mask_after: u32,     // positions seen behind one's own (MASK 2)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<Q>>;              // [groups * q_group, q_stride]
@group(0) @binding(2) var<storage, read> k: array<KUnit>;                // [groups * k_group, k_stride]
@group(0) @binding(3) var<storage, read> v: array<VUnit>;                // [groups * k_group, v_stride]
@group(0) @binding(4) var<storage, read> bias: array<f32>;               // [2L - 1, heads], if HAS_BIAS
@group(0) @binding(5) var<storage, read_write> out: array<vec4<Out>>;    // [groups * q_group, out_stride]

const LOG2_E: f32 = 1.4426950408889634;
// Below every score: the maximum of no keys, and the score of keys beyond the last.
const LOWEST: f32 = -3.0e38;

// Rows beyond the last repeat it.
fn query_start(frame: u32, row: u32, head: u32) -> u32 {
    return (frame * params.q_group + min(row, params.q_rows - 1u)) * params.q_stride + params.q_offset + head * DH4;
}

// The scaled query.
fn load_query(frame: u32, row: u32, head: u32, d: u32) -> vec4<f32> {
    return vec4<f32>(q[query_start(frame, row, head) + d]) * params.scale;
}

fn key_start(frame: u32, row: u32, head: u32) -> u32 {
    return (frame * params.k_group + min(row, params.k_rows - 1u)) * params.k_stride + params.k_offset + head * DH4;
}

fn value_start(frame: u32, row: u32, head: u32) -> u32 {
    return (frame * params.k_group + min(row, params.k_rows - 1u)) * params.v_stride + params.v_offset + head * DH4;
}

// The first position that a query sees, and the one behind the last.
fn seen(row: u32) -> vec2<u32> {
    let position = params.query_position + min(row, params.q_rows - 1u);
    if MASK == 1u {
        return vec2<u32>(0u, (position / params.mask_before + 1u) * params.mask_before);
    }
    return vec2<u32>(position - min(position, params.mask_before), position + params.mask_after + 1u);
}

// The launch's keys that any of `count` queries from `row` on sees: the first, and the one behind the last.
fn keys_of(row: u32, count: u32) -> vec2<u32> {
    if MASK == 0u {
        return vec2<u32>(0u, params.k_rows);
    }
    let positions = vec2<u32>(seen(row).x, seen(row + count - 1u).y);
    let here = max(positions, vec2<u32>(params.key_position)) - params.key_position;
    return min(here, vec2<u32>(params.k_rows));
}

// What a score starts from; keys beyond the last, and those that the query does not see, are out of reach.
fn first_score(row: u32, key: u32, head: u32) -> f32 {
    if key >= params.k_rows {
        return LOWEST;
    }
    if MASK != 0u {
        let visible = seen(row);
        let position = params.key_position + key;
        if position < visible.x || position >= visible.y {
            return LOWEST;
        }
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
    let at = frame * params.q_group + row;
    out[at * params.out_stride + params.out_offset + head * DH4 + d] = vec4<Out>(value);
}

#import KV_READ
#import CARRY
#import ATTENTION
