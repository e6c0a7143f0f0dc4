//! A model's stages measured one by one, with its own weights or with random ones.
use super::{
    EngineError, GenerationSettings, LoadOptions,
    decode_plan::{CHUNK_BUDGET, kinds},
    denoise::{StepStates, step_graph},
    device::open_executor,
    encode_picture::condition_state,
    encode_text::{Prompts, evaluations},
    family::open_model,
    latents::LatentVideo,
};
use crate::{
    diffusion::GuidanceSettings,
    executor::Executor,
    graph::{Graph, State},
    models::{DecoderOutput, VideoModel},
    nn::{ConvMemory, Precision},
    run::RunInput,
    tensor::{DType, TensorDesc},
    tuner::TuningObserver,
    workbench::{Measured, measure},
};
use model_loader::{ModelFolder, WeightSource};

/// A model on a device, to be measured. It needs no text encoder, no tokenizer and, with random weights, no weights.
#[derive(Debug)]
pub struct ModelBench {
    executor: Executor,
    model: Box<dyn VideoModel>,
    precision: Precision,
    device_name: String,
}

/// What one stage of a video takes.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTimes {
    /// Which stage.
    pub stage: &'static str,
    /// How often a video of these settings runs it.
    pub runs: usize,
    /// What one run takes.
    pub measured: Measured,
    /// Bytes of its constants.
    pub weight_bytes: u64,
    /// Bytes of its buffers and states.
    pub working_bytes: u64,
}

impl ModelBench {
    /// Opens a folder, of which only the configs are read if the weights are random, and a device.
    ///
    /// # Errors
    /// If a config is damaged or asks for what there is not, or there is no such device.
    pub async fn open(
        folder: &ModelFolder,
        weights: WeightSource,
        options: LoadOptions,
    ) -> Result<Self, EngineError> {
        let model = open_model(folder, weights)?;
        let (executor, device_name) = open_executor(options.device, options.precision, options.gpu).await?;
        Ok(Self { executor, model, precision: options.precision, device_name })
    }

    /// The device's name.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// The executor, for further measurements on the same device.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// Measures one denoising step (with both guidance passes if guidance is on) and one chunk of each kind that the decoder
    /// runs; each is run once to warm up and then `runs` times.
    ///
    /// # Errors
    /// If the settings do not fit the model, or the device fails.
    pub async fn measure(
        &mut self,
        settings: &GenerationSettings,
        runs: usize,
        observer: &mut TuningObserver<'_>,
    ) -> Result<Vec<StageTimes>, EngineError> {
        let video = LatentVideo::new(settings, self.model.latent_sizes())?;
        let shape = [&[1][..], &video.shape].concat();
        let latents = State::new("latents", TensorDesc::new(&shape, DType::F32));
        let noise = settings.noise.tensor(settings.seed, &video.shape);
        self.executor.write_state(&latents, &noise).await?;
        let step = self.measure_step(settings, &video, &latents, runs, observer).await?;
        // A step with random weights leaves random numbers, which may not be finite.
        self.executor.write_state(&latents, &noise).await?;
        let mut stages = vec![step];
        self.measure_decoder(&video, &latents, runs, &mut stages, observer).await?;
        self.executor.drop_state(&latents);
        Ok(stages)
    }

    async fn measure_step(
        &mut self,
        settings: &GenerationSettings,
        video: &LatentVideo,
        latents: &State,
        runs: usize,
        observer: &mut TuningObserver<'_>,
    ) -> Result<StageTimes, EngineError> {
        let guidance = GuidanceSettings::new(settings.guidance_scale)?;
        let transformer = self.model.load_transformer()?;
        let length = self.model.prompt_style().length;
        let mut contexts = Vec::with_capacity(guidance.passes());
        for passes in evaluations(transformer.as_ref(), settings, video.shape, guidance.passes()) {
            let (graph, context) = transformer.context_graph(length, passes, self.precision, false)?;
            let width = input_elements(&graph, "embeds");
            let mut program = self.executor.compile(graph).await?;
            let embeds = vec![0.1; width];
            let inputs = [RunInput::f32("embeds", &embeds)];
            self.executor.run(&mut program, &inputs, &crate::run::Cancel::default(), None).await?;
            contexts.push(context);
        }
        let prompts = Prompts { transformer, contexts };
        let condition = condition_state(self.model.as_ref(), video);
        let states = StepStates { latents, condition: condition.as_ref(), is_stochastic: false };
        let graph = step_graph(&prompts, &states, false, self.precision)?;
        // Guidance scale, the old latents, and a little of the model's output: a step of Euler's method.
        let coefficients = [guidance.scale(), 1.0, -1e-3];
        let timestep = [500.0];
        let inputs = [RunInput::f32("timestep", &timestep), RunInput::f32("coefficients", &coefficients)];
        let step = self.measure_graph(graph, &inputs, runs, observer).await?;
        for state in prompts.contexts.iter().flat_map(|context| context.states()).chain(&condition) {
            self.executor.drop_state(state);
        }
        drop(prompts);
        self.executor.release_unused();
        Ok(StageTimes { stage: "denoise a step", runs: settings.num_inference_steps, ..step })
    }

    async fn measure_decoder(
        &mut self,
        video: &LatentVideo,
        latents: &State,
        runs: usize,
        stages: &mut Vec<StageTimes>,
        observer: &mut TuningObserver<'_>,
    ) -> Result<(), EngineError> {
        let decoder = self.model.load_decoder()?;
        let [_, _, height, width] = video.shape;
        let memory = ConvMemory::new(self.precision);
        let chunks = decoder.chunks(video.decoded(), height, width, CHUNK_BUDGET);
        for (chunk, count) in kinds(&chunks) {
            let graph = decoder.graph(latents, chunk, &memory, DecoderOutput::Frames, false)?;
            let frame = [0];
            let times = self.measure_graph(graph, &[RunInput::u32("frame", &frame)], runs, observer).await?;
            let stage = if chunk.first { "decode the first frames" } else { "decode a chunk" };
            stages.push(StageTimes { stage, runs: count, ..times });
        }
        for state in memory.states() {
            self.executor.drop_state(&state);
        }
        Ok(())
    }

    async fn measure_graph(
        &mut self,
        graph: Graph,
        inputs: &[RunInput<'_>],
        runs: usize,
        observer: &mut TuningObserver<'_>,
    ) -> Result<StageTimes, EngineError> {
        self.executor.tune(&graph, observer).await?;
        let mut program = self.executor.compile(graph).await?;
        let measured = measure(&mut self.executor, &mut program, inputs, runs).await?;
        let plan = program.plan();
        let (weight_bytes, working_bytes) = (plan.weight_bytes, plan.working_bytes());
        Ok(StageTimes { stage: "", runs: 0, measured, weight_bytes, working_bytes })
    }
}

/// Elements of the input `name`.
fn input_elements(graph: &Graph, name: &str) -> usize {
    let input =
        graph.tensors().iter().find(|t| matches!(&t.source, crate::graph::Source::Input(n) if n == name));
    input.map_or(0, |tensor| tensor.desc.elements())
}
