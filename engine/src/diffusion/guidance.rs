//! Classifier-free guidance (Ho and Salimans, arXiv:2207.12598).

use std::f64::consts::PI;

use thiserror::Error;

/// How strongly the prompt pulls: `v = u + scale * (c - u)`, where `c` is the model's output with the prompt
/// and `u` its output with the negative prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuidanceSettings {
    scale: f32,
    enabled: bool,
    dynamic: bool,
}

impl GuidanceSettings {
    /// Guidance of the given scale; 1 or less switches it off.
    ///
    /// # Errors
    /// If the scale is not a finite number.
    pub fn new(scale: f32) -> Result<Self, GuidanceError> {
        if scale.is_finite() {
            Ok(Self { scale, enabled: scale > 1.0, dynamic: false })
        } else {
            Err(GuidanceError { scale })
        }
    }

    /// No guidance: the model runs once per step.
    #[must_use]
    pub const fn off() -> Self {
        Self { scale: 1.0, enabled: false, dynamic: false }
    }

    /// The same, with a scale that changes from step to step as CogVideoX's `use_dynamic_cfg` has it.
    #[must_use]
    pub const fn dynamic(self, dynamic: bool) -> Self {
        Self { dynamic, ..self }
    }

    /// The guidance of one step out of `steps`: with dynamic guidance of scale
    /// `1 + scale (1 - cos(pi ((steps - timestep) / steps)^5)) / 2`.
    ///
    /// The timestep is the network's, up to 1000, and not the step's index, so that the cosine turns through most of
    /// its periods between two steps; that is how diffusers has it.
    #[must_use]
    pub fn at(self, timestep: f64, steps: usize) -> Self {
        if !self.dynamic {
            return self;
        }
        let steps = steps as f64;
        let angle = PI * ((steps - timestep) / steps).powf(5.0);
        #[expect(clippy::cast_possible_truncation, reason = "the scale is applied in single precision")]
        let scale = (1.0 + f64::from(self.scale) * ((1.0 - angle.cos()) / 2.0)) as f32;
        Self { scale, dynamic: false, ..self }
    }

    /// The scale; of dynamic guidance, the one it was made with.
    #[must_use]
    pub const fn scale(self) -> f32 {
        self.scale
    }

    /// Whether the negative prompt takes part at all, as in diffusers: for scales above 1.
    #[must_use]
    pub const fn enabled(self) -> bool {
        self.enabled
    }

    /// How often the model runs per step.
    #[must_use]
    pub fn passes(self) -> usize {
        if self.enabled { 2 } else { 1 }
    }

    /// Combines one element of both outputs, in single precision as the kernel does; without guidance it
    /// is `cond`.
    #[must_use]
    pub fn combine(self, uncond: f32, cond: f32) -> f32 {
        if self.enabled { uncond + self.scale * (cond - uncond) } else { cond }
    }
}

/// The guidance scale is not a finite number.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("the guidance scale is {scale}, expected a finite number")]
pub struct GuidanceError {
    /// The scale that was asked for.
    pub scale: f32,
}

#[cfg(test)]
mod tests {
    use super::GuidanceSettings;

    #[test]
    fn one_and_below_is_off() {
        for scale in [-3.0, 0.0, 0.5, 1.0] {
            let guidance = GuidanceSettings::new(scale).unwrap();
            assert!(!guidance.enabled());
            assert_eq!(guidance.passes(), 1);
            assert_eq!(guidance.combine(f32::NAN, 0.5), 0.5);
        }
        assert!(!GuidanceSettings::off().enabled());
    }

    #[test]
    fn above_one_extrapolates() {
        let guidance = GuidanceSettings::new(5.0).unwrap();
        assert_eq!(guidance.passes(), 2);
        assert_eq!(guidance.combine(1.0, 3.0), 11.0);
    }

    /// The scales that diffusers had in the run of the fixture `cogvideox-5b`.
    #[test]
    fn dynamic_guidance_changes_from_step_to_step() {
        let guidance = GuidanceSettings::new(6.0).unwrap().dynamic(true);
        assert_eq!((guidance.scale(), guidance.passes()), (6.0, 2));
        let timesteps = [999.0, 832.0, 666.0, 499.0, 332.0, 166.0];
        for (timestep, want) in timesteps.into_iter().zip(RECORDED) {
            let got = guidance.at(timestep, 6);
            assert!((f64::from(got.scale()) - want).abs() < 1e-3, "{timestep}: {} {want}", got.scale());
            // Also where the scale happens to fall to one.
            assert!(got.enabled());
        }
        assert_eq!(GuidanceSettings::off().dynamic(true).at(999.0, 6).passes(), 1);
        let fixed = GuidanceSettings::new(6.0).unwrap();
        assert_eq!(fixed.at(999.0, 6), fixed);
    }

    const RECORDED: [f64; 6] = [6.645722109, 6.527654609, 1.0, 5.940413524, 5.466285789, 2.533713278];

    #[test]
    fn a_scale_that_is_no_number_is_refused() {
        for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let message = GuidanceSettings::new(scale).unwrap_err().to_string();
            assert_eq!(message, format!("the guidance scale is {scale}, expected a finite number"));
        }
    }
}
