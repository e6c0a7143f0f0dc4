// out = [cos(t f_k) | sin(t f_k)]. An angle of a thousand radians has no digits left in f32, so it is counted in turns, with
// whole turns dropped early: each frequency is the sum of three parts of at most twelve bits, whose products with the
// whole part of t (up to 4095) are exact. One invocation per frequency.
#import workgroup_index

struct Params {
    half: u32, // frequencies
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> t: array<f32>;              // [1]
@group(0) @binding(2) var<storage, read> frequencies: array<f32>;    // turns per unit of t, [3, half]
@group(0) @binding(3) var<storage, read_write> out: array<f32>;      // [2, half]

override WG: u32 = 64u;

const TURN: f32 = 6.2831853;

// The polynomials of Cephes for a quarter turn about zero; the built-ins may be off by 5e-4.
fn cos_near_zero(x: f32) -> f32 {
    let y = x * x;
    return 1.0 - 0.5 * y + y * y * (4.166664568e-2 + y * (-1.388731625e-3 + y * 2.443315711e-5));
}

fn sin_near_zero(x: f32) -> f32 {
    let y = x * x;
    return x + x * y * (-1.6666654611e-1 + y * (8.3321608736e-3 + y * -1.9515295891e-4));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(group, groups) * WG + lane;
    if k >= params.half {
        return;
    }
    let whole = floor(t[0]);
    let high = frequencies[k];
    let middle = frequencies[params.half + k];
    let low = frequencies[2u * params.half + k];
    let turns = fract(whole * high) + fract(whole * middle) + whole * low + (t[0] - whole) * (high + (middle + low));
    let quarter = round(4.0 * turns);
    let angle = (turns - 0.25 * quarter) * TURN;
    let cosine = cos_near_zero(angle);
    let sine = sin_near_zero(angle);
    var result = vec2(cosine, sine);
    switch u32(i32(quarter) + 4) % 4u {
        case 1u: { result = vec2(-sine, cosine); }
        case 2u: { result = vec2(-cosine, -sine); }
        case 3u: { result = vec2(sine, -cosine); }
        default: {}
    }
    out[k] = result.x;
    out[params.half + k] = result.y;
}
