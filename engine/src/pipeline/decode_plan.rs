//! Which tiles and which chunks a video is decoded in, chosen by planning them.
use super::{EngineError, latents::LatentVideo};
use crate::{
    graph::State,
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::{ConvMemory, Precision},
    plan::{Plan, PlanTarget},
    tensor::{DType, TensorDesc},
    tiling::Tiling,
};

/// The widest feature map of a chunk stays near this many bytes.
pub(super) const CHUNK_BUDGET: usize = 32 << 20;

/// How a video is decoded.
#[derive(Debug)]
pub(super) struct DecodePlan {
    /// None if frames are decoded whole.
    pub(super) tiling: Option<Tiling>,
    /// In order.
    pub(super) chunks: Vec<DecoderChunk>,
    /// For each kind of chunk, the plan for the largest tile, and in how many chunks of how many tiles it runs.
    pub(super) plans: Vec<(DecoderChunk, Plan, usize)>,
}

/// What is decoded, and on what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoding<'a> {
    pub(super) decoder: &'a dyn LatentDecoder,
    pub(super) video: &'a LatentVideo,
    pub(super) precision: Precision,
    pub(super) target: &'a PlanTarget,
}

impl Decoding<'_> {
    /// Whole frames in long chunks, or else the longest chunks of the largest tiles that keep to `budget` bytes.
    ///
    /// # Errors
    /// If nothing fits the budget, or nothing fits the device.
    pub(super) fn plan(&self, budget: Option<u64>) -> Result<DecodePlan, EngineError> {
        let mut least: Option<u64> = None;
        let mut failure = None;
        for (tiling, chunk_budget) in self.candidates() {
            match self.candidate(tiling, chunk_budget) {
                Ok((plan, bytes)) if budget.is_none_or(|budget| bytes <= budget) => return Ok(plan),
                Ok((_, bytes)) => least = Some(least.map_or(bytes, |least| least.min(bytes))),
                // Some bindings or buffers may be too large for the device; smaller tiles have smaller ones.
                Err(error @ EngineError::Plan(_)) => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (least, budget, failure) {
            (Some(needed), Some(budget), _) => Err(EngineError::Memory { stage: "decode", needed, budget }),
            (_, _, Some(error)) => Err(error),
            _ => Err(EngineError::Internal("there was nothing to decode".to_owned())),
        }
    }

    /// Whole frames first, then ever smaller tiles; with each, long chunks and then short ones.
    fn candidates(&self) -> Vec<(Option<Tiling>, usize)> {
        let [_, _, height, width] = self.video.shape;
        let smallest = self.decoder.tiling([1, 1]);
        let mut tilings = vec![None];
        for parts in 2..=height.max(width) {
            let tiling = self.decoder.tiling([height.div_ceil(parts), width.div_ceil(parts)]);
            if tilings.last() != Some(&Some(tiling)) {
                tilings.push(Some(tiling));
            }
            if tiling == smallest {
                break;
            }
        }
        let budgets = [CHUNK_BUDGET, CHUNK_BUDGET / 4, 1];
        tilings.into_iter().flat_map(|tiling| budgets.map(|budget| (tiling, budget))).collect()
    }

    /// A way to decode, and the bytes that it takes on the device.
    fn candidate(
        &self,
        tiling: Option<Tiling>,
        chunk_budget: usize,
    ) -> Result<(DecodePlan, u64), EngineError> {
        let [channels, frames, height, width] = self.video.shape;
        let (mut size, mut tiles, mut output) = ([height, width], 1, DecoderOutput::Frames);
        if let Some(tiling) = tiling {
            size = [height.min(tiling.rows.tile), width.min(tiling.columns.tile)];
            tiles = tiling.tiles(height, width).len();
            output = DecoderOutput::Tile;
        }
        let chunks = self.decoder.chunks(self.video.decoded(), size[0], size[1], chunk_budget);
        let latents =
            State::new("latents", TensorDesc::new(&[channels, frames, size[0], size[1]], DType::F32));
        let memory = ConvMemory::new(self.precision);
        let mut plans = Vec::new();
        for (chunk, count) in kinds(&chunks) {
            let graph = self.decoder.graph(&latents, chunk, &memory, output, false)?;
            plans.push((chunk, Plan::new(&graph, self.target)?, count * tiles));
        }
        let largest =
            plans.iter().map(|(_, plan, _): &(_, Plan, _)| plan.weight_bytes + plan.working_bytes()).max();
        let mut bytes = largest.unwrap_or(0);
        if tiling.is_some() {
            bytes += 4 * (channels * frames * height * width) as u64;
            if matches!(self.target, PlanTarget::Cpu) {
                let repeated = self.decoder.repeated_frames(self.video.decoded());
                bytes += 4 * self.video.values(repeated) as u64;
            }
        }
        Ok((DecodePlan { tiling, chunks, plans }, bytes))
    }
}

/// Each kind of chunk once, with how often it comes.
pub(super) fn kinds(chunks: &[DecoderChunk]) -> Vec<(DecoderChunk, usize)> {
    let mut kinds: Vec<(DecoderChunk, usize)> = Vec::new();
    for chunk in chunks {
        match kinds.iter_mut().find(|(kind, _)| kind == chunk) {
            Some((_, count)) => *count += 1,
            None => kinds.push((*chunk, 1)),
        }
    }
    kinds
}
