// For GPUs that are CPUs: one workgroup is one subgroup of LANES, without barriers or workgroup memory.
// A lane owns QUERIES queries. Each load reads LANES keys (or values), one a lane, and shuffles hand them round:
// such devices load lane by lane, even from one address, so a value loaded once serves LANES * QUERIES queries.
// SPANS times LANES keys go through in one pass over the head, since a query's values and sums, of which a loop picks one
// by its counter, are loaded lane by lane too.
//
// The loops over queries and keys unroll. Those over the head must not: it takes the compiler ten times as long
// and gains nothing, so their bound is a parameter, though it is DH4.

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = group.y;
    let frame = group.z;
    let row0 = (group.x * LANES + lane) * QUERIES;
    var query: array<array<vec4<f32>, QUERIES>, DH4>;
    var acc: array<array<vec4<f32>, QUERIES>, DH4>;
    var top: array<f32, QUERIES>;
    var sum: array<f32, QUERIES>;
    for (var i = 0u; i < QUERIES; i++) {
        top[i] = LOWEST;
        sum[i] = 0.0;
        if CARRY_IN != 0u {
            let at = carry_start(row0 + i, head) + 4u * DH4;
            top[i] = carried(at);
            sum[i] = carried(at + 1u);
        }
    }
    for (var d = 0u; d < params.head_size; d++) {
        for (var i = 0u; i < QUERIES; i++) {
            query[d][i] = load_query(frame, row0 + i, head, d);
            acc[d][i] = vec4<f32>(0.0);
            if CARRY_IN != 0u {
                acc[d][i] = carried_quad(carry_start(row0 + i, head) + 4u * d);
            }
        }
    }
    let keys = keys_of(group.x * LANES * QUERIES, LANES * QUERIES);
    for (var key = keys.x; key < keys.y; key += LANES * SPANS) {
        var score: array<array<array<f32, LANES>, QUERIES>, SPANS>;
        var k_start: array<u32, SPANS>;
        for (var span = 0u; span < SPANS; span++) {
            let first = key + span * LANES;
            k_start[span] = key_start(frame, first + lane, head);
            for (var j = 0u; j < LANES; j++) {
                for (var i = 0u; i < QUERIES; i++) {
                    score[span][i][j] = first_score(row0 + i, first + j, head);
                }
            }
        }
        for (var d = 0u; d < params.head_size; d++) {
            var quads: array<vec4<f32>, QUERIES>;
            for (var i = 0u; i < QUERIES; i++) {
                quads[i] = query[d][i];
            }
            for (var span = 0u; span < SPANS; span++) {
                let mine = vec4<f32>(key_quad(k_start[span] + d));
                for (var j = 0u; j < LANES; j++) {
                    let b = subgroupShuffle(mine, j);
                    for (var i = 0u; i < QUERIES; i++) {
                        let a = quads[i];
                        let sum = score[span][i][j];
                        score[span][i][j] = fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, sum))));
                    }
                }
            }
        }
        var decay: array<f32, QUERIES>;
        for (var i = 0u; i < QUERIES; i++) {
            var highest = top[i];
            for (var span = 0u; span < SPANS; span++) {
                for (var j = 0u; j < LANES; j++) {
                    highest = max(highest, score[span][i][j]);
                }
            }
            decay[i] = exp2(top[i] - highest);
            top[i] = highest;
            var total = sum[i] * decay[i];
            for (var span = 0u; span < SPANS; span++) {
                for (var j = 0u; j < LANES; j++) {
                    let p = exp2(score[span][i][j] - highest);
                    score[span][i][j] = p;
                    total += p;
                }
            }
            sum[i] = total;
        }
        var v_start: array<u32, SPANS>;
        for (var span = 0u; span < SPANS; span++) {
            v_start[span] = value_start(frame, key + span * LANES + lane, head);
        }
        for (var d = 0u; d < params.head_size; d++) {
            var part: array<vec4<f32>, QUERIES>;
            for (var i = 0u; i < QUERIES; i++) {
                part[i] = acc[d][i] * decay[i];
            }
            for (var span = 0u; span < SPANS; span++) {
                let mine = vec4<f32>(value_quad(v_start[span] + d));
                for (var j = 0u; j < LANES; j++) {
                    let b = subgroupShuffle(mine, j);
                    for (var i = 0u; i < QUERIES; i++) {
                        part[i] = fma(vec4<f32>(score[span][i][j]), b, part[i]);
                    }
                }
            }
            for (var i = 0u; i < QUERIES; i++) {
                acc[d][i] = part[i];
            }
        }
    }
    for (var d = 0u; d < params.head_size; d++) {
        for (var i = 0u; i < QUERIES; i++) {
            if row0 + i < params.q_rows {
                if CARRY_OUT != 0u {
                    carry_quad_on(carry_start(row0 + i, head) + 4u * d, acc[d][i]);
                } else {
                    store_output(frame, row0 + i, head, d, acc[d][i] / sum[i]);
                }
            }
        }
    }
    if CARRY_OUT != 0u {
        for (var i = 0u; i < QUERIES; i++) {
            if row0 + i < params.q_rows {
                let at = carry_start(row0 + i, head) + 4u * DH4;
                carry_on(at, top[i]);
                carry_on(at + 1u, sum[i]);
            }
        }
    }
}
