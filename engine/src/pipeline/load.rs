//! Opening a model, and running it from prompt to frames.
use super::{
    DeviceChoice, EngineError, Event, GenerationSettings, Observer, PlannedMemory, Report, StageTime,
    device::open_executor, encode_picture, family::open_model, latents::LatentVideo, observer::report,
};
use crate::{
    diffusion::{GuidanceSettings, NoiseStream, SchedulerKind},
    executor::{Executor, Program},
    gpu::GpuOptions,
    graph::{Graph, State},
    models::VideoModel,
    nn::Precision,
    plan::Plan,
    run::{Cancel, RunInput, Timing},
    stopwatch::Stopwatch,
    tensor::{DType, TensorDesc},
    tuner::TuningEvent,
};
use model_loader::{
    Checkpoint, ModelFolder, Tokenizer, WeightSource,
    config::{SchedulerConfig, T5Config},
};

/// How a pipeline is opened.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// What to run on.
    pub device: DeviceChoice,
    /// How activations are stored.
    pub precision: Precision,
    /// How a GPU is used.
    pub gpu: GpuOptions,
    /// Ends a run between two submissions, from another thread.
    pub cancel: Cancel,
}

/// A model on a device.
#[derive(Debug)]
pub struct VideoPipeline {
    pub(super) executor: Executor,
    pub(super) precision: Precision,
    pub(super) cancel: Cancel,
    pub(super) tokenizer: Tokenizer,
    pub(super) text_config: T5Config,
    pub(super) text_checkpoint: Checkpoint,
    pub(super) model: Box<dyn VideoModel>,
    pub(super) scheduler_config: SchedulerConfig,
    device_name: String,
}

/// What one run carries along.
pub(super) struct Run<'a> {
    pub(super) settings: &'a GenerationSettings,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) latents: LatentVideo,
    pub(super) guidance: GuidanceSettings,
    /// Drawn from in the order of the reference: the picture's noise, the first latents, the steps.
    pub(super) noise: NoiseStream,
    pub(super) planned: PlannedMemory,
    pub(super) stages: Vec<StageTime>,
}

impl Run<'_> {
    pub(super) fn report(&mut self, event: Event<'_>) -> Result<(), EngineError> {
        report(self.observer, event)
    }

    pub(super) fn finish_stage(&mut self, name: &'static str, clock: Stopwatch) {
        self.stages.push(StageTime { name, duration: clock.elapsed() });
    }
}

impl VideoPipeline {
    /// Opens a folder: reads configs and headers, maps the weights, opens the device.
    ///
    /// # Errors
    /// If the model is damaged or of an unknown kind, or there is no such device.
    pub async fn load(folder: &ModelFolder, options: LoadOptions) -> Result<Self, EngineError> {
        let model = open_model(folder, WeightSource::Stored)?;
        let text_config = T5Config::load(folder, "text_encoder")?;
        model.check(text_config.d_model).map_err(EngineError::Mismatch)?;
        let scheduler_config = SchedulerConfig::load(folder, "scheduler")?;
        let tokenizer = Tokenizer::open(folder)?;
        let (executor, device_name) = open_executor(options.device, options.precision, options.gpu).await?;
        Ok(Self {
            executor,
            precision: options.precision,
            cancel: options.cancel,
            tokenizer,
            text_config,
            text_checkpoint: Checkpoint::open(folder, "text_encoder")?,
            model,
            scheduler_config,
            device_name,
        })
    }

    /// The device's name.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// How activations are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The noise scheduler of the model's folder.
    pub fn scheduler_kind(&self) -> SchedulerKind {
        SchedulerKind::of(&self.scheduler_config)
    }

    /// Makes a video: encodes the prompt, denoises, decodes; frames come as events, in order.
    ///
    /// # Errors
    /// If the settings do not fit the model, the device fails, or the observer or [`Cancel`] ends the run.
    pub async fn generate(
        &mut self,
        settings: &GenerationSettings,
        observer: &mut dyn Observer,
    ) -> Result<Report, EngineError> {
        encode_picture::check(settings, self.model.as_ref())?;
        let latents = LatentVideo::new(settings, self.model.latent_sizes())?;
        let guidance = GuidanceSettings::new(settings.guidance_scale)?.dynamic(settings.dynamic_guidance);
        let scheduler = SchedulerKind::build(
            &self.scheduler_config,
            settings.scheduler,
            settings.num_inference_steps,
            settings.flow_shift,
        )?;
        let noise = settings.noise.stream(settings.seed);
        let planned = PlannedMemory::default();
        let stages = Vec::new();
        let mut run = Run { settings, observer, latents, guidance, noise, planned, stages };

        let prompts = self.encode_prompts(&mut run).await?;
        let condition = self.encode_picture(&mut run).await?;
        let latents = self.denoise(&mut run, scheduler.as_ref(), prompts, condition).await?;
        self.decode(&mut run, &latents).await?;
        Ok(Report { stages: run.stages, planned: run.planned })
    }

    /// Makes a graph ready and notes what it needs.
    ///
    /// # Errors
    /// If that is more than the settings allow.
    pub(super) async fn prepare(
        &mut self,
        run: &mut Run<'_>,
        stage: &'static str,
        graph: Graph,
    ) -> Result<Program, EngineError> {
        if let Some(budget) = run.settings.memory {
            let plan = Plan::new(&graph, &self.plan_target())?;
            let needed = plan.weight_bytes + plan.working_bytes();
            if needed > budget {
                return Err(EngineError::Memory { stage, needed, budget });
            }
        }
        let mut observer = |event: TuningEvent<'_>| {
            run.observer.event(match event {
                TuningEvent::Notice(text) => Event::Notice(text),
                TuningEvent::Progress { done, total } => Event::Tuning { done, total },
            })
        };
        self.executor.tune(&graph, &mut observer).await?;
        let program = self.executor.compile(graph).await?;
        let plan = program.plan();
        run.planned.include(plan.weight_bytes, plan.working_bytes());
        Ok(program)
    }

    /// Runs a program once and reports its timings if they are wanted.
    pub(super) async fn execute(
        &mut self,
        run: &mut Run<'_>,
        program: &mut Program,
        inputs: &[RunInput<'_>],
    ) -> Result<(), EngineError> {
        if !run.settings.trace {
            return Ok(self.executor.run(program, inputs, &self.cancel, None).await?);
        }
        let mut timings: Vec<Timing> = Vec::new();
        self.executor.run(program, inputs, &self.cancel, Some(&mut timings)).await?;
        for timing in &timings {
            run.report(Event::Timing(timing))?;
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
        self.executor.write_state(&state, values).await?;
        Ok(state)
    }
}
