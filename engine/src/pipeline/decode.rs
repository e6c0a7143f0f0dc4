//! Latents to frames, chunk by chunk.
use super::{
    EngineError, Event, TensorData, VideoPipeline,
    load::Run,
    taps::{self, channels_first},
};
use crate::{
    executor::Program,
    graph::State,
    models::wan::{DecoderChunk, DecoderMemory, WanVaeDecoder},
    run::RunInput,
    stopwatch::Stopwatch,
    video::Frame,
};
use std::collections::BTreeMap;

/// The widest feature map of a chunk stays near this many bytes.
pub(super) const CHUNK_BUDGET: usize = 32 << 20;

/// Tensors of all chunks so far, channels-last, one after the other in time.
type Joined = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl VideoPipeline {
    /// Decodes row 0 of `latents` and reports the frames.
    pub(super) async fn decode(&mut self, run: &mut Run<'_>, latents: &State) -> Result<(), EngineError> {
        let clock = Stopwatch::start();
        let decoder = WanVaeDecoder::load(&self.vae_checkpoint, &self.vae_config)?;
        let [_, latent_frames, height, width] = run.latent_shape;
        let memory = decoder.memory(height, width, self.precision);
        let mut joined = Joined::new();
        run.report(Event::Decoding { done: 0, total: run.settings.num_frames })?;

        let first = DecoderChunk { first: true, latent_frames: 1 };
        let mut program = self.chunk_program(run, &decoder, latents, first, &memory).await?;
        let mut done = self.decode_chunk(run, &mut program, 0, 0, &mut joined).await?;
        drop(program);

        let remaining = latent_frames - 1;
        if remaining > 0 {
            let length = decoder.chunk_length(remaining, height, width, CHUNK_BUDGET);
            let chunk = DecoderChunk { first: false, latent_frames: length };
            let mut program = self.chunk_program(run, &decoder, latents, chunk, &memory).await?;
            for start in (1..latent_frames).step_by(length) {
                done = self.decode_chunk(run, &mut program, start, done, &mut joined).await?;
            }
        }
        for state in memory.states() {
            self.executor.drop_state(state);
        }
        report_joined(run, joined)?;
        run.finish_stage("decode", clock);
        Ok(())
    }

    async fn chunk_program(
        &mut self,
        run: &mut Run<'_>,
        decoder: &WanVaeDecoder,
        latents: &State,
        chunk: DecoderChunk,
        memory: &DecoderMemory,
    ) -> Result<Program, EngineError> {
        let graph = decoder.chunk_graph(latents, chunk, memory, true, run.settings.dump)?;
        self.prepare(run, graph).await
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
        let frame = [crate::target::clamp_u32(start)];
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
        let bytes: &[u8] = bytemuck::cast_slice(&rgb);
        let (width, height) = (run.settings.width, run.settings.height);
        let size = 3 * width * height;
        let frames = bytes.len() / size;
        for index in 0..frames.min(run.settings.num_frames - done) {
            let rgb = bytes[index * size..(index + 1) * size].to_vec();
            let (width, height) = (crate::target::clamp_u32(width), crate::target::clamp_u32(height));
            run.report(Event::Frame(Frame { width, height, rgb }))?;
            done += 1;
            run.report(Event::Decoding { done, total: run.settings.num_frames })?;
        }
        Ok(done)
    }
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
fn to_u8(value: f32) -> u8 {
    (255.0 * (value / 2.0 + 0.5).clamp(0.0, 1.0)).round_ties_even() as u8
}
