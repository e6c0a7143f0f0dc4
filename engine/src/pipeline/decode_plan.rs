//! Which tiles and which chunks a video is decoded in, chosen by planning them.
use super::{EngineError, latents::LatentVideo};
use crate::{
    graph::{Graph, State},
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::{ConvMemory, Precision},
    plan::{Plan, PlanTarget},
    tensor::{DType, TensorDesc},
    tiling::Tiling,
};

/// The widest feature map of a chunk stays near this many bytes.
const CHUNK_BUDGET: usize = 32 << 20;

/// How a video is decoded.
#[derive(Debug)]
pub(super) enum DecodePlan {
    /// Frames as they are.
    Whole(ChunkPlans),
    /// Tile by tile.
    Tiles {
        tiling: Tiling,
        /// For the largest tile.
        largest: ChunkPlans,
        /// What the widest feature map of a chunk stays near, in bytes.
        chunk_budget: usize,
    },
}

/// The chunks of one area, planned, over states of their own.
#[derive(Debug)]
pub(super) struct ChunkPlans {
    /// What is decoded.
    pub(super) latents: State,
    /// What one chunk leaves for the next.
    pub(super) memory: ConvMemory,
    /// In order.
    pub(super) runs: Vec<ChunkRun>,
}

/// Chunks of one kind that follow each other: one program runs them all.
#[derive(Debug)]
pub(super) struct ChunkRun {
    pub(super) chunk: DecoderChunk,
    /// How many there are.
    pub(super) times: usize,
    pub(super) graph: Graph,
    pub(super) plan: Plan,
}

impl ChunkPlans {
    /// Bytes on the device while one run after the other is ready.
    fn in_turn(&self) -> u64 {
        self.runs.iter().map(|run| run.plan.total_bytes()).max().unwrap_or(0)
    }

    /// Bytes on the device while all runs are ready: their buffers add up, weights and states are shared.
    fn at_once(&self) -> u64 {
        let plans = || self.runs.iter().map(|run| &run.plan);
        let shared = plans().map(|plan| plan.weight_bytes + plan.state_bytes).max().unwrap_or(0);
        shared + plans().flat_map(|plan| &plan.slots).sum::<u64>()
    }
}

/// What is decoded, and on what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoding<'a> {
    pub(super) decoder: &'a dyn LatentDecoder,
    pub(super) video: &'a LatentVideo,
    /// `[.., C, F, H, W]`.
    pub(super) latents: &'a State,
    pub(super) precision: Precision,
    pub(super) target: &'a PlanTarget,
    /// Whether intermediate tensors are kept.
    pub(super) taps: bool,
}

impl Decoding<'_> {
    /// Whole frames in long chunks, or else the longest chunks of the largest tiles that keep to `budget` bytes.
    ///
    /// # Errors
    /// If nothing fits the budget, or nothing fits the device.
    fn plan(&self, budget: Option<u64>) -> Result<DecodePlan, EngineError> {
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

    /// The same within what a job allows, or else, if that can be, within what the device has.
    ///
    /// # Errors
    /// If nothing fits what the job allows, or nothing fits the device.
    pub(super) fn plan_within(
        &self,
        allowed: Option<u64>,
        usable: Option<u64>,
    ) -> Result<DecodePlan, EngineError> {
        match self.plan(allowed.or(usable)) {
            Err(EngineError::Memory { needed, .. }) if allowed.is_none() => self.plan(Some(needed)),
            planned => planned,
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
        let Some(tiling) = tiling else {
            let plans = self.chunks(self.latents.clone(), DecoderOutput::Frames, chunk_budget)?;
            let bytes = plans.in_turn();
            return Ok((DecodePlan::Whole(plans), bytes));
        };
        let size = [height.min(tiling.rows.tile), width.min(tiling.columns.tile)];
        let largest = self.tile(size, chunk_budget)?;
        let mut bytes = largest.at_once() + 4 * (channels * frames * height * width) as u64;
        if matches!(self.target, PlanTarget::Cpu) {
            let repeated = self.decoder.repeated_frames(self.video.decoded());
            bytes += 4 * self.video.values(repeated) as u64;
        }
        Ok((DecodePlan::Tiles { tiling, largest, chunk_budget }, bytes))
    }

    /// The chunks of a tile of `size` latents along height and width.
    pub(super) fn tile(&self, size: [usize; 2], chunk_budget: usize) -> Result<ChunkPlans, EngineError> {
        let [channels, frames, ..] = self.video.shape;
        let desc = TensorDesc::new(&[channels, frames, size[0], size[1]], DType::F32);
        self.chunks(State::new("tile of latents", desc), DecoderOutput::Tile, chunk_budget)
    }

    /// Whole frames in the shortest chunks: what shows how far others are takes little beside them.
    pub(super) fn preview(&self) -> Result<ChunkPlans, EngineError> {
        self.chunks(self.latents.clone(), DecoderOutput::Frames, 1)
    }

    /// The chunks of these latents.
    fn chunks(
        &self,
        latents: State,
        output: DecoderOutput,
        chunk_budget: usize,
    ) -> Result<ChunkPlans, EngineError> {
        let &[.., height, width] = latents.desc().shape.as_slice() else {
            return Err(EngineError::Internal("latents of too few axes".to_owned()));
        };
        let chunks = self.decoder.chunks(self.video.decoded(), height, width, chunk_budget);
        let memory = ConvMemory::new(self.precision);
        let mut runs = Vec::new();
        for (chunk, times) in runs_of(&chunks) {
            let graph = self.decoder.graph(&latents, chunk, &memory, output, self.taps)?;
            let plan = Plan::new(&graph, self.target)?;
            runs.push(ChunkRun { chunk, times, graph, plan });
        }
        Ok(ChunkPlans { latents, memory, runs })
    }
}

/// Equal chunks that follow each other, with their number.
fn runs_of(chunks: &[DecoderChunk]) -> Vec<(DecoderChunk, usize)> {
    let same = chunks.chunk_by(|a, b| a == b);
    same.map(|run| (run[0], run.len())).collect()
}
