//! What a run reports while it goes on.
use super::{EngineError, Snapshot};
use crate::{plan::Plan, run::Timing, send::MaybeSend, video::Frame};
use std::{ops::ControlFlow, time::Duration};

/// Something has happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Weights are being made ready.
    Loading {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something the user should know.
    Notice(&'a str),
    /// Kernels are being tried for shapes that this device has not run before.
    Tuning {
        /// Shapes done.
        done: usize,
        /// Shapes in all.
        total: usize,
    },
    /// Kernels are being compiled.
    Compiling {
        /// Kernels done.
        done: usize,
        /// Kernels in all.
        total: usize,
    },
    /// The prompt has been encoded.
    Encoded,
    /// Denoising steps done; 0 before the first.
    Step {
        /// Steps done.
        done: usize,
        /// Steps in all.
        total: usize,
    },
    /// The job could go on from here, if it were stopped.
    Snapshot(&'a Snapshot),
    /// How the video looks so far: a frame for each latent frame, smaller than the video's.
    Preview {
        /// Denoising steps done.
        step: usize,
        /// The frames.
        frames: &'a [Frame],
    },
    /// Frames decoded.
    Decoding {
        /// Frames done.
        done: usize,
        /// Frames in all.
        total: usize,
    },
    /// The next frame, in order.
    Frame(Frame),
    /// An intermediate tensor, named and laid out as in diffusers, the batch axis included.
    Tensor {
        /// Its key.
        name: &'a str,
        /// Its extents.
        shape: Vec<usize>,
        /// Its values.
        data: TensorData,
    },
    /// How long a launch took.
    Timing(&'a Timing),
}

/// Values of a reported tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// Floats.
    F32(Vec<f32>),
    /// Ids and timesteps.
    I64(Vec<i64>),
    /// Pixels.
    U8(Vec<u8>),
}

/// Hears of events; [`ControlFlow::Break`] ends the job.
pub trait Observer: MaybeSend {
    /// Something has happened.
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(Event<'_>) -> ControlFlow<()> + MaybeSend> Observer for F {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Reports an event; an observer that breaks ends the job.
pub(super) fn report(observer: &mut dyn Observer, event: Event<'_>) -> Result<(), EngineError> {
    match observer.event(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EngineError::Cancelled),
    }
}

/// How long one stage took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTime {
    /// `load`, `encode`, `denoise` or `decode`.
    pub name: &'static str,
    /// Wall time.
    pub duration: Duration,
}

/// What a finished job was like.
#[derive(Debug, Clone)]
pub struct Report {
    /// The stages in order.
    pub stages: Vec<StageTime>,
    /// What the plans foresaw.
    pub planned: PlannedMemory,
}

/// What the plans of a job need, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlannedMemory {
    /// Constants of the largest stage.
    pub weights: u64,
    /// Slots and states of the largest stage.
    pub working: u64,
    /// Constants that each run of a stage brings because they do not stay, of the stage with the most.
    pub streamed: u64,
    /// All of the largest stage.
    pub total: u64,
}

impl PlannedMemory {
    pub(super) fn include(&mut self, plan: &Plan) {
        self.weights = self.weights.max(plan.weight_bytes);
        self.working = self.working.max(plan.working_bytes());
        self.streamed = self.streamed.max(plan.streamed_bytes.each_run);
        self.total = self.total.max(plan.total_bytes());
    }
}
