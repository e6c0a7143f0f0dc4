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
    ) -> Result<State, EngineError> {
        let clock = Stopwatch::start();
        let noise = match &run.settings.initial_latents {
            Some(latents) => latents.clone(),
            None => run.settings.noise.tensor(run.settings.seed, &run.latents.outer_shape()),
        };
        let noise = run.latents.inward(noise);
        let shape = [&[scheduler.state_rows()][..], &run.latents.shape].concat();
        let latents = self.state_of("latents", &shape, &noise).await?;
        let graph = step_graph(&prompts, &latents, run.settings.dump, self.precision)?;
        let mut program = self.prepare(run, graph).await?;
        if run.settings.dump {
            report_schedule(run, scheduler, &prompts, noise)?;
        }
        let steps = scheduler.steps();
        run.report(Event::Step { done: 0, total: steps })?;
        for step in 0..steps {
            let coefficients = coefficients(run.guidance.scale(), &scheduler.update(step));
            let timestep = [narrow(scheduler.timesteps()[step])];
            let inputs = [RunInput::f32("timestep", &timestep), RunInput::f32("coefficients", &coefficients)];
            self.execute(run, &mut program, &inputs).await?;
            if (step + 1) % FINITE_CHECK_EVERY == 0 || step + 1 == steps || run.settings.dump {
                let transformer = prompts.transformer.as_ref();
                self.check_and_dump(run, &program, &latents, step, scheduler, transformer).await?;
            }
            run.report(Event::Step { done: step + 1, total: steps })?;
        }
        for state in prompts.contexts.iter().flat_map(TextContext::states) {
            self.executor.drop_state(state);
        }
        drop((program, prompts));
        self.executor.release_unused();
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
        if let (Some(cond), uncond) = (velocity("cond"), velocity("uncond")) {
            let guided = match uncond {
                Some(uncond) => {
                    let pairs = uncond.iter().zip(&cond);
                    pairs.map(|(u, c)| run.guidance.combine(*u, *c)).collect()
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

/// One denoising step: velocities of both prompts, guidance and the scheduler's update.
pub(super) fn step_graph(
    prompts: &Prompts,
    latents: &State,
    taps: bool,
    precision: crate::nn::Precision,
) -> Result<Graph, EngineError> {
    let mut graph = Graph::with_taps(taps);
    let rows = latents.desc().shape[0];
    let state = graph.state(latents);
    let timestep = graph.input("timestep", &[1], DType::F32);
    let coefficients = graph.input("coefficients", &[1 + rows * rows + rows], DType::F32);
    let contexts: Vec<&TextContext> = prompts.contexts.iter().collect();
    let velocities = prompts.transformer.forward(&mut graph, state, timestep, &contexts, precision)?;
    for (name, velocity) in ["cond", "uncond"].iter().zip(&velocities) {
        graph.tap(name, *velocity);
    }
    graph.denoise_step(state, velocities[0], velocities.get(1).copied(), coefficients)?;
    Ok(graph)
}

/// Guidance scale, then A row by row, then B.
fn coefficients(guidance: f32, update: &StepUpdate) -> Vec<f32> {
    let matrix = update.state.iter().flatten().chain(&update.output);
    std::iter::once(guidance).chain(matrix.map(|v| narrow(*v))).collect()
}

fn report_schedule(
    run: &mut Run<'_>,
    scheduler: &dyn NoiseScheduler,
    prompts: &Prompts,
    noise: Vec<f32>,
) -> Result<(), EngineError> {
    taps::report_latents(run, "latents.init", noise)?;
    let sigmas: Vec<f32> = scheduler.sigmas().iter().map(|s| narrow(*s)).collect();
    taps::report_data(run, "sched.sigmas", vec![sigmas.len()], TensorData::F32(sigmas))?;
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
