//! One video on an open pipeline.
use super::{
    DecoderKind, EngineError, Event, Observer, PlannedMemory, Report, Settings, Snapshot, StageTime,
    VideoPipeline, decode, denoise, encode_picture, encode_text, latents::LatentVideo, observer::report,
};
use crate::{
    diffusion::{GuidanceSettings, NoiseScheduler, NoiseStream, SchedulerKind},
    error::DeviceError,
    executor::{Executor, Program},
    graph::{Graph, State},
    plan::Plan,
    run::{Cancel, RunInput, Timing},
    stopwatch::Stopwatch,
    tensor::{DType, TensorDesc},
    tuner::TuningEvent,
};
use std::{borrow::Cow, sync::Arc};

/// One video to be made.
pub struct Job<'a> {
    /// What it should be.
    pub settings: &'a Settings,
    /// How it is made.
    pub options: JobOptions,
    /// Who hears of it.
    pub observer: &'a mut dyn Observer,
    /// Ends it between two submissions, from another thread.
    pub cancel: Cancel,
    /// Where to go on, of a job of the same settings that was stopped.
    pub from: Option<Snapshot>,
}

impl<'a> Job<'a> {
    /// A job from its beginning, with everything else at its simplest.
    pub fn new(settings: &'a Settings, observer: &'a mut dyn Observer) -> Self {
        Self { settings, options: JobOptions::default(), observer, cancel: Cancel::default(), from: None }
    }
}

/// How a video is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobOptions {
    /// Bytes that a stage may take on the device, weights included. Frames that would take more are decoded in tiles.
    pub memory: Option<u64>,
    /// What makes frames of the latents at the end.
    pub decoder: DecoderKind,
    /// Whether the tiny decoder shows on the way how the video looks so far, as [`Event::Preview`].
    pub preview: bool,
    /// Whether intermediate tensors are reported as [`Event::Tensor`].
    pub dump: bool,
    /// Whether launches are timed and reported as [`Event::Timing`].
    pub trace: bool,
}

impl JobOptions {
    /// Whether guidance passes come one after the other: where memory is short, and where what an evaluation computes is
    /// reported, which is that of one pass.
    pub(super) fn alone(&self) -> bool {
        self.dump || self.memory.is_some()
    }
}

/// A job that is being worked on, and what its stages hand on. Everything here is on the host, so that a job survives its
/// device.
pub(super) struct Session<'a> {
    pub(super) pipeline: &'a mut VideoPipeline,
    pub(super) settings: &'a Settings,
    pub(super) options: JobOptions,
    observer: &'a mut dyn Observer,
    cancel: Cancel,
    pub(super) latents: LatentVideo,
    pub(super) guidance: GuidanceSettings,
    pub(super) scheduler: Arc<dyn NoiseScheduler>,
    /// Drawn from in the order of the reference: the picture's noise, the first latents, the steps.
    pub(super) noise: NoiseStream,
    /// The encoded prompts, once they are.
    pub(super) prompts: Option<Vec<encode_text::Prompt>>,
    /// What the transformer sees of the picture, once it is encoded.
    pub(super) condition: Option<Vec<f32>>,
    /// The last place to go on from.
    pub(super) snapshot: Option<Snapshot>,
    /// Frames reported so far.
    pub(super) frames_done: usize,
    planned: PlannedMemory,
    stages: Vec<StageTime>,
}

impl<'a> Session<'a> {
    /// Checks a job against its model.
    ///
    /// # Errors
    /// If they do not fit.
    pub(super) fn new(pipeline: &'a mut VideoPipeline, job: Job<'a>) -> Result<Self, EngineError> {
        let Job { settings, options, observer, cancel, from } = job;
        let model = &pipeline.model;
        if model.encoders.is_empty() {
            return Err(EngineError::Internal("a model of configs alone has no text encoder".to_owned()));
        }
        encode_picture::check(settings, model)?;
        let latents = LatentVideo::new(settings, model.family.latent_sizes())?;
        let guidance = GuidanceSettings::new(settings.guidance_scale)?.dynamic(settings.dynamic_guidance);
        let steps = settings.num_inference_steps;
        let scheduler =
            SchedulerKind::build(&model.scheduler, settings.scheduler, steps, settings.flow_shift)?;
        if let Some(snapshot) = &from {
            snapshot.check(latents.elements() * scheduler.state_rows(), steps)?;
        }
        Ok(Self {
            noise: settings.noise.stream(settings.seed),
            scheduler: Arc::from(scheduler),
            snapshot: from,
            prompts: None,
            condition: None,
            frames_done: 0,
            planned: PlannedMemory::default(),
            stages: Vec::new(),
            pipeline,
            settings,
            options,
            observer,
            cancel,
            latents,
            guidance,
        })
    }

    /// Goes through the stages, or through those that are left.
    pub(super) async fn run(&mut self) -> Result<(), EngineError> {
        self.load()?;
        encode_text::encode_prompts(self).await?;
        encode_picture::encode_picture(self).await?;
        self.pipeline.networks.done_encoding();
        let latents = denoise::denoise(self).await?;
        decode::decode(self, &latents).await
    }

    /// Takes all weights, so that those that do not fit are refused before minutes of work.
    fn load(&mut self) -> Result<(), EngineError> {
        let clock = Stopwatch::start();
        let total = self.pipeline.model.bytes();
        self.report(Event::Loading { done: 0, total })?;
        let needs_encoders = self.prompts.is_none() && !encode_text::all_kept(self);
        let VideoPipeline { networks, model, .. } = &mut *self.pipeline;
        if needs_encoders {
            for index in 0..model.encoders.len() {
                networks.encoder(model, index)?;
            }
        }
        networks.check(model, self.options)?;
        self.report(Event::Loading { done: total, total })?;
        self.finish_stage("load", clock);
        Ok(())
    }

    /// Bytes that a stage should keep to: what the job allows, which is a limit, or what the device has, which is tried.
    pub(super) fn budget(&self) -> Option<u64> {
        self.options.memory.or(self.pipeline.usable_bytes)
    }

    /// Goes on after the device ran out of memory, with half of what was planned, from the last snapshot.
    pub(super) async fn run_smaller(&mut self, error: &DeviceError) -> Result<(), EngineError> {
        let half = self.budget().unwrap_or(self.planned.total).min(self.planned.total) / 2;
        let step = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.step);
        let megabytes = half / 1_000_000;
        let notice = format!(
            "{error}; going on from step {step} with {megabytes} MB, weights come when they are needed"
        );
        self.report(Event::Notice(&notice))?;
        self.options.memory = None;
        self.pipeline.usable_bytes = Some(half);
        self.pipeline.networks.done();
        self.run().await
    }

    /// Goes on after the device was lost, from the last snapshot on a newly opened one.
    pub(super) async fn run_again(&mut self, error: &DeviceError) -> Result<(), EngineError> {
        let step = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.step);
        self.report(Event::Notice(&format!("{error}; going on from step {step} on a newly opened one")))?;
        self.pipeline.reopen().await?;
        self.run().await
    }

    /// What is known of the job so far.
    pub(super) fn report_so_far(&mut self) -> Report {
        Report { stages: std::mem::take(&mut self.stages), planned: self.planned }
    }

    /// Reports an event; an observer that breaks ends the job.
    pub(super) fn report(&mut self, event: Event<'_>) -> Result<(), EngineError> {
        report(self.observer, event)
    }

    pub(super) fn finish_stage(&mut self, name: &'static str, clock: Stopwatch) {
        self.stages.push(StageTime { name, duration: clock.elapsed() });
    }

    /// Plans a graph and makes it ready.
    ///
    /// # Errors
    /// If it needs more memory than the job may take, or the device refuses.
    pub(super) async fn prepare(
        &mut self,
        stage: &'static str,
        graph: Graph,
    ) -> Result<Program, EngineError> {
        let executor = &self.pipeline.executor;
        let plan = match self.budget() {
            Some(budget) => executor.plan_within(&graph, budget)?,
            None => executor.plan(&graph)?,
        };
        self.prepare_planned(stage, graph, plan).await
    }

    /// Makes a planned graph ready and notes what it needs.
    ///
    /// # Errors
    /// If that is more than the job may take, or the device refuses.
    pub(super) async fn prepare_planned(
        &mut self,
        stage: &'static str,
        graph: Graph,
        plan: Plan,
    ) -> Result<Program, EngineError> {
        let needed = plan.total_bytes();
        if let Some(budget) = self.options.memory.filter(|budget| needed > *budget) {
            return Err(EngineError::Memory { stage, needed, budget });
        }
        // What the device has is no promise: a plan that needs more is tried.
        if let Some(budget) = self.budget() {
            // What stages before have left there was in nobody's plan.
            if self.pipeline.executor.resident_bytes() + needed > budget {
                self.pipeline.executor.keep_only_weights_of(&graph);
            }
        }
        let Self { observer, pipeline, .. } = self;
        let mut tell = |event: TuningEvent<'_>| {
            observer.event(match event {
                TuningEvent::Notice(text) => Event::Notice(text),
                TuningEvent::Progress { done, total } => Event::Tuning { done, total },
            })
        };
        let plan = pipeline.executor.tune(&graph, plan, &mut tell).await?;
        self.planned.include(&plan);
        let mut tell = |done, total| observer.event(Event::Compiling { done, total });
        Ok(pipeline.executor.compile_observed(graph, plan, &mut tell).await?)
    }

    /// Runs a program once and reports its timings if they are wanted.
    pub(super) async fn execute(
        &mut self,
        program: &mut Program,
        inputs: &[RunInput<'_>],
    ) -> Result<(), EngineError> {
        let executor = &mut self.pipeline.executor;
        if !self.options.trace {
            return Ok(executor.run(program, inputs, &self.cancel, None).await?);
        }
        let mut timings: Vec<Timing> = Vec::new();
        executor.run(program, inputs, &self.cancel, Some(&mut timings)).await?;
        for timing in &timings {
            self.report(Event::Timing(timing))?;
        }
        Ok(())
    }

    /// A state with these values.
    pub(super) async fn state_of(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<State, EngineError> {
        let state = State::new(name, TensorDesc::new(shape, DType::F32));
        self.pipeline.executor.write_state(&state, values).await?;
        Ok(state)
    }
}

/// The values of a named output, after a run.
pub(super) async fn output<'a>(
    executor: &'a Executor,
    program: &'a Program,
    name: &str,
) -> Result<Cow<'a, [f32]>, EngineError> {
    let Some(id) = program.output(name) else {
        return Err(EngineError::Internal(format!("the graph has no output `{name}`")));
    };
    Ok(executor.read(program, id).await?)
}
