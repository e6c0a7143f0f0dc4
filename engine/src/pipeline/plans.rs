//! What a run would do, without doing it: the plans of its stages.
use super::{
    EngineError, GenerationSettings, VideoPipeline, decode::CHUNK_BUDGET, denoise::step_graph,
    encode_text::Prompts,
};
use crate::{
    diffusion::{GuidanceSettings, SchedulerKind},
    executor::Executor,
    graph::{Graph, State},
    models::wan::{DecoderChunk, TextEncoder, WanTransformer, WanVaeDecoder},
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
        let shape = settings.latent_shape(&self.transformer_config, &self.vae_config)?;
        let [_, latent_frames, height, width] = shape;
        let target = match &self.executor {
            Executor::Cpu(_) => PlanTarget::Cpu,
            Executor::Gpu(gpu) => PlanTarget::Gpu(gpu.gpu().target().clone()),
        };
        let mut plans = Vec::new();
        let mut add = |stage, runs, graph: &Graph| -> Result<(), EngineError> {
            plans.push(StagePlan { stage, runs, plan: Plan::new(graph, &target)? });
            Ok(())
        };
        let prompts = if GuidanceSettings::new(settings.guidance_scale)?.enabled() { 2 } else { 1 };

        let encoder = TextEncoder::load(&self.text_checkpoint, &self.text_config)?;
        add("encode a prompt", prompts, &encoder.graph(self.prompt_length(), false)?)?;
        drop(encoder);

        let transformer = WanTransformer::load(&self.transformer_checkpoint, &self.transformer_config)?;
        let mut contexts = Vec::with_capacity(prompts);
        for index in 0..prompts {
            let (graph, context) = transformer.context_graph(self.prompt_length(), self.precision, false)?;
            if index == 0 {
                add("prepare a prompt", prompts, &graph)?;
            }
            contexts.push(context);
        }
        let steps = settings.num_inference_steps;
        let scheduler =
            SchedulerKind::build(&self.scheduler_config, settings.scheduler, steps, settings.flow_shift)?;
        let shape = [&[scheduler.state_rows()][..], &shape].concat();
        let latents = State::new("latents", TensorDesc::new(&shape, DType::F32));
        let prompts = Prompts { transformer, contexts };
        add("denoise a step", steps, &step_graph(&prompts, &latents, false, self.precision)?)?;
        drop(prompts);

        let decoder = WanVaeDecoder::load(&self.vae_checkpoint, &self.vae_config)?;
        let memory = decoder.memory(height, width, self.precision);
        let first = DecoderChunk { first: true, latent_frames: 1 };
        add("decode the first frame", 1, &decoder.chunk_graph(&latents, first, &memory, true, false)?)?;
        let remaining = latent_frames - 1;
        if remaining > 0 {
            let latent_frames = decoder.chunk_length(remaining, height, width, CHUNK_BUDGET);
            let chunk = DecoderChunk { first: false, latent_frames };
            let graph = decoder.chunk_graph(&latents, chunk, &memory, true, false)?;
            add("decode a chunk", remaining / latent_frames, &graph)?;
        }
        Ok(plans)
    }
}
