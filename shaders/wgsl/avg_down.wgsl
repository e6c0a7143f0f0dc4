// Space to depth, then the mean of each run of channels: out[t, h, w, o] = mean over e in o n..(o + 1) n of
// x[t ft + a - front, h fs + b, w fs + d, c] with e = ((c ft + a) fs + b) fs + d. The frames before the first are zero or the first.
#import workgroup_index

struct Params {
    count: u32,         // elements of this launch; out begins at its first one
    start: u32,         // which element of the output that is
    x_start: u32,       // which element of the input its binding begins at
    channels: u32,      // of x
    height: u32,        // of out
    width: u32,         // of out
    out_channels: u32,
    factor_t: u32,
    factor_s: u32,
    front: u32,         // frames in front of x
    first_frame: u32,   // 1 if those are its first, 0 if they are zero
    run: u32,           // n
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;          // [frames, height fs, width fs, channels], from x_start on
@group(0) @binding(2) var<storage, read_write> out: array<X>;  // [count]

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
    let ft = params.factor_t;
    let fs = params.factor_s;
    let position = (params.start + i) / params.out_channels;
    let o = (params.start + i) % params.out_channels;
    let column = position % params.width * fs;
    let line = position / params.width % params.height * fs;
    let frame = position / params.width / params.height * ft;
    var sum = 0.0;
    for (var e = o * params.run; e < (o + 1u) * params.run; e += 1u) {
        let t = frame + e / fs / fs % ft;
        if t >= params.front || params.first_frame != 0u {
            let y = line + e / fs % fs;
            let source = ((max(t, params.front) - params.front) * params.height * fs + y) * params.width * fs + column + e % fs;
            sum += f32(x[source * params.channels + e / fs / fs / ft - params.x_start]);
        }
    }
    out[i] = X(sum / f32(params.run));
}
