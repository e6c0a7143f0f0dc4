//! Layers: weights and the ops that use them.
mod linear;
mod precision;
mod resnet;

pub use linear::Linear;
pub use precision::Precision;
pub use resnet::{CausalConv, ChannelNorm, ResnetBlock, ResnetMemory};
