// Nothing is turned.

fn turned(v: Value, unit: u32, pairs: u32, angles: u32) -> Value {
    return v;
}
