// Reads the cache of earlier frames element by element, as `x_scalar` does x.
fn cache_quad(index: u32, left: u32) -> XQuad {
    let last = left - 1u;
    return vec4<f32>(
        f32(cache[index]),
        select(0.0, f32(cache[index + min(1u, last)]), left > 1u),
        select(0.0, f32(cache[index + min(2u, last)]), left > 2u),
        select(0.0, f32(cache[index + min(3u, last)]), left > 3u),
    );
}
