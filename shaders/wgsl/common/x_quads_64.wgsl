// Reads x in f32 four elements at a time, as `x_quads` does, in words of 64 bits: software Vulkan loads lane by lane and tests
// the bounds of every component, of which there are half as many.
#import words_64
alias XUnit = vec2<u64>;
alias XQuad = vec4<f32>;

// Elements index..index + 4 of x.
fn x_quad(index: u32, left: u32) -> XQuad {
    return floats_of(x[index / 4u]);
}
