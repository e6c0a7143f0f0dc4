//! Prompt to video: the one entry point that strings the models together.
mod decode;
mod decode_plan;
mod decode_tiles;
mod denoise;
mod device;
mod encode_picture;
mod encode_text;
mod error;
mod family;
mod latents;
mod load;
mod observer;
mod plans;
mod settings;
mod stages;
mod taps;

pub use device::{DeviceChoice, open_executor};
pub use error::EngineError;
pub use family::ModelFacts;
pub use load::{LoadOptions, VideoPipeline};
pub use observer::{Event, Observer, Report, StageTime, TensorData};
pub use plans::StagePlan;
pub use settings::{GenerationSettings, PlannedMemory, RecordedNoise};
pub use stages::{ModelStages, Stage, StageInput};
