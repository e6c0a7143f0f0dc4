// out[r, c] = table[r, c] + temb[r % (rows of temb), c]. One invocation per element.
#import workgroup_index

struct Params {
    elements: u32,
    temb_elements: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<f32>;        // [rows, cols]
@group(0) @binding(2) var<storage, read> temb: array<Temb>;        // [a divisor of rows, cols]
@group(0) @binding(3) var<storage, read_write> out: array<f32>;    // [rows, cols]

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = workgroup_index(group, groups) * WG + lane;
    if element < params.elements {
        out[element] = table[element] + f32(temb[element % params.temb_elements]);
    }
}
