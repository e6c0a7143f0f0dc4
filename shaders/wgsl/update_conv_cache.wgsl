// to[to_skip + i] = from[from_skip + i] for i < count: moves frames into a cache, or within it by way of a scratch buffer.
// With KEEPS, what the cache holds behind the first `count` moves down by as many first, to its front of `kept`: an invocation has
// every `count`th unit, so that nobody reads what another one has written.
#import UNIT
#import workgroup_index

struct Params {
    count: u32,      // units
    kept: u32,
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
    let i = workgroup_index(group, groups) * 256u + local;
    if i < params.count {
        var at = i;
        if KEEPS != 0u {
            for (; at < params.kept; at += params.count) {
                out[at] = out[at + params.count];
            }
            at -= params.kept;
        }
        out[params.to_skip + at] = OutUnit(source[params.from_skip + at]);
    }
}
