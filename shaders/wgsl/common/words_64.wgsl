// Words of 64 bits as what lies in them, low half first.
fn halves_of(word: u64) -> vec2<u32> {
    return vec2<u32>(u32(word), u32(word >> 32u));
}

fn floats_of(words: vec2<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(halves_of(words.x), halves_of(words.y)));
}
