//! What the pipeline asks of an autoencoder's decoder.
use crate::{
    graph::{Graph, State},
    nn::ConvMemory,
    op::OpError,
    tensor::{DType, TensorId},
    tiling::Tiling,
    weight::Weight,
};
use std::fmt::Debug;

/// The decoder of an autoencoder: causal in time, so it runs chunk by chunk and remembers.
pub trait LatentDecoder: Debug + Send + Sync {
    /// The chunks of a video in order. Where their lengths do not change the result, the widest feature map stays near
    /// `budget` bytes for latents of `height` x `width`.
    fn chunks(&self, latent_frames: usize, height: usize, width: usize, budget: usize) -> Vec<DecoderChunk>;

    /// How many frames at the start of a video of so many latent frames come before it: they repeat the frame after them, or
    /// are nothing yet. They are not part of the video.
    fn repeated_frames(&self, latent_frames: usize) -> usize {
        let _ = latent_frames;
        0
    }

    /// The graph of one kind of chunk.
    ///
    /// `latents` is `[.., C, F, H, W]` f32 (the first sample is read), scaled as the transformer leaves them; input
    /// `frame` `[1]` u32 is the chunk's first latent frame. `memory` is that of the chunks before, empty at first.
    /// Its outputs are those of `output`.
    ///
    /// # Errors
    /// If the latents do not fit the model.
    fn graph(
        &self,
        latents: &State,
        chunk: DecoderChunk,
        memory: &ConvMemory,
        output: DecoderOutput,
        taps: bool,
    ) -> Result<Graph, OpError>;

    /// The smallest tiles whose beginnings are at least `stride` latents apart along height and width, overlapping as the
    /// reference's tiles do.
    fn tiling(&self, stride: [usize; 2]) -> Tiling;
}

/// Which part of a video a graph decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecoderChunk {
    /// Whether it holds the first latent frame.
    pub first: bool,
    /// Latent frames.
    pub latent_frames: usize,
}

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

/// What a decoder's graph has as outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecoderOutput {
    /// `video` `[T, H, W, 3]` f32, in -1..1 if the model keeps to that, and the same as `rgb8`.
    Frames,
    /// `video` alone, and before the model keeps it to any range: tiles are blended first.
    Tile,
}

impl DecoderOutput {
    /// Makes `video` an output of a chunk's graph, and its pixels too where they are final.
    pub(super) fn add_to(self, graph: &mut Graph, video: TensorId) -> Result<(), OpError> {
        graph.output("video", video);
        if self == Self::Frames {
            let rgb = graph.to_rgb8(video)?;
            graph.output("rgb8", rgb);
        }
        Ok(())
    }
}
