// Teams share their sums through workgroup memory: an invocation adds up one sum of a team, in an order of its own, so that
// neighbours read other banks.
const INVOCATIONS = TEAM * TEAMS;
const RESULTS = TILE_M * TILE_N * TEAMS;

var<workgroup> shares: array<f32, RESULTS * TEAM>;

fn share(sums: ptr<function, Sums>, lane: u32, first_row: u32, first_col: u32) {
    for (var i = 0u; i < TILE_M; i += 1u) {
        for (var j = 0u; j < TILE_N; j += 1u) {
            shares[(i * TILE_N + j) * INVOCATIONS + lane] = (*sums)[i][j];
        }
    }
    workgroupBarrier();
    for (var item = lane; item < RESULTS; item += INVOCATIONS) {
        let place = item / TEAMS;
        let team = item % TEAMS;
        let start = place * INVOCATIONS + team * TEAM;
        var sum = 0.0;
        for (var other = 0u; other < TEAM; other += 1u) {
            sum += shares[start + (item + other) % TEAM];
        }
        let row = first_row + place / TILE_N;
        let col = first_col + team * TILE_N + place % TILE_N;
        if row < params.rows && col < params.cols {
            store(row, col, sum);
        }
    }
}
