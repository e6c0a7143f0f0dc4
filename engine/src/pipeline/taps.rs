//! Intermediate tensors in the layout of the reference: the batch axis in front, channels before positions.
use super::{EngineError, Event, TensorData, session::Session};
use crate::executor::Program;

/// Reports one tensor.
pub(super) fn report_data(
    session: &mut Session<'_>,
    name: &str,
    shape: Vec<usize>,
    data: TensorData,
) -> Result<(), EngineError> {
    session.report(Event::Tensor { name, shape, data })
}

/// Reports latents, or what has their shape, in the layout of the family.
pub(super) fn report_latents(
    session: &mut Session<'_>,
    name: &str,
    values: Vec<f32>,
) -> Result<(), EngineError> {
    let shape = [&[1][..], &session.latents.outer_shape()].concat();
    let values = session.latents.family_layout(values);
    report_data(session, name, shape, TensorData::F32(values))
}

/// `[positions, C]` to `[C, positions]`.
pub(super) fn channels_first(values: &[f32], channels: usize) -> Vec<f32> {
    let positions = values.len() / channels.max(1);
    let mut out = Vec::with_capacity(values.len());
    for channel in 0..channels {
        out.extend((0..positions).map(|position| values[position * channels + channel]));
    }
    out
}

/// Reports every output of a program under `prefix`, with the batch axis in front.
pub(super) async fn report_taps(
    session: &mut Session<'_>,
    program: &Program,
    prefix: &str,
) -> Result<(), EngineError> {
    for (name, shape, values) in read_taps(session, program).await? {
        let shape = [vec![1], shape].concat();
        report_data(session, &format!("{prefix}{name}"), shape, TensorData::F32(values))?;
    }
    Ok(())
}

/// Name, shape and values of every output of a program.
pub(super) async fn read_taps(
    session: &mut Session<'_>,
    program: &Program,
) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>, EngineError> {
    let mut found = Vec::new();
    for (name, id) in program.graph().outputs() {
        let values = session.pipeline.executor.read(program, *id).await?.into_owned();
        found.push((name.clone(), program.graph().desc(*id).shape.clone(), values));
    }
    Ok(found)
}
