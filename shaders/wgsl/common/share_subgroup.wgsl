// A team is a subgroup, and the only one of its workgroup.
fn share(sums: ptr<function, Sums>, lane: u32, first_row: u32, first_col: u32) {
    for (var i = 0u; i < TILE_M; i += 1u) {
        for (var j = 0u; j < TILE_N; j += 1u) {
            let sum = subgroupAdd((*sums)[i][j]);
            let row = first_row + i;
            let col = first_col + j;
            if lane == (i * TILE_N + j) % TEAM && row < params.rows && col < params.cols {
                store(row, col, sum);
            }
        }
    }
}
