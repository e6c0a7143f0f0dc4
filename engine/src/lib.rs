//! Kinora's engine: from a prompt to the frames of a video, on any GPU or on the CPU.
//!
//! ```
//! use kinora_engine::{Event, Job, LoadOptions, ModelFolder, Request, VideoPipeline};
//! use std::ops::ControlFlow;
//!
//! # fn main() -> Result<(), kinora_engine::EngineError> {
//! let folder = ModelFolder::open("../tests/fixtures/wan")?;
//! let mut pipeline = pollster::block_on(VideoPipeline::load(&folder, LoadOptions::default()))?;
//!
//! let size = Request { width: Some(32), height: Some(32), num_frames: Some(5), ..Request::default() };
//! let request = Request { num_inference_steps: Some(2), ..size };
//! let request = Request { prompt: "a cat walks on the grass".to_owned(), seed: 7, ..request };
//! let (settings, notices) = pipeline.resolve(&request)?;
//! notices.iter().for_each(|notice| println!("{notice}"));
//!
//! let mut frames = Vec::new();
//! let mut observer = |event: Event<'_>| {
//!     if let Event::Frame(frame) = event {
//!         frames.push(frame);
//!     }
//!     ControlFlow::Continue(())
//! };
//! pollster::block_on(pipeline.run(Job::new(&settings, &mut observer)))?;
//! assert_eq!((frames.len(), frames[0].rgb.len()), (5, 3 * 32 * 32));
//! # Ok(())
//! # }
//! ```
//!
//! A model builds a [`Graph`] (what is computed); a [`compute::plan::Plan`] says in what order and in which buffers; an
//! executor ([`compute::executor`]) runs it. [`VideoPipeline`] strings the models together.

pub mod compute;
pub mod diffusion;
pub mod models;
mod picture;
pub mod pipeline;
mod video;

use compute::{
    adapter, cpu, error, executor, gpu, graph, nn, op, ops, plan, residents, run, send, stopwatch, target,
    tensor, tiling, tuner, tuning, weight,
};

pub use graph::{Graph, State};
pub use model_loader::ModelFolder;
pub use picture::{Fit, PictureError};
pub use pipeline::{
    DeviceChoice, EngineError, Event, Job, JobOptions, LoadOptions, Model, Notice, Observer, Request,
    Settings, Snapshot, VideoPipeline, WeightPolicy,
};
pub use tensor::{DType, TensorDesc, TensorId};
pub use video::Frame;
pub use weight::Weight;
