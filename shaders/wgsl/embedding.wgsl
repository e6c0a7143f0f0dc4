// out[i, c] = table[ids[i], c]. One launch per range of the table that fits a binding; each writes the rows whose ids
// lie in its range. An id beyond the vocabulary counts as its last. One invocation per element.
#import W_READ
#import workgroup_index

struct Params {
    rows: u32,       // ids
    cols: u32,
    first_id: u32,   // the table binding begins at its row
    id_count: u32,   // rows of the table binding
    vocabulary: u32, // rows of the whole table
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;          // [rows]
@group(0) @binding(2) var<storage, read> weight: array<WeightUnit>; // the table, [id_count, cols]
@group(0) @binding(3) var<storage, read_write> out: array<Out>;    // [rows, cols]

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = workgroup_index(group, groups) * WG + lane;
    if element >= params.rows * params.cols {
        return;
    }
    let id = min(ids[element / params.cols], params.vocabulary - 1u);
    if id >= params.first_id && id - params.first_id < params.id_count {
        out[element] = Out(weight_quad((id - params.first_id) * params.cols + element % params.cols, 1u).x);
    }
}
