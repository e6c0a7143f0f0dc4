// Rotary positions of two neighbouring pairs; they may lie in different heads.

// Unit `unit` of a row of heads of `pairs` pairs, turned by the angles that begin at `angles`.
fn turned(v: Value, unit: u32, pairs: u32, angles: u32) -> Value {
    let low = angles + 2u * unit % pairs;
    let high = angles + (2u * unit + 1u) % pairs;
    let cosine = vec2<f32>(cosines[low], cosines[high]);
    let sine = vec2<f32>(sines[low], sines[high]);
    let a = v.xz * cosine - v.yw * sine;
    let b = v.xz * sine + v.yw * cosine;
    return Value(a.x, b.x, a.y, b.y);
}
