// Reads a matrix stored in float8, in groups of W_LEN values with a factor in f32 behind them. W_E4M3: 1 for e4m3fn, else e5m2.
// A byte is the upper byte of a half, in e4m3fn with an exponent that is 8 too small. There a code that is no number would become
// one: where there are such the factor is none either.
#import group_quads

// The factor of the group that holds element `index`; nothing is subtracted.
fn group_scales(index: u32) -> vec2<f32> {
    let factor = bitcast<f32>(weight[index / W_LEN * (W_LEN / 4u + 1u) + W_LEN / 4u]);
    return vec2<f32>(select(factor, factor * 256.0, W_E4M3 == 1u), 0.0);
}

// The quad that holds element `index`, of a group with this factor.
fn group_values(index: u32, scales: vec2<f32>) -> vec4<f32> {
    let codes = weight[index / W_LEN * (W_LEN / 4u + 1u) + index % W_LEN / 4u];
    var halves = vec2<u32>(codes << 8u, codes) & vec2<u32>(0xff00ff00u);
    if W_E4M3 == 1u {
        halves = (halves & vec2<u32>(0x80008000u)) | ((halves & vec2<u32>(0x7f007f00u)) >> vec2<u32>(1u));
    }
    let even = unpack2x16float(halves.x);
    let odd = unpack2x16float(halves.y);
    return vec4<f32>(even.x, odd.x, even.y, odd.y) * scales.x;
}
