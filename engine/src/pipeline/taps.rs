//! Intermediate tensors in the layout of the reference: the batch axis in front, channels before positions.
use super::{EngineError, Event, TensorData, VideoPipeline, load::Run};
use crate::executor::Program;

/// Reports one tensor.
pub(super) fn report_data(
    run: &mut Run<'_>,
    name: &str,
    shape: Vec<usize>,
    data: TensorData,
) -> Result<(), EngineError> {
    run.report(Event::Tensor { name, shape, data })
}

/// Reports latents, or what has their shape, in the layout of the family.
pub(super) fn report_latents(run: &mut Run<'_>, name: &str, values: Vec<f32>) -> Result<(), EngineError> {
    let shape = [&[1][..], &run.latents.outer_shape()].concat();
    let values = run.latents.outward(values);
    report_data(run, name, shape, TensorData::F32(values))
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

impl VideoPipeline {
    /// Reports every output of a program under `prefix`, with the batch axis in front.
    pub(super) async fn report_taps(
        &mut self,
        run: &mut Run<'_>,
        program: &Program,
        prefix: &str,
    ) -> Result<(), EngineError> {
        for (name, shape, values) in self.read_taps(program).await? {
            let shape = [vec![1], shape].concat();
            report_data(run, &format!("{prefix}{name}"), shape, TensorData::F32(values))?;
        }
        Ok(())
    }

    /// Name, shape and values of every output of a program.
    pub(super) async fn read_taps(
        &mut self,
        program: &Program,
    ) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>, EngineError> {
        let mut found = Vec::new();
        for (name, id) in program.graph().outputs() {
            let values = self.executor.read(program, *id).await?;
            found.push((name.clone(), program.graph().desc(*id).shape.clone(), values));
        }
        Ok(found)
    }
}
