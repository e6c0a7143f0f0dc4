//! The denoising loop: one plan, replayed; the latents stay on the device.
use super::{
    EngineError, Event, TensorData, VideoPipeline,
    encode_text::Prompts,
    load::Run,
    taps::{self, channels_first},
};
use crate::{
    diffusion::{NoiseScheduler, StepUpdate},
    executor::Program,
    graph::{Graph, State},
    models::{DenoisingTransformer, TapLayout, TextContext},
    run::RunInput,
    stopwatch::Stopwatch,
    tensor::DType,
};

/// Steps between two looks at whether the latents are still numbers.
const FINITE_CHECK_EVERY: usize = 5;

impl VideoPipeline {
    /// Denoises; row 0 of the returned state is the result.
    pub(super) async fn denoise(
        &mut self,
        run: &mut Run<'_>,
        scheduler: &dyn NoiseScheduler,
        prompts: Prompts,
        condition: Option<State>,
    ) -> Result<State, EngineError> {
        let clock = Stopwatch::start();
        let noise = match &run.settings.initial_latents {
            Some(latents) => latents.clone(),
            None => run.noise.draw(run.latents.elements()),
        };
        let noise = run.latents.inward(noise);
        let shape = [&[scheduler.state_rows()][..], &run.latents.shape].concat();
        let latents = self.state_of("latents", &shape, &noise).await?;
        let is_stochastic = is_stochastic(scheduler);
        let states = StepStates { latents: &latents, condition: condition.as_ref(), is_stochastic };
        let graph = step_graph(&prompts, &states, run.settings.dump, self.precision)?;
        let mut program = self.prepare(run, "denoise", graph).await?;
        if run.settings.dump {
            report_schedule(run, scheduler, &prompts, noise)?;
        }
        let steps = scheduler.steps();
        run.report(Event::Step { done: 0, total: steps })?;
        for step in 0..steps {
            let guidance = run.guidance.at(scheduler.timesteps()[step], steps);
            let coefficients = coefficients(guidance.scale(), &scheduler.update(step), is_stochastic);
            let timestep = [narrow(scheduler.timesteps()[step])];
            let mut inputs =
                vec![RunInput::f32("timestep", &timestep), RunInput::f32("coefficients", &coefficients)];
            let fresh = if is_stochastic { step_noise(run, scheduler, step)? } else { Vec::new() };
            if is_stochastic {
                inputs.push(RunInput::f32("noise", &fresh));
            }
            self.execute(run, &mut program, &inputs).await?;
            if (step + 1) % FINITE_CHECK_EVERY == 0 || step + 1 == steps || run.settings.dump {
                let transformer = prompts.transformer.as_ref();
                self.check_and_dump(run, &program, &latents, step, scheduler, transformer).await?;
            }
            run.report(Event::Step { done: step + 1, total: steps })?;
        }
        drop((program, prompts));
        run.finish_stage("denoise", clock);
        Ok(latents)
    }

    async fn check_and_dump(
        &mut self,
        run: &mut Run<'_>,
        program: &Program,
        latents: &State,
        step: usize,
        scheduler: &dyn NoiseScheduler,
        transformer: &dyn DenoisingTransformer,
    ) -> Result<(), EngineError> {
        let mut values = self.executor.read_state(latents).await?;
        values.truncate(run.latents.elements());
        if values.iter().any(|v| !v.is_finite()) {
            return Err(EngineError::NotFinite { step: step + 1, steps: scheduler.steps() });
        }
        if run.settings.dump {
            self.report_step(run, program, step, scheduler, transformer).await?;
            taps::report_latents(run, &format!("latents.step{step}"), values)?;
        }
        Ok(())
    }

    /// Velocities of every step, and the inner tensors of the first.
    async fn report_step(
        &mut self,
        run: &mut Run<'_>,
        program: &Program,
        step: usize,
        scheduler: &dyn NoiseScheduler,
        transformer: &dyn DenoisingTransformer,
    ) -> Result<(), EngineError> {
        let found = self.read_taps(program).await?;
        let velocity = |name: &str| found.iter().find(|(n, ..)| n == name).map(|(.., v)| v.clone());
        let guidance = run.guidance.at(scheduler.timesteps()[step], scheduler.steps());
        if let (Some(cond), uncond) = (velocity("cond"), velocity("uncond")) {
            let guided = match uncond {
                Some(uncond) => {
                    let pairs = uncond.iter().zip(&cond);
                    pairs.map(|(u, c)| guidance.combine(*u, *c)).collect()
                }
                None => cond,
            };
            taps::report_latents(run, &format!("dit.step{step}.guided"), guided)?;
        }
        if step == 0 {
            let timestep = timesteps(&scheduler.timesteps()[..1], scheduler.timesteps());
            taps::report_data(run, "dit.step0.timestep", vec![1], timestep)?;
        }
        for (name, shape, values) in found {
            let key = format!("dit.step{step}.{name}");
            if name == "cond" || name == "uncond" {
                taps::report_latents(run, &key, values)?;
            } else if step == 0 {
                let (shape, values) = arrange(transformer, run, &name, shape, values);
                taps::report_data(run, &key, shape, TensorData::F32(values))?;
            }
        }
        Ok(())
    }
}

/// A tap as the reference lays it out.
fn arrange(
    transformer: &dyn DenoisingTransformer,
    run: &Run<'_>,
    name: &str,
    shape: Vec<usize>,
    values: Vec<f32>,
) -> (Vec<usize>, Vec<f32>) {
    match transformer.tap_layout(name) {
        TapLayout::Plain => (shape, values),
        TapLayout::Batched => ([vec![1], shape].concat(), values),
        TapLayout::ChannelsFirst => {
            let [t, h, w] = run.latents.grid();
            (vec![1, shape[1], t, h, w], channels_first(&values, shape[1]))
        }
    }
}

/// What a denoising step works on.
pub(super) struct StepStates<'a> {
    /// The solver's rows `[rows, C, F, H, W]`.
    pub(super) latents: &'a State,
    /// What there is of a picture.
    pub(super) condition: Option<&'a State>,
    /// Whether the step takes fresh noise.
    pub(super) is_stochastic: bool,
}

/// Whether any step takes fresh noise.
pub(super) fn is_stochastic(scheduler: &dyn NoiseScheduler) -> bool {
    (0..scheduler.steps()).any(|step| scheduler.update(step).needs_noise())
}

/// The noise of one step `[C, F, H, W]`: recorded, or the last draw of as many as the reference makes.
fn step_noise(
    run: &mut Run<'_>,
    scheduler: &dyn NoiseScheduler,
    step: usize,
) -> Result<Vec<f32>, EngineError> {
    let mut fresh = vec![0.0; run.latents.elements()];
    for _ in 0..scheduler.noise_draws(step) {
        fresh = run.noise.draw(run.latents.elements());
    }
    if let Some(recorded) = run.settings.recorded_noise.steps.get(step) {
        fresh.clone_from(recorded);
    }
    let fresh = run.latents.inward(fresh);
    if run.settings.dump {
        taps::report_latents(run, &format!("sched.step{step}.noise"), fresh.clone())?;
    }
    Ok(fresh)
}

/// One denoising step: velocities of both prompts, guidance and the scheduler's update.
pub(super) fn step_graph(
    prompts: &Prompts,
    states: &StepStates<'_>,
    taps: bool,
    precision: crate::nn::Precision,
) -> Result<Graph, EngineError> {
    let mut graph = Graph::with_taps(taps);
    let rows = states.latents.desc().shape[0];
    let columns = if states.is_stochastic { rows + 2 } else { rows + 1 };
    let state = graph.state(states.latents);
    let condition = states.condition.map(|condition| graph.state(condition));
    let timestep = graph.input("timestep", &[1], DType::F32);
    let coefficients = graph.input("coefficients", &[1 + rows * columns], DType::F32);
    let contexts: Vec<&TextContext> = prompts.contexts.iter().collect();
    let velocities =
        prompts.transformer.forward(&mut graph, state, timestep, &contexts, condition, precision)?;
    for (name, velocity) in ["cond", "uncond"].iter().zip(&velocities) {
        graph.tap(name, *velocity);
    }
    let (cond, uncond) = (velocities[0], velocities.get(1).copied());
    if states.is_stochastic {
        let noise = graph.input("noise", &states.latents.desc().shape[1..], DType::F32);
        graph.noisy_denoise_step(state, cond, uncond, noise, coefficients)?;
    } else {
        graph.denoise_step(state, cond, uncond, coefficients)?;
    }
    Ok(graph)
}

/// Guidance scale, then A row by row, then B, then the weights of the noise if any step takes it.
fn coefficients(guidance: f32, update: &StepUpdate, is_stochastic: bool) -> Vec<f32> {
    let noise = if is_stochastic { update.noise.as_slice() } else { &[] };
    let matrix = update.state.iter().flatten().chain(&update.output).chain(noise);
    std::iter::once(guidance).chain(matrix.map(|v| narrow(*v))).collect()
}

fn report_schedule(
    run: &mut Run<'_>,
    scheduler: &dyn NoiseScheduler,
    prompts: &Prompts,
    noise: Vec<f32>,
) -> Result<(), EngineError> {
    taps::report_latents(run, "latents.init", noise)?;
    let (name, table) = scheduler.table();
    let table: Vec<f32> = table.iter().map(|value| narrow(*value)).collect();
    taps::report_data(run, &format!("sched.{name}"), vec![table.len()], TensorData::F32(table))?;
    let times = scheduler.timesteps();
    taps::report_data(run, "sched.timesteps", vec![times.len()], timesteps(times, times))?;
    let Some(tables) = prompts.transformer.rope_tables(run.latents.shape) else { return Ok(()) };
    let shape = vec![2 * tables.cos.len() / tables.head_dim, tables.head_dim];
    for (name, table) in [("dit.rope_cos", tables.cos), ("dit.rope_sin", tables.sin)] {
        // The reference holds every angle twice, once for each channel of its pair.
        let twice = table.iter().flat_map(|v| [*v, *v]).collect();
        taps::report_data(run, name, shape.clone(), TensorData::F32(twice))?;
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

#[expect(clippy::cast_possible_truncation, reason = "device arithmetic is f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_possible_truncation, reason = "timesteps are at most 1000")]
fn whole(value: f64) -> i64 {
    value as i64
}
