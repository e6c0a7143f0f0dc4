//! Layers: weights and the ops that use them.
mod beside;
mod causal_conv;
mod linear;
mod memory;
mod modulation;
mod norm;
mod precision;
mod resnet;
mod strip;

pub use causal_conv::CausalConv;
pub use linear::Linear;
pub use memory::ConvMemory;
pub use modulation::ModulationRows;
pub use norm::{ChannelNorm, FeatureNorm, GroupNorm, SpatialNorm};
pub use precision::Precision;
pub use resnet::ResnetBlock;
pub use strip::Strip;
