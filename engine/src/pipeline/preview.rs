//! How a video looks while it is denoised: a quick decode of what the noise scheduler takes for the clean latents.
use super::{
    EngineError, Event,
    decode_plan::{ChunkPlans, Decoding},
    session::{Session, output},
};
use crate::{run::RunInput, target::clamp_u32, video::Frame};

/// Decodes a preview of the solver's rows `[rows, C, F, H, W]` after `step` steps, and reports it.
pub(super) async fn preview(session: &mut Session<'_>, rows: &[f32], step: usize) -> Result<(), EngineError> {
    let video = session.latents;
    let row = session.scheduler.clean_row().unwrap_or(0);
    let Some(clean) = rows.chunks_exact(video.elements()).nth(row) else {
        return Err(EngineError::Internal(format!("the noise scheduler has no row {row}")));
    };
    let decoder = session.pipeline.networks.preview_decoder(&session.pipeline.model)?;
    let latents = session.state_of("latents to preview", &video.shape, clean).await?;
    let target = session.pipeline.plan_target();
    let decoding = Decoding {
        decoder: decoder.as_ref(),
        video: &video,
        latents: &latents,
        precision: session.pipeline.precision(),
        target: &target,
        taps: false,
    };
    let ChunkPlans { runs, memory, .. } = decoding.preview()?;
    let (mut start, mut frames) = (video.leading, Vec::with_capacity(video.decoded()));
    for run in runs {
        let mut program = session.prepare_planned("preview", run.graph, run.plan).await?;
        let shape = program.output("video").map(|id| program.graph().desc(id).shape.clone());
        let Some(&[_, height, width, _]) = shape.as_deref() else {
            return Err(EngineError::Internal("a preview without frames".to_owned()));
        };
        let (rows, columns) = (clamp_u32(height), clamp_u32(width));
        for _ in 0..run.times {
            let frame = [clamp_u32(start)];
            session.execute(&mut program, &[RunInput::u32("frame", &frame)]).await?;
            let rgb = output(&session.pipeline.executor, &program, "rgb8").await?;
            let pictures = bytemuck::cast_slice::<f32, u8>(&rgb).chunks_exact(3 * height * width);
            frames.extend(pictures.map(|rgb| Frame { width: columns, height: rows, rgb: rgb.to_vec() }));
            start += run.chunk.latent_frames;
        }
    }
    // What one chunk leaves for the next lives until the last is done.
    drop(memory);
    session.report(Event::Preview { step, frames: &frames })
}
