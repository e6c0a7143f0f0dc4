// LANES is 1: every invocation has loaded every row itself.
fn spread(value: vec4<f32>, lane: u32) -> vec4<f32> {
    return value;
}
