// out[r, c] = f(x[r, c] / max(|x[r, :]|, 1e-12) * sqrt(cols) * gamma[c]), f is SiLU if SILU is 1, else the identity.
// LANES invocations share a row; sums in f32. A unit is one element, or four.
#import UNIT
#import silu_value
#import workgroup_index

struct Params {
    rows: u32,
    units: u32,  // of a row
    scale: f32,  // sqrt(cols)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XUnit>;            // [rows, cols]
@group(0) @binding(2) var<storage, read> gamma: array<Value>;        // [cols]
@group(0) @binding(3) var<storage, read_write> out: array<OutUnit>;  // [rows, cols]; holds x if IN_PLACE is 1

override WG: u32 = 256u;
override LANES: u32 = 32u;

var<workgroup> partial: array<f32, WG>;

fn load(i: u32) -> Value {
    if IN_PLACE != 0u {
        return Value(out[i]);
    }
    return Value(x[i]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let row = workgroup_index(group, groups) * (WG / LANES) + local / LANES;
    let start = row * params.units;
    var sum = 0.0;
    if row < params.rows {
        for (var c = lane; c < params.units; c += LANES) {
            sum += dot_self(load(start + c));
        }
    }
    if LANES > 1u {
        partial[local] = sum;
        for (var step = LANES / 2u; step > 0u; step /= 2u) {
            workgroupBarrier();
            if lane < step {
                partial[local] += partial[local + step];
            }
        }
        workgroupBarrier();
        sum = partial[local - lane];
    }
    if row < params.rows {
        let scale = params.scale / max(sqrt(sum), 1e-12);
        for (var c = lane; c < params.units; c += LANES) {
            out[start + c] = OutUnit(silu_value(load(start + c) * scale * gamma[c]));
        }
    }
}
