//! Latents to frames where whole frames would take too much memory: tile by tile, then blended.
use super::{
    EngineError, Event, TensorData, VideoPipeline,
    decode::{report_frame, to_u8},
    load::Run,
    taps,
};
use crate::{
    executor::Program,
    graph::State,
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::ConvMemory,
    run::RunInput,
    target::clamp_u32,
    tiling::{Blender, Tile, Tiling},
};

impl VideoPipeline {
    /// Decodes all chunks of a tile before the next tile, blends, and reports the frames at the end.
    pub(super) async fn decode_tiles(
        &mut self,
        run: &mut Run<'_>,
        decoder: &dyn LatentDecoder,
        latents: &State,
        chunks: &[DecoderChunk],
        tiling: Tiling,
    ) -> Result<(), EngineError> {
        let [_, _, height, width] = run.latents.shape;
        let total = run.settings.num_frames;
        let values = self.executor.read_state(latents).await?;
        let tiles = tiling.tiles(height, width);
        let mut blender: Option<Blender> = None;
        for (index, tile) in tiles.iter().enumerate() {
            let (shape, part) = crop(&values, run.latents.shape, tile);
            let state = self.state_of("tile of latents", &shape, &part).await?;
            let (shape, video) = self.decode_tile(run, decoder, &state, chunks).await?;
            let whole = [shape[0], run.settings.height, run.settings.width, shape[3]];
            blender.get_or_insert_with(|| Blender::new(tiling, width, whole)).add(shape, video);
            run.report(Event::Decoding { done: total * (index + 1) / tiles.len(), total })?;
        }
        let video = blender.map(Blender::finish).unwrap_or_default();
        let size = 3 * run.settings.width * run.settings.height;
        let bytes: Vec<u8> = video.into_iter().map(to_u8).collect();
        for rgb in bytes.chunks_exact(size).take(total) {
            report_frame(run, rgb.to_vec())?;
        }
        if run.settings.dump {
            let shape = vec![bytes.len() / size, run.settings.height, run.settings.width, 3];
            taps::report_data(run, "video.u8", shape, TensorData::U8(bytes))?;
        }
        Ok(())
    }

    /// The frames of one tile, `[T, H, W, 3]`.
    async fn decode_tile(
        &mut self,
        run: &mut Run<'_>,
        decoder: &dyn LatentDecoder,
        latents: &State,
        chunks: &[DecoderChunk],
    ) -> Result<([usize; 4], Vec<f32>), EngineError> {
        let memory = ConvMemory::new(self.precision);
        let mut current: Option<(DecoderChunk, Program)> = None;
        let (mut start, mut shape, mut video) = (run.latents.leading, [0; 4], Vec::new());
        for chunk in chunks {
            let mut program = match current.take() {
                Some((kind, program)) if kind == *chunk => program,
                other => {
                    // The old buffers go before the new ones come.
                    drop(other);
                    let graph = decoder.graph(latents, *chunk, &memory, DecoderOutput::Tile, false)?;
                    self.prepare(run, "decode", graph).await?
                }
            };
            let frame = [clamp_u32(start)];
            self.execute(run, &mut program, &[RunInput::u32("frame", &frame)]).await?;
            let output = program.output("video");
            let output =
                output.ok_or_else(|| EngineError::Internal("the decoder has no output".to_owned()))?;
            video.extend(self.executor.read(&program, output).await?);
            if let &[t, h, w, c] = program.graph().desc(output).shape.as_slice() {
                shape = [shape[0] + t, h, w, c];
            }
            start += chunk.latent_frames;
            current = Some((*chunk, program));
        }
        drop(current);
        Ok((shape, video))
    }
}

/// The tile of the first sample of `[.., C, F, H, W]`.
fn crop(values: &[f32], [c, f, h, w]: [usize; 4], tile: &Tile) -> ([usize; 4], Vec<f32>) {
    let planes = values[..c * f * h * w].chunks_exact(h * w);
    let lines = planes.flat_map(|plane| tile.rows.clone().map(move |y| &plane[y * w..(y + 1) * w]));
    let part = lines.flat_map(|line| &line[tile.columns.clone()]).copied().collect();
    ([c, f, tile.rows.len(), tile.columns.len()], part)
}
