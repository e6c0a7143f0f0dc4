//! One face for both executors.
mod cpu;

pub use cpu::{CpuExecutor, CpuProgram};

use crate::{
    cpu::has_fast_bf16,
    error::{CompileError, PlanError, RunError},
    gpu::{GpuExecutor, GpuProgram},
    graph::{Graph, State},
    plan::{Plan, PlanTarget},
    run::{Cancel, CompileObserver, RunInput, Timing},
    tensor::TensorId,
    tuner::TuningObserver,
};
use std::{borrow::Cow, ops::ControlFlow};

/// Where graphs run.
#[derive(Debug)]
pub enum Executor {
    /// On the CPU.
    Cpu(CpuExecutor),
    /// On a GPU.
    Gpu(Box<GpuExecutor>),
}

/// A graph made ready by an [`Executor`]; only that one can run it.
#[derive(Debug)]
pub enum Program {
    /// For the CPU.
    Cpu(Box<CpuProgram>),
    /// For a GPU.
    Gpu(Box<GpuProgram>),
}

impl Program {
    /// The graph.
    pub fn graph(&self) -> &Graph {
        match self {
            Self::Cpu(program) => program.graph(),
            Self::Gpu(program) => program.graph(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        match self {
            Self::Cpu(program) => program.plan(),
            Self::Gpu(program) => program.plan(),
        }
    }

    /// The tensor of a named output.
    pub fn output(&self, name: &str) -> Option<TensorId> {
        self.graph().outputs().iter().find(|(n, _)| n == name).map(|(_, id)| *id)
    }
}

impl Executor {
    /// What graphs are planned for.
    pub fn target(&self) -> PlanTarget {
        match self {
            Self::Cpu(_) => PlanTarget::Cpu,
            Self::Gpu(gpu) => PlanTarget::Gpu(gpu.gpu().target().clone()),
        }
    }

    /// Whether it multiplies bfloat16 numbers, and faster than f32.
    pub fn has_fast_bf16(&self) -> bool {
        matches!(self, Self::Cpu(_)) && has_fast_bf16()
    }

    /// Says how a graph would run, and what it would take.
    ///
    /// # Errors
    /// If it does not fit the device.
    pub fn plan(&self, graph: &Graph) -> Result<Plan, PlanError> {
        Plan::new(graph, &self.target())
    }

    /// Says how a graph would run in so many bytes, see [`Plan::within`].
    ///
    /// # Errors
    /// If it does not fit the device.
    pub fn plan_within(&self, graph: &Graph, budget: u64) -> Result<Plan, PlanError> {
        Plan::within(graph, &self.target(), budget)
    }

    /// Bytes that runs may take on the device, where that is known; see [`crate::adapter::AdapterSummary::usable_bytes`].
    pub fn usable_bytes(&self) -> Option<u64> {
        match self {
            Self::Cpu(_) => None,
            Self::Gpu(gpu) => gpu.gpu().summary().usable_bytes(),
        }
    }

    /// Frees the constants that a graph does not use: they are brought again when they are needed.
    pub fn keep_only_weights_of(&mut self, graph: &Graph) {
        match self {
            Self::Cpu(cpu) => cpu.keep_only_weights_of(graph),
            Self::Gpu(gpu) => gpu.keep_only_weights_of(graph),
        }
    }

    /// Tries kernels for what is new in a graph, on a GPU that is to be tuned, and gives back the plan with the fastest; see
    /// [`GpuExecutor::tune`].
    ///
    /// # Errors
    /// If the device is lost, or the observer breaks.
    pub async fn tune(
        &mut self,
        graph: &Graph,
        plan: Plan,
        observer: &mut TuningObserver<'_>,
    ) -> Result<Plan, RunError> {
        match self {
            Self::Cpu(_) => Ok(plan),
            Self::Gpu(gpu) => gpu.tune(graph, plan, observer).await,
        }
    }

    /// Makes a planned graph ready to run: compiles its kernels, brings its constants and allocates its buffers.
    ///
    /// # Errors
    /// If the plan is of another graph or another device, or the device refuses.
    pub async fn compile(&mut self, graph: Graph, plan: Plan) -> Result<Program, CompileError> {
        self.compile_observed(graph, plan, &mut |_, _| ControlFlow::Continue(())).await
    }

    /// Does the same, and tells how many of the kernels are compiled: on a GPU that may take a minute.
    ///
    /// # Errors
    /// As [`Executor::compile`], or if the observer breaks.
    pub async fn compile_observed(
        &mut self,
        graph: Graph,
        plan: Plan,
        observer: &mut CompileObserver<'_>,
    ) -> Result<Program, CompileError> {
        Ok(match self {
            Self::Cpu(cpu) => Program::Cpu(Box::new(cpu.compile(graph, plan)?)),
            Self::Gpu(gpu) => Program::Gpu(Box::new(gpu.compile(graph, plan, observer).await?)),
        })
    }

    /// Runs a program once.
    pub async fn run(
        &mut self,
        program: &mut Program,
        inputs: &[RunInput<'_>],
        cancel: &Cancel,
        timings: Option<&mut Vec<Timing>>,
    ) -> Result<(), RunError> {
        match (self, program) {
            (Self::Cpu(cpu), Program::Cpu(program)) => cpu.run(program, inputs, cancel, timings),
            (Self::Gpu(gpu), Program::Gpu(program)) => gpu.run(program, inputs, cancel, timings).await,
            _ => Err(RunError::OtherExecutor),
        }
    }

    /// The values of an output or tap, after a run: a look at the CPU's memory, or a copy of the GPU's.
    pub async fn read<'a>(&'a self, program: &'a Program, id: TensorId) -> Result<Cow<'a, [f32]>, RunError> {
        match (self, program) {
            (Self::Cpu(cpu), Program::Cpu(program)) => Ok(cpu.read(program, id)),
            (Self::Gpu(gpu), Program::Gpu(program)) => Ok(Cow::Owned(gpu.read(program, id).await?)),
            _ => Err(RunError::OtherExecutor),
        }
    }

    /// `Err` if a GPU launch has written behind a tensor; see [`GpuExecutor::check_guards`].
    pub async fn check_guards(&self, program: &Program) -> Result<(), RunError> {
        match (self, program) {
            (Self::Gpu(gpu), Program::Gpu(program)) => Ok(gpu.check_guards(program).await?),
            _ => Ok(()),
        }
    }

    /// The values of a state.
    pub async fn read_state(&mut self, state: &State) -> Result<Vec<f32>, RunError> {
        match self {
            Self::Cpu(cpu) => Ok(cpu.read_state(state)),
            Self::Gpu(gpu) => Ok(gpu.read_state(state).await?),
        }
    }

    /// Replaces the first values of a state; the rest become zero.
    pub async fn write_state(&mut self, state: &State, values: &[f32]) -> Result<(), RunError> {
        match self {
            Self::Cpu(cpu) => cpu.write_state(state, values),
            Self::Gpu(gpu) => gpu.write_state(state, values).await?,
        }
        Ok(())
    }

    /// Bytes of the constants and states in the device's memory. Those whose handles are all gone, graphs and programs
    /// included, are freed before they are counted; they are freed as well when a graph is compiled, when a state is written
    /// and when a run ends.
    pub fn resident_bytes(&mut self) -> u64 {
        match self {
            Self::Cpu(cpu) => cpu.resident_bytes(),
            Self::Gpu(gpu) => gpu.resident_bytes(),
        }
    }

    /// Bytes of all constants that were ever uploaded, or packed for the CPU.
    pub fn brought_bytes(&self) -> u64 {
        match self {
            Self::Cpu(cpu) => cpu.brought_bytes(),
            Self::Gpu(gpu) => gpu.brought_bytes(),
        }
    }
}
