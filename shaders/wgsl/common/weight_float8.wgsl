// Reads a matrix stored in float8, in groups of W_LEN values with a factor in f32 behind them. W_E4M3: 1 for e4m3fn, else e5m2.
// A byte is the upper byte of a half, in e4m3fn with an exponent that is 8 too small. There a code that is no number would become
// one: where there are such the factor is none either.
#import group_quads

// The quad that holds element `index`.
fn group_quad(index: u32) -> vec4<f32> {
    let start = index / W_LEN * (W_LEN / 4u + 1u);
    let codes = weight[start + index % W_LEN / 4u];
    let factor = bitcast<f32>(weight[start + W_LEN / 4u]);
    let pairs = vec2<u32>(codes << 8u, codes) & vec2<u32>(0xff00ff00u);
    if W_E4M3 == 0u {
        let even = unpack2x16float(pairs.x);
        let odd = unpack2x16float(pairs.y);
        return vec4<f32>(even.x, odd.x, even.y, odd.y) * factor;
    }
    let halves = (pairs & vec2<u32>(0x80008000u)) | ((pairs & vec2<u32>(0x7f007f00u)) >> vec2<u32>(1u));
    let even = unpack2x16float(halves.x);
    let odd = unpack2x16float(halves.y);
    return vec4<f32>(even.x, odd.x, even.y, odd.y) * (factor * 256.0);
}
