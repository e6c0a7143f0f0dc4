//! What sizes, lengths and numbers a video may have, checked before any work.
use super::EngineError;
use crate::diffusion::MAX_STEPS;
use std::fmt::Display;

const LARGEST_SIDE: usize = 8192;
const MOST_FRAMES: usize = 4097;
const FASTEST: f64 = 1000.0;
const STRONGEST: f64 = 1000.0;

/// Checks one side of a frame, which is a multiple of `step`.
pub(super) fn side(what: &'static str, pixels: usize, step: usize) -> Result<usize, EngineError> {
    let step = step.max(1);
    if pixels == 0 || pixels > LARGEST_SIDE {
        return Err(refused(what, pixels, format!("must be from {step} to {LARGEST_SIDE}")));
    }
    if pixels.is_multiple_of(step) {
        return Ok(pixels);
    }
    let below = pixels / step * step;
    let above = below + step;
    let nearest = if below == 0 {
        format!("the smallest is {above}")
    } else if above > LARGEST_SIDE {
        format!("the largest is {below}")
    } else {
        format!("the nearest are {below} and {above}")
    };
    Err(refused(what, pixels, format!("must be a multiple of {step}; {nearest}")))
}

/// The number of frames that is made when `frames` are asked for of a model that makes a multiple of `step` plus one.
pub(super) fn frames(frames: usize, step: usize) -> Result<usize, EngineError> {
    if frames == 0 || frames > MOST_FRAMES {
        return Err(refused("number of frames", frames, format!("must be from 1 to {MOST_FRAMES}")));
    }
    // As diffusers rounds.
    let step = step.max(1);
    Ok(frames / step * step + 1)
}

/// Checks a number of denoising steps.
pub(super) fn steps(steps: usize) -> Result<usize, EngineError> {
    if (1..=MAX_STEPS).contains(&steps) {
        return Ok(steps);
    }
    Err(refused("number of steps", steps, format!("must be from 1 to {MAX_STEPS}")))
}

/// Checks a frame rate.
pub(super) fn fps(fps: f64) -> Result<f64, EngineError> {
    if (0.01..=FASTEST).contains(&fps) {
        return Ok(fps);
    }
    Err(refused("frame rate", fps, format!("must be from 0.01 to {FASTEST}")))
}

/// Checks a guidance scale.
pub(super) fn guidance(scale: f64) -> Result<f32, EngineError> {
    if (-STRONGEST..=STRONGEST).contains(&scale) {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be small; devices compute in f32")]
        return Ok(scale as f32);
    }
    Err(refused("guidance scale", scale, format!("must be a number from -{STRONGEST} to {STRONGEST}")))
}

fn refused(what: &'static str, got: impl Display, expected: String) -> EngineError {
    EngineError::Setting { what, got: got.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_multiples_of_the_step() {
        assert_eq!(side("width", 480, 16).unwrap(), 480);
        let error = |pixels| side("width", pixels, 16).unwrap_err().to_string();
        assert_eq!(error(490), "the width is 490, must be a multiple of 16; the nearest are 480 and 496");
        assert_eq!(error(7), "the width is 7, must be a multiple of 16; the smallest is 16");
        for wrong in [0, 8193, usize::MAX] {
            assert_eq!(error(wrong), format!("the width is {wrong}, must be from 16 to 8192"));
        }
    }

    #[test]
    fn frame_counts_are_rounded_as_diffusers_rounds_them() {
        for (asked, made) in
            [(33, 33), (1, 1), (2, 1), (3, 1), (4, 5), (32, 33), (34, 33), (35, 33), (36, 37)]
        {
            assert_eq!(frames(asked, 4).unwrap(), made);
        }
        assert!(frames(0, 4).is_err() && frames(usize::MAX, 4).is_err());
    }

    #[test]
    fn numbers_have_to_make_sense() {
        assert!(steps(0).is_err() && steps(1).is_ok() && steps(1001).is_err());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(fps(wrong).is_err(), "{wrong}");
        }
        assert!(fps(23.976).is_ok());
        assert!(guidance(f64::NAN).is_err() && guidance(f64::INFINITY).is_err() && guidance(0.0).is_ok());
    }
}
