//! Results that cannot be right: a stage that makes them stops with the cause, never with a black or grey video.
use super::{DecoderKind, EngineError, Model, session::Session};
use crate::nn::Precision;
use model_loader::Checkpoint;
use std::fmt;

/// What a stage made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultyStage {
    /// The encoded prompts.
    Text,
    /// The encoded picture.
    Picture,
    /// The latents after some steps.
    Latents {
        /// Steps done.
        step: usize,
        /// Steps wanted.
        steps: usize,
    },
    /// The decoded frames.
    Frames,
}

impl fmt::Display for FaultyStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("the values of the encoded prompt"),
            Self::Picture => f.write_str("the values of the encoded picture"),
            Self::Latents { step, steps } => write!(f, "the latents after step {step} of {steps}"),
            Self::Frames => f.write_str("the decoded frames"),
        }
    }
}

/// How values are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Some are NaN or infinite.
    NotFinite,
    /// All values are the same, or all pixels.
    Constant,
}

impl Fault {
    /// What is wrong with these values, if something is; of pixels, `period` values are one.
    pub fn of(values: &[f32], period: usize) -> Option<Self> {
        if values.iter().any(|value| !value.is_finite()) {
            return Some(Self::NotFinite);
        }
        let (first, rest) = values.split_at_checked(period.max(1))?;
        (!rest.is_empty() && rest.chunks(first.len()).all(|pixel| pixel == first)).then_some(Self::Constant)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "not finite",
            Self::Constant => "all the same",
        })
    }
}

/// Why values are wrong, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A tensor of the model's files.
    Weights {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What is in it: `NaN` or `infinity`.
        holds: &'static str,
    },
    /// The weights are sound, and activations are stored in f16, whose largest number is 65,504.
    Overflow,
    /// The weights are sound, and so is the arithmetic: the model itself, or a defect of ours.
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights { file, tensor, holds } => {
                write!(f, "`{tensor}` in `{file}` holds {holds}; the file is damaged")
            }
            Self::Overflow => f.write_str("numbers beyond 65,504 overflow in f16"),
            Self::Unknown => f.write_str("the weights are finite; the cause is not known"),
        }
    }
}

/// Whose weights made a result.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// The text encoder at this index.
    Encoder(usize),
    /// The expert at this index.
    Transformer(usize),
    /// The autoencoder.
    Vae,
    /// What makes frames of latents.
    Decoder(DecoderKind),
}

impl Part {
    fn weights(self, model: &Model) -> &Checkpoint {
        match self {
            Self::Encoder(index) => model.encoders[index].model.weights(),
            Self::Transformer(expert) => model.family.transformer_weights(expert),
            Self::Vae | Self::Decoder(DecoderKind::Full) => model.family.vae_weights(),
            Self::Decoder(DecoderKind::Tiny) => {
                model.family.tiny_weights().unwrap_or_else(|| model.family.vae_weights())
            }
        }
    }
}

impl Session<'_> {
    /// `Err` with the cause if these values of a stage cannot be right.
    pub(super) fn check(&self, stage: FaultyStage, part: Part, values: &[f32]) -> Result<(), EngineError> {
        let period = if stage == FaultyStage::Frames { 3 } else { 1 };
        match Fault::of(values, period) {
            None => Ok(()),
            Some(fault) => Err(EngineError::Broken { stage, fault, cause: self.cause(part, fault) }),
        }
    }

    fn cause(&self, part: Part, fault: Fault) -> Cause {
        if let Some(found) = part.weights(&self.pipeline.model).first_non_finite() {
            return Cause::Weights { file: found.file, tensor: found.tensor, holds: found.value };
        }
        // Text encoders compute in f32 whatever the precision.
        let is_half = self.pipeline.precision() == Precision::F16 && !matches!(part, Part::Encoder(_));
        if is_half && fault == Fault::NotFinite { Cause::Overflow } else { Cause::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_seen() {
        assert_eq!(Fault::of(&[], 1), None);
        assert_eq!(Fault::of(&[0.5], 1), None);
        assert_eq!(Fault::of(&[0.5, 0.25], 1), None);
        assert_eq!(Fault::of(&[0.0; 9], 1), Some(Fault::Constant));
        assert_eq!(Fault::of(&[1.0, f32::NAN], 1), Some(Fault::NotFinite));
        assert_eq!(Fault::of(&[f32::NAN; 3], 1), Some(Fault::NotFinite));
        assert_eq!(Fault::of(&[1.0, f32::NEG_INFINITY], 1), Some(Fault::NotFinite));
    }

    #[test]
    fn pixels_of_one_colour_are_seen() {
        assert_eq!(Fault::of(&[0.1, 0.2, 0.3], 3), None);
        assert_eq!(Fault::of(&[0.1, 0.2, 0.3, 0.1, 0.2, 0.3], 3), Some(Fault::Constant));
        assert_eq!(Fault::of(&[0.1, 0.2, 0.3, 0.1, 0.2, 0.4], 3), None);
    }
}
