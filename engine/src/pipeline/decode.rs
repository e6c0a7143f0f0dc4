//! Latents to frames, chunk by chunk.
use super::{
    EngineError, Event, TensorData, VideoPipeline,
    decode_plan::{DecodePlan, Decoding},
    load::Run,
    taps::{self, channels_first},
};
use crate::{
    executor::Program,
    graph::State,
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::ConvMemory,
    run::RunInput,
    stopwatch::Stopwatch,
    target::clamp_u32,
    video::Frame,
};
use std::collections::BTreeMap;

/// Tensors of all chunks so far, channels-last, one after the other in time.
type Joined = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl VideoPipeline {
    /// Decodes row 0 of `latents` and reports the frames.
    pub(super) async fn decode(&mut self, run: &mut Run<'_>, latents: &State) -> Result<(), EngineError> {
        let clock = Stopwatch::start();
        let decoder = self.model.load_decoder()?;
        run.report(Event::Decoding { done: 0, total: run.settings.num_frames })?;
        let target = self.plan_target();
        let video = run.latents;
        let decoding =
            Decoding { decoder: decoder.as_ref(), video: &video, precision: self.precision, target: &target };
        let DecodePlan { tiling, chunks, .. } = decoding.plan(run.settings.memory)?;
        match tiling {
            None => self.decode_whole(run, decoder.as_ref(), latents, &chunks).await?,
            Some(tiling) => self.decode_tiles(run, decoder.as_ref(), latents, &chunks, tiling).await?,
        }
        run.finish_stage("decode", clock);
        Ok(())
    }

    /// Whole frames, reported chunk by chunk.
    async fn decode_whole(
        &mut self,
        run: &mut Run<'_>,
        decoder: &dyn LatentDecoder,
        latents: &State,
        chunks: &[DecoderChunk],
    ) -> Result<(), EngineError> {
        let memory = ConvMemory::new(self.precision);
        let mut joined = Joined::new();
        let (mut start, mut done) = (run.latents.leading, 0);
        let mut current: Option<(DecoderChunk, Program)> = None;
        for chunk in chunks {
            let mut program = match current.take() {
                Some((kind, program)) if kind == *chunk => program,
                other => {
                    // The old buffers go before the new ones come.
                    drop(other);
                    let output = DecoderOutput::Frames;
                    let graph = decoder.graph(latents, *chunk, &memory, output, run.settings.dump)?;
                    self.prepare(run, "decode", graph).await?
                }
            };
            done = self.decode_chunk(run, &mut program, start, done, &mut joined).await?;
            start += chunk.latent_frames;
            current = Some((*chunk, program));
        }
        drop(current);
        report_joined(run, joined)
    }

    /// Decodes from latent frame `start` on; returns the frames done so far.
    async fn decode_chunk(
        &mut self,
        run: &mut Run<'_>,
        program: &mut Program,
        start: usize,
        mut done: usize,
        joined: &mut Joined,
    ) -> Result<usize, EngineError> {
        let frame = [clamp_u32(start)];
        self.execute(run, program, &[RunInput::u32("frame", &frame)]).await?;
        let rgb = match program.output("rgb8") {
            Some(id) => self.executor.read(program, id).await?,
            None => return Err(EngineError::Internal("the decoder has no output".to_owned())),
        };
        if run.settings.dump {
            for (name, shape, values) in self.read_taps(program).await? {
                if name != "rgb8" {
                    let entry =
                        joined.entry(name).or_insert_with(|| ([&[0], &shape[1..]].concat(), Vec::new()));
                    entry.0[0] += shape[0];
                    entry.1.extend(values);
                }
            }
        }
        for rgb in
            bytemuck::cast_slice::<_, u8>(&rgb).chunks_exact(3 * run.settings.width * run.settings.height)
        {
            if done < run.settings.num_frames {
                done += 1;
                report_frame(run, rgb.to_vec())?;
                run.report(Event::Decoding { done, total: run.settings.num_frames })?;
            }
        }
        Ok(done)
    }
}

pub(super) fn report_frame(run: &mut Run<'_>, rgb: Vec<u8>) -> Result<(), EngineError> {
    let (width, height) = (clamp_u32(run.settings.width), clamp_u32(run.settings.height));
    run.report(Event::Frame(Frame { width, height, rgb }))
}

fn report_joined(run: &mut Run<'_>, joined: Joined) -> Result<(), EngineError> {
    for (name, (shape, values)) in joined {
        let channels = shape[3];
        if name == "video" {
            let pixels = values.iter().map(|v| to_u8(*v)).collect();
            taps::report_data(run, "video.u8", shape.clone(), TensorData::U8(pixels))?;
        }
        let first = vec![1, channels, shape[0], shape[1], shape[2]];
        let data = TensorData::F32(channels_first(&values, channels));
        taps::report_data(run, &format!("vae.{name}"), first, data)?;
    }
    Ok(())
}

/// Round half to even of `255 * clamp(v / 2 + 0.5, 0, 1)`, as the reference's picture output does.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
pub(super) fn to_u8(value: f32) -> u8 {
    (255.0 * (value / 2.0 + 0.5).clamp(0.0, 1.0)).round_ties_even() as u8
}
