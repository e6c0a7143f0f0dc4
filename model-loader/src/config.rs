//! Typed configs of a model's components. A value that is not supported is refused, by file and key.

mod cogvideox_transformer;
mod cogvideox_vae;
mod fields;
mod generation;
mod limits;
mod scheduler;
mod t5;
mod tiny_vae;
mod tokenizer;
mod wan_transformer;
mod wan_vae;

pub(crate) use fields::Fields;

pub use cogvideox_transformer::CogVideoXTransformerConfig;
pub use cogvideox_vae::CogVideoXVaeConfig;
pub use generation::GenerationConfig;
pub use scheduler::{
    CogVideoXSchedulerConfig, FlowMatchEulerConfig, ModelScheduler, PredictionType, SchedulerConfig,
    TimestepSpacing, UniPcConfig,
};
pub use t5::T5Config;
pub use tiny_vae::TinyVaeConfig;
pub use tokenizer::TokenizerConfig;
pub use wan_transformer::WanTransformerConfig;
pub use wan_vae::WanVaeConfig;
