// moments[s, part, g] = count, mean and squared deviations of group g in one chunk of segment s of x: the first of two launches of
// a group norm. One workgroup per chunk and slice of the channels.
#import UNIT
#import group_lanes
#import FOLD
#import workgroup_index

struct Params {
    rows: u32,           // positions of a segment in this launch
    segments: u32,       // in this launch; several only if they are whole
    first_segment: u32,  // of this launch in the binding of the moments
    groups: u32,
    group_units: u32,    // units of a group
    span: u32,           // of those, in one slice
    pieces: u32,         // slices of a group
    slices: u32,
    chunks: u32,         // of a segment in this launch
    chunk_rows: u32,
    parts: u32,          // of a group of a segment in all launches
    part_start: u32,     // the first part of this launch
    x_skip: u32,         // units before the first in the binding
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;               // [segments, rows, groups, group_units]
@group(0) @binding(2) var<storage, read_write> moments: array<Moments>; // [segments, parts, groups]

// Positions of an invocation that are summed before they are merged with those before, so that sums stay short.
const BATCH = 256u;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup_index(group, groups);
    let chunk = index / params.slices % params.chunks;
    let segment = index / params.slices / params.chunks;
    if segment >= params.segments {
        return;
    }
    let lane = lane_of(index % params.slices, local);
    let row_units = params.groups * params.group_units;
    let step = WG / LANE_UNITS;
    let start = params.x_skip + segment * params.rows * row_units + lane.group * params.group_units + lane.unit;
    var end = min((chunk + 1u) * params.chunk_rows, params.rows);
    if !has_work(lane) {
        end = 0u;
    }
    var count = 0.0;
    var mean = Value();
    var squares = Value();
    for (var first = chunk * params.chunk_rows + lane.row; first < end; first += BATCH * step) {
        // Deviations from the batch's first value, so that a large mean cancels nothing.
        let last = min(first + BATCH * step, end);
        let shift = Value(x[start + first * row_units]);
        var sum = Value();
        var square = Value();
        for (var row = first; row < last; row += step) {
            let deviation = Value(x[start + row * row_units]) - shift;
            sum += deviation;
            square += deviation * deviation;
        }
        let n = f32((last - first + step - 1u) / step);
        let offset = sum / n;
        let share = n / (count + n);
        let delta = shift + offset - mean;
        squares += max(square - offset * sum, Value()) + delta * delta * (count * share);
        mean += delta * share;
        count += n;
    }
    let total = merge_lanes(local, lane, fold(count, mean, squares));
    if lane.row == 0u && lane.place == 0u && has_work(lane) {
        let part = (params.part_start + chunk) * params.pieces + lane.piece;
        moments[((params.first_segment + segment) * params.parts + part) * params.groups + lane.group] = total;
    }
}
