//! What a model runs, as graphs without a device.
use super::CompileError;
use engine::{
    Graph,
    compute::nn::Precision,
    pipeline::{JobOptions, Model, Settings, VideoPipeline},
};

/// The stages of a video in a precision: each one's name, how often it runs, and its graph. A model of configs is enough.
///
/// # Errors
/// If the settings do not fit the model.
pub fn stage_outlines(
    model: Model,
    settings: &Settings,
    precision: Precision,
) -> Result<Vec<(String, usize, Graph)>, CompileError> {
    let mut pipeline = VideoPipeline::without_device(model, precision);
    let stages = pipeline.stages(settings, JobOptions::default())?;
    Ok(stages.into_iter().map(|stage| (stage.name.to_owned(), stage.runs, stage.graph)).collect())
}
