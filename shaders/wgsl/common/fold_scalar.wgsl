// The moments of one channel.
fn fold(count: f32, mean: Value, squares: Value) -> Moments {
    return Moments(count, mean, squares);
}
