// Reads a matrix stored in 16 bits four elements at a time: every row is a multiple of four. W_FORMAT: 1 f16, 2 bf16.
alias WeightUnit = vec2<u32>;

fn weight_quad(index: u32, left: u32) -> vec4<f32> {
    let words = weight[index / 4u];
    if W_FORMAT == 1u {
        return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
    }
    let low = words << vec2<u32>(16u);
    let high = words & vec2<u32>(0xffff0000u);
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
