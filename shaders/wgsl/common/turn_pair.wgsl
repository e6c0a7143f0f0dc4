// Rotary positions of one pair.

// Unit `unit` of a row of heads of `pairs` pairs, turned by the angles that begin at `angles`.
fn turned(v: Value, unit: u32, pairs: u32, angles: u32) -> Value {
    let angle = angles + unit % pairs;
    let cosine = cosines[angle];
    let sine = sines[angle];
    return Value(v.x * cosine - v.y * sine, v.x * sine + v.y * cosine);
}
