// Matrix product through workgroup memory: 256 invocations make a tile of 16 TILE_M rows by 16 TILE_N columns, an
// invocation every sixteenth row and column of it. Each step brings 16 values of k of both operands into workgroup
// memory as quads along k; the next step's quads are fetched while the present ones are multiplied.
//
// The importer describes its operands as for `gemm_register`. FETCH says which invocation fetches what.
#import fma_quad
#import tile_order
#import workgroup_index

const TILE_ROWS = 16u * TILE_M;
const TILE_COLS = 16u * TILE_N;
// Quads of one tile: 4 planes, one for each quad of k, padded by two so that neighbouring planes fall on other banks.
const A_PLANE = TILE_ROWS + 2u;
const W_PLANE = TILE_COLS + 2u;
// Quads of a line, and those that one invocation fetches.
const QUADS = DEPTH / 4u;
const INVOCATIONS = 256u;
const LINE_STEP = INVOCATIONS / QUADS;
const A_FETCH = TILE_M / 4u;
const W_FETCH = TILE_N / 4u;
alias Frag = f32;

var<workgroup> a_tile: array<vec4<f32>, 4u * A_PLANE>;
var<workgroup> w_tile: array<vec4<f32>, 4u * W_PLANE>;

#import FETCH

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles_m = (params.rows + TILE_ROWS - 1u) / TILE_ROWS;
    let tiles_n = (params.cols + TILE_COLS - 1u) / TILE_COLS;
    let tile = tile_of(workgroup_index(group, groups), tiles_m, tiles_n);
    let first_row = tile.x * TILE_ROWS;
    let first_col = tile.y * TILE_COLS;
    if first_row >= params.rows {
        return;
    }
    // When fetching, four neighbours share a row; when multiplying, sixteen.
    let quad = lane % 4u;
    let line = lane / 4u;
    let mine_m = lane / 16u;
    let mine_n = lane % 16u;

    var rows: array<ARow, A_FETCH>;
    for (var i = 0u; i < A_FETCH; i += 1u) {
        rows[i] = a_row(first_row + line + i * 64u);
    }
    var places: array<APlace, A_FETCH>;
    var a_next: array<vec4<f32>, A_FETCH>;
    var w_places: array<WPlace, W_LINES>;
    for (var j = 0u; j < W_LINES; j += 1u) {
        w_places[j] = w_place(first_col, lane, j);
    }
    var w_next: WHeld;
    var sums: array<array<f32, TILE_N>, TILE_M>;
    var segment = 0u;
    var step = 0u;
    var staged = 0u;
    let steps = params.segments * ((params.segment_length + 15u) / 16u);
    for (var n = 0u; n <= steps; n += 1u) {
        if n > 0u {
            // The tiles are free once everybody has multiplied, and ready once everybody has written.
            workgroupBarrier();
            for (var i = 0u; i < A_FETCH; i += 1u) {
                a_tile[quad * A_PLANE + line + i * 64u] = a_next[i];
            }
            stage_w(&w_next, staged, lane);
            workgroupBarrier();
        }
        if n < steps {
            if step == 0u {
                for (var i = 0u; i < A_FETCH; i += 1u) {
                    places[i] = a_place(rows[i], segment);
                }
            }
            for (var i = 0u; i < A_FETCH; i += 1u) {
                a_next[i] = fetch_a(places[i], step + 4u * quad);
            }
            w_next = fetch_w(&w_places, segment, step, lane);
            staged = step;
            step += 16u;
            if step >= params.segment_length {
                step = 0u;
                segment += 1u;
            }
        }
        if n > 0u {
            for (var plane = 0u; plane < 4u; plane += 1u) {
                var a: array<vec4<f32>, TILE_M>;
                for (var i = 0u; i < TILE_M; i += 1u) {
                    a[i] = a_tile[plane * A_PLANE + mine_m + 16u * i];
                }
                for (var j = 0u; j < TILE_N; j += 1u) {
                    let w = w_tile[plane * W_PLANE + mine_n + 16u * j];
                    for (var i = 0u; i < TILE_M; i += 1u) {
                        sums[i][j] = fma_quad(a[i], w, sums[i][j]);
                    }
                }
            }
        }
    }
    for (var i = 0u; i < TILE_M; i += 1u) {
        for (var j = 0u; j < TILE_N; j += 1u) {
            let row = first_row + mine_m + 16u * i;
            let col = first_col + mine_n + 16u * j;
            if row < params.rows && col < params.cols {
                store(row, col, sums[i][j]);
            }
        }
    }
}

fn put_w(line: u32, k: u32, values: vec4<f32>) {
    w_tile[k / 4u * W_PLANE + line] = values;
}
