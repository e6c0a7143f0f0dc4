// out[i] = x[i] + y[i]. One invocation per element.
#import workgroup_index

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [count]
@group(0) @binding(2) var<storage, read> y: array<Y>;          // [count]
@group(0) @binding(3) var<storage, read_write> out: array<X>;  // [count]; holds x if IN_PLACE is 1

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = workgroup_index(group, groups) * 256u + local;
    if i >= params.count {
        return;
    }
    if IN_PLACE != 0u {
        out[i] = X(f32(out[i]) + f32(y[i]));
    } else {
        out[i] = X(f32(x[i]) + f32(y[i]));
    }
}
