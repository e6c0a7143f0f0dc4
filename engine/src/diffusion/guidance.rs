//! Classifier-free guidance (Ho and Salimans, arXiv:2207.12598).

use thiserror::Error;

/// How strongly the prompt pulls: `v = u + scale * (c - u)`, where `c` is the model's output with the prompt
/// and `u` its output with the negative prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuidanceSettings {
    scale: f32,
}

impl GuidanceSettings {
    /// Guidance of the given scale; 1 or less switches it off.
    ///
    /// # Errors
    /// If the scale is not a finite number.
    pub fn new(scale: f32) -> Result<Self, GuidanceError> {
        if scale.is_finite() { Ok(Self { scale }) } else { Err(GuidanceError { scale }) }
    }

    /// No guidance: the model runs once per step.
    #[must_use]
    pub const fn off() -> Self {
        Self { scale: 1.0 }
    }

    /// The scale.
    #[must_use]
    pub const fn scale(self) -> f32 {
        self.scale
    }

    /// Whether the negative prompt takes part at all, as in diffusers: for scales above 1.
    #[must_use]
    pub fn enabled(self) -> bool {
        self.scale > 1.0
    }

    /// How often the model runs per step.
    #[must_use]
    pub fn passes(self) -> usize {
        if self.enabled() { 2 } else { 1 }
    }

    /// Combines one element of both outputs, in single precision as the kernel does; without guidance it
    /// is `cond`.
    #[must_use]
    pub fn combine(self, uncond: f32, cond: f32) -> f32 {
        if self.enabled() { uncond + self.scale * (cond - uncond) } else { cond }
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

    #[test]
    fn a_scale_that_is_no_number_is_refused() {
        for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let message = GuidanceSettings::new(scale).unwrap_err().to_string();
            assert_eq!(message, format!("the guidance scale is {scale}, expected a finite number"));
        }
    }
}
