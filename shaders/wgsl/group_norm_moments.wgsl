// moments[s, part, g] = count, mean and squared deviations of group g in one chunk of segment s of x: the first of two
// launches of a group norm. One workgroup per chunk and group; what of a chunk lies outside the binding counts in another launch.
#import moments

struct Params {
    rows: u32,            // positions in the binding of x
    row_start: u32,       // the first of them
    groups: u32,
    group_channels: u32,
    segments: u32,        // frames, or one volume
    segment_rows: u32,    // positions in a segment
    chunks: u32,          // in a segment
    chunk_rows: u32,
    parts: u32,           // chunks times launches
    part_start: u32,      // the first part of this launch
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;                   // [rows, groups * group_channels]
@group(0) @binding(2) var<storage, read_write> moments: array<Moments>; // [segments, parts, groups]

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = group.y * groups.x + group.x;
    let g = index % params.groups;
    let chunk = index / params.groups % params.chunks;
    let segment = index / params.groups / params.chunks;
    if segment >= params.segments {
        return;
    }
    let chunk_start = chunk * params.chunk_rows;
    let chunk_end = min(chunk_start + params.chunk_rows, params.segment_rows);
    let start = max(segment * params.segment_rows + chunk_start, params.row_start) - params.row_start;
    let end = min(max(segment * params.segment_rows + chunk_end, params.row_start) - params.row_start, params.rows);
    let n = params.group_channels;
    var count = 0u;
    if end > start {
        count = (end - start) * n;
    }
    // Deviations from the invocation's first value, so that a large mean cancels nothing.
    var shift = 0.0;
    var sum = 0.0;
    var squares = 0.0;
    var seen = 0.0;
    for (var e = local; e < count; e += WG) {
        let value = f32(x[((start + e / n) * params.groups + g) * n + e % n]);
        if e == local {
            shift = value;
        }
        let deviation = value - shift;
        sum += deviation;
        squares += deviation * deviation;
        seen += 1.0;
    }
    let mean = sum / max(seen, 1.0);
    let total = merge_lanes(local, Moments(seen, shift + mean, max(squares - mean * sum, 0.0)));
    if local == 0u {
        moments[(segment * params.parts + params.part_start + chunk) * params.groups + g] = total;
    }
}
