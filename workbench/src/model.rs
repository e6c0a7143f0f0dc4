//! A model's stages measured one by one, with its own weights or with random ones.
use crate::{Measured, measure};
use engine::{
    DType, Graph,
    compute::executor::Executor,
    compute::graph::Origin,
    compute::run::RunInput,
    compute::tuner::TuningObserver,
    diffusion::NoiseSource,
    pipeline::{EngineError, JobOptions, LoadOptions, Model, Settings, Stage, VideoPipeline},
};

/// A model on a device, to be measured. With random weights its configs are enough.
#[derive(Debug)]
pub struct ModelBench {
    pipeline: VideoPipeline,
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
    /// Opens a device for a model.
    ///
    /// # Errors
    /// If there is no such device.
    pub async fn open(model: Model, options: LoadOptions) -> Result<Self, EngineError> {
        Ok(Self { pipeline: VideoPipeline::open(model, options).await? })
    }

    /// The device's name.
    pub fn device_name(&self) -> &str {
        self.pipeline.device_name()
    }

    /// The executor, for further measurements on the same device.
    pub fn executor(&mut self) -> &mut Executor {
        self.pipeline.executor()
    }

    /// Measures each stage of a video: it is run once to warm up and then `runs` times.
    ///
    /// # Errors
    /// If the settings do not fit the model, or the device fails.
    pub async fn measure(
        &mut self,
        settings: &Settings,
        runs: usize,
        observer: &mut TuningObserver<'_>,
    ) -> Result<Vec<StageTimes>, EngineError> {
        let mut times = Vec::new();
        for stage in self.pipeline.stages(settings, JobOptions::default())? {
            times.push(self.measure_stage(stage, runs, observer).await?);
        }
        Ok(times)
    }

    async fn measure_stage(
        &mut self,
        stage: Stage,
        runs: usize,
        observer: &mut TuningObserver<'_>,
    ) -> Result<StageTimes, EngineError> {
        let executor = self.pipeline.executor();
        let plan = executor.tune(&stage.graph, stage.plan, observer).await?;
        let values = inputs(&stage.graph);
        let mut program = executor.compile(stage.graph, plan).await?;
        fill_states(executor, program.graph()).await?;
        let inputs: Vec<RunInput<'_>> = values.iter().map(|(name, values)| values.named(name)).collect();
        let measured = measure(executor, &mut program, &inputs, runs).await?;
        let plan = program.plan();
        Ok(StageTimes {
            stage: stage.name,
            runs: stage.runs,
            measured,
            weight_bytes: plan.weight_bytes,
            working_bytes: plan.working_bytes(),
        })
    }
}

/// Values of one input.
enum Values {
    F32(Vec<f32>),
    U32(Vec<u32>),
}

impl Values {
    fn named<'a>(&'a self, name: &'a str) -> RunInput<'a> {
        match self {
            Self::F32(values) => RunInput::f32(name, values),
            Self::U32(values) => RunInput::u32(name, values),
        }
    }
}

/// Values for every input of a graph: a timestep from the middle of a schedule, small numbers, the first frame.
fn inputs(graph: &Graph) -> Vec<(String, Values)> {
    let mut inputs = Vec::new();
    for tensor in graph.tensors() {
        if let Origin::Input(name) = &tensor.origin {
            let elements = tensor.desc.elements();
            let value = if name == "timestep" { 500.0 } else { 0.1 };
            inputs.push(match tensor.desc.dtype {
                DType::U32 => (name.clone(), Values::U32(vec![0; elements])),
                _ => (name.clone(), Values::F32(vec![value; elements])),
            });
        }
    }
    inputs
}

/// Noise for every state: a stage with random weights may leave numbers that are not finite.
async fn fill_states(executor: &mut Executor, graph: &Graph) -> Result<(), EngineError> {
    for tensor in graph.tensors() {
        if let Origin::State(state) = &tensor.origin {
            let noise = NoiseSource::default().tensor(0, &state.desc().shape);
            executor.write_state(state, &noise).await?;
        }
    }
    Ok(())
}
