//! A model on a device, open for one job after the other.
use super::{
    DeviceChoice, EngineError, Job, Model, Notice, Report, Request, Settings, TextCache, WeightPolicy,
    device::open_executor, session::Session, weights::Networks,
};
use crate::{
    error::DeviceError,
    executor::{CpuExecutor, Executor},
    gpu::GpuOptions,
    nn::Precision,
    plan::PlanTarget,
};
use model_loader::ModelFolder;

/// How a pipeline is opened.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// What to run on.
    pub device: DeviceChoice,
    /// How activations are stored or multiplied; none to choose what suits the device and the model: bf16 on a CPU that
    /// multiplies it faster than f32, if the model's weights are of 16 bits, else f32.
    pub precision: Option<Precision>,
    /// How a GPU is used.
    pub gpu: GpuOptions,
    /// How long weights stay on the device.
    pub weights: WeightPolicy,
    /// Where encoded prompts are kept between runs; none to encode each anew.
    pub texts: Option<TextCache>,
}

impl Default for LoadOptions {
    /// On what there is, in f32, weights dropped after each stage.
    fn default() -> Self {
        Self {
            device: DeviceChoice::default(),
            precision: Some(Precision::F32),
            gpu: GpuOptions::default(),
            weights: WeightPolicy::default(),
            texts: None,
        }
    }
}

/// A model on a device.
#[derive(Debug)]
pub struct VideoPipeline {
    pub(super) model: Model,
    pub(super) executor: Executor,
    pub(super) networks: Networks,
    pub(super) options: LoadOptions,
    precision: Precision,
    device_name: String,
    device_is_lost: bool,
    /// Bytes that a stage may take on the device, where that is known.
    pub(super) usable_bytes: Option<u64>,
}

impl VideoPipeline {
    /// Opens a folder: reads configs and headers, maps the weights, opens the device.
    ///
    /// # Errors
    /// If the model is damaged or of an unknown kind, or there is no such device.
    pub async fn load(folder: &ModelFolder, options: LoadOptions) -> Result<Self, EngineError> {
        Self::open(Model::open(folder)?, options).await
    }

    /// Opens the device for a model.
    ///
    /// # Errors
    /// If there is no such device.
    pub async fn open(model: Model, options: LoadOptions) -> Result<Self, EngineError> {
        let (executor, device_name) =
            open_executor(options.device.clone(), options.precision.unwrap_or_default(), options.gpu.clone())
                .await?;
        let precision = options.precision.unwrap_or_else(|| model.precision_on(&executor));
        let networks = Networks::new(options.weights);
        let usable_bytes = executor.usable_bytes();
        Ok(Self {
            model,
            executor,
            networks,
            options,
            precision,
            device_name,
            device_is_lost: false,
            usable_bytes,
        })
    }

    /// A pipeline for its [`VideoPipeline::stages`] alone, in any precision, also one that the CPU, its only device, does not run.
    pub fn without_device(model: Model, precision: Precision) -> Self {
        let options =
            LoadOptions { device: DeviceChoice::Cpu, precision: Some(precision), ..LoadOptions::default() };
        let networks = Networks::new(options.weights);
        let executor = Executor::Cpu(CpuExecutor::default());
        Self {
            model,
            executor,
            networks,
            options,
            precision,
            device_name: "no device".to_owned(),
            device_is_lost: false,
            usable_bytes: None,
        }
    }

    /// Bytes that a stage may take on the device where no job says otherwise; `None` where that is not known.
    pub fn usable_bytes(&self) -> Option<u64> {
        self.usable_bytes
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The device's name.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// How activations are stored or multiplied.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where graphs run, to measure on the same device.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// Bytes of constants and states that are on the device, or packed for the CPU.
    pub fn resident_bytes(&mut self) -> u64 {
        self.executor.resident_bytes()
    }

    /// Completes and checks a request; see [`Model::resolve`].
    ///
    /// # Errors
    /// If a number that is asked for is out of range.
    pub fn resolve(&self, request: &Request) -> Result<(Settings, Vec<Notice>), EngineError> {
        self.model.resolve(request)
    }

    /// Makes a video: encodes the prompt, denoises, decodes; frames come as events, in order.
    ///
    /// A job whose GPU is lost goes on from its last snapshot on a newly opened one, once.
    ///
    /// # Errors
    /// If the settings do not fit the model, the device fails, or the observer or the job's [`crate::run::Cancel`] ends it.
    pub async fn run(&mut self, job: Job<'_>) -> Result<Report, EngineError> {
        if self.device_is_lost {
            self.reopen().await?;
        }
        let Job { settings, options, observer, cancel, from } = job;
        let mut session =
            Session::new(self, Job { settings, options, observer: &mut *observer, cancel, from })?;
        let result = match session.run().await {
            Err(EngineError::Device(error @ DeviceError::Lost(_))) => session.run_again(&error).await,
            Err(EngineError::Device(error @ DeviceError::OutOfMemory { .. })) => {
                session.run_smaller(&error).await
            }
            result => result,
        };
        let report = session.report_so_far();
        session.pipeline.networks.done();
        self.device_is_lost = matches!(result, Err(EngineError::Device(DeviceError::Lost(_))));
        result.map(|()| report)
    }

    /// Replaces a device that was lost, and with it all that was on it.
    pub(super) async fn reopen(&mut self) -> Result<(), EngineError> {
        let LoadOptions { device, gpu, .. } = self.options.clone();
        (self.executor, self.device_name) = open_executor(device, self.precision, gpu).await?;
        self.device_is_lost = false;
        Ok(())
    }

    /// What decides the hidden states of encoder `index` beside its tokens: its weights, and the device that computes them in f32.
    pub(super) fn text_key(&self, index: usize) -> ([u8; 32], String) {
        let driver = match &self.executor {
            Executor::Cpu(_) => String::new(),
            Executor::Gpu(gpu) => gpu.gpu().summary().driver.clone(),
        };
        (self.model.encoders[index].fingerprint(), format!("{} {driver}", self.device_name))
    }

    /// What graphs are planned for.
    pub(super) fn plan_target(&self) -> PlanTarget {
        self.executor.target()
    }
}
