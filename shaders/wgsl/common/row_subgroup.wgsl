// A row per workgroup, which is one subgroup: no barriers and no workgroup memory, and loads of neighbours lie side by side.
override WG: u32 = 8u;

#import row_per_group

fn row_sum(value: f32, lane: u32) -> f32 {
    return subgroupAdd(value);
}
