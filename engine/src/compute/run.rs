//! What every executor shares: inputs, cancellation and timings of one run.
use crate::{error::RunError, graph::Graph, plan::PlannedOp, tensor::TensorId};
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Hears how many kernels are compiled and how many there are in all; [`ControlFlow::Break`] ends the work.
#[cfg(not(target_arch = "wasm32"))]
pub type CompileObserver<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + Send + 'a;

/// Hears how many kernels are compiled and how many there are in all; [`ControlFlow::Break`] ends the work.
#[cfg(target_arch = "wasm32")]
pub type CompileObserver<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// Data for one input of a graph.
#[derive(Debug, Clone, Copy)]
pub struct RunInput<'a> {
    /// The input's name in the graph.
    pub name: &'a str,
    /// Its values.
    pub data: RunData<'a>,
}

/// Values of one input.
#[derive(Debug, Clone, Copy)]
pub enum RunData<'a> {
    /// Floats; narrowed if the input is f16.
    F32(&'a [f32]),
    /// Integers.
    U32(&'a [u32]),
}

impl<'a> RunInput<'a> {
    /// Floats for an input.
    pub fn f32(name: &'a str, data: &'a [f32]) -> Self {
        Self { name, data: RunData::F32(data) }
    }

    /// Integers for an input.
    pub fn u32(name: &'a str, data: &'a [u32]) -> Self {
        Self { name, data: RunData::U32(data) }
    }

    /// The values as 32-bit words.
    fn words(&self) -> &'a [f32] {
        match self.data {
            RunData::F32(data) => data,
            RunData::U32(data) => bytemuck::cast_slice(data),
        }
    }

    /// The graph's tensor of this name.
    fn find(&self, graph: &Graph) -> Result<TensorId, RunError> {
        let found = graph.inputs().find(|(name, _)| *name == self.name);
        let (_, id) = found.ok_or_else(|| RunError::UnknownInput(self.name.to_owned()))?;
        let expected = graph.desc(id).elements();
        if self.words().len() != expected {
            return Err(RunError::InputLength {
                name: self.name.to_owned(),
                got: self.words().len(),
                expected,
            });
        }
        Ok(id)
    }
}

/// The values of all inputs of a graph.
///
/// # Errors
/// If one is missing, unknown, or of another length.
pub(crate) fn inputs<'a>(
    graph: &Graph,
    given: &[RunInput<'a>],
) -> Result<Vec<(TensorId, &'a [f32])>, RunError> {
    let found = given.iter().map(|input| Ok((input.find(graph)?, input.words())));
    let found = found.collect::<Result<Vec<_>, RunError>>()?;
    let missing = graph.inputs().find(|(_, id)| !found.iter().any(|(given, _)| given == id));
    match missing {
        Some((name, _)) => Err(RunError::MissingInput(name.to_owned())),
        None => Ok(found),
    }
}

/// A flag that ends a run between two submissions. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the run to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long one launch (on the CPU: one op) took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// The op.
    pub op: &'static str,
    /// The shape of its output.
    pub shape: Vec<usize>,
    /// The kernel and its variant; empty on the CPU.
    pub variant: String,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes read and written.
    pub bytes: u64,
    /// Time on the device.
    pub duration: Duration,
}

impl Timing {
    /// The timing of one launch of an op, or of the whole op.
    pub(crate) fn of(op: &PlannedOp, launch: Option<usize>, duration: Duration) -> Self {
        let share = op.launches.len().max(1) as u64;
        let launch = launch.map(|i| &op.launches[i]);
        Self {
            op: op.name,
            shape: op.shape.clone(),
            variant: launch.map_or_else(String::new, |d| format!("{} {}", d.kernel.name, d.variant.label())),
            flops: if launch.is_some() { op.cost.flops / share } else { op.cost.flops },
            bytes: if launch.is_some() { op.cost.bytes / share } else { op.cost.bytes },
            duration,
        }
    }
}
