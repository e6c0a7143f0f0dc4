//! A device with a case made ready on it.
use crate::Work;
use engine::{
    executor::{Executor, Program},
    gpu::{Gpu, GpuExecutor, GpuOptions},
    run::{Cancel, RunInput, Timing},
};
use kinora_tests::{Case, run};
use std::time::{Duration, Instant};

/// A case on a device, ready to be run again and again.
pub struct Session {
    executor: Executor,
    program: Program,
    inputs: Vec<(String, Vec<f32>)>,
}

/// The devices to measure, with their names: the CPU executor and every adapter.
///
/// `KINORA_BENCH_DEVICE` names one: `cpu`, or an adapter's number.
pub fn devices() -> Vec<(String, Option<usize>)> {
    let wanted = std::env::var("KINORA_BENCH_DEVICE").ok();
    let adapters = pollster::block_on(Gpu::adapters());
    let adapters = adapters.into_iter().map(|a| (a.name, Some(a.index)));
    std::iter::once(("cpu".to_owned(), None))
        .chain(adapters)
        .filter(|(_, index)| match wanted.as_deref() {
            None => true,
            Some("cpu") => index.is_none(),
            Some(number) => index.is_some_and(|i| i.to_string() == number),
        })
        .collect()
}

impl Session {
    /// Makes a case ready.
    ///
    /// # Errors
    /// If the device or the op refuses.
    pub fn new(case: &Case, device: Option<usize>) -> Result<Self, String> {
        let (graph, _) = case.graph().map_err(|e| e.to_string())?;
        let mut executor = match device {
            None => run::cpu(),
            Some(index) => {
                let gpu = pollster::block_on(Gpu::open(index, GpuOptions::default()));
                Executor::Gpu(Box::new(GpuExecutor::new(gpu.map_err(|e| e.to_string())?)))
            }
        };
        let program = pollster::block_on(executor.compile(graph)).map_err(|e| e.to_string())?;
        Ok(Self { executor, program, inputs: run::inputs(case) })
    }

    /// What one run does.
    pub fn work(&self) -> Work {
        let plan = self.program.plan();
        Work { flops: plan.flops(), bytes: plan.bytes() }
    }

    /// Runs once; the time on the device where it can tell, else the wall time.
    ///
    /// # Errors
    /// If the run fails.
    pub fn time(&mut self) -> Result<Duration, String> {
        let inputs: Vec<RunInput<'_>> = self.inputs.iter().map(|(n, d)| RunInput::f32(n, d)).collect();
        let mut timings: Vec<Timing> = Vec::new();
        let start = Instant::now();
        pollster::block_on(self.executor.run(
            &mut self.program,
            &inputs,
            &Cancel::default(),
            Some(&mut timings),
        ))
        .map_err(|e| e.to_string())?;
        let wall = start.elapsed();
        let device: Duration = timings.iter().map(|t| t.duration).sum();
        Ok(if device.is_zero() { wall } else { device })
    }

    /// The output of the last run.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn output(&mut self) -> Result<Vec<f32>, String> {
        let id = self.program.output("out").ok_or("the case has no output")?;
        pollster::block_on(self.executor.read(&self.program, id)).map_err(|e| e.to_string())
    }

    /// The shortest of some runs, after one to warm up.
    ///
    /// # Errors
    /// If a run fails.
    pub fn best_of(&mut self, runs: usize) -> Result<Duration, String> {
        self.time()?;
        (0..runs).map(|_| self.time()).try_fold(Duration::MAX, |best, time| Ok(best.min(time?)))
    }
}
