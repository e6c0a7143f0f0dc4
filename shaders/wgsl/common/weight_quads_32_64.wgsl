// Reads a matrix stored in f32 four elements at a time, in words of 64 bits (see `x_quads_64`): every row is a multiple of four.
#import words_64
alias WeightUnit = vec2<u64>;
alias WeightQuad = vec4<f32>;

fn weight_quad(index: u32, left: u32) -> WeightQuad {
    return floats_of(weight[index / 4u]);
}
