//! Latents to frames, chunk by chunk.
use super::{
    EngineError, Event, TensorData,
    decode_plan::{ChunkPlans, DecodePlan, Decoding},
    decode_tiles::{Tiles, decode_tiles, report_tiles},
    faults::{FaultyStage, Part},
    session::{Session, output},
    taps::{self, channels_first},
};
use crate::{
    executor::Program, graph::State, run::RunInput, stopwatch::Stopwatch, target::clamp_u32, video::Frame,
};
use std::collections::BTreeMap;

/// Tensors of all chunks so far, channels-last, one after the other in time.
type Joined = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// How far a video is decoded.
#[derive(Debug)]
pub(super) struct Position {
    /// The next latent frame.
    latent_frame: usize,
    /// Frames to come that are not the video's, or were reported before a device was lost.
    skip: usize,
}

/// Decodes row 0 of `latents` and reports the frames.
pub(super) async fn decode(session: &mut Session<'_>, latents: &State) -> Result<(), EngineError> {
    let clock = Stopwatch::start();
    let decoder = session.pipeline.networks.decoder(&session.pipeline.model, session.options.decoder)?;
    let total = session.settings.num_frames;
    session.report(Event::Decoding { done: session.frames_done, total })?;
    let (video, target) = (session.latents, session.pipeline.plan_target());
    let decoding = Decoding {
        decoder: decoder.as_ref(),
        video: &video,
        latents,
        precision: session.pipeline.precision(),
        target: &target,
        taps: session.options.dump,
    };
    let repeated = decoder.repeated_frames(video.decoded());
    match decoding.plan_within(session.options.memory, session.pipeline.usable_bytes)? {
        DecodePlan::Whole(plans) => decode_whole(session, plans, repeated).await?,
        DecodePlan::Tiles { tiling, largest, chunk_budget } => {
            let tiles = Tiles { decoding: &decoding, tiling, chunk_budget };
            let video = decode_tiles(session, &tiles, largest).await?;
            report_tiles(session, video, repeated)?;
        }
    }
    session.finish_stage("decode", clock);
    Ok(())
}

/// Whole frames, reported chunk by chunk. One program is ready at a time.
async fn decode_whole(
    session: &mut Session<'_>,
    plans: ChunkPlans,
    repeated: usize,
) -> Result<(), EngineError> {
    let ChunkPlans { runs, memory, latents } = plans;
    let mut joined = Joined::new();
    let mut at = Position { latent_frame: session.latents.leading, skip: repeated + session.frames_done };
    for run in runs {
        let mut program = session.prepare_planned("decode", run.graph, run.plan).await?;
        for _ in 0..run.times {
            decode_chunk(session, &mut program, &mut at, &mut joined).await?;
            at.latent_frame += run.chunk.latent_frames;
        }
    }
    // The states live until the last chunk is done.
    drop((memory, latents));
    report_joined(session, joined)
}

/// Decodes the chunk at a position and reports its frames.
async fn decode_chunk(
    session: &mut Session<'_>,
    program: &mut Program,
    at: &mut Position,
    joined: &mut Joined,
) -> Result<(), EngineError> {
    let frame = [clamp_u32(at.latent_frame)];
    session.execute(program, &[RunInput::u32("frame", &frame)]).await?;
    let video = output(&session.pipeline.executor, program, "video").await?;
    session.check(FaultyStage::Frames, Part::Decoder(session.options.decoder), &video)?;
    drop(video);
    let rgb = output(&session.pipeline.executor, program, "rgb8").await?.into_owned();
    if session.options.dump {
        join(joined, taps::read_taps(session, program).await?);
    }
    for rgb in frames(bytemuck::cast_slice(&rgb), session) {
        if at.skip > 0 {
            at.skip -= 1;
        } else {
            report_frame(session, rgb.to_vec())?;
        }
    }
    Ok(())
}

/// The frames in these bytes.
fn frames<'a>(rgb: &'a [u8], session: &Session<'_>) -> std::slice::ChunksExact<'a, u8> {
    rgb.chunks_exact(3 * session.settings.width * session.settings.height)
}

/// Reports the next frame of the video.
pub(super) fn report_frame(session: &mut Session<'_>, rgb: Vec<u8>) -> Result<(), EngineError> {
    let (width, height) = (clamp_u32(session.settings.width), clamp_u32(session.settings.height));
    session.frames_done += 1;
    session.report(Event::Frame(Frame { width, height, rgb }))?;
    let (done, total) = (session.frames_done, session.settings.num_frames);
    session.report(Event::Decoding { done, total })
}

/// Adds the tensors of one chunk to those before.
fn join(joined: &mut Joined, taps: Vec<(String, Vec<usize>, Vec<f32>)>) {
    for (name, shape, values) in taps.into_iter().filter(|(name, ..)| name != "rgb8") {
        let entry = joined.entry(name).or_insert_with(|| ([&[0], &shape[1..]].concat(), Vec::new()));
        entry.0[0] += shape[0];
        entry.1.extend(values);
    }
}

fn report_joined(session: &mut Session<'_>, joined: Joined) -> Result<(), EngineError> {
    for (name, (shape, values)) in joined {
        let channels = shape[3];
        if name == "video" {
            let pixels = values.iter().map(|v| to_u8(*v)).collect();
            taps::report_data(session, "video.u8", shape.clone(), TensorData::U8(pixels))?;
        }
        let first = vec![1, channels, shape[0], shape[1], shape[2]];
        let data = TensorData::F32(channels_first(&values, channels));
        taps::report_data(session, &format!("vae.{name}"), first, data)?;
    }
    Ok(())
}

/// Round half to even of `255 * clamp(v / 2 + 0.5, 0, 1)`, as the reference's picture output does.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
pub(super) fn to_u8(value: f32) -> u8 {
    (255.0 * (value / 2.0 + 0.5).clamp(0.0, 1.0)).round_ties_even() as u8
}
