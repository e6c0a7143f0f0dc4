// Reads a matrix stored in 16 bits four elements at a time: every row is a multiple of four.
#import expand_16
alias WeightUnit = vec2<u32>;
alias WeightQuad = vec4<f32>;

fn weight_quad(index: u32, left: u32) -> WeightQuad {
    return expanded(weight[index / 4u]);
}
