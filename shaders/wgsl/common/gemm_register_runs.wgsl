// `gemm_register` for weights stored in groups: scales are loaded once for each W_RUN values of k, for a load costs some thirty
// multiply-adds. There is one segment, of whole runs, whose weights begin at `w_row`.
//
// The importer describes its operands as for `gemm_register`, but for `w_quad`.
#import SPREAD
#import fma_quad
#import tile_order
#import workgroup_index

override WG_X: u32 = 8u;

const ROW_LOADS = TILE_M / LANES;
const HALF_M = TILE_M / 2u;

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles_m = (params.rows + TILE_M - 1u) / TILE_M;
    let tiles_n = (params.cols + TILE_N * WG_X - 1u) / (TILE_N * WG_X);
    let tile = tile_of(workgroup_index(group, groups), tiles_m, tiles_n);
    let first_row = tile.x * TILE_M;
    let first_col = tile.y * TILE_N * WG_X + lane;
    if first_row >= params.rows {
        return;
    }

    var rows: array<ARow, ROW_LOADS>;
    for (var i = 0u; i < ROW_LOADS; i += 1u) {
        rows[i] = a_row(first_row + i * LANES + lane % LANES);
    }
    var w_rows: array<u32, TILE_N>;
    for (var j = 0u; j < TILE_N; j += 1u) {
        w_rows[j] = w_row(first_col + j * WG_X);
    }
    var scales: array<vec2<f32>, TILE_N>;
    var sums: array<array<f32, TILE_N>, TILE_M>;
    var places: array<APlace, ROW_LOADS>;
    for (var i = 0u; i < ROW_LOADS; i += 1u) {
        places[i] = a_place(rows[i], 0u);
    }
    for (var k = 0u; k < params.segment_length; k += 4u) {
        if k % W_RUN == 0u {
            for (var j = 0u; j < TILE_N; j += 1u) {
                scales[j] = group_scales(w_rows[j] + k);
            }
        }
        var w: array<vec4<f32>, TILE_N>;
        for (var j = 0u; j < TILE_N; j += 1u) {
            w[j] = group_values(w_rows[j] + k, scales[j]);
        }
        var a: array<vec4<f32>, ROW_LOADS>;
        for (var i = 0u; i < ROW_LOADS; i += 1u) {
            a[i] = vec4<f32>(a_quad(places[i], k));
        }
        // Two loops: the driver unrolls each, and would give up on one of twice the length.
        for (var i = 0u; i < HALF_M; i += 1u) {
            let row = spread(a[i / LANES], i % LANES);
            for (var j = 0u; j < TILE_N; j += 1u) {
                sums[i][j] = fma_quad(row, w[j], sums[i][j]);
            }
        }
        for (var i = HALF_M; i < TILE_M; i += 1u) {
            let row = spread(a[i / LANES], i % LANES);
            for (var j = 0u; j < TILE_N; j += 1u) {
                sums[i][j] = fma_quad(row, w[j], sums[i][j]);
            }
        }
    }
    for (var i = 0u; i < TILE_M; i += 1u) {
        for (var j = 0u; j < TILE_N; j += 1u) {
            let row = first_row + i;
            let col = first_col + j * WG_X;
            if row < params.rows && col < params.cols {
                store(row, col, sums[i][j]);
            }
        }
    }
}
