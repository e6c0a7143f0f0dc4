// Matrix product through workgroup memory: 256 invocations make a tile of 16 TILE_M rows by 16 TILE_N columns, an
// invocation every sixteenth row and column of it. Each step brings 16 values of k of both operands into workgroup
// memory as quads along k; the next step's quads are fetched while the present ones are multiplied.
//
// The importer describes its operands as for `gemm_register`.
#import fma_quad
#import tile_order
#import workgroup_index

const TILE_ROWS = 16u * TILE_M;
const TILE_COLS = 16u * TILE_N;
// Quads of one tile: 4 planes, one for each quad of k, padded by two so that neighbouring planes fall on other banks.
const A_PLANE = TILE_ROWS + 2u;
const W_PLANE = TILE_COLS + 2u;
// Quads that one invocation fetches.
const A_FETCH = TILE_M / 4u;
const W_FETCH = TILE_N / 4u;

var<workgroup> a_tile: array<vec4<f32>, 4u * A_PLANE>;
var<workgroup> w_tile: array<vec4<f32>, 4u * W_PLANE>;

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
    var w_next: array<vec4<f32>, W_FETCH>;
    var sums: array<array<f32, TILE_N>, TILE_M>;
    var segment = 0u;
    var step = 0u;
    let steps = params.segments * ((params.segment_length + 15u) / 16u);
    for (var n = 0u; n <= steps; n += 1u) {
        if n > 0u {
            // The tiles are free once everybody has multiplied, and ready once everybody has written.
            workgroupBarrier();
            for (var i = 0u; i < A_FETCH; i += 1u) {
                a_tile[quad * A_PLANE + line + i * 64u] = a_next[i];
            }
            for (var j = 0u; j < W_FETCH; j += 1u) {
                w_tile[quad * W_PLANE + line + j * 64u] = w_next[j];
            }
            workgroupBarrier();
        }
        if n < steps {
            if step == 0u {
                for (var i = 0u; i < A_FETCH; i += 1u) {
                    places[i] = a_place(rows[i], segment);
                }
            }
            let k = step + 4u * quad;
            let inside = k < params.segment_length;
            for (var i = 0u; i < A_FETCH; i += 1u) {
                a_next[i] = vec4<f32>();
                if inside {
                    a_next[i] = vec4<f32>(a_quad(places[i], k));
                }
            }
            for (var j = 0u; j < W_FETCH; j += 1u) {
                w_next[j] = vec4<f32>();
                if inside {
                    w_next[j] = w_quad(w_row(first_col + line + j * 64u), segment, k);
                }
            }
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
