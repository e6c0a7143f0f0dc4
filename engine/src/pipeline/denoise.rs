//! The denoising loop: one plan for each expert, replayed; the latents stay on the device.
use super::{
    EngineError, Event, Snapshot,
    dump_steps::{report_schedule, report_step},
    encode_picture, encode_text,
    faults::{FaultyStage, Part},
    preview::preview,
    session::Session,
    step_graph::{StepGraph, StepStates},
    taps,
};
use crate::{
    diffusion::{NoiseScheduler, StepUpdate},
    executor::Program,
    graph::State,
    models::Expert,
    run::RunInput,
    stopwatch::Stopwatch,
};
use std::{ops::Range, sync::Arc};

/// Steps between two looks at whether the latents are still numbers, each of which leaves a snapshot.
const LOOK_EVERY: usize = 5;

/// Denoises from the session's snapshot on, or from noise; row 0 of the returned state is the result.
pub(super) async fn denoise(session: &mut Session<'_>) -> Result<State, EngineError> {
    let clock = Stopwatch::start();
    let scheduler = Arc::clone(&session.scheduler);
    let start = start(session, scheduler.as_ref())?;
    let shape = [&[scheduler.state_rows()][..], &session.latents.shape].concat();
    let latents = session.state_of("latents", &shape, &start.latents).await?;
    let condition = encode_picture::upload(session).await?;
    let states = StepStates {
        latents: &latents,
        condition: condition.as_ref(),
        is_stochastic: is_stochastic(scheduler.as_ref()),
    };
    session.report(Event::Step { done: start.step, total: scheduler.steps() })?;
    for (expert, steps) in segments(&session.pipeline.model.family.experts(), scheduler.timesteps()) {
        let left = steps.start.max(start.step)..steps.end;
        if !left.is_empty() {
            run_expert(session, expert, left, &states).await?;
        }
        session.pipeline.networks.done_denoising(expert);
    }
    session.finish_stage("denoise", clock);
    Ok(latents)
}

/// Where the loop begins: the last snapshot, or the first one, of noise.
fn start(session: &mut Session<'_>, scheduler: &dyn NoiseScheduler) -> Result<Snapshot, EngineError> {
    if let Some(snapshot) = &session.snapshot {
        session.noise = snapshot.noise.clone();
        return Ok(snapshot.clone());
    }
    let noise = match &session.settings.initial_latents {
        Some(latents) => latents.clone(),
        None => session.noise.draw(session.latents.elements()),
    };
    let sigma = narrow(scheduler.init_noise_sigma());
    let mut latents = session.latents.engine_layout(noise);
    latents.iter_mut().for_each(|value| *value *= sigma);
    if session.options.dump {
        report_schedule(session, scheduler, latents.clone())?;
    }
    latents.resize(scheduler.state_rows() * latents.len(), 0.0);
    let snapshot = Snapshot { step: 0, latents, noise: session.noise.clone() };
    session.snapshot = Some(snapshot.clone());
    Ok(snapshot)
}

/// Which expert makes which steps, in order. Each serves the timesteps down to its bound, the last all that are left.
pub(super) fn segments(experts: &[Expert], timesteps: &[f64]) -> Vec<(usize, Range<usize>)> {
    let mut segments: Vec<(usize, Range<usize>)> = Vec::with_capacity(experts.len());
    for (step, timestep) in timesteps.iter().enumerate() {
        let serves = |expert: &Expert| *timestep >= expert.down_to;
        let expert = experts.iter().position(serves).unwrap_or(experts.len().saturating_sub(1));
        match segments.last_mut() {
            Some((last, steps)) if *last == expert => steps.end = step + 1,
            _ => segments.push((expert, step..step + 1)),
        }
    }
    segments
}

/// Some steps of one expert.
async fn run_expert(
    session: &mut Session<'_>,
    expert: usize,
    steps: Range<usize>,
    states: &StepStates<'_>,
) -> Result<(), EngineError> {
    let scheduler = Arc::clone(&session.scheduler);
    let transformer = session.pipeline.networks.transformer(&session.pipeline.model, expert)?;
    let contexts = encode_text::contexts(session, transformer.as_ref()).await?;
    let precision = session.pipeline.precision();
    let step = StepGraph {
        transformer: transformer.as_ref(),
        contexts: &contexts,
        states,
        taps: session.options.dump,
        precision,
    };
    let (graph, plan) = step.within(&session.pipeline.executor.target(), session.budget())?;
    let mut program = session.prepare_planned("denoise", graph, plan).await?;
    let total = scheduler.steps();
    for step in steps {
        let guidance = session.guidance.at(scheduler.timesteps()[step], total);
        let coefficients = coefficients(guidance.scale(), &scheduler.update(step), states.is_stochastic);
        let timestep = [narrow(scheduler.timesteps()[step])];
        let mut inputs =
            vec![RunInput::f32("timestep", &timestep), RunInput::f32("coefficients", &coefficients)];
        let fresh = if states.is_stochastic { step_noise(session, step)? } else { Vec::new() };
        if states.is_stochastic {
            inputs.push(RunInput::f32("noise", &fresh));
        }
        session.execute(&mut program, &inputs).await?;
        if (step + 1) % LOOK_EVERY == 0 || step + 1 == total || session.options.dump {
            look(session, &program, states.latents, expert, step).await?;
        }
        session.report(Event::Step { done: step + 1, total })?;
    }
    Ok(())
}

/// Reads the latents: `Err` if they cannot be right, else a snapshot, and whatever is to be dumped.
async fn look(
    session: &mut Session<'_>,
    program: &Program,
    latents: &State,
    expert: usize,
    step: usize,
) -> Result<(), EngineError> {
    let rows = session.pipeline.executor.read_state(latents).await?;
    let values = &rows[..session.latents.elements()];
    let stage = FaultyStage::Latents { step: step + 1, steps: session.scheduler.steps() };
    session.check(stage, Part::Transformer(expert), values)?;
    if session.options.dump {
        let values = values.to_vec();
        report_step(session, program, expert, step).await?;
        taps::report_latents(session, &format!("latents.step{step}"), values)?;
    }
    let snapshot = Snapshot { step: step + 1, latents: rows, noise: session.noise.clone() };
    session.report(Event::Snapshot(&snapshot))?;
    // The video itself follows the last step.
    if session.options.preview && snapshot.step < session.scheduler.steps() {
        preview(session, &snapshot.latents, snapshot.step).await?;
    }
    session.snapshot = Some(snapshot);
    Ok(())
}

/// Whether any step takes fresh noise.
pub(super) fn is_stochastic(scheduler: &dyn NoiseScheduler) -> bool {
    (0..scheduler.steps()).any(|step| scheduler.update(step).needs_noise())
}

/// The noise of one step `[C, F, H, W]`: recorded, or the last draw of as many as the reference makes.
fn step_noise(session: &mut Session<'_>, step: usize) -> Result<Vec<f32>, EngineError> {
    let mut fresh = vec![0.0; session.latents.elements()];
    for _ in 0..session.scheduler.noise_draws(step) {
        fresh = session.noise.draw(session.latents.elements());
    }
    if let Some(recorded) = session.settings.recorded_noise.steps.get(step) {
        fresh.clone_from(recorded);
    }
    let fresh = session.latents.engine_layout(fresh);
    if session.options.dump {
        taps::report_latents(session, &format!("sched.step{step}.noise"), fresh.clone())?;
    }
    Ok(fresh)
}

/// Guidance scale, then A row by row, then B, then the weights of the noise if any step takes it.
fn coefficients(guidance: f32, update: &StepUpdate, is_stochastic: bool) -> Vec<f32> {
    let noise = if is_stochastic { update.noise.as_slice() } else { &[] };
    let matrix = update.state.iter().flatten().chain(&update.output).chain(noise);
    std::iter::once(guidance).chain(matrix.map(|v| narrow(*v))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "device arithmetic is f32")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_take_turns_at_their_bounds() {
        let timesteps = [999.0, 900.0, 875.0, 874.9, 10.0];
        let one = [Expert { component: "transformer", down_to: 0.0 }];
        assert_eq!(segments(&one, &timesteps), [(0, 0..5)]);
        let two =
            [Expert { component: "transformer", down_to: 875.0 }, Expert { component: "b", down_to: 0.0 }];
        assert_eq!(segments(&two, &timesteps), [(0, 0..3), (1, 3..5)]);
        assert_eq!(segments(&two, &timesteps[3..]), [(1, 0..2)]);
        // Below every bound the last one serves.
        let high = [Expert { component: "a", down_to: 900.0 }, Expert { component: "b", down_to: 500.0 }];
        assert_eq!(segments(&high, &timesteps), [(0, 0..2), (1, 2..5)]);
    }
}
