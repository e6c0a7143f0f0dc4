// LANES invocations per row, which take turns with the columns and share their sums: for short rows. LANES divides WG.
override WG: u32 = 64u;

var<workgroup> partial_sums: array<f32, WG>;

fn row_of(group: u32, lane: u32) -> u32 {
    return group * (WG / LANES) + lane / LANES;
}

fn first_column(lane: u32) -> u32 {
    return lane % LANES;
}

fn column_step() -> u32 {
    return LANES;
}

fn row_sum(value: f32, lane: u32) -> f32 {
    workgroupBarrier(); // The sum before may still be being read.
    partial_sums[lane] = value;
    workgroupBarrier();
    let first = lane / LANES * LANES;
    var sum = 0.0;
    for (var i = 0u; i < LANES; i += 1u) {
        sum += partial_sums[first + i];
    }
    return sum;
}
