//! The picture that a video starts from, to channels beside the latents.
use super::{
    EngineError, GenerationSettings, TensorData, VideoPipeline, latents::LatentVideo, load::Run, taps,
};
use crate::{
    graph::State,
    models::VideoModel,
    nn::ConvMemory,
    picture,
    run::RunInput,
    stopwatch::Stopwatch,
    tensor::{DType, TensorDesc},
};

/// Whether there is a picture exactly where the model takes one.
pub(super) fn check(settings: &GenerationSettings, model: &dyn VideoModel) -> Result<(), EngineError> {
    match (&settings.image, model.condition_channels()) {
        (Some(_), 0) => Err(EngineError::PictureUnused),
        (None, 1..) => Err(EngineError::PictureMissing),
        _ => Ok(()),
    }
}

/// The state for what the transformer sees of a picture, of a model that takes one.
pub(super) fn condition_state(model: &dyn VideoModel, latents: &LatentVideo) -> Option<State> {
    let video = latents.with_channels(model.condition_channels());
    (video.shape[0] > 0).then(|| State::new("condition", TensorDesc::new(&video.shape, DType::F32)))
}

/// As many values as the encoder wants: recorded ones, or the run's next.
fn picture_noise(run: &mut Run<'_>, elements: usize) -> Result<Vec<f32>, EngineError> {
    match &run.settings.recorded_noise.image {
        _ if elements == 0 => Ok(Vec::new()),
        None => Ok(run.noise.draw(elements)),
        Some(recorded) if recorded.len() == elements => Ok(recorded.clone()),
        Some(recorded) => Err(EngineError::Setting {
            what: "the length of the picture's noise",
            got: recorded.len().to_string(),
            expected: format!("must be {elements}"),
        }),
    }
}

impl VideoPipeline {
    /// Encodes the picture, if there is one: the state is what the transformer sees of it, `[C, F, H, W]`.
    pub(super) async fn encode_picture(&mut self, run: &mut Run<'_>) -> Result<Option<State>, EngineError> {
        let (Some(image), Some(encoder)) = (&run.settings.image, self.model.load_picture_encoder()?) else {
            return Ok(None);
        };
        let clock = Stopwatch::start();
        let (width, height) = (run.settings.width, run.settings.height);
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let fitted = picture::fit(image, side(width), side(height), run.settings.image_fit)?;
        let video = picture::values(&fitted);

        let memory = ConvMemory::new(self.precision);
        let graph = encoder.graph(height, width, &memory)?;
        let mut program = self.prepare(run, "encode the picture", graph).await?;
        self.execute(run, &mut program, &[RunInput::f32("video", &video)]).await?;
        let Some(id) = program.output("moments") else {
            return Err(EngineError::Internal("the picture encoder has no output".to_owned()));
        };
        let moments = self.executor.read(&program, id).await?;
        let noise = picture_noise(run, encoder.noise_elements(run.latents.shape))?;
        let condition = encoder.condition(&moments, &noise, run.latents.shape);
        drop((program, encoder));

        if run.settings.dump {
            let tensor = |values: Vec<f32>| TensorData::F32(values);
            let pixels = taps::channels_first(&video, 3);
            taps::report_data(run, "img.pixels", vec![1, 3, height, width], tensor(pixels))?;
            let [.., rows, columns] = run.latents.shape;
            let shape = |values: &[f32]| vec![1, values.len() / (rows * columns), 1, rows, columns];
            let channels = moments.len() / (rows * columns);
            taps::report_data(
                run,
                "img.latents",
                shape(&moments),
                tensor(taps::channels_first(&moments, channels)),
            )?;
            if !noise.is_empty() {
                taps::report_data(run, "img.noise", shape(&noise), tensor(noise))?;
            }
        }
        let Some(state) = condition_state(self.model.as_ref(), &run.latents) else { return Ok(None) };
        self.executor.write_state(&state, &condition).await?;
        if run.settings.dump {
            let video = run.latents.with_channels(state.desc().shape[0]);
            let shape = [&[1][..], &video.outer_shape()].concat();
            let values = TensorData::F32(video.outward(condition));
            taps::report_data(run, "img.condition", shape, values)?;
        }
        run.finish_stage("picture", clock);
        Ok(Some(state))
    }
}
