// On cooperative matrices (tensor cores). SUBGROUPS subgroups of LANES invocations share a block of queries and go through
// the keys, K_FRAGS * SIZE at a time:
//
//   scores = queries * keys, each subgroup for its own ROWS queries, which stay in fragments (FRAGMENTS may keep them in tiles)
//   weights = 2^(scores - base), for which scores and weights pass through workgroup memory
//   outputs += weights * values, each subgroup for OUT_ROWS by OUT_COLS fragments, which stay there until the end
//
// A query's base is a maximum of its scores that was true once. It is raised, and the outputs are multiplied, only when
// some score exceeds it by more than RISE: weights then stay below 2^RISE, which f16 and sums in f32 do not mind.
//
// One tile takes keys as they come, then values transposed, so that a lane finds what it wants of either in one piece.
// They are fetched ahead: keys while the values before them are multiplied, values while their keys are. For the softmax,
// ROW_LANES neighbours own a query and KEYS_EACH keys each. FRAGMENTS says who multiplies. All invocations come to every
// barrier and every fragment.

const DH = 4u * DH4;
const ROWS = Q_FRAGS * SIZE;
const BLOCK_Q = SUBGROUPS * ROWS;
const BLOCK_K = K_FRAGS * SIZE;
const INVOCATIONS = SUBGROUPS * LANES;
const ROW_LANES = LANES / ROWS;
const KEYS_EACH = BLOCK_K / ROW_LANES;
const DEPTH_FRAGS = DH / SIZE;
// Subgroups beside each other share the rows of outputs, those below each other the columns.
const OUT_ROWS = BLOCK_Q / SIZE / (SUBGROUPS / SUB_N);
const OUT_COLS = DEPTH_FRAGS / SUB_N;
const RISE = 8.0;

// Lines are 16 bytes apart, so that neighbouring ones fall on other banks.
const KEY_PITCH = DH + PAD;
const VALUE_PITCH = BLOCK_K + PAD;
const SCORE_PITCH = BLOCK_K + 4u;
const WEIGHTS_AT = max(BLOCK_K * KEY_PITCH, DH * VALUE_PITCH);
// Queries pass through the tile of the weights, a block of columns at a time, or have a tile of their own and stay there.
const QUERY_COLS = QUERIES_STAY * DH + (1u - QUERIES_STAY) * BLOCK_K;
const QUERY_QUADS = QUERY_COLS / 4u;
const QUERY_PITCH = QUERY_COLS + PAD;
const QUERIES_AT = WEIGHTS_AT + QUERIES_STAY * BLOCK_Q * VALUE_PITCH;
const TILES_END = QUERIES_AT + BLOCK_Q * QUERY_PITCH;
// Of keys an invocation fetches one column of quads, every KEY_LINESth line of a block; surplus invocations repeat it.
const KEY_LINES = min(INVOCATIONS / DH4, BLOCK_K);
const KEY_FETCH = (BLOCK_K + KEY_LINES - 1u) / KEY_LINES;
// Of values it fetches squares, four values of four keys each: the same keys, every VALUE_STEPth column of quads.
const VALUE_LINES = BLOCK_K / 4u;
const VALUE_STEP = INVOCATIONS / VALUE_LINES;
const VALUE_FETCH = (DH4 + VALUE_STEP - 1u) / VALUE_STEP;
// Outputs leave a few fragments at a time, each subgroup's through the place of its scores.
const OUTPUTS = OUT_ROWS * OUT_COLS;
const PASS = min(Q_FRAGS * K_FRAGS, OUTPUTS);
const AREA = SIZE * SIZE;
const AREA_QUADS = AREA / 4u;
const AREA_STEPS = (AREA_QUADS + LANES - 1u) / LANES;

var<workgroup> tiles: array<Frag, TILES_END>;
var<workgroup> sum_tile: array<f32, BLOCK_Q * SCORE_PITCH>;
// What the outputs of each query are to be multiplied by.
var<workgroup> factors: array<f32, BLOCK_Q>;
// Whether some query of the workgroup raises its base.
var<workgroup> rising: u32;

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
    let team = own_subgroup(index, subgroup);
    let mine = team * ROWS;
    let line = mine + lane / ROW_LANES;
    let part = lane % ROW_LANES;
    let row = block + line;
    // The subgroup's outputs: their first line and column, and where they pass.
    let out_line = team / SUB_N * OUT_ROWS * SIZE;
    let out_col = team % SUB_N * OUT_COLS * SIZE;
    let area = mine * SCORE_PITCH;

    for (var at = index; at < BLOCK_Q * SCORE_PITCH; at += INVOCATIONS) {
        sum_tile[at] = 0.0;
    }
    var queries: array<array<FragA, DEPTH_FRAGS>, Q_FRAGS>;
    for (var d = 0u; d < DH; d += QUERY_COLS) {
        workgroupBarrier();
        for (var n = 0u; n < (BLOCK_Q * QUERY_QUADS + INVOCATIONS - 1u) / INVOCATIONS; n += 1u) {
            let at = min(index + n * INVOCATIONS, BLOCK_Q * QUERY_QUADS - 1u);
            let quad = min(d / 4u + at % QUERY_QUADS, DH4 - 1u);
            let start = query_start(frame, block + at / QUERY_QUADS, head);
            let to = QUERIES_AT + at / QUERY_QUADS * QUERY_PITCH + 4u * (at % QUERY_QUADS);
            stage(to, vec4<Frag>(q[start + quad]));
        }
        workgroupBarrier();
        for (var j = 0u; j < QUERY_COLS / SIZE; j += 1u) {
            if d / SIZE + j < DEPTH_FRAGS {
                for (var i = 0u; i < Q_FRAGS; i += 1u) {
                    let at = QUERIES_AT + (mine + i * SIZE) * QUERY_PITCH + j * SIZE;
                    queries[i][d / SIZE + j] = left_rows(at, QUERY_PITCH);
                }
            }
        }
    }
    let zero = FragC();

    var outputs: array<FragC, OUTPUTS>;
    var base = LOWEST;
    var sum = 0.0;   // of this invocation's keys
    for (var f = 0u; f < OUTPUTS; f += 1u) {
        outputs[f] = zero;
    }
    if CARRY_IN != 0u {
        let carry_at = carry_start(row, head);
        base = carried(carry_at + DH);
        if part == 0u {
            sum = carried(carry_at + DH + 1u);
        }
        for (var f = 0u; f < OUTPUTS; f += PASS) {
            workgroupBarrier();
            for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
                for (var n = 0u; n < AREA_STEPS; n += 1u) {
                    let at = (lane + n * LANES) % AREA_QUADS;
                    let line = out_line + (f + p) / OUT_COLS * SIZE + 4u * at / SIZE;
                    let col = out_col + (f + p) % OUT_COLS * SIZE + 4u * at % SIZE;
                    stage_sums(area + p * AREA + 4u * at, carried_quad(carry_start(block + line, head) + col));
                }
            }
            workgroupBarrier();
            for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
                outputs[f + p] = load_sums(area + p * AREA, SIZE, lane);
            }
        }
    }

    // Where this invocation finds its keys and values of a block, and those of the last row.
    let key_line = index / DH4 % KEY_LINES;
    let key_col = index % DH4;
    let value_line = index % VALUE_LINES * 4u;
    let value_col = index / VALUE_LINES;
    let keys = keys_of(block, BLOCK_Q);
    let first = keys.x;
    let key_last = key_start(frame, params.k_rows - 1u, head) + key_col;
    let value_last = value_start(frame, params.k_rows - 1u, head);
    var key_at = key_start(frame, 0u, head) + (first + key_line) * params.k_stride + key_col;
    var value_at = value_start(frame, 0u, head) + (first + value_line) * params.v_stride;
    var key_next: array<vec4<Frag>, KEY_FETCH>;
    var value_next: array<array<vec4<Frag>, 4>, VALUE_FETCH>;
    for (var n = 0u; n < KEY_FETCH; n += 1u) {
        key_next[n] = vec4<Frag>(key_quad(min(key_at + n * KEY_LINES * params.k_stride, key_last)));
    }
    for (var key0 = first; key0 < keys.y; key0 += BLOCK_K) {
        // Everybody has done with the values, and with the scores.
        workgroupBarrier();
        for (var n = 0u; n < KEY_FETCH; n += 1u) {
            let to = key_line + n * KEY_LINES;
            if BLOCK_K % KEY_LINES == 0u || to < BLOCK_K {
                stage(to * KEY_PITCH + 4u * key_col, key_next[n]);
            }
        }
        if index == 0u {
            rising = 0u;
        }
        workgroupBarrier();
        for (var n = 0u; n < VALUE_FETCH; n += 1u) {
            let d = min(value_col + n * VALUE_STEP, DH4 - 1u);
            for (var i = 0u; i < 4u; i += 1u) {
                value_next[n][i] = vec4<Frag>(value_quad(min(value_at + i * params.v_stride, value_last) + d));
            }
        }
        value_at += BLOCK_K * params.v_stride;
        var scores: array<array<FragC, K_FRAGS>, Q_FRAGS>;
        for (var i = 0u; i < Q_FRAGS; i += 1u) {
            for (var j = 0u; j < K_FRAGS; j += 1u) {
                scores[i][j] = zero;
            }
        }
        for (var d = 0u; d < DEPTH_FRAGS; d += 1u) {
            for (var j = 0u; j < K_FRAGS; j += 1u) {
                let key = right_columns(j * SIZE * KEY_PITCH + d * SIZE, KEY_PITCH);
                for (var i = 0u; i < Q_FRAGS; i += 1u) {
                    scores[i][j] = multiply_add(queries[i][d], key, scores[i][j], lane);
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
        for (var n = 0u; n < VALUE_FETCH; n += 1u) {
            let d = value_col + n * VALUE_STEP;
            if DH4 % VALUE_STEP == 0u || d < DH4 {
                let v = value_next[n];
                for (var i = 0u; i < 4u; i += 1u) {
                    let to = (4u * d + i) * VALUE_PITCH + value_line;
                    stage(to, vec4<Frag>(v[0][i], v[1][i], v[2][i], v[3][i]));
                }
            }
        }
        var own: array<f32, KEYS_EACH>;
        var highest = LOWEST;
        let plain = MASK == 0u && HAS_BIAS == 0u && key0 + BLOCK_K <= params.k_rows;
        for (var i = 0u; i < KEYS_EACH; i += 1u) {
            own[i] = sum_tile[line * SCORE_PITCH + part * KEYS_EACH + i] * params.scale;
        }
        if !plain {
            for (var i = 0u; i < KEYS_EACH; i += 1u) {
                own[i] += first_score(row, key0 + part * KEYS_EACH + i, head);
            }
        }
        for (var i = 0u; i < KEYS_EACH; i += 1u) {
            highest = max(highest, own[i]);
        }
        for (var step = 1u; step < ROW_LANES; step *= 2u) {
            highest = max(highest, subgroupShuffleXor(highest, step));
        }
        var factor = 1.0;
        if highest > base + RISE {
            factor = exp2(base - highest);
            base = highest;
            sum *= factor;
            rising = 1u;
        }
        for (var i = 0u; i < KEYS_EACH; i += 1u) {
            let weight = Frag(exp2(own[i] - base));
            sum += f32(weight);
            tiles[WEIGHTS_AT + line * VALUE_PITCH + part * KEYS_EACH + i] = weight;
        }
        let raised = workgroupUniformLoad(&rising);

        key_at += BLOCK_K * params.k_stride;
        for (var n = 0u; n < KEY_FETCH; n += 1u) {
            key_next[n] = vec4<Frag>(key_quad(min(key_at + n * KEY_LINES * params.k_stride, key_last)));
        }
        if raised != 0u {
            if part == 0u {
                factors[line] = factor;
            }
            for (var f = 0u; f < OUTPUTS; f += PASS) {
                for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
                    store_sums(outputs[f + p], area + p * AREA, SIZE, lane);
                }
                workgroupBarrier();
                for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
                    for (var n = 0u; n < AREA / LANES; n += 1u) {
                        let at = lane + n * LANES;
                        sum_tile[area + p * AREA + at] *= factors[out_line + (f + p) / OUT_COLS * SIZE + at / SIZE];
                    }
                }
                workgroupBarrier();
                for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
                    outputs[f + p] = load_sums(area + p * AREA, SIZE, lane);
                }
            }
        }
        for (var key = 0u; key < BLOCK_K; key += SIZE) {
            var weights: array<FragA, OUT_ROWS>;
            for (var i = 0u; i < OUT_ROWS; i += 1u) {
                weights[i] = left_rows(WEIGHTS_AT + (out_line + i * SIZE) * VALUE_PITCH + key, VALUE_PITCH);
            }
            for (var j = 0u; j < OUT_COLS; j += 1u) {
                let value = right_columns((out_col + j * SIZE) * VALUE_PITCH + key, VALUE_PITCH);
                for (var i = 0u; i < OUT_ROWS; i += 1u) {
                    let f = i * OUT_COLS + j;
                    outputs[f] = multiply_add(weights[i], value, outputs[f], lane);
                }
            }
        }
    }

    for (var step = 1u; step < ROW_LANES; step *= 2u) {
        sum += subgroupShuffleXor(sum, step);
    }
    let spoil = spoiled(subgroups);
    if part == 0u {
        factors[line] = 1.0 / sum;
        if CARRY_OUT != 0u && row < params.q_rows {
            let carry_at = carry_start(row, head);
            carry_on(carry_at + DH, base + spoil);
            carry_on(carry_at + DH + 1u, sum);
        }
    }
    for (var f = 0u; f < OUTPUTS; f += PASS) {
        workgroupBarrier();
        for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
            store_sums(outputs[f + p], area + p * AREA, SIZE, lane);
        }
        workgroupBarrier();
        for (var p = 0u; p < min(PASS, OUTPUTS - f); p += 1u) {
            for (var n = 0u; n < AREA_STEPS; n += 1u) {
                let at = (lane + n * LANES) % AREA_QUADS;
                let line = out_line + (f + p) / OUT_COLS * SIZE + 4u * at / SIZE;
                let col = out_col + (f + p) % OUT_COLS * SIZE + 4u * at % SIZE;
                if block + line < params.q_rows {
                    let sums = sums_quad(area + p * AREA + 4u * at) + vec4<f32>(spoil);
                    finish(frame, block + line, head, col, sums, factors[line]);
                }
            }
        }
    }
}

// Four outputs from column `col` of their head on, on their way to the next launch or to the result.
fn finish(frame: u32, row: u32, head: u32, col: u32, sums: vec4<f32>, factor: f32) {
    if CARRY_OUT != 0u {
        carry_quad_on(carry_start(row, head) + col, sums);
    } else {
        store_output(frame, row, head, col / 4u, sums * factor);
    }
}

fn stage_sums(at: u32, values: vec4<f32>) {
    sum_tile[at] = values.x;
    sum_tile[at + 1u] = values.y;
    sum_tile[at + 2u] = values.z;
    sum_tile[at + 3u] = values.w;
}

fn sums_quad(at: u32) -> vec4<f32> {
    return vec4<f32>(sum_tile[at], sum_tile[at + 1u], sum_tile[at + 2u], sum_tile[at + 3u]);
}
