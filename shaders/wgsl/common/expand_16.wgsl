// Four values of 16 bits, two to a word and low half first, as floats. W_FORMAT: 1 f16, 2 bf16.
fn expanded(words: vec2<u32>) -> vec4<f32> {
    if W_FORMAT == 1u {
        return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
    }
    let low = words << vec2<u32>(16u);
    let high = words & vec2<u32>(0xffff0000u);
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
