//! Every op at model sizes on every device: compared with the CPU executor first, then timed.
//!
//! `KINORA_BENCH_DEVICE=cpu` or `=0` restricts it to one device; a filter argument to some cases.
#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]
use criterion::{Criterion, criterion_group, criterion_main};
use kinora_benches::{Session, devices};
use kinora_tests::relative_l2;
use std::time::Duration;
use workbench::{BenchCase, KernelTime, Peaks, cases};

fn ops(criterion: &mut Criterion) {
    for (name, device) in devices() {
        let peaks = peaks(device).unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name}: {:.1} GFLOP/s by multiply-adds, {:.1} GB/s by sums", peaks.gflops, peaks.gbytes);
        for case in cases() {
            bench(criterion, &name, device, &case, peaks)
                .unwrap_or_else(|e| panic!("{name}/{}: {e}", case.name));
        }
    }
}

fn peaks(device: Option<usize>) -> Result<Peaks, String> {
    let any = &cases()[0];
    Session::new(any, device)?.peaks()
}

/// One line: time, rates, shares of the peaks.
fn line(name: &str, kernel: &KernelTime, peaks: Peaks) -> String {
    let (gflops, gbytes) = (kernel.gflops(), kernel.gbytes());
    format!(
        "{name:<52} {:10.3} ms  {gflops:8.1} GFLOP/s ({:3.0} % of peak)  {gbytes:7.1} GB/s ({:3.0} % of peak)",
        kernel.time.as_secs_f64() * 1e3,
        100.0 * gflops / peaks.gflops,
        100.0 * gbytes / peaks.gbytes
    )
}

fn bench(
    criterion: &mut Criterion,
    name: &str,
    device: Option<usize>,
    case: &BenchCase,
    peaks: Peaks,
) -> Result<(), String> {
    let mut session = Session::new(case, device)?;
    session.time()?;
    if device.is_some() {
        let mut reference = Session::new(case, None)?;
        reference.time()?;
        let error = relative_l2(&session.output()?, &reference.output()?);
        if !matches!(error.partial_cmp(&1e-4), Some(std::cmp::Ordering::Less)) {
            return Err(format!("off by {error:e} from the CPU executor"));
        }
    }
    let mut times: Vec<Duration> = Vec::new();
    criterion.bench_function(&format!("{name}/{}", case.name), |bencher| {
        bencher.iter_custom(|runs| {
            let total = (0..runs).map(|_| session.time().unwrap_or_else(|e| panic!("{e}")));
            let measured: Vec<Duration> = total.collect();
            times.extend(&measured);
            measured.iter().sum()
        });
    });
    times.sort();
    // Filtered out: nothing was timed.
    if let Some(median) = times.get(times.len() / 2) {
        println!("{}", line(&case.name, &session.rates(*median), peaks));
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = ops
}
criterion_main!(benches);
