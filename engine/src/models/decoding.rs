//! How a decoder's graph begins.
use super::DecoderChunk;
use crate::{
    graph::{Graph, State},
    op::OpError,
    tensor::{DType, TensorId},
    weight::Weight,
};

impl DecoderChunk {
    /// The frames `[F, H, W, C]` of this chunk of `latents` `[.., C, F, H, W]`, each channel times its factor plus its
    /// offset. Input `frame` `[1]` u32 is the chunk's first latent frame.
    pub(super) fn latents(
        self,
        graph: &mut Graph,
        latents: &State,
        factors: Vec<f32>,
        offsets: Vec<f32>,
    ) -> Result<TensorId, OpError> {
        let latents = graph.state(latents);
        let frame = graph.input("frame", &[1], DType::U32);
        let channels = factors.len();
        let scale = graph.weight(&Weight::from_f32("factors of latents", &[channels], factors));
        let shift = graph.weight(&Weight::from_f32("offsets of latents", &[channels], offsets));
        let frames = graph.latents_to_frames(latents, frame, self.latent_frames, scale, shift, DType::F32)?;
        graph.tap("latents_in", frames);
        Ok(frames)
    }
}
