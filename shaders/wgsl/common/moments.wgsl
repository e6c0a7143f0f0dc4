// Count, mean and sum of squared deviations of some values, and how two such sets become one (Chan, Golub and LeVeque).
struct Moments {
    count: f32,
    mean: f32,
    squares: f32,
}

override WG: u32 = 256u;

var<workgroup> lanes: array<Moments, WG>;

fn merge(a: Moments, b: Moments) -> Moments {
    let count = a.count + b.count;
    if count == 0.0 {
        return a;
    }
    let share = b.count / count;
    let delta = b.mean - a.mean;
    return Moments(count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share);
}

// All invocations' moments merged; WG is a power of two.
fn merge_lanes(local: u32, own: Moments) -> Moments {
    lanes[local] = own;
    for (var step = WG / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if local < step {
            lanes[local] = merge(lanes[local], lanes[local + step]);
        }
    }
    workgroupBarrier();
    return lanes[0];
}
