// Reads a matrix stored in f32 four elements at a time: every row is a multiple of four.
alias WeightUnit = vec4<u32>;
alias WeightQuad = vec4<f32>;

fn weight_quad(index: u32, left: u32) -> WeightQuad {
    return bitcast<vec4<f32>>(weight[index / 4u]);
}
