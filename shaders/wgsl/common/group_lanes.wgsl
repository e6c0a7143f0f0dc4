// How the invocations of a workgroup share a group norm: each has one unit (one channel or four neighbouring ones, always of one
// group), and every `WG / LANE_UNITS`th position. Neighbours have neighbouring units, so that they read what lies side by side.
// A slice is the units of one workgroup: whole groups, or a piece of one.
//
// The importer has `params.{groups, group_units, span, pieces}`.
#import moments

override WG: u32 = 256u;
override LANE_UNITS: u32 = 8u;

var<workgroup> lanes: array<Moments, WG>;

struct Lane {
    row: u32,    // the first position
    group: u32,
    piece: u32,  // of the group
    unit: u32,   // in the group
    place: u32,  // in the slice's part of the group, below `span`
}

fn lane_of(slice: u32, local: u32) -> Lane {
    let lane = local % LANE_UNITS;
    let place = lane % params.span;
    let piece = slice % params.pieces;
    let group = slice / params.pieces * (LANE_UNITS / params.span) + lane / params.span;
    return Lane(local / LANE_UNITS, group, piece, piece * params.span + place, place);
}

fn has_work(lane: Lane) -> bool {
    return lane.group < params.groups && lane.unit < params.group_units;
}

// For each invocation, the moments of all those that have units of the same group.
fn merge_lanes(local: u32, lane: Lane, own: Moments) -> Moments {
    lanes[local] = own;
    for (var n = WG / LANE_UNITS; n > 1u; n = (n + 1u) / 2u) {
        let half = (n + 1u) / 2u;
        workgroupBarrier();
        if lane.row + half < n {
            lanes[local] = merge(lanes[local], lanes[local + half * LANE_UNITS]);
        }
    }
    for (var n = params.span; n > 1u; n = (n + 1u) / 2u) {
        let half = (n + 1u) / 2u;
        workgroupBarrier();
        if lane.row == 0u && lane.place + half < n {
            lanes[local] = merge(lanes[local], lanes[local + half]);
        }
    }
    workgroupBarrier();
    return lanes[local % LANE_UNITS - lane.place];
}
