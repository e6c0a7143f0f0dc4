// Reads x four elements at a time: every row starts at, and is, a multiple of four.
alias XUnit = vec4<X>;
alias XQuad = vec4<X>;

// Elements index..index + 4 of x.
fn x_quad(index: u32, left: u32) -> XQuad {
    return x[index / 4u];
}
