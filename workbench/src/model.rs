//! A model's stages measured one by one, with its own weights or with random ones.
use crate::{Measured, measure};
use engine::{
    executor::Executor,
    pipeline::{EngineError, GenerationSettings, LoadOptions, ModelStages, Stage, open_executor},
    tuner::TuningObserver,
};
use model_loader::{ModelFolder, WeightSource};

/// A model on a device, to be measured. It needs no text encoder, no tokenizer and, with random weights, no weights.
#[derive(Debug)]
pub struct ModelBench {
    executor: Executor,
    stages: ModelStages,
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
        let stages = ModelStages::open(folder, weights, options.precision)?;
        let (executor, device_name) = open_executor(options.device, options.precision, options.gpu).await?;
        Ok(Self { executor, stages, device_name })
    }

    /// The device's name.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// The executor, for further measurements on the same device.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// Measures the prompts' preparation, one denoising step (with both guidance passes if guidance is on) and one chunk of
    /// each kind that the decoder runs; each is run once to warm up and then `runs` times.
    ///
    /// # Errors
    /// If the settings do not fit the model, or the device fails.
    pub async fn measure(
        &mut self,
        settings: &GenerationSettings,
        runs: usize,
        observer: &mut TuningObserver<'_>,
    ) -> Result<Vec<StageTimes>, EngineError> {
        let mut times = Vec::new();
        for stage in self.stages.stages(settings)? {
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
        for (state, values) in &stage.states {
            self.executor.write_state(state, values).await?;
        }
        self.executor.tune(&stage.graph, observer).await?;
        let mut program = self.executor.compile(stage.graph).await?;
        let inputs: Vec<_> = stage.inputs.iter().map(|(name, values)| values.named(name)).collect();
        let measured = measure(&mut self.executor, &mut program, &inputs, runs).await?;
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
