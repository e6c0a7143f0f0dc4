// Reads the cache of earlier frames four elements at a time, as `x_quads` does x.
fn cache_quad(index: u32, left: u32) -> vec4<f32> {
    return vec4<f32>(cache[index / 4u]);
}
