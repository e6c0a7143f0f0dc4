//! The stages of a video as graphs with all that a run of them needs, for measuring them one by one.
use super::{
    EngineError, GenerationSettings,
    decode_plan::{CHUNK_BUDGET, kinds},
    denoise::{StepStates, step_graph},
    encode_picture::condition_state,
    encode_text::{Prompts, evaluations},
    family::open_model,
    latents::LatentVideo,
};
use crate::{
    diffusion::GuidanceSettings,
    graph::{Graph, Origin, State},
    models::{DecoderOutput, VideoModel},
    nn::{ConvMemory, Precision},
    run::RunInput,
    tensor::{DType, TensorDesc},
};
use model_loader::{ModelFolder, WeightSource};

/// A model whose stages are built without a text encoder, a tokenizer and, with random weights, without weights.
#[derive(Debug)]
pub struct ModelStages {
    model: Box<dyn VideoModel>,
    precision: Precision,
}

/// One stage of a video.
#[derive(Debug)]
pub struct Stage {
    /// What it does.
    pub name: &'static str,
    /// How often a video runs it.
    pub runs: usize,
    /// What is computed.
    pub graph: Graph,
    /// Values of the graph's inputs.
    pub inputs: Vec<(&'static str, StageInput)>,
    /// What states hold before the first run.
    pub states: Vec<(State, Vec<f32>)>,
}

/// Values of one input of a stage.
#[derive(Debug, Clone)]
pub enum StageInput {
    /// Floats.
    F32(Vec<f32>),
    /// Integers.
    U32(Vec<u32>),
}

impl StageInput {
    /// As the input of a run.
    pub fn named<'a>(&'a self, name: &'a str) -> RunInput<'a> {
        match self {
            Self::F32(values) => RunInput::f32(name, values),
            Self::U32(values) => RunInput::u32(name, values),
        }
    }
}

impl ModelStages {
    /// Opens a folder, of which only the configs are read if the weights are random.
    ///
    /// # Errors
    /// If a config is damaged or asks for what there is not.
    pub fn open(
        folder: &ModelFolder,
        weights: WeightSource,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        Ok(Self { model: open_model(folder, weights)?, precision })
    }

    /// The preparation of the prompts, a denoising step, and a chunk of each kind that the decoder runs, to be run in this
    /// order.
    ///
    /// # Errors
    /// If the settings do not fit the model.
    pub fn stages(&self, settings: &GenerationSettings) -> Result<Vec<Stage>, EngineError> {
        let video = LatentVideo::new(settings, self.model.latent_sizes())?;
        let shape = [&[1][..], &video.shape].concat();
        let latents = State::new("latents", TensorDesc::new(&shape, DType::F32));
        let noise = settings.noise.tensor(settings.seed, &video.shape);
        let mut stages = self.step(settings, &video, &latents)?;
        stages.extend(self.decoder(&video, &latents)?);
        for stage in &mut stages {
            // A step with random weights leaves random numbers, which may not be finite.
            stage.states.push((latents.clone(), noise.clone()));
        }
        Ok(stages)
    }

    fn step(
        &self,
        settings: &GenerationSettings,
        video: &LatentVideo,
        latents: &State,
    ) -> Result<Vec<Stage>, EngineError> {
        let guidance = GuidanceSettings::new(settings.guidance_scale)?;
        let transformer = self.model.load_transformer()?;
        let length = self.model.prompt_style().length;
        let (mut stages, mut contexts) = (Vec::new(), Vec::new());
        for passes in evaluations(transformer.as_ref(), settings, video.shape, guidance.passes()) {
            let (graph, context) = transformer.context_graph(length, passes, self.precision, false)?;
            let embeds = StageInput::F32(vec![0.1; input_elements(&graph, "embeds")]);
            let name = if passes == 1 { "prepare a prompt" } else { "prepare the prompts" };
            stages.push(Stage { name, runs: 1, graph, inputs: vec![("embeds", embeds)], states: Vec::new() });
            contexts.push(context);
        }
        let prompts = Prompts { transformer, contexts };
        let condition = condition_state(self.model.as_ref(), video);
        let states = StepStates { latents, condition: condition.as_ref(), is_stochastic: false };
        let graph = step_graph(&prompts, &states, false, self.precision)?;
        // Guidance scale, the old latents, and a little of the model's output: a step of Euler's method.
        let coefficients = StageInput::F32(vec![guidance.scale(), 1.0, -1e-3]);
        let inputs = vec![("timestep", StageInput::F32(vec![500.0])), ("coefficients", coefficients)];
        let runs = settings.num_inference_steps;
        stages.push(Stage { name: "denoise a step", runs, graph, inputs, states: Vec::new() });
        Ok(stages)
    }

    fn decoder(&self, video: &LatentVideo, latents: &State) -> Result<Vec<Stage>, EngineError> {
        let decoder = self.model.load_decoder()?;
        let [_, _, height, width] = video.shape;
        let memory = ConvMemory::new(self.precision);
        let chunks = decoder.chunks(video.decoded(), height, width, CHUNK_BUDGET);
        let kinds = kinds(&chunks).into_iter();
        let stages = kinds.map(|(chunk, runs)| {
            let graph = decoder.graph(latents, chunk, &memory, DecoderOutput::Frames, false)?;
            let name = if chunk.first { "decode the first frames" } else { "decode a chunk" };
            let inputs = vec![("frame", StageInput::U32(vec![0]))];
            Ok(Stage { name, runs, graph, inputs, states: Vec::new() })
        });
        stages.collect()
    }
}

/// Elements of the input `name`.
fn input_elements(graph: &Graph, name: &str) -> usize {
    let input = graph.tensors().iter().find(|t| matches!(&t.origin, Origin::Input(n) if n == name));
    input.map_or(0, |tensor| tensor.desc.elements())
}
