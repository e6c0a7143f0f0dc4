//! The cases, one module per op, in alphabetical order.
pub mod activate;
pub mod add;
pub mod attention;
pub mod avg_down;
pub mod causal_conv3d;
pub mod channel_rms_norm;
pub mod concat_rows;
pub mod denoise_step;
pub mod dup_up;
pub mod embedding;
pub mod fma_chain;
pub mod frame_patches;
pub mod group_norm;
pub mod head_norm;
pub mod latents_to_frames;
pub mod layer_norm;
pub mod matmul;
pub mod modulation;
pub mod patch_embedding;
pub mod rms_norm;
pub mod timestep_embedding;
pub mod to_rgb8;
pub mod update_conv_cache;

use crate::Case;

/// Every case of every op.
pub fn all() -> Vec<Case> {
    let lists: Vec<Vec<Case>> = vec![
        activate::cases(),
        add::cases(),
        attention::cases(),
        avg_down::cases(),
        causal_conv3d::cases(),
        channel_rms_norm::cases(),
        concat_rows::cases(),
        denoise_step::cases(),
        dup_up::cases(),
        embedding::cases(),
        fma_chain::cases(),
        frame_patches::cases(),
        group_norm::cases(),
        head_norm::cases(),
        latents_to_frames::cases(),
        layer_norm::cases(),
        matmul::cases(),
        modulation::cases(),
        patch_embedding::cases(),
        rms_norm::cases(),
        timestep_embedding::cases(),
        to_rgb8::cases(),
        update_conv_cache::cases(),
    ];
    lists.into_iter().flatten().collect()
}
