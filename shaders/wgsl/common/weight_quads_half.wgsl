// Reads a matrix stored in f16 four elements at a time, and leaves them f16: every row is a multiple of four.
alias WeightUnit = vec4<f16>;
alias WeightQuad = vec4<f16>;

fn weight_quad(index: u32, left: u32) -> WeightQuad {
    return weight[index / 4u];
}
