//! Kinora's engine: graphs of ops, plans, executors, and the text-to-video models built on them.
//!
//! A model builds a [`Graph`] (what is computed); a [`plan::Plan`] says in what order and in which buffers;
//! an executor ([`cpu`] or [`gpu`]) runs it. [`pipeline::VideoPipeline`] strings the models together.

pub mod adapter;
pub mod cpu;
pub mod diffusion;
pub mod error;
pub mod executor;
pub mod gpu;
pub mod graph;
pub mod models;
pub mod nn;
pub mod op;
pub mod ops;
pub mod picture;
pub mod pipeline;
pub mod plan;
mod residents;
pub mod run;
mod send;
mod stopwatch;
pub mod target;
pub mod tensor;
pub mod tiling;
pub mod tuner;
pub mod tuning;
pub mod video;
pub mod weight;

pub use graph::{Graph, State};
pub use tensor::{DType, TensorDesc, TensorId};
pub use weight::Weight;
