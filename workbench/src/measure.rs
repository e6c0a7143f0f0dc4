//! Runs a program again and again, and says how long each kind of launch took.
use super::{BenchCase, copy_peak, fma_peak};
use engine::{
    compute::error::RunError,
    compute::executor::{Executor, Program},
    compute::run::{Cancel, RunInput, Timing},
    pipeline::EngineError,
};
use std::time::{Duration, Instant};

/// Launches of one op, shape and variant, in one run of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The op.
    pub op: &'static str,
    /// The shape of its output.
    pub shape: Vec<usize>,
    /// Kernel and variant; empty on the CPU.
    pub variant: String,
    /// How many launches.
    pub launches: usize,
    /// Time of all of them: the median of the runs.
    pub time: Duration,
    /// Floating-point operations of all of them.
    pub flops: u64,
    /// Bytes that they bind.
    pub bytes: u64,
}

/// What repeated runs of a program took.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Time of one run as the host sees it: the median.
    pub wall: Duration,
    /// Whether the device measured the launches; otherwise their times are the host's share of the whole run.
    pub device_timed: bool,
    /// The launches, in the order in which they first ran.
    pub kernels: Vec<KernelTime>,
}

/// The most that a device was seen to do in this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// 10^9 floating-point operations a second, by chains of multiply-adds.
    pub gflops: f64,
    /// 10^9 bytes a second, by a sum of two long vectors.
    pub gbytes: f64,
}

impl KernelTime {
    /// 10^9 operations a second.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.time.as_secs_f64() / 1e9
    }

    /// 10^9 bytes a second.
    pub fn gbytes(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64() / 1e9
    }

    /// The share of what the device can do at most: of arithmetic or of bandwidth, whichever is nearer to its limit.
    pub fn share(&self, peaks: Peaks) -> f64 {
        (self.gflops() / peaks.gflops).max(self.gbytes() / peaks.gbytes)
    }

    /// Whether launches of this kind belong together.
    fn is_of(&self, timing: &Timing) -> bool {
        self.op == timing.op && self.shape == timing.shape && self.variant == timing.variant
    }
}

impl Measured {
    /// Time of all launches of a run; what the host takes where the device does not measure.
    pub fn total(&self) -> Duration {
        self.kernels.iter().map(|kernel| kernel.time).sum()
    }
}

impl Peaks {
    /// Measures them.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn measure(executor: &mut Executor) -> Result<Self, EngineError> {
        let gflops = best(executor, &fma_peak()).await?.gflops();
        let gbytes = best(executor, &copy_peak()).await?.gbytes();
        Ok(Self { gflops, gbytes })
    }
}

/// The fastest of several measurements: a peak is what nothing disturbed.
async fn best(executor: &mut Executor, case: &BenchCase) -> Result<KernelTime, EngineError> {
    let graph = case.graph()?;
    let plan = executor.plan(&graph)?;
    let mut program = executor.compile(graph, plan).await?;
    let mut best: Option<KernelTime> = None;
    for _ in 0..5 {
        let measured = measure(executor, &mut program, &[], 1).await?;
        for kernel in measured.kernels {
            if best.as_ref().is_none_or(|best| kernel.time < best.time) {
                best = Some(kernel);
            }
        }
    }
    best.ok_or_else(|| EngineError::Internal("a measurement without a launch".to_owned()))
}

/// Runs a program once to warm up and then `runs` times.
///
/// # Errors
/// If a run fails.
pub async fn measure(
    executor: &mut Executor,
    program: &mut Program,
    inputs: &[RunInput<'_>],
    runs: usize,
) -> Result<Measured, RunError> {
    let mut walls = Vec::with_capacity(runs);
    let mut samples: Vec<Vec<KernelTime>> = Vec::with_capacity(runs);
    for run in 0..=runs {
        let mut timings = Vec::new();
        let clock = Instant::now();
        executor.run(program, inputs, &Cancel::default(), Some(&mut timings)).await?;
        if run > 0 {
            walls.push(clock.elapsed());
            samples.push(grouped(&timings));
        }
    }
    let wall = median(&mut walls);
    let device_timed = samples.iter().flatten().any(|kernel| !kernel.time.is_zero());
    let mut kernels = medians(&samples);
    if !device_timed {
        share_out(&mut kernels, wall);
    }
    Ok(Measured { wall, device_timed, kernels })
}

/// Launches of one kind added up.
fn grouped(timings: &[Timing]) -> Vec<KernelTime> {
    let mut groups: Vec<KernelTime> = Vec::new();
    for timing in timings {
        match groups.iter_mut().find(|group| group.is_of(timing)) {
            Some(group) => {
                group.launches += 1;
                group.time += timing.duration;
                group.flops += timing.flops;
                group.bytes += timing.bytes;
            }
            None => groups.push(KernelTime {
                op: timing.op,
                shape: timing.shape.clone(),
                variant: timing.variant.clone(),
                launches: 1,
                time: timing.duration,
                flops: timing.flops,
                bytes: timing.bytes,
            }),
        }
    }
    groups
}

/// The first run's groups with the median time of all runs; every run launches the same.
fn medians(samples: &[Vec<KernelTime>]) -> Vec<KernelTime> {
    let mut kernels = samples.first().cloned().unwrap_or_default();
    for (index, kernel) in kernels.iter_mut().enumerate() {
        let mut times: Vec<Duration> = samples.iter().map(|sample| sample[index].time).collect();
        kernel.time = median(&mut times);
    }
    kernels
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Without timestamps the run's time is divided by operations.
fn share_out(kernels: &mut [KernelTime], wall: Duration) {
    let total: u64 = kernels.iter().map(|kernel| kernel.flops.max(1)).sum();
    for kernel in kernels {
        kernel.time = wall.mul_f64(kernel.flops.max(1) as f64 / total.max(1) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(op: &'static str, millis: u64) -> Timing {
        Timing {
            op,
            shape: vec![2],
            variant: String::new(),
            flops: 10,
            bytes: 4,
            duration: Duration::from_millis(millis),
        }
    }

    #[test]
    fn launches_of_one_kind_add_up_and_runs_are_reduced_to_their_median() {
        let runs = [3, 1, 8].map(|ms| grouped(&[timing("a", ms), timing("b", 1), timing("a", ms)]));
        let kernels = medians(&runs);
        assert_eq!(kernels.len(), 2);
        assert_eq!((kernels[0].launches, kernels[0].flops, kernels[0].bytes), (2, 20, 8));
        assert_eq!(kernels[0].time, Duration::from_millis(6));
        assert_eq!(kernels[1].time, Duration::from_millis(1));
    }

    #[test]
    fn shares_are_of_the_nearer_limit() {
        let peaks = Peaks { gflops: 1e-3, gbytes: 1e-5 };
        let [kernel] = grouped(&[timing("a", 1)]).try_into().unwrap();
        // 10 operations and 4 bytes in a millisecond: 1e-5 GFLOP/s of 1e-3, 4e-6 GB/s of 1e-5.
        assert!((kernel.share(peaks) - 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_device_without_a_clock_gets_the_hosts_time_by_operations() {
        let mut kernels = grouped(&[timing("a", 0), timing("b", 0)]);
        share_out(&mut kernels, Duration::from_millis(10));
        assert_eq!(kernels[0].time, Duration::from_millis(5));
    }
}
