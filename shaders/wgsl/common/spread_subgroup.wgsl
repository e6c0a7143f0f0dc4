// The LANES invocations of a workgroup are one subgroup; a value crosses over to all of them.
fn spread(value: vec4<f32>, lane: u32) -> vec4<f32> {
    return subgroupShuffle(value, lane);
}
