// v = uncond + g (cond - uncond), then for every row r of the state at once:
// state[r] = sum over i of A[r, i] state[i] + B[r] v + N[r] noise.
// One invocation per element of a row. ROWS: rows of the state. GUIDED: 0 if v is cond. NOISY: 0 if there is no noise, and no N.
#import workgroup_index

struct Params {
    elements: u32, // of a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cond: array<f32>;            // [elements]
@group(0) @binding(2) var<storage, read> uncond: array<f32>;          // [elements]
@group(0) @binding(3) var<storage, read> coefficients: array<f32>;    // g, A [ROWS, ROWS], B [ROWS], N [ROWS]
@group(0) @binding(4) var<storage, read> noise: array<f32>;           // [elements]
@group(0) @binding(5) var<storage, read_write> state: array<f32>;     // [ROWS, elements]

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = workgroup_index(group, groups) * WG + lane;
    if element >= params.elements {
        return;
    }
    var v = cond[element];
    if GUIDED != 0u {
        let base = uncond[element];
        v = base + coefficients[0] * (v - base);
    }
    var old: array<f32, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        old[i] = state[i * params.elements + element];
    }
    for (var r = 0u; r < ROWS; r++) {
        var sum = coefficients[1u + ROWS * ROWS + r] * v;
        for (var i = 0u; i < ROWS; i++) {
            sum += coefficients[1u + r * ROWS + i] * old[i];
        }
        if NOISY != 0u {
            sum += coefficients[1u + ROWS * ROWS + ROWS + r] * noise[element];
        }
        state[r * params.elements + element] = sum;
    }
}
