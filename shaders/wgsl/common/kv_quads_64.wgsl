// Reads keys and values in f32 four elements at a time, in words of 64 bits (see `x_quads_64`).
#import words_64
alias KUnit = vec2<u64>;
alias VUnit = vec2<u64>;

fn key_quad(index: u32) -> vec4<f32> {
    return floats_of(k[index]);
}

fn value_quad(index: u32) -> vec4<f32> {
    return floats_of(v[index]);
}
