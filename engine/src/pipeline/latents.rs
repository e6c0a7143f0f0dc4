//! The latents of a video: their sizes, and their layout outside of the engine.
use super::{EngineError, Settings};
use crate::models::LatentSizes;

/// The latents that a job works on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LatentVideo {
    /// `[C, F, H, W]`.
    pub(super) shape: [usize; 4],
    /// Leading frames that only fill up a token; they are not decoded.
    pub(super) leading: usize,
    /// `[T, H, W]` of the video.
    pixels: [usize; 3],
    patch: [usize; 3],
    frames_first: bool,
}

impl LatentVideo {
    /// The latents for these settings.
    ///
    /// # Errors
    /// If a size, or the number of given values, does not fit the model.
    pub(super) fn new(settings: &Settings, sizes: LatentSizes) -> Result<Self, EngineError> {
        let video = Self::of_size([settings.num_frames, settings.height, settings.width], sizes)?;
        video.check_given(settings)?;
        Ok(video)
    }

    /// The latents of a video `[T, H, W]`.
    fn of_size(pixels: [usize; 3], sizes: LatentSizes) -> Result<Self, EngineError> {
        let [num_frames, height, width] = pixels;
        let [pt, ph, pw] = sizes.patch;
        if num_frames == 0 || !(num_frames - 1).is_multiple_of(sizes.temporal) {
            let expected = format!("must be a multiple of {} plus one", sizes.temporal);
            return Err(refused("number of frames", num_frames, expected));
        }
        let wanted = (num_frames - 1) / sizes.temporal + 1;
        let frames = if sizes.pads_frames { wanted.next_multiple_of(pt) } else { wanted };
        if !frames.is_multiple_of(pt) {
            let expected = format!("must be a multiple of {pt}");
            return Err(refused("number of latent frames", frames, expected));
        }
        let rows = side("height", height, sizes.spatial, ph)?;
        let columns = side("width", width, sizes.spatial, pw)?;
        let shape = [sizes.channels, frames, rows, columns];
        let elements = shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
        if elements.is_none_or(|elements| u32::try_from(elements).is_err()) {
            return Err(EngineError::Setting {
                what: "size of the video",
                got: format!("{width}x{height}x{num_frames}"),
                expected: "is too large to be indexed".to_owned(),
            });
        }
        let LatentSizes { patch, frames_first, .. } = sizes;
        Ok(Self { shape, leading: frames - wanted, pixels, patch, frames_first })
    }

    /// `Err` if latents or noise that are given have another number of values.
    fn check_given(&self, settings: &Settings) -> Result<(), EngineError> {
        let elements = self.elements();
        let expected = || format!("must be that of {:?}", self.shape);
        let latents = settings.initial_latents.as_ref().filter(|latents| latents.len() != elements);
        if let Some(latents) = latents {
            return Err(refused("number of initial latents", latents.len(), expected()));
        }
        let steps = &settings.recorded_noise.steps;
        if let Some(noise) = steps.iter().find(|noise| noise.len() != elements) {
            return Err(refused("length of a step's noise", noise.len(), expected()));
        }
        if !steps.is_empty() && steps.len() < settings.num_inference_steps {
            let expected = format!("must be that of the steps, {}", settings.num_inference_steps);
            return Err(refused("number of recorded noises", steps.len(), expected));
        }
        Ok(())
    }

    /// The same positions with another number of channels.
    pub(super) fn with_channels(self, channels: usize) -> Self {
        let [_, f, h, w] = self.shape;
        Self { shape: [channels, f, h, w], ..self }
    }

    /// Frames that are decoded.
    pub(super) fn decoded(&self) -> usize {
        self.shape[1] - self.leading
    }

    /// Values of the video and of so many frames before it.
    pub(super) fn values(&self, repeated: usize) -> usize {
        let [frames, height, width] = self.pixels;
        3 * (repeated + frames) * height * width
    }

    /// Latents in all.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Tokens along t, h, w.
    pub(super) fn grid(&self) -> [usize; 3] {
        let [_, f, h, w] = self.shape;
        let [pt, ph, pw] = self.patch;
        [f / pt, h / ph, w / pw]
    }

    /// The extents outside of the engine, without the batch axis.
    pub(super) fn outer_shape(&self) -> [usize; 4] {
        let [c, f, h, w] = self.shape;
        if self.frames_first { [f, c, h, w] } else { self.shape }
    }

    /// Values from the layout outside to `[C, F, H, W]`.
    pub(super) fn engine_layout(&self, values: Vec<f32>) -> Vec<f32> {
        if self.frames_first { swap_first_axes(&values, self.outer_shape()) } else { values }
    }

    /// Values from `[C, F, H, W]` to the layout outside.
    pub(super) fn family_layout(&self, values: Vec<f32>) -> Vec<f32> {
        if self.frames_first { swap_first_axes(&values, self.shape) } else { values }
    }
}

fn refused(what: &'static str, got: usize, expected: String) -> EngineError {
    EngineError::Setting { what, got: got.to_string(), expected }
}

fn side(what: &'static str, pixels: usize, spatial: usize, patch: usize) -> Result<usize, EngineError> {
    let step = spatial * patch;
    if pixels == 0 || !pixels.is_multiple_of(step) {
        return Err(refused(what, pixels, format!("must be a multiple of {step}")));
    }
    Ok(pixels / spatial)
}

/// `[a, b, ..]` to `[b, a, ..]`.
fn swap_first_axes(values: &[f32], [a, b, h, w]: [usize; 4]) -> Vec<f32> {
    let plane = h * w;
    let mut out = Vec::with_capacity(values.len());
    for second in 0..b {
        for first in 0..a {
            out.extend_from_slice(&values[(first * b + second) * plane..][..plane]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: LatentSizes = LatentSizes {
        channels: 3,
        spatial: 8,
        temporal: 4,
        patch: [2, 2, 2],
        pads_frames: true,
        frames_first: true,
    };

    #[test]
    fn frames_are_filled_up_where_the_family_does_so() {
        let video = LatentVideo::of_size([9, 16, 32], SIZES).unwrap();
        assert_eq!((video.shape, video.leading, video.decoded()), ([3, 4, 2, 4], 1, 3));
        let strict = LatentSizes { pads_frames: false, ..SIZES };
        let error = LatentVideo::of_size([9, 16, 32], strict).unwrap_err();
        assert_eq!(error.to_string(), "the number of latent frames is 3, must be a multiple of 2");
    }

    #[test]
    fn layouts_lead_back() {
        let video = LatentVideo::of_size([5, 16, 16], SIZES).unwrap();
        let outer: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let inner = video.engine_layout(outer.clone());
        assert_eq!(video.outer_shape(), [2, 3, 2, 2]);
        // The second frame's first channel stands behind the first frame's first channel.
        assert_eq!(inner[4..8], outer[12..16]);
        assert_eq!(video.family_layout(inner), outer);
    }
}
