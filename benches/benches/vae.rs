//! The two kernels that video autoencoders spend their time in, against what the device does at best: group norm against a
//! plain copy, convolution against matrix products.
//!
//! Bytes are those that must move: a copy reads and writes each value once; a group norm reads it twice, as it needs all of a
//! group before it can normalise any of it, and writes it once. Times are the shortest of nine runs, taken in turns.
//! `KINORA_BENCH_DEVICE=cpu` or `=0` restricts it to one device.
#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]
use kinora_benches::{Session, devices};
use std::time::Duration;
use workbench::BenchCase;

const RUNS: usize = 9;
/// Values of the feature map.
const VALUES: f64 = 9.0 * 240.0 * 360.0 * 128.0;

fn main() {
    for (name, device) in devices() {
        bandwidth(&name, device)
            .and_then(|()| products(&name, device))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// The shortest of some runs of each case, taken in turns so that all see the same weather.
fn shortest(cases: &[BenchCase], device: Option<usize>) -> Result<Vec<Duration>, String> {
    let mut sessions = cases.iter().map(|case| Session::new(case, device)).collect::<Result<Vec<_>, _>>()?;
    sessions.iter_mut().try_for_each(|session| session.time().map(drop))?;
    let mut best = vec![Duration::MAX; cases.len()];
    for _ in 0..RUNS {
        for (best, session) in best.iter_mut().zip(&mut sessions) {
            *best = session.time()?.min(*best);
        }
    }
    Ok(best)
}

fn bandwidth(name: &str, device: Option<usize>) -> Result<(), String> {
    let copied = 8.0 * VALUES;
    let mut rate = None;
    for norm in [(false, false), (true, false), (true, true)] {
        let cases = [workbench::copy(), workbench::group_norm(norm.0, norm.1)];
        let times = shortest(&cases, device)?;
        let gbytes = |bytes: f64, time: Duration| bytes / time.as_secs_f64() / 1e9;
        let (copy, own) = (gbytes(copied, times[0]), gbytes(1.5 * copied, times[1]));
        if rate.replace(copy).is_none() {
            println!("{name}: {:<64} {:9.3} ms {copy:8.2} GB/s", cases[0].name, times[0].as_secs_f64() * 1e3);
        }
        println!(
            "{name}: {:<64} {:9.3} ms {own:8.2} GB/s, {:3.0} % of the copy's {copy:.2}",
            cases[1].name,
            times[1].as_secs_f64() * 1e3,
            100.0 * own / copy
        );
    }
    Ok(())
}

fn products(name: &str, device: Option<usize>) -> Result<(), String> {
    let [conv, product] = workbench::conv_and_product();
    let cases = [conv, product, workbench::matmul("square", 1024, 1024, 1024, engine::DType::F16)];
    let times = shortest(&cases, device)?;
    let mut rates = Vec::new();
    for (case, time) in cases.iter().zip(&times) {
        let rate = Session::new(case, device)?.rates(*time).gflops();
        println!("{name}: {:<64} {:9.3} ms {rate:8.1} GFLOP/s", case.name, time.as_secs_f64() * 1e3);
        rates.push(rate);
    }
    println!(
        "{name}: the convolution has {:.0} % of the product's rate, {:.0} % of the square one's",
        100.0 * rates[0] / rates[1],
        100.0 * rates[0] / rates[2]
    );
    Ok(())
}
