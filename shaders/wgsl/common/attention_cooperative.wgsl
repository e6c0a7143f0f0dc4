// On cooperative matrices (tensor cores): SUBGROUPS subgroups of LANES invocations take Q_FRAGS * SIZE queries each, which stay
// in workgroup memory. Keys, then their values, are brought there once for all of them, K_FRAGS * SIZE at a time. Scores
// leave the first product as f32; the softmax turns them into weights, as Frag, for the second.
//
// For the softmax and for the output, ROW_LANES neighbours own a query: each of its keys (or vec4s of its head) part,
// part + ROW_LANES, .. FRAGMENTS says who multiplies. All invocations come to every barrier and every fragment.

const DH = 4u * DH4;
const ROWS = Q_FRAGS * SIZE;
const BLOCK_Q = SUBGROUPS * ROWS;
const BLOCK_K = K_FRAGS * SIZE;
const INVOCATIONS = SUBGROUPS * LANES;
const ROW_LANES = INVOCATIONS / BLOCK_Q;
const DEPTH_FRAGS = DH / SIZE;
// Outputs come in groups as wide as a block of scores; what the last one has too many repeats its end and is not stored.
const GROUPS = (DEPTH_FRAGS + K_FRAGS - 1u) / K_FRAGS;
const GROUP_QUADS = BLOCK_K / 4u;
const GROUP_PARTS = GROUP_QUADS / ROW_LANES;
// Lines are 16 bytes apart, so that neighbouring ones fall on other banks.
const PITCH = DH + PAD;
const WEIGHT_PITCH = BLOCK_K + PAD;
const SCORE_PITCH = BLOCK_K + 4u;
// Queries, then keys or values, then weights.
const KEYS_AT = BLOCK_Q * PITCH;
const WEIGHTS_AT = KEYS_AT + BLOCK_K * PITCH;

var<workgroup> tiles: array<Frag, WEIGHTS_AT + BLOCK_Q * WEIGHT_PITCH>;
var<workgroup> sum_tile: array<f32, BLOCK_Q * SCORE_PITCH>;

#import FRAGMENTS
#import stage_fragments

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let head = group.y;
    let frame = group.z;
    let block = group.x * BLOCK_Q;
    let lane = own_lane(index, subgroup_lane);
    let mine = own_subgroup(index, subgroup) * ROWS;
    let line = index / ROW_LANES;
    let part = index % ROW_LANES;
    let row = block + line;
    let scores_at = line * SCORE_PITCH;

    var acc: array<array<vec4<f32>, GROUP_PARTS>, GROUPS>;
    var top = LOWEST;
    var sum = 0.0;   // of this invocation's keys
    if CARRY_IN != 0u {
        let at = carry_start(row, head);
        top = carried(at + DH);
        if part == 0u {
            sum = carried(at + DH + 1u);
        }
        for (var g = 0u; g < GROUPS; g += 1u) {
            for (var i = 0u; i < GROUP_PARTS; i += 1u) {
                let d = g * GROUP_QUADS + i * ROW_LANES + part;
                if d < DH4 {
                    acc[g][i] = carried_quad(at + 4u * d);
                }
            }
        }
    }
    for (var at = index; at < BLOCK_Q * DH4; at += INVOCATIONS) {
        let start = query_start(frame, block + at / DH4, head);
        stage(at / DH4 * PITCH + 4u * (at % DH4), vec4<Frag>(q[start + at % DH4]));
    }
    for (var at = index; at < BLOCK_Q * SCORE_PITCH; at += INVOCATIONS) {
        sum_tile[at] = 0.0;
    }
    workgroupBarrier();
    let zero = load_sums(mine * SCORE_PITCH, SCORE_PITCH, lane);

    let keys = keys_of(block, BLOCK_Q);
    for (var key0 = keys.x; key0 < keys.y; key0 += BLOCK_K) {
        for (var at = index; at < BLOCK_K * DH4; at += INVOCATIONS) {
            let start = key_start(frame, key0 + at / DH4, head);
            stage(KEYS_AT + at / DH4 * PITCH + 4u * (at % DH4), vec4<Frag>(key_quad(start + at % DH4)));
        }
        workgroupBarrier();
        var scores: array<array<FragC, K_FRAGS>, Q_FRAGS>;
        for (var i = 0u; i < Q_FRAGS; i += 1u) {
            for (var j = 0u; j < K_FRAGS; j += 1u) {
                scores[i][j] = zero;
            }
        }
        for (var d = 0u; d < DH; d += SIZE) {
            var query: array<FragA, Q_FRAGS>;
            for (var i = 0u; i < Q_FRAGS; i += 1u) {
                query[i] = left_rows((mine + i * SIZE) * PITCH + d, PITCH);
            }
            for (var j = 0u; j < K_FRAGS; j += 1u) {
                let key = right_columns(KEYS_AT + j * SIZE * PITCH + d, PITCH);
                for (var i = 0u; i < Q_FRAGS; i += 1u) {
                    scores[i][j] = multiply_add(query[i], key, scores[i][j], lane);
                }
            }
        }
        for (var i = 0u; i < Q_FRAGS; i += 1u) {
            for (var j = 0u; j < K_FRAGS; j += 1u) {
                store_sums(scores[i][j], (mine + i * SIZE) * SCORE_PITCH + j * SIZE, SCORE_PITCH, lane);
            }
        }
        workgroupBarrier();

        // Everybody has done with the keys.
        for (var at = index; at < BLOCK_K * DH4; at += INVOCATIONS) {
            let start = value_start(frame, key0 + at / DH4, head);
            stage(KEYS_AT + at / DH4 * PITCH + 4u * (at % DH4), vec4<Frag>(value_quad(start + at % DH4)));
        }
        // Those who share a query all find its maximum, and each the weights of its keys.
        var highest = top;
        for (var key = 0u; key < BLOCK_K; key += 1u) {
            highest = max(highest, score_of(row, key0 + key, head, sum_tile[scores_at + key]));
        }
        let decay = exp2(top - highest);
        top = highest;
        sum *= decay;
        for (var key = part; key < BLOCK_K; key += ROW_LANES) {
            let weight = Frag(exp2(score_of(row, key0 + key, head, sum_tile[scores_at + key]) - highest));
            sum += f32(weight);
            tiles[WEIGHTS_AT + line * WEIGHT_PITCH + key] = weight;
        }
        workgroupBarrier();

        for (var g = 0u; g < GROUPS; g += 1u) {
            var parts: array<array<FragC, K_FRAGS>, Q_FRAGS>;
            for (var i = 0u; i < Q_FRAGS; i += 1u) {
                for (var j = 0u; j < K_FRAGS; j += 1u) {
                    parts[i][j] = zero;
                }
            }
            for (var key = 0u; key < BLOCK_K; key += SIZE) {
                var weight: array<FragA, Q_FRAGS>;
                for (var i = 0u; i < Q_FRAGS; i += 1u) {
                    weight[i] = left_rows(WEIGHTS_AT + (mine + i * SIZE) * WEIGHT_PITCH + key, WEIGHT_PITCH);
                }
                for (var j = 0u; j < K_FRAGS; j += 1u) {
                    let d = min(g * K_FRAGS + j, DEPTH_FRAGS - 1u) * SIZE;
                    let value = right_rows(KEYS_AT + key * PITCH + d, PITCH);
                    for (var i = 0u; i < Q_FRAGS; i += 1u) {
                        parts[i][j] = multiply_add(weight[i], value, parts[i][j], lane);
                    }
                }
            }
            // The scores, or the group before, have been read by all.
            workgroupBarrier();
            for (var i = 0u; i < Q_FRAGS; i += 1u) {
                for (var j = 0u; j < K_FRAGS; j += 1u) {
                    store_sums(parts[i][j], (mine + i * SIZE) * SCORE_PITCH + j * SIZE, SCORE_PITCH, lane);
                }
            }
            workgroupBarrier();
            for (var i = 0u; i < GROUP_PARTS; i += 1u) {
                let at = scores_at + 4u * (i * ROW_LANES + part);
                let more = vec4<f32>(sum_tile[at], sum_tile[at + 1u], sum_tile[at + 2u], sum_tile[at + 3u]);
                acc[g][i] = fma(acc[g][i], vec4<f32>(decay), more);
            }
        }
    }

    workgroupBarrier();
    sum_tile[scores_at + part] = sum;
    workgroupBarrier();
    var total = 0.0;
    for (var other = 0u; other < ROW_LANES; other += 1u) {
        total += sum_tile[scores_at + other];
    }
    if row >= params.q_rows || !as_planned(subgroups) {
        return;
    }
    let carry_at = carry_start(row, head);
    for (var g = 0u; g < GROUPS; g += 1u) {
        for (var i = 0u; i < GROUP_PARTS; i += 1u) {
            let d = g * GROUP_QUADS + i * ROW_LANES + part;
            if d >= DH4 {
                continue;
            }
            if CARRY_OUT != 0u {
                carry_quad_on(carry_at + 4u * d, acc[g][i]);
            } else {
                store_output(frame, row, head, d, acc[g][i] / total);
            }
        }
    }
    if CARRY_OUT != 0u && part == 0u {
        carry_on(carry_at + DH, top);
        carry_on(carry_at + DH + 1u, total);
    }
}

// The score of a product of query and key; keys beyond the last are out of reach.
fn score_of(row: u32, key: u32, head: u32, product: f32) -> f32 {
    return fma(product, params.scale, first_score(row, key, head));
}
