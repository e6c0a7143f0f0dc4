//! A model that makes videos, one after the other.
use crate::errors::{error, of_engine};
use crate::events::{message, notice};
use crate::files::ModelFiles;
use crate::object::{count, object};
use crate::request::{MadeSettings, VideoRequest};
use ::encode::Provenance;
use engine::compute::executor::Executor;
use engine::compute::{gpu::GpuOptions, nn::Precision, run};
use engine::diffusion::NoiseStream;
use engine::{
    DeviceChoice, Event, Job, JobOptions, LoadOptions, Notice, Settings, Snapshot, VideoPipeline,
    WeightPolicy,
};
use js_sys::Function;
use std::ops::ControlFlow;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

/// Ends a job between two submissions. A class of its own: while a job runs, its model may not be touched.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Cancel(run::Cancel);

#[wasm_bindgen]
impl Cancel {
    /// For one job.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the job to end.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// Where a job goes on that was stopped.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct Resume {
    step: usize,
    drawn: u64,
    latents: Vec<f32>,
}

#[wasm_bindgen]
impl Resume {
    /// From a message of type `snapshot`.
    #[wasm_bindgen(constructor)]
    pub fn new(step: usize, drawn: f64, latents: Vec<f32>) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it came from here")]
        let drawn = drawn as u64;
        Self { step, drawn, latents }
    }
}

/// A model, open on a device.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Model {
    pipeline: VideoPipeline,
}

#[wasm_bindgen]
impl Model {
    /// Opens a model on `auto`, `gpu` or `cpu`, in `f32` or `f16`.
    ///
    /// # Errors
    /// If the model is damaged, or there is no such device.
    pub async fn load(
        files: ModelFiles,
        name: String,
        device: String,
        precision: String,
    ) -> Result<Model, JsValue> {
        let options = LoadOptions {
            device: match device.as_str() {
                "cpu" => DeviceChoice::Cpu,
                "gpu" => DeviceChoice::Gpu(None),
                _ => DeviceChoice::Auto,
            },
            precision: Some(if precision == "f16" { Precision::F16 } else { Precision::F32 }),
            gpu: GpuOptions::default(),
            weights: WeightPolicy::Keep,
            texts: None,
        };
        let pipeline = VideoPipeline::load(&files.folder(&name), options).await;
        Ok(Self { pipeline: pipeline.map_err(|reason| of_engine(&reason))? })
    }

    /// What it is, and what it runs on.
    pub fn facts(&mut self) -> JsValue {
        let on_gpu = matches!(self.pipeline.executor(), Executor::Gpu(_));
        let model = self.pipeline.model();
        object([
            ("name", model.name().into()),
            ("device", (if on_gpu { "gpu" } else { "cpu" }).into()),
            ("deviceName", self.pipeline.device_name().into()),
            ("frameStep", count(model.frame_step())),
            ("sideStep", count(model.side_step())),
            ("needsPicture", model.takes_picture().into()),
        ])
    }

    /// The settings that a request becomes, as JSON, and what should be known of them.
    ///
    /// # Errors
    /// If the model cannot do what is asked for.
    pub fn resolve(&self, request: &str) -> Result<JsValue, JsValue> {
        let (settings, notices) = self.resolved(request)?;
        let notices: js_sys::Array = notices.iter().map(|n| JsValue::from(n.to_string())).collect();
        Ok(object([("settings", json(&settings)?), ("notices", notices.into())]))
    }

    /// How a video of this request is made, as its files say it: keywords and texts, as JSON for [`crate::encode::Form`].
    ///
    /// # Errors
    /// If the model cannot do what is asked for.
    pub fn record(&self, request: &str) -> Result<String, JsValue> {
        let (settings, _) = self.resolved(request)?;
        let provenance = Provenance::new(self.pipeline.model().name().to_owned(), &settings, &self.pipeline);
        serde_json::to_string(&provenance.metadata()).map_err(|reason| error("internal", &reason.to_string()))
    }

    /// Makes a video. `observer` hears of each event; if it returns `false` the job ends.
    ///
    /// # Errors
    /// If the settings do not fit the model, the device fails, or somebody ends it.
    pub async fn generate(
        &mut self,
        request: String,
        from: Option<Resume>,
        cancel: &Cancel,
        observer: Function,
    ) -> Result<(), JsValue> {
        let (settings, notices) = self.resolved(&request)?;
        let tell = |event: JsValue| match observer.call1(&JsValue::NULL, &event) {
            Ok(answer) if answer == JsValue::FALSE => ControlFlow::Break(()),
            Ok(_) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        for text in notices {
            let _ = tell(notice(&text.to_string()));
        }
        let mut hear = |event: Event<'_>| message(&event).map_or(ControlFlow::Continue(()), tell);
        let from = from.map(|from| Snapshot {
            step: from.step,
            latents: from.latents,
            noise: NoiseStream::philox(settings.seed, from.drawn),
        });
        let job = Job {
            settings: &settings,
            options: JobOptions::default(),
            observer: &mut hear,
            cancel: cancel.0.clone(),
            from,
        };
        self.pipeline.run(job).await.map(|_| ()).map_err(|reason| of_engine(&reason))
    }
}

impl Model {
    fn resolved(&self, request: &str) -> Result<(Settings, Vec<Notice>), JsValue> {
        let request = VideoRequest::parse(request).map_err(|reason| error("settings", &reason))?;
        self.pipeline.resolve(&request).map_err(|reason| of_engine(&reason))
    }
}

fn json(settings: &Settings) -> Result<JsValue, JsValue> {
    let text = serde_json::to_string(&MadeSettings::from(settings));
    text.map(JsValue::from).map_err(|reason| error("internal", &reason.to_string()))
}
