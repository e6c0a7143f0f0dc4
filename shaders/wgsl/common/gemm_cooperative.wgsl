// Matrix product on cooperative matrices (tensor cores): SUB_M by SUB_N subgroups of LANES invocations, each of which makes
// FRAG_M by FRAG_N fragments of SIZE by SIZE. Each step brings DEPTH values of k of both operands into workgroup memory,
// as Frag; the next step's are fetched while the present ones are multiplied. Sums are f32, and leave by workgroup memory
// for the epilogue.
//
// The importer describes its operands as for `gemm_register`. FRAGMENTS says who multiplies, FETCH which invocation fetches what. All invocations come to every
// barrier and every fragment: surplus workgroups and rows past the last work on copies, of which nothing is stored.
#import tile_order
#import workgroup_index

const SUBGROUPS = SUB_M * SUB_N;
const INVOCATIONS = SUBGROUPS * LANES;
const TILE_ROWS = SUB_M * FRAG_M * SIZE;
const TILE_COLS = SUB_N * FRAG_N * SIZE;
const QUADS = DEPTH / 4u;
// Lines of k are PAD values (16 bytes) apart, so that neighbouring ones fall on other banks.
const PITCH = DEPTH + PAD;
const W_TILE = TILE_ROWS * PITCH;
const AREA = SIZE * SIZE;
// Quads that one invocation fetches, and from line to line of them.
const A_FETCH = TILE_ROWS * QUADS / INVOCATIONS;
const W_FETCH = TILE_COLS * QUADS / INVOCATIONS;
const LINE_STEP = INVOCATIONS / QUADS;

var<workgroup> tiles: array<Frag, (TILE_ROWS + TILE_COLS) * PITCH>;
var<workgroup> sum_tile: array<f32, SUBGROUPS * AREA>;

#import FRAGMENTS
#import stage_fragments
#import FETCH

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let tiles_m = (params.rows + TILE_ROWS - 1u) / TILE_ROWS;
    let tiles_n = (params.cols + TILE_COLS - 1u) / TILE_COLS;
    let tile = tile_of(workgroup_index(group, groups), tiles_m, tiles_n);
    let first_row = tile.x * TILE_ROWS;
    let first_col = tile.y * TILE_COLS;
    // When fetching, neighbours share a line of k; when multiplying, a subgroup has its part of the tile.
    let quad = index % QUADS;
    let line = index / QUADS;
    let lane = own_lane(index, subgroup_lane);
    let team = own_subgroup(index, subgroup);
    let mine_m = team / SUB_N * FRAG_M * SIZE;
    let mine_n = team % SUB_N * FRAG_N * SIZE;

    let zero = FragC();
    var sums: array<array<FragC, FRAG_N>, FRAG_M>;
    for (var i = 0u; i < FRAG_M; i += 1u) {
        for (var j = 0u; j < FRAG_N; j += 1u) {
            sums[i][j] = zero;
        }
    }

    var rows: array<ARow, A_FETCH>;
    for (var i = 0u; i < A_FETCH; i += 1u) {
        rows[i] = a_row(first_row + line + i * LINE_STEP);
    }
    var w_places: array<WPlace, W_LINES>;
    for (var j = 0u; j < W_LINES; j += 1u) {
        w_places[j] = w_place(first_col, index, j);
    }
    var places: array<APlace, A_FETCH>;
    for (var i = 0u; i < A_FETCH; i += 1u) {
        places[i] = a_place(rows[i], 0u);
    }
    var a_next: array<vec4<Frag>, A_FETCH>;
    let segment_steps = (params.segment_length + DEPTH - 1u) / DEPTH;
    let steps = params.segments * segment_steps;
    for (var i = 0u; i < A_FETCH; i += 1u) {
        a_next[i] = fetch_a(places[i], 4u * quad);
    }
    var w_next = fetch_w(&w_places, 0u, 0u, index);
    var segment = 0u;
    var step = 0u;
    for (var n = 0u; n < steps; n += 1u) {
        // The tiles are free once everybody has multiplied, and ready once everybody has written.
        workgroupBarrier();
        for (var i = 0u; i < A_FETCH; i += 1u) {
            stage((line + i * LINE_STEP) * PITCH + 4u * quad, a_next[i]);
        }
        stage_w(&w_next, step, index);
        workgroupBarrier();
        step += DEPTH;
        if step >= params.segment_length {
            // Past the last segment the last one is fetched again, for nobody.
            step = 0u;
            if !ONE_SEGMENT {
                segment = min(segment + 1u, params.segments - 1u);
                for (var i = 0u; i < A_FETCH; i += 1u) {
                    places[i] = a_place(rows[i], segment);
                }
            }
        }
        if !ONE_SEGMENT || n + 1u < steps {
            for (var i = 0u; i < A_FETCH; i += 1u) {
                a_next[i] = fetch_a(places[i], step + 4u * quad);
            }
            w_next = fetch_w(&w_places, segment, step, index);
        }
        for (var d = 0u; d < DEPTH; d += SIZE) {
            var a: array<FragA, FRAG_M>;
            for (var i = 0u; i < FRAG_M; i += 1u) {
                a[i] = left_rows((mine_m + i * SIZE) * PITCH + d, PITCH);
            }
            for (var j = 0u; j < FRAG_N; j += 1u) {
                // A row of the weight is a column of the right operand.
                let w = right_columns(W_TILE + (mine_n + j * SIZE) * PITCH + d, PITCH);
                for (var i = 0u; i < FRAG_M; i += 1u) {
                    sums[i][j] = multiply_add(a[i], w, sums[i][j], lane);
                }
            }
        }
    }
    let spoil = spoiled(subgroups);
    for (var i = 0u; i < FRAG_M; i += 1u) {
        for (var j = 0u; j < FRAG_N; j += 1u) {
            store_sums(sums[i][j], team * AREA, SIZE, lane);
            workgroupBarrier();
            for (var m = 0u; m < AREA / LANES; m += 1u) {
                let at = lane + m * LANES;
                let row = first_row + mine_m + i * SIZE + at / SIZE;
                let col = first_col + mine_n + j * SIZE + at % SIZE;
                if row < params.rows && col < params.cols {
                    store(row, col, sum_tile[team * AREA + at] + spoil);
                }
            }
            workgroupBarrier();
        }
    }
}

fn put_w(line: u32, k: u32, values: vec4<Frag>) {
    stage(W_TILE + line * PITCH + k, values);
}
