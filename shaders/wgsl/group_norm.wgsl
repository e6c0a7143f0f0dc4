// out[p, c] = f((x[p, c] - mean) / sqrt(variance + eps) * weight[c] + bias[c]), mean and variance those of the position's
// segment and the channel's group, f is SiLU if SILU is 1: the second of two launches. One workgroup per block and group;
// it merges the moments of all parts first.
#import unit_scalar
#import silu_value
#import moments

struct Params {
    rows: u32,            // positions in the bindings of x and out
    row_start: u32,       // the first of them
    groups: u32,
    group_channels: u32,
    segments: u32,        // frames, or one volume
    segment_rows: u32,    // positions in a segment
    blocks: u32,          // in a segment
    block_rows: u32,
    parts: u32,           // of a segment's moments
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;              // [rows, groups * group_channels]
@group(0) @binding(2) var<storage, read> parts: array<Moments>;    // [segments, parts, groups]
@group(0) @binding(3) var<storage, read> weight: array<f32>;       // [groups * group_channels]
@group(0) @binding(4) var<storage, read> bias: array<f32>;         // [groups * group_channels]
@group(0) @binding(5) var<storage, read_write> out: array<Out>;    // as x; holds x if IN_PLACE is 1

fn load(i: u32) -> f32 {
    if IN_PLACE != 0u {
        return f32(out[i]);
    }
    return f32(x[i]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = group.y * groups.x + group.x;
    let g = index % params.groups;
    let block = index / params.groups % params.blocks;
    let segment = index / params.groups / params.blocks;
    if segment >= params.segments {
        return;
    }
    let block_start = block * params.block_rows;
    let block_end = min(block_start + params.block_rows, params.segment_rows);
    let start = max(segment * params.segment_rows + block_start, params.row_start) - params.row_start;
    let end = min(max(segment * params.segment_rows + block_end, params.row_start) - params.row_start, params.rows);
    if end <= start {
        return;
    }
    var own = Moments(0.0, 0.0, 0.0);
    for (var part = local; part < params.parts; part += WG) {
        own = merge(own, parts[(segment * params.parts + part) * params.groups + g]);
    }
    let total = merge_lanes(local, own);
    let scale = 1.0 / sqrt(total.squares / total.count + params.eps);
    let n = params.group_channels;
    for (var e = local; e < (end - start) * n; e += WG) {
        let channel = g * n + e % n;
        let i = (start + e / n) * params.groups * n + channel;
        out[i] = Out(silu_value((load(i) - total.mean) * scale * weight[channel] + bias[channel]));
    }
}
