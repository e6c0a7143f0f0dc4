//! What a run would do, without doing it: the plans of its stages.
use super::{
    EngineError, GenerationSettings, VideoPipeline,
    decode_plan::{DecodePlan, Decoding},
    denoise::{StepStates, is_stochastic, step_graph},
    encode_picture::condition_state,
    encode_text::{Prompts, evaluations},
    latents::LatentVideo,
};
use crate::{
    diffusion::{GuidanceSettings, SchedulerKind},
    executor::Executor,
    graph::{Graph, State},
    models::t5::T5Encoder,
    nn::ConvMemory,
    plan::{Plan, PlanTarget},
    tensor::{DType, TensorDesc},
};

/// The plan of one stage.
#[derive(Debug, Clone)]
pub struct StagePlan {
    /// What it is for.
    pub stage: &'static str,
    /// How often it runs.
    pub runs: usize,
    /// The plan.
    pub plan: Plan,
}

impl VideoPipeline {
    /// The plans of a run with prompts of full length, in order.
    ///
    /// # Errors
    /// If the settings do not fit the model, the model is damaged, or a stage does not fit the device.
    pub fn plans(&self, settings: &GenerationSettings) -> Result<Vec<StagePlan>, EngineError> {
        let video = LatentVideo::new(settings, self.model.latent_sizes())?;
        let target = self.plan_target();
        let mut plans = Vec::new();
        let mut add = |stage, runs, graph: &Graph| -> Result<(), EngineError> {
            plans.push(StagePlan { stage, runs, plan: Plan::new(graph, &target)? });
            Ok(())
        };
        let prompts = if GuidanceSettings::new(settings.guidance_scale)?.enabled() { 2 } else { 1 };

        let encoder = T5Encoder::load(&self.text_checkpoint, &self.text_config)?;
        add("encode a prompt", prompts, &encoder.graph(self.prompt_length(), false)?)?;
        drop(encoder);

        if let Some(encoder) = self.model.load_picture_encoder()? {
            let memory = ConvMemory::new(self.precision);
            let graph = encoder.graph(settings.height, settings.width, &memory)?;
            add("encode the picture", 1, &graph)?;
        }

        let transformer = self.model.load_transformer()?;
        let evaluations = evaluations(transformer.as_ref(), settings, video.shape, prompts);
        let mut contexts = Vec::with_capacity(evaluations.len());
        for passes in &evaluations {
            let (graph, context) =
                transformer.context_graph(self.prompt_length(), *passes, self.precision, false)?;
            if contexts.is_empty() {
                let stage = if *passes == 1 { "prepare a prompt" } else { "prepare the prompts" };
                add(stage, evaluations.len(), &graph)?;
            }
            contexts.push(context);
        }
        let steps = settings.num_inference_steps;
        let scheduler =
            SchedulerKind::build(&self.scheduler_config, settings.scheduler, steps, settings.flow_shift)?;
        let shape = [&[scheduler.state_rows()][..], &video.shape].concat();
        let latents = State::new("latents", TensorDesc::new(&shape, DType::F32));
        let condition = condition_state(self.model.as_ref(), &video);
        let states = StepStates {
            latents: &latents,
            condition: condition.as_ref(),
            is_stochastic: is_stochastic(scheduler.as_ref()),
        };
        let prompts = Prompts { transformer, contexts };
        add("denoise a step", steps, &step_graph(&prompts, &states, false, self.precision)?)?;
        drop(prompts);

        let decoder = self.model.load_decoder()?;
        let decoding =
            Decoding { decoder: decoder.as_ref(), video: &video, precision: self.precision, target: &target };
        let DecodePlan { tiling, plans: decoding, .. } = decoding.plan(settings.memory)?;
        for (chunk, plan, runs) in decoding {
            let stage = match (chunk.first, tiling.is_some()) {
                (true, false) => "decode the first frames",
                (false, false) => "decode a chunk",
                (true, true) => "decode a tile's first frames",
                (false, true) => "decode a tile's chunk",
            };
            plans.push(StagePlan { stage, runs, plan });
        }
        Ok(plans)
    }

    /// What graphs are planned for.
    pub(super) fn plan_target(&self) -> PlanTarget {
        match &self.executor {
            Executor::Cpu(_) => PlanTarget::Cpu,
            Executor::Gpu(gpu) => PlanTarget::Gpu(gpu.gpu().target().clone()),
        }
    }
}
