// Count, mean and sum of squared deviations of some values, and how two such sets become one (Chan, Golub and LeVeque).
struct Moments {
    count: f32,
    mean: f32,
    squares: f32,
}

fn merge(a: Moments, b: Moments) -> Moments {
    let count = a.count + b.count;
    if count == 0.0 {
        return a;
    }
    let share = b.count / count;
    let delta = b.mean - a.mean;
    return Moments(count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share);
}
