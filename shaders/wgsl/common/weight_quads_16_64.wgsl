// Reads a matrix stored in 16 bits four elements at a time, as one word of 64 bits (see `x_quads_64`).
#import words_64
#import expand_16
alias WeightUnit = u64;
alias WeightQuad = vec4<f32>;

fn weight_quad(index: u32, left: u32) -> WeightQuad {
    return expanded(halves_of(weight[index / 4u]));
}
