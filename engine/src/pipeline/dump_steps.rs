//! What a dump tells of the denoising loop, under the names of the reference.
use super::{
    EngineError, TensorData,
    denoise::narrow,
    session::Session,
    taps::{self, channels_first},
};
use crate::{
    diffusion::NoiseScheduler,
    executor::Program,
    models::{DenoisingTransformer, TapLayout},
};

/// Velocities of every step, and the inner tensors of the first.
pub(super) async fn report_step(
    session: &mut Session<'_>,
    program: &Program,
    expert: usize,
    step: usize,
) -> Result<(), EngineError> {
    let transformer = session.pipeline.networks.transformer(&session.pipeline.model, expert)?;
    let found = taps::read_taps(session, program).await?;
    let velocity = |name: &str| found.iter().find(|(n, ..)| n == name).map(|(.., v)| v.clone());
    let times = session.scheduler.timesteps().to_vec();
    let guidance = session.guidance.at(times[step], times.len());
    if let (Some(cond), uncond) = (velocity("cond"), velocity("uncond")) {
        let guided = match uncond {
            Some(uncond) => {
                let pairs = uncond.iter().zip(&cond);
                pairs.map(|(u, c)| guidance.combine(*u, *c)).collect()
            }
            None => cond,
        };
        taps::report_latents(session, &format!("dit.step{step}.guided"), guided)?;
    }
    if step == 0 {
        let timestep = timesteps(&times[..1], &times);
        taps::report_data(session, "dit.step0.timestep", vec![1], timestep)?;
        report_rope(session, transformer.as_ref())?;
    }
    for (name, shape, values) in found {
        let key = format!("dit.step{step}.{name}");
        if name == "cond" || name == "uncond" {
            taps::report_latents(session, &key, values)?;
        } else if step == 0 {
            let (shape, values) = arrange(transformer.as_ref(), session, &name, shape, values);
            taps::report_data(session, &key, shape, TensorData::F32(values))?;
        }
    }
    Ok(())
}

/// A tap as the reference lays it out.
fn arrange(
    transformer: &dyn DenoisingTransformer,
    session: &Session<'_>,
    name: &str,
    shape: Vec<usize>,
    values: Vec<f32>,
) -> (Vec<usize>, Vec<f32>) {
    match transformer.tap_layout(name) {
        TapLayout::Plain => (shape, values),
        TapLayout::Batched => ([vec![1], shape].concat(), values),
        TapLayout::ChannelsFirst => {
            let [t, h, w] = session.latents.grid();
            (vec![1, shape[1], t, h, w], channels_first(&values, shape[1]))
        }
    }
}

/// The first latents, and the schedule.
pub(super) fn report_schedule(
    session: &mut Session<'_>,
    scheduler: &dyn NoiseScheduler,
    latents: Vec<f32>,
) -> Result<(), EngineError> {
    taps::report_latents(session, "latents.init", latents)?;
    let (name, table) = scheduler.table();
    let table: Vec<f32> = table.iter().map(|value| narrow(*value)).collect();
    taps::report_data(session, &format!("sched.{name}"), vec![table.len()], TensorData::F32(table))?;
    let times = scheduler.timesteps();
    taps::report_data(session, "sched.timesteps", vec![times.len()], timesteps(times, times))
}

fn report_rope(session: &mut Session<'_>, transformer: &dyn DenoisingTransformer) -> Result<(), EngineError> {
    let Some(tables) = transformer.rope_tables(session.latents.shape) else { return Ok(()) };
    let shape = vec![2 * tables.cos.len() / tables.head_dim, tables.head_dim];
    for (name, table) in [("dit.rope_cos", tables.cos), ("dit.rope_sin", tables.sin)] {
        // The reference holds every angle twice, once for each channel of its pair.
        let twice = table.iter().flat_map(|v| [*v, *v]).collect();
        taps::report_data(session, name, shape.clone(), TensorData::F32(twice))?;
    }
    Ok(())
}

/// Some of the timesteps; integers if all of them are.
fn timesteps(some: &[f64], all: &[f64]) -> TensorData {
    if all.iter().all(|t| t.fract() == 0.0) {
        TensorData::I64(some.iter().map(|t| whole(*t)).collect())
    } else {
        TensorData::F32(some.iter().map(|t| narrow(*t)).collect())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "timesteps are at most 1000")]
fn whole(value: f64) -> i64 {
    value as i64
}
