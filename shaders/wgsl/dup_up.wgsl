// Channels repeated, then depth to space: out[t ft + a - drop, h fs + b, w fs + d, o] = x[t, h, w, e / repeats]
// with e = ((o ft + a) fs + b) fs + d. One invocation per RUN elements of out side by side, of one position.
#import workgroup_index

struct Params {
    count: u32,         // elements of this launch; out begins at its first one
    start: u32,         // which element of the output that is
    x_start: u32,       // which element of the input its binding begins at
    channels: u32,      // of x
    height: u32,        // of x
    width: u32,         // of x
    out_channels: u32,
    factor_t: u32,
    factor_s: u32,
    drop: u32,          // frames left out in front
    repeats: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [frames, height, width, channels], from x_start on
@group(0) @binding(2) var<storage, read_write> out: array<X>;  // [count]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (workgroup_index(group, groups) * 256u + local) * RUN;
    if i >= params.count {
        return;
    }
    let fs = params.factor_s;
    let position = (params.start + i) / params.out_channels;
    let o = (params.start + i) % params.out_channels;
    let column = position % (params.width * fs);
    let line = position / (params.width * fs) % (params.height * fs);
    let frame = position / (params.width * fs) / (params.height * fs) + params.drop;
    let phase = (frame % params.factor_t * fs + line % fs) * fs + column % fs;
    let source = (frame / params.factor_t * params.height + line / fs) * params.width + column / fs;
    let start = source * params.channels - params.x_start;
    for (var r = 0u; r < RUN; r += 1u) {
        let e = (o + r) * params.factor_t * fs * fs + phase;
        out[i + r] = x[start + e / params.repeats];
    }
}
