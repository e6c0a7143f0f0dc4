//! The picture that a video starts from, to channels beside the latents.
use super::{
    EngineError, Model, Settings, TensorData,
    faults::{FaultyStage, Part},
    latents::LatentVideo,
    session::{Session, output},
    taps,
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

/// `Err` unless there is a picture exactly where the model takes one.
pub(super) fn check(settings: &Settings, model: &Model) -> Result<(), EngineError> {
    match (&settings.image, model.takes_picture()) {
        (Some(_), false) => Err(EngineError::PictureUnused),
        (None, true) => Err(EngineError::PictureMissing),
        _ => Ok(()),
    }
}

/// The state for what the transformer sees of a picture, of a model that takes one.
pub(super) fn condition_state(model: &dyn VideoModel, latents: &LatentVideo) -> Option<State> {
    let video = latents.with_channels(model.condition_channels());
    (video.shape[0] > 0).then(|| State::new("condition", TensorDesc::new(&video.shape, DType::F32)))
}

/// As many values as the encoder wants: recorded ones, or the job's next.
fn picture_noise(session: &mut Session<'_>, elements: usize) -> Result<Vec<f32>, EngineError> {
    match &session.settings.recorded_noise.image {
        _ if elements == 0 => Ok(Vec::new()),
        None => Ok(session.noise.draw(elements)),
        Some(recorded) if recorded.len() == elements => Ok(recorded.clone()),
        Some(recorded) => Err(EngineError::Setting {
            what: "length of the picture's noise",
            got: recorded.len().to_string(),
            expected: format!("must be {elements}"),
        }),
    }
}

/// Encodes the picture, if there is one and the session has not done so: what the transformer sees of it,
/// `[C, F, H, W]`.
pub(super) async fn encode_picture(session: &mut Session<'_>) -> Result<(), EngineError> {
    let Some(image) = session.settings.image.as_ref().filter(|_| session.condition.is_none()) else {
        return Ok(());
    };
    let Some(encoder) = session.pipeline.networks.picture_encoder(&session.pipeline.model)? else {
        return Ok(());
    };
    let clock = Stopwatch::start();
    let (width, height) = (session.settings.width, session.settings.height);
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let fitted = picture::fit(image, side(width), side(height), session.settings.image_fit)?;
    let video = picture::values(&fitted);

    let memory = ConvMemory::new(session.pipeline.precision());
    let graph = encoder.graph(height, width, &memory)?;
    let mut program = session.prepare("encode the picture", graph).await?;
    session.execute(&mut program, &[RunInput::f32("video", &video)]).await?;
    let moments = output(&session.pipeline.executor, &program, "moments").await?.into_owned();
    session.check(FaultyStage::Picture, Part::Vae, &moments)?;
    let noise = picture_noise(session, encoder.noise_elements(session.latents.shape))?;
    let condition = encoder.condition(&moments, &noise, session.latents.shape);
    if session.options.dump {
        report(session, &video, &moments, noise, &condition)?;
    }
    session.condition = Some(condition);
    session.finish_stage("picture", clock);
    Ok(())
}

/// Reports the picture, its moments, the noise and what the transformer sees.
fn report(
    session: &mut Session<'_>,
    video: &[f32],
    moments: &[f32],
    noise: Vec<f32>,
    condition: &[f32],
) -> Result<(), EngineError> {
    let (width, height) = (session.settings.width, session.settings.height);
    let [_, frames, rows, columns] = session.latents.shape;
    let positions = rows * columns;
    let shape = |values: &[f32]| vec![1, values.len() / positions, 1, rows, columns];
    let pixels = TensorData::F32(taps::channels_first(video, 3));
    taps::report_data(session, "img.pixels", vec![1, 3, height, width], pixels)?;
    let latents = TensorData::F32(taps::channels_first(moments, moments.len() / positions));
    taps::report_data(session, "img.latents", shape(moments), latents)?;
    if !noise.is_empty() {
        taps::report_data(session, "img.noise", shape(&noise), TensorData::F32(noise))?;
    }
    let video = session.latents.with_channels(condition.len() / (frames * positions));
    let shape = [&[1][..], &video.outer_shape()].concat();
    taps::report_data(
        session,
        "img.condition",
        shape,
        TensorData::F32(video.family_layout(condition.to_vec())),
    )
}

/// The condition on the device, if there is one.
pub(super) async fn upload(session: &mut Session<'_>) -> Result<Option<State>, EngineError> {
    let state = condition_state(session.pipeline.model.family.as_ref(), &session.latents);
    if let (Some(state), Some(values)) = (&state, &session.condition) {
        session.pipeline.executor.write_state(state, values).await?;
    }
    Ok(state)
}
