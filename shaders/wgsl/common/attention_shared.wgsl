// For GPUs: ROWS * COLS invocations share tiles of queries, keys and values in workgroup memory.
// Invocation (y, x) owns queries 4y .. 4y + 3: their scores for keys x, x + COLS, .. and their outputs' vec4s
// x, x + COLS, .. of the head. Scores are vec4s over the four queries.

const BLOCK_Q: u32 = 4u * ROWS;
const BLOCK_K: u32 = KEYS * COLS;
// Depth of the query and key tiles, and their row length: odd, so that neighbours lie in different banks.
const DEPTH: u32 = 4u;
const PITCH: u32 = DEPTH + 1u;
const PARTS: u32 = (DH4 + COLS - 1u) / COLS;
const VALUES: u32 = V_ROWS * DH4;
const QUERY_KEY_TILE: u32 = (BLOCK_Q + BLOCK_K) * PITCH;
const TILE: u32 = max(max(QUERY_KEY_TILE, VALUES), ROWS * COLS);

var<workgroup> tile: array<vec4<f32>, TILE>;
var<workgroup> weights: array<vec4<f32>, BLOCK_K * ROWS>;

// Combines one value of each invocation of a row of invocations; ends with the tile free.
fn row_maximum(x: u32, y: u32, value: vec4<f32>) -> vec4<f32> {
    tile[y * COLS + x] = value;
    workgroupBarrier();
    var highest = value;
    for (var other = 0u; other < COLS; other++) {
        highest = max(highest, tile[y * COLS + other]);
    }
    workgroupBarrier();
    return highest;
}

fn row_sum(x: u32, y: u32, value: vec4<f32>) -> vec4<f32> {
    tile[y * COLS + x] = value;
    workgroupBarrier();
    var total = vec4<f32>(0.0);
    for (var other = 0u; other < COLS; other++) {
        total += tile[y * COLS + other];
    }
    workgroupBarrier();
    return total;
}

@compute @workgroup_size(ROWS * COLS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let x = lane % COLS;
    let y = lane / COLS;
    let head = group.y;
    let frame = group.z;
    let block = group.x * BLOCK_Q;
    let row0 = block + 4u * y;
    var acc: array<array<vec4<f32>, PARTS>, 4>;   // [query][part of the head]
    var top = vec4<f32>(LOWEST);
    var sum = vec4<f32>(0.0);                     // of this invocation's keys
    if CARRY_IN != 0u {
        for (var i = 0u; i < 4u; i++) {
            let at = carry_start(row0 + i, head);
            top[i] = carried(at + 4u * DH4);
            if x == 0u {
                sum[i] = carried(at + 4u * DH4 + 1u);
            }
            for (var part = 0u; part < PARTS; part++) {
                let d = x + part * COLS;
                if d < DH4 {
                    acc[i][part] = carried_quad(at + 4u * d);
                }
            }
        }
    }
    let keys = keys_of(block, BLOCK_Q);
    for (var key0 = keys.x; key0 < keys.y; key0 += BLOCK_K) {
        var score: array<vec4<f32>, KEYS>;
        for (var j = 0u; j < KEYS; j++) {
            for (var i = 0u; i < 4u; i++) {
                score[j][i] = first_score(row0 + i, key0 + x + j * COLS, head);
            }
        }
        for (var d0 = 0u; d0 < DH4; d0 += DEPTH) {
            for (var at = lane; at < BLOCK_Q * DEPTH; at += ROWS * COLS) {
                let d = d0 + at % DEPTH;
                var value = vec4<f32>(0.0);
                if d < DH4 {
                    value = load_query(frame, block + at / DEPTH, head, d);
                }
                tile[at / DEPTH * PITCH + at % DEPTH] = value;
            }
            for (var at = lane; at < BLOCK_K * DEPTH; at += ROWS * COLS) {
                let d = d0 + at % DEPTH;
                var value = vec4<f32>(0.0);
                if d < DH4 {
                    value = vec4<f32>(key_quad(key_start(frame, key0 + at / DEPTH, head) + d));
                }
                tile[(BLOCK_Q + at / DEPTH) * PITCH + at % DEPTH] = value;
            }
            workgroupBarrier();
            for (var d = 0u; d < DEPTH; d++) {
                var a: array<vec4<f32>, 4>;
                for (var i = 0u; i < 4u; i++) {
                    a[i] = tile[(4u * y + i) * PITCH + d];
                }
                for (var j = 0u; j < KEYS; j++) {
                    let b = tile[(BLOCK_Q + x + j * COLS) * PITCH + d];
                    score[j] += vec4<f32>(dot(a[0], b), dot(a[1], b), dot(a[2], b), dot(a[3], b));
                }
            }
            workgroupBarrier();
        }
        var highest = top;
        for (var j = 0u; j < KEYS; j++) {
            highest = max(highest, score[j]);
        }
        highest = row_maximum(x, y, highest);
        let decay = exp2(top - highest);
        top = highest;
        sum *= decay;
        for (var j = 0u; j < KEYS; j++) {
            let p = exp2(score[j] - highest);
            sum += p;
            weights[(x + j * COLS) * ROWS + y] = p;
        }
        for (var i = 0u; i < 4u; i++) {
            for (var part = 0u; part < PARTS; part++) {
                acc[i][part] *= decay[i];
            }
        }
        for (var first = 0u; first < BLOCK_K; first += V_ROWS) {
            for (var at = lane; at < VALUES; at += ROWS * COLS) {
                tile[at] = vec4<f32>(value_quad(value_start(frame, key0 + first + at / DH4, head) + at % DH4));
            }
            workgroupBarrier();
            for (var row = 0u; row < V_ROWS; row++) {
                let p = weights[(first + row) * ROWS + y];
                for (var part = 0u; part < PARTS; part++) {
                    let b = tile[min(row * DH4 + x + part * COLS, VALUES - 1u)];
                    for (var i = 0u; i < 4u; i++) {
                        acc[i][part] = fma(vec4<f32>(p[i]), b, acc[i][part]);
                    }
                }
            }
            workgroupBarrier();
        }
    }
    let total = row_sum(x, y, sum);
    for (var i = 0u; i < 4u; i++) {
        if row0 + i >= params.q_rows {
            continue;
        }
        let at = carry_start(row0 + i, head);
        for (var part = 0u; part < PARTS; part++) {
            let d = x + part * COLS;
            if d >= DH4 {
                continue;
            }
            if CARRY_OUT != 0u {
                carry_quad_on(at + 4u * d, acc[i][part]);
            } else {
                store_output(frame, row0 + i, head, d, acc[i][part] / total[i]);
            }
        }
        if CARRY_OUT != 0u && x == 0u {
            carry_on(at + 4u * DH4, top[i]);
            carry_on(at + 4u * DH4 + 1u, total[i]);
        }
    }
}
