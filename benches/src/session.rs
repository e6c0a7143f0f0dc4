//! A device with a case made ready on it.
use engine::{
    compute::executor::{Executor, Program},
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::run::{Cancel, Timing},
};
use kinora_tests::run;
use std::time::{Duration, Instant};
use workbench::{BenchCase, KernelTime, Peaks};

/// A case on a device, ready to be run again and again.
pub struct Session {
    executor: Executor,
    program: Program,
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
    pub fn new(case: &BenchCase, device: Option<usize>) -> Result<Self, String> {
        let graph = case.graph().map_err(|e| e.to_string())?;
        let mut executor = match device {
            None => run::cpu(),
            Some(index) => {
                let gpu = pollster::block_on(Gpu::open(index, GpuOptions::default()));
                let mut gpu = GpuExecutor::new(gpu.map_err(|e| e.to_string())?);
                pollster::block_on(gpu.prove_matrices(engine::compute::ops::matrix_trials))
                    .map_err(|e| e.to_string())?;
                Executor::Gpu(Box::new(gpu))
            }
        };
        let plan = executor.plan(&graph).map_err(|e| e.to_string())?;
        let program = pollster::block_on(executor.compile(graph, plan)).map_err(|e| e.to_string())?;
        Ok(Self { executor, program })
    }

    /// What one run does, in this time.
    pub fn rates(&self, time: Duration) -> KernelTime {
        let plan = self.program.plan();
        KernelTime {
            op: "",
            shape: Vec::new(),
            variant: String::new(),
            launches: plan.launches(),
            time,
            flops: plan.flops(),
            bytes: plan.bytes(),
        }
    }

    /// What the device does at most.
    ///
    /// # Errors
    /// If it fails.
    pub fn peaks(&mut self) -> Result<Peaks, String> {
        pollster::block_on(Peaks::measure(&mut self.executor)).map_err(|e| e.to_string())
    }

    /// Runs once; the time on the device where it can tell, else the wall time.
    ///
    /// # Errors
    /// If the run fails.
    pub fn time(&mut self) -> Result<Duration, String> {
        let mut timings: Vec<Timing> = Vec::new();
        let start = Instant::now();
        pollster::block_on(self.executor.run(&mut self.program, &[], &Cancel::default(), Some(&mut timings)))
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
        let values = pollster::block_on(self.executor.read(&self.program, id)).map_err(|e| e.to_string())?;
        Ok(values.into_owned())
    }
}
