// out[t, p, c] = latents[c, frame + t, p] * scale[c] + shift[c], p a position in the frame. Frames behind the last are the last.
#import workgroup_index

struct Params {
    count: u32,     // elements of this launch; out begins at its first one
    start: u32,     // which element of the output that is
    channels: u32,
    frames: u32,    // of the latents
    area: u32,      // positions in a frame
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> latents: array<f32>;    // [channels, frames, area]
@group(0) @binding(2) var<storage, read> frame: array<u32>;      // [1]
@group(0) @binding(3) var<storage, read> scale: array<f32>;      // [channels]
@group(0) @binding(4) var<storage, read> shift: array<f32>;      // [channels]
@group(0) @binding(5) var<storage, read_write> out: array<Out>;  // [count]

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
    let element = params.start + i;
    let c = element % params.channels;
    let position = element / params.channels % params.area;
    let last = params.frames - 1u;
    let t = min(min(frame[0], last) + element / params.channels / params.area, last);
    let value = latents[(c * params.frames + t) * params.area + position];
    out[i] = Out(value * scale[c] + shift[c]);
}
