//! Where a job is between two denoising steps: enough to go on from there.
use super::EngineError;
use crate::diffusion::NoiseStream;

/// A job after some of its denoising steps. With the same settings on the same model, a job goes on from here as if it
/// had never stopped.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Denoising steps done.
    pub step: usize,
    /// The noise scheduler's rows, `[rows, C, F, H, W]`; row 0 is the latents.
    pub latents: Vec<f32>,
    /// The noise that is drawn next.
    pub noise: NoiseStream,
}

impl Snapshot {
    /// `Err` unless it is of a job with so many values and steps.
    pub(super) fn check(&self, values: usize, steps: usize) -> Result<(), EngineError> {
        let refused =
            |what, got: usize, expected| Err(EngineError::Setting { what, got: got.to_string(), expected });
        if self.latents.len() != values {
            return refused(
                "number of a snapshot's latents",
                self.latents.len(),
                format!("must be {values}"),
            );
        }
        if self.step > steps {
            return refused("step of a snapshot", self.step, format!("must be at most {steps}"));
        }
        Ok(())
    }
}
