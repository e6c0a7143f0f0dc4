// out[start + i] = x[i]. One invocation per element.
#import workgroup_index

struct Params {
    count: u32,
    start: u32, // in out
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [count]
@group(0) @binding(2) var<storage, read_write> out: array<X>;  // [start + count] or more

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = workgroup_index(group, groups) * 256u + local;
    if i < params.count {
        out[params.start + i] = x[i];
    }
}
