// The moments of four channels as one set.
fn fold(count: f32, mean: Value, squares: Value) -> Moments {
    let low = merge(Moments(count, mean.x, squares.x), Moments(count, mean.y, squares.y));
    let high = merge(Moments(count, mean.z, squares.z), Moments(count, mean.w, squares.w));
    return merge(low, high);
}
