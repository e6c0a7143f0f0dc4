// Reads the cache of earlier frames four elements at a time, as `x_quads` does x.
fn cache_quad(index: u32, left: u32) -> XQuad {
    return cache[index / 4u];
}
