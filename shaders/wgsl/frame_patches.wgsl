// Between pixels [frames, h p, w p, c] and patches [frames, h, w, c p p], whose channel is (c, offset along w, offset
// along h): out = pixels made from patches, or patches from pixels if PATCHIFY is 1. CLAMP 1 keeps values to -1..1.
#import workgroup_index

struct Params {
    count: u32,     // elements of this launch: whole lines of patches; x and out begin at its first one
    channels: u32,  // of the pixels
    width: u32,     // of the patches
    size: u32,      // p
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [count]
@group(0) @binding(2) var<storage, read_write> out: array<X>;  // [count]; holds x if IN_PLACE is 1, which needs p = 1

// Where the pixels' element i lies in the patches.
fn patch_index(i: u32) -> u32 {
    let p = params.size;
    let c = i % params.channels;
    let column = i / params.channels % (params.width * p);
    let line = i / params.channels / (params.width * p);
    let token = line / p * params.width + column / p;
    return ((token * params.channels + c) * p + column % p) * p + line % p;
}

// Where the patches' element i lies in the pixels.
fn pixel_index(i: u32) -> u32 {
    let p = params.size;
    let c = i / p / p % params.channels;
    let token = i / p / p / params.channels;
    let column = token % params.width * p + i / p % p;
    let line = token / params.width * p + i % p;
    return (line * params.width * p + column) * params.channels + c;
}

fn load(i: u32) -> f32 {
    if IN_PLACE != 0u {
        return f32(out[i]);
    }
    if PATCHIFY != 0u {
        return f32(x[pixel_index(i)]);
    }
    return f32(x[patch_index(i)]);
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
    var value = load(i);
    if CLAMP != 0u {
        value = clamp(value, -1.0, 1.0);
    }
    out[i] = X(value);
}
