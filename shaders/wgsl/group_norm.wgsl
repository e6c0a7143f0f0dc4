// out[p, c] = f((x[p, c] - mean) / sqrt(variance + eps) * weight[c] + bias[c]), mean and variance those of the position's segment
// and the channel's group, f is SiLU if SILU is 1: the second of two launches. One workgroup per block of positions and slice of
// the channels; it merges the moments of all parts first.
// MODULATED 1: before f, the result is multiplied by modulation[z(p), c] and modulation[z(p), channels + c] is added, z(p) the
// position in a smaller volume that is nearest to p.
#import UNIT
#import group_lanes
#import silu_value
#import workgroup_index

struct Params {
    rows: u32,            // positions of a segment in this launch
    segments: u32,        // in this launch; several only if they are whole
    first_segment: u32,   // of this launch in the binding of the moments
    groups: u32,
    group_units: u32,     // units of a group
    span: u32,            // of those, in one slice
    pieces: u32,          // slices of a group
    slices: u32,
    blocks: u32,          // of a segment in this launch
    block_rows: u32,
    parts: u32,           // of a group of a segment
    eps: f32,
    x_skip: u32,          // units before the first in the binding
    out_skip: u32,
    position: u32,        // of the launch's first row, in the whole volume
    frames: u32,          // of the whole volume
    height: u32,
    width: u32,
    z_frames: u32,        // of the modulation
    z_height: u32,
    z_width: u32,
    z_apart: u32,         // 1 if the first frame goes with the modulation's first alone, the others with its others
    z_skip: u32,          // positions of the modulation before its binding
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;             // [segments, rows, groups, group_units]
@group(0) @binding(2) var<storage, read> parts: array<Moments>;       // [segments, parts, groups]
@group(0) @binding(3) var<storage, read> weight: array<Value>;        // [groups, group_units]
@group(0) @binding(4) var<storage, read> bias: array<Value>;          // [groups, group_units]
@group(0) @binding(5) var<storage, read> modulation: array<Value>;    // [z positions, 2, groups, group_units]
@group(0) @binding(6) var<storage, read_write> out: array<OutUnit>;   // as x; holds x if IN_PLACE is 1

fn load(i: u32) -> Value {
    if IN_PLACE != 0u {
        return Value(out[params.out_skip + i]);
    }
    return Value(x[params.x_skip + i]);
}

// The first position of the modulation's line for a line of the volume.
fn z_line(frame: u32, y: u32) -> u32 {
    var t = 0u;
    if params.z_apart == 0u {
        t = frame * params.z_frames / params.frames;
    } else if frame > 0u {
        t = 1u + (frame - 1u) * (params.z_frames - 1u) / (params.frames - 1u);
    }
    return (t * params.z_height + y * params.z_height / params.height) * params.z_width - params.z_skip;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup_index(group, groups);
    let block = index / params.slices % params.blocks;
    let segment = index / params.slices / params.blocks;
    if segment >= params.segments {
        return;
    }
    let lane = lane_of(index % params.slices, local);
    let row_units = params.groups * params.group_units;
    let step = WG / LANE_UNITS;
    let works = has_work(lane);

    var own = Moments(0.0, 0.0, 0.0);
    if works {
        let first = (params.first_segment + segment) * params.parts * params.groups + lane.group;
        for (var part = lane.row * params.span + lane.place; part < params.parts; part += step * params.span) {
            own = merge(own, parts[first + part * params.groups]);
        }
    }
    let total = merge_lanes(local, lane, own);
    if !works {
        return;
    }
    let unit = lane.group * params.group_units + lane.unit;
    let mean = total.mean;
    let scale = weight[unit] * (1.0 / sqrt(total.squares / total.count + params.eps));
    let shift = bias[unit];
    let start = segment * params.rows * row_units + unit;
    let end = min((block + 1u) * params.block_rows, params.rows);
    var row = block * params.block_rows + lane.row;

    var z_start = 0u;
    var column = 0u;
    var y = 0u;
    var frame = 0u;
    if MODULATED != 0u {
        let position = params.position + segment * params.rows + row;
        column = position % params.width;
        y = position / params.width % params.height;
        frame = position / params.width / params.height;
        z_start = z_line(frame, y);
    }
    for (; row < end; row += step) {
        let i = start + row * row_units;
        var value = (load(i) - mean) * scale + shift;
        if MODULATED != 0u {
            // Half a column more, lest rounding leads to the one before.
            let z = z_start + u32((f32(column * params.z_width) + 0.5) / f32(params.width));
            let at = 2u * z * row_units + unit;
            value = value * modulation[at] + modulation[at + row_units];
            column += step;
            while column >= params.width {
                column -= params.width;
                y += 1u;
                if y == params.height {
                    y = 0u;
                    frame += 1u;
                }
                z_start = z_line(frame, y);
            }
        }
        out[params.out_skip + i] = OutUnit(silu_value(value));
    }
}
