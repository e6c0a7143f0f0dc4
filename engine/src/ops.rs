//! One module per op, in alphabetical order.
// Being written: causal_conv3d matmul patch_embedding (GEMM); attention (attention);
// rms_norm layer_norm embedding timestep_embedding modulation denoise_step (small ops 1);
// group_norm scale_channels conv_cache dup_up avg_down frame_patches to_rgb8 (small ops 2). See /tmp/kin/OPS.md for signatures.
mod add;
mod attention;
mod avg_down;
mod causal_conv3d;
mod channel_rms_norm;
mod denoise_step;
mod dup_up;
mod embedding;
mod fma_chain;
mod frame_patches;
mod gemm;
mod group_norm;
mod latents_to_frames;
mod layer_norm;
mod matmul;
mod matmul_unpatchify;
mod modulation;
mod patch_embedding;
mod rms_norm;
mod rows;
mod timestep_embedding;
mod to_rgb8;
mod update_conv_cache;
mod window;

pub use attention::AttentionInputs;
pub use causal_conv3d::{Conv3dOptions, Pad};
pub use gemm::Activation;
pub use group_norm::{GroupNormOptions, Scope};
pub use layer_norm::{LayerNormOptions, Modulation};
pub use matmul::MatmulOptions;
pub use matmul_unpatchify::Unpatchify;
pub use rms_norm::{RmsNormOptions, Rope};
