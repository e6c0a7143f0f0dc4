// The number of a workgroup where a long row of them is folded into two dimensions of a grid.
fn workgroup_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
