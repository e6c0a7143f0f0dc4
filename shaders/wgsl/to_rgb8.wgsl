// Four values in -1..1 to bytes, the first in the lowest: round((x / 2 + 1/2) * 255), halves to even. One word per invocation.
#import workgroup_index

struct Params {
    words: u32,  // of this launch
    count: u32,  // elements of x in its binding; bytes behind the last are zero
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;            // [count]
@group(0) @binding(2) var<storage, read_write> out: array<u32>;  // [words]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let word = workgroup_index(group, groups) * 256u + local;
    if word >= params.words {
        return;
    }
    var packed = 0u;
    for (var byte = 0u; byte < 4u; byte += 1u) {
        let i = 4u * word + byte;
        if i < params.count {
            let value = clamp(f32(x[i]) * 0.5 + 0.5, 0.0, 1.0);
            packed |= u32(round(value * 255.0)) << (8u * byte);
        }
    }
    out[word] = packed;
}
