//! Small frames, enlarged by a whole factor so that they can be watched.

use engine::Frame;

/// Frames at least this large on their shorter side stay as they are.
const SMALLEST_SIDE: u32 = 256;

/// Frames are not enlarged beyond this: the longer side of the largest H.264 video.
const LARGEST_SIDE: u32 = crate::mp4::LARGEST.0;

/// By how much frames of this size are enlarged: the smallest whole factor that brings the shorter side to 256 pixels, or the largest that an MP4 takes.
pub fn factor(width: u32, height: u32) -> u32 {
    let wanted = SMALLEST_SIDE.div_ceil(width.min(height).max(1));
    wanted.min(LARGEST_SIDE / width.max(height).max(1)).max(1)
}

/// Makes a square of `factor` by `factor` pixels out of each pixel.
pub fn enlarge(frame: &Frame, factor: u32) -> Frame {
    let times = factor as usize;
    let mut rgb = Vec::with_capacity(frame.rgb.len() * times * times);
    for row in frame.rgb.chunks_exact(3 * frame.width.max(1) as usize) {
        let start = rgb.len();
        let (pixels, _) = row.as_chunks::<3>();
        for pixel in pixels {
            for _ in 0..times {
                rgb.extend_from_slice(pixel);
            }
        }
        let end = rgb.len();
        for _ in 1..times {
            rgb.extend_from_within(start..end);
        }
    }
    Frame { width: frame.width * factor, height: frame.height * factor, rgb }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_the_smallest_that_reaches_256() {
        assert_eq!(factor(128, 80), 4);
        assert_eq!(factor(96, 64), 4);
        assert_eq!(factor(64, 96), 4);
        assert_eq!(factor(48, 48), 6);
        assert_eq!(factor(255, 1000), 2);
        assert_eq!(factor(256, 256), 1);
        assert_eq!(factor(832, 480), 1);
        assert_eq!(factor(1, 1), 256);
    }

    #[test]
    fn strips_are_enlarged_as_far_as_an_mp4_takes_them() {
        assert_eq!(factor(1024, 16), 3);
        assert_eq!(factor(16, 1024), 3);
        assert_eq!(factor(2048, 16), 1);
        assert_eq!(factor(3840, 16), 1);
        assert_eq!(factor(8192, 16), 1);
    }

    #[test]
    fn each_pixel_becomes_a_square() {
        let frame = Frame { width: 2, height: 2, rgb: (0..12).collect() };
        let large = enlarge(&frame, 3);
        assert_eq!((large.width, large.height, large.rgb.len()), (6, 6, 108));
        for y in 0..6 {
            for x in 0..6 {
                let (from, to) = (3 * (y / 3 * 2 + x / 3), 3 * (y * 6 + x));
                assert_eq!(large.rgb[to..to + 3], frame.rgb[from..from + 3]);
            }
        }
    }
}
