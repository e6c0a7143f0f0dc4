// Four neighbours into the file's `tiles`, one by one: a fragment's pointer is to a scalar.
fn stage(at: u32, values: vec4<Frag>) {
    tiles[at] = values.x;
    tiles[at + 1u] = values.y;
    tiles[at + 2u] = values.z;
    tiles[at + 3u] = values.w;
}
