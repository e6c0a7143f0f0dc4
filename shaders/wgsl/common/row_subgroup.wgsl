// A row per workgroup, which is one subgroup: no barriers and no workgroup memory, and loads of neighbours lie side by side.
override WG: u32 = 8u;

fn row_of(group: u32, lane: u32) -> u32 {
    return group;
}

fn first_column(lane: u32) -> u32 {
    return lane;
}

fn column_step() -> u32 {
    return WG;
}

fn row_sum(value: f32, lane: u32) -> f32 {
    return subgroupAdd(value);
}
