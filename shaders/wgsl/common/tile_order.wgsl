// In which order workgroups take the tiles of a matrix: BAND tile rows at a time, down then right, so that the operands of
// neighbours in time are still in the caches.

// Tile row and tile column of tile `index`; the row is out of range past the last tile.
fn tile_of(index: u32, tiles_m: u32, tiles_n: u32) -> vec2<u32> {
    let band = index / (BAND * tiles_n);
    let first = band * BAND;
    let height = min(BAND, max(tiles_m, first + 1u) - first);
    let within = index - first * tiles_n;
    return vec2<u32>(first + within % height, within / height);
}
