// out[i] = f(x[i]): the function of ACTIVATION, or limit tanh(x / limit) if SOFT_CLAMP is 1. One invocation per element.
#import workgroup_index
#import activation

struct Params {
    count: u32,
    limit: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [count]
@group(0) @binding(2) var<storage, read_write> out: array<X>;  // [count]; holds x if IN_PLACE is 1

// What is not a number stays so.
fn activated(value: f32) -> f32 {
    if SOFT_CLAMP != 0u {
        // tanh(t) = 1 - 2 / (exp(2 t) + 1), with an exponent that does not overflow.
        return params.limit * (1.0 - 2.0 / (exp(min(2.0 * value / params.limit, 80.0)) + 1.0));
    }
    return activation(value);
}

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
        out[i] = X(activated(f32(out[i])));
    } else {
        out[i] = X(activated(f32(x[i])));
    }
}
