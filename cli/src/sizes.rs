//! What sizes, lengths and numbers a video may have, checked before any work.

use crate::error::{Failure, Result};

const LARGEST_SIDE: u32 = 8192;
const MOST_FRAMES: u32 = 4097;
const MOST_STEPS: u32 = 1000;
const FASTEST: f64 = 1000.0;

/// Checks one side of a frame, which is a multiple of `step`; `name` is the flag's.
pub(crate) fn side(name: &str, pixels: u32, step: usize) -> Result<u32> {
    let step = whole(step);
    if pixels == 0 || pixels > LARGEST_SIDE {
        return Err(Failure::user(format!("--{name} is {pixels}, must be from {step} to {LARGEST_SIDE}")));
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
    Err(Failure::user(format!("--{name} is {pixels}, must be a multiple of {step}")).hint(nearest))
}

/// The number of frames that is made when `frames` are asked for of a model that makes a multiple of `step` plus one, and what to say about it.
pub(crate) fn frames(frames: u32, step: usize) -> Result<(u32, Option<String>)> {
    let step = whole(step);
    if frames == 0 || frames > MOST_FRAMES {
        return Err(Failure::user(format!("--frames is {frames}, must be from 1 to {MOST_FRAMES}")));
    }
    // As diffusers rounds.
    let rounded = frames / step * step + 1;
    if frames == rounded {
        return Ok((frames, None));
    }
    Ok((rounded, Some(format!("making {rounded} frames instead of {frames}: the model makes {step}k + 1"))))
}

/// A step of sizes; one too large for 32 bits fits no video.
fn whole(step: usize) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX).max(1)
}

/// Checks a number of denoising steps.
pub(crate) fn steps(steps: u32) -> Result<u32> {
    if (1..=MOST_STEPS).contains(&steps) {
        return Ok(steps);
    }
    Err(Failure::user(format!("--steps is {steps}, must be from 1 to {MOST_STEPS}")))
}

/// Checks a frame rate.
pub(crate) fn fps(fps: f64) -> Result<f64> {
    if (0.01..=FASTEST).contains(&fps) {
        return Ok(fps);
    }
    Err(Failure::user(format!("--fps is {fps}, must be from 0.01 to {FASTEST}")))
}

/// Checks a guidance scale.
pub(crate) fn guidance(scale: f64) -> Result<f32> {
    if (-1000.0..=1000.0).contains(&scale) {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be small; devices compute in f32")]
        return Ok(scale as f32);
    }
    Err(Failure::user(format!("--guidance is {scale}, must be a number from -1000 to 1000")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_multiples_of_16() {
        assert_eq!(side("width", 480, 16).unwrap(), 480);
        let failure = side("width", 490, 16).unwrap_err();
        assert_eq!(failure.to_string(), "--width is 490, must be a multiple of 16");
        assert_eq!(failure.hint_text(), Some("the nearest are 480 and 496"));
        assert_eq!(side("height", 7, 16).unwrap_err().hint_text(), Some("the smallest is 16"));
        for wrong in [0, 8193, u32::MAX] {
            assert_eq!(side("width", wrong, 16).unwrap_err().exit_code(), 1);
        }
    }

    #[test]
    fn frame_counts_are_rounded_and_it_is_said() {
        assert_eq!(frames(33, 4).unwrap(), (33, None));
        assert_eq!(frames(1, 4).unwrap(), (1, None));
        for (asked, made) in [(2, 1), (3, 1), (4, 5), (32, 33), (34, 33), (35, 33), (36, 37)] {
            let (frames, notice) = frames(asked, 4).unwrap();
            assert_eq!(frames, made);
            assert!(notice.unwrap().contains(&asked.to_string()));
        }
        assert!(frames(0, 4).is_err() && frames(u32::MAX, 4).is_err());
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
