// out[i] = sum over j = 0..7 of y_j, where y_j starts as x[i] + j and `rounds` times becomes y_j / 2 + 1/4.
// It moves next to nothing and multiplies and adds all the time: what it reaches is the adapter's arithmetic peak.
#import workgroup_index

struct Params {
    count: u32,
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [count]
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // [count]

fn once(y: vec4<f32>) -> vec4<f32> {
    return fma(y, vec4(0.5), vec4(0.25));
}

fn eight(y: vec4<f32>) -> vec4<f32> {
    return once(once(once(once(once(once(once(once(y))))))));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = workgroup_index(group, groups) * 64u + local;
    if i >= params.count {
        return;
    }
    var a = vec4(x[i]) + vec4(0.0, 1.0, 2.0, 3.0);
    var b = vec4(x[i]) + vec4(4.0, 5.0, 6.0, 7.0);
    // Most rounds in long stretches without a branch.
    let stretches = params.rounds / 8u;
    for (var stretch = 0u; stretch < stretches; stretch += 1u) {
        a = eight(a);
        b = eight(b);
    }
    for (var round = 8u * stretches; round < params.rounds; round += 1u) {
        a = once(a);
        b = once(b);
    }
    out[i] = dot(a + b, vec4(1.0));
}
