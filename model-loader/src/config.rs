//! Typed configs of a model's components. What cannot be honoured is refused by name and value.

mod cogvideox_vae;
mod fields;
mod generation;
mod limits;
mod scheduler;
mod tokenizer;
mod umt5;
mod wan_transformer;
mod wan_vae;

pub(crate) use fields::Fields;

pub use cogvideox_vae::CogVideoXVaeConfig;
pub use generation::GenerationConfig;
pub use scheduler::{FlowMatchEulerConfig, SchedulerConfig, UniPcConfig};
pub use tokenizer::TokenizerConfig;
pub use umt5::Umt5Config;
pub use wan_transformer::WanTransformerConfig;
pub use wan_vae::WanVaeConfig;
