// Matrix product of a few rows, bound by reading the weights: TEAM neighbouring invocations take turns with the k of TILE_N columns
// and of all TILE_M rows, so that each weight is read once, side by side with its neighbours; TEAMS teams make a workgroup. In the
// end a team's invocations share their sums.
//
// The importer describes its operands as for `gemm_register`. SHARE supplies
//   share(sums, lane, first_row, first_col): adds up the sums of each team and stores them; first_col is the workgroup's
#import fma_quad
#import SHARE
#import workgroup_index

alias Sums = array<array<f32, TILE_N>, TILE_M>;

@compute @workgroup_size(TEAM * TEAMS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles_m = (params.rows + TILE_M - 1u) / TILE_M;
    let tiles_n = (params.cols + TILE_N * TEAMS - 1u) / (TILE_N * TEAMS);
    let tile = workgroup_index(group, groups);
    if tile >= tiles_m * tiles_n {
        return;
    }
    let first_row = tile % tiles_m * TILE_M;
    let first_col = tile / tiles_m * TILE_N * TEAMS;
    let my_col = first_col + lane / TEAM * TILE_N;

    var sums: Sums;
    for (var segment = 0u; segment < params.segments; segment += 1u) {
        var places: array<APlace, TILE_M>;
        for (var i = 0u; i < TILE_M; i += 1u) {
            places[i] = a_place(a_row(first_row + i), segment);
        }
        for (var k = 4u * (lane % TEAM); k < params.segment_length; k += 4u * TEAM) {
            var w: array<vec4<f32>, TILE_N>;
            for (var j = 0u; j < TILE_N; j += 1u) {
                w[j] = w_quad(w_row(my_col + j), segment, k);
            }
            for (var i = 0u; i < TILE_M; i += 1u) {
                let a = vec4<f32>(a_quad(places[i], k));
                for (var j = 0u; j < TILE_N; j += 1u) {
                    sums[i][j] = fma_quad(a, w[j], sums[i][j]);
                }
            }
        }
    }
    share(&sums, lane, first_row, first_col);
}
