//! What a run would do, without doing it: the graphs of its stages, planned or measured by others.
use super::{
    EngineError, JobOptions, Settings, VideoPipeline,
    decode_plan::{ChunkPlans, DecodePlan, Decoding},
    denoise::{is_stochastic, segments},
    encode_picture::condition_state,
    encode_text::evaluations,
    latents::LatentVideo,
    step_graph::{StepGraph, StepStates},
};
use crate::{
    diffusion::{GuidanceSettings, SchedulerKind},
    graph::{Graph, State},
    models::ContextInputs,
    nn::ConvMemory,
    plan::{Plan, PlanTarget},
    tensor::{DType, TensorDesc},
};

/// One stage of a run.
#[derive(Debug)]
pub struct Stage {
    /// What it is for.
    pub name: &'static str,
    /// How often it runs.
    pub runs: usize,
    /// What it computes.
    pub graph: Graph,
    /// In which order and in which buffers.
    pub plan: Plan,
}

/// What stages are built for.
struct Builder<'a> {
    pipeline: &'a mut VideoPipeline,
    settings: &'a Settings,
    options: JobOptions,
    video: LatentVideo,
    target: PlanTarget,
    stages: Vec<Stage>,
}

impl VideoPipeline {
    /// The stages of a run with prompts of full length, in order. Without text encoders theirs are left out.
    ///
    /// # Errors
    /// If the settings do not fit the model, the model is damaged, or a stage does not fit the device.
    pub fn stages(&mut self, settings: &Settings, options: JobOptions) -> Result<Vec<Stage>, EngineError> {
        let video = LatentVideo::new(settings, self.model.family.latent_sizes())?;
        let target = self.plan_target();
        let mut builder = Builder { pipeline: self, settings, options, video, target, stages: Vec::new() };
        let prompts = GuidanceSettings::new(settings.guidance_scale)?.passes();
        builder.texts(prompts)?;
        builder.picture()?;
        let latents = builder.steps(prompts)?;
        builder.decoding(&latents)?;
        let stages = builder.stages;
        self.networks.done();
        Ok(stages)
    }
}

impl Builder<'_> {
    fn add(&mut self, name: &'static str, runs: usize, graph: Graph) -> Result<(), EngineError> {
        let plan = match self.budget() {
            Some(budget) => Plan::within(&graph, &self.target, budget)?,
            None => Plan::new(&graph, &self.target)?,
        };
        self.stages.push(Stage { name, runs, graph, plan });
        Ok(())
    }

    fn budget(&self) -> Option<u64> {
        self.options.memory.or(self.pipeline.usable_bytes)
    }

    fn texts(&mut self, prompts: usize) -> Result<(), EngineError> {
        for index in 0..self.pipeline.model.encoders.len() {
            let encoder = self.pipeline.networks.encoder(&self.pipeline.model, index)?;
            let rows = self.pipeline.model.encoders[index].length();
            self.add("encode a prompt", prompts, encoder.graph(rows, false)?)?;
        }
        Ok(())
    }

    fn picture(&mut self) -> Result<(), EngineError> {
        if let Some(encoder) = self.pipeline.networks.picture_encoder(&self.pipeline.model)? {
            let memory = ConvMemory::new(self.pipeline.precision());
            let graph = encoder.graph(self.settings.height, self.settings.width, &memory)?;
            self.add("encode the picture", 1, graph)?;
        }
        Ok(())
    }

    /// What each expert makes of the prompts, and its steps; returns the latents.
    fn steps(&mut self, prompts: usize) -> Result<State, EngineError> {
        let settings = self.settings;
        let steps = settings.num_inference_steps;
        let scheduler = SchedulerKind::build(
            &self.pipeline.model.scheduler,
            settings.scheduler,
            steps,
            settings.flow_shift,
        )?;
        let shape = [&[scheduler.state_rows()][..], &self.video.shape].concat();
        let latents = State::new("latents", TensorDesc::new(&shape, DType::F32));
        let family = self.pipeline.model.family.as_ref();
        let condition = condition_state(family, &self.video);
        let experts = segments(&family.experts(), scheduler.timesteps());
        let is_stochastic = is_stochastic(scheduler.as_ref());
        let states = StepStates { latents: &latents, condition: condition.as_ref(), is_stochastic };
        let (rows, precision) = (self.pipeline.model.prompt_rows(), self.pipeline.precision());
        for (expert, steps) in experts {
            let transformer = self.pipeline.networks.transformer(&self.pipeline.model, expert)?;
            let alone = self.options.alone();
            let evaluations = evaluations(transformer.as_ref(), alone, self.video.shape, prompts);
            let mut contexts = Vec::with_capacity(evaluations.len());
            for passes in &evaluations {
                let inputs = ContextInputs { passes: *passes, ..ContextInputs::new(&rows, precision) };
                let (graph, context) = transformer.context_graph(&inputs)?;
                if contexts.is_empty() {
                    let name = if *passes == 1 { "prepare a prompt" } else { "prepare the prompts" };
                    self.add(name, evaluations.len(), graph)?;
                }
                contexts.push(context);
            }
            let step = StepGraph {
                transformer: transformer.as_ref(),
                contexts: &contexts,
                states: &states,
                taps: false,
                precision,
            };
            let (graph, plan) = step.within(&self.target, self.budget())?;
            self.stages.push(Stage { name: "denoise a step", runs: steps.len(), graph, plan });
        }
        Ok(latents)
    }

    fn decoding(&mut self, latents: &State) -> Result<(), EngineError> {
        let decoder = self.pipeline.networks.decoder(&self.pipeline.model, self.options.decoder)?;
        let decoding = Decoding {
            decoder: decoder.as_ref(),
            video: &self.video,
            latents,
            precision: self.pipeline.precision(),
            target: &self.target,
            taps: false,
        };
        let [.., height, width] = self.video.shape;
        let (names, tiles, plans) =
            match decoding.plan_within(self.options.memory, self.pipeline.usable_bytes)? {
                DecodePlan::Whole(plans) => (["decode the first frames", "decode a chunk"], 1, plans),
                DecodePlan::Tiles { tiling, largest, .. } => {
                    let names = ["decode a tile's first frames", "decode a tile's chunk"];
                    (names, tiling.tiles(height, width).len(), largest)
                }
            };
        let ChunkPlans { runs, .. } = plans;
        self.stages.extend(runs.into_iter().map(|run| Stage {
            name: if run.chunk.first { names[0] } else { names[1] },
            runs: run.times * tiles,
            graph: run.graph,
            plan: run.plan,
        }));
        Ok(())
    }
}
