// Which columns an invocation has where a workgroup of WG invocations takes one row.
fn row_of(group: u32, lane: u32) -> u32 {
    return group;
}

fn first_column(lane: u32) -> u32 {
    return lane;
}

fn column_step() -> u32 {
    return WG;
}
