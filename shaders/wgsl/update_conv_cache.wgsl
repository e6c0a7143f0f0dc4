// to[to_skip + i] = from[from_skip + i] for i < count: moves frames into a cache, or within it by way of a scratch buffer.
#import UNIT

struct Params {
    count: u32,      // units
    from_skip: u32,  // units before the first, in the binding
    to_skip: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<XUnit>;
@group(0) @binding(2) var<storage, read_write> out: array<OutUnit>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if i < params.count {
        out[params.to_skip + i] = OutUnit(source[params.from_skip + i]);
    }
}
