//! RGB to YCbCr in limited range, in whole numbers: the same bytes on every machine.
//!
//! With 16 fractional bits, `Y = 16 + 219/255 (Kr R + Kg G + Kb B)`, and `Cb`, `Cr` are the scaled differences of blue
//! and red to luma around 128. The chroma weights add up to zero and the luma weights to 219/255, so grey has no tint
//! and white is 235.

use crate::{EncodeError, png::check};
use engine::Frame;

/// Which weights luma has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// What readers assume of a stream that does not say.
    Bt601,
    /// What video of today is tagged with.
    Bt709,
}

/// The weights of red, green and blue in each plane.
struct Weights {
    luma: [i32; 3],
    blue: [i32; 3],
    red: [i32; 3],
}

impl Matrix {
    const fn weights(self) -> Weights {
        match self {
            Self::Bt601 => Weights {
                luma: [16_829, 33_039, 6_416],
                blue: [-9_714, -19_070, 28_784],
                red: [28_784, -24_103, -4_681],
            },
            Self::Bt709 => Weights {
                luma: [11_966, 40_254, 4_064],
                blue: [-6_596, -22_188, 28_784],
                red: [28_784, -26_145, -2_639],
            },
        }
    }
}

/// A picture in three planes; chroma has its own width and height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planes {
    /// Width and height of the luma plane.
    pub size: (usize, usize),
    /// Width and height of each chroma plane.
    pub chroma_size: (usize, usize),
    /// Luma.
    pub y: Vec<u8>,
    /// Difference of blue.
    pub cb: Vec<u8>,
    /// Difference of red.
    pub cr: Vec<u8>,
}

impl Planes {
    /// One chroma sample to each pixel.
    ///
    /// # Errors
    /// If the frame does not have `3 * width * height` bytes.
    pub fn full(matrix: Matrix, frame: &Frame) -> Result<Self, EncodeError> {
        let (width, height, pixels) = pixels(frame)?;
        let weights = matrix.weights();
        Ok(Self {
            size: (width, height),
            chroma_size: (width, height),
            y: pixels.iter().map(|p| channel(&weights.luma, &p.map(i32::from), 0, 16)).collect(),
            cb: pixels.iter().map(|p| channel(&weights.blue, &p.map(i32::from), 0, 128)).collect(),
            cr: pixels.iter().map(|p| channel(&weights.red, &p.map(i32::from), 0, 128)).collect(),
        })
    }

    /// One chroma sample to two by two pixels, their mean. An odd last column or row is doubled, since the format has
    /// even sizes only. These are the planes of I420.
    ///
    /// # Errors
    /// If the frame does not have `3 * width * height` bytes.
    pub fn halved(matrix: Matrix, frame: &Frame) -> Result<Self, EncodeError> {
        let (width, height, pixels) = pixels(frame)?;
        let weights = matrix.weights();
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let mut planes = Self {
            size: (2 * half_width, 2 * half_height),
            chroma_size: (half_width, half_height),
            y: Vec::with_capacity(4 * half_width * half_height),
            cb: Vec::with_capacity(half_width * half_height),
            cr: Vec::with_capacity(half_width * half_height),
        };
        for row in 0..2 * half_height {
            let line = &pixels[row.min(height - 1) * width..][..width];
            planes.y.extend(line.iter().map(|p| channel(&weights.luma, &p.map(i32::from), 0, 16)));
            if width % 2 == 1 {
                planes.y.extend(planes.y.last().copied());
            }
        }
        for row in 0..half_height {
            let upper = &pixels[2 * row * width..][..width];
            let lower = &pixels[(2 * row + 1).min(height - 1) * width..][..width];
            for column in 0..half_width {
                let (left, right) = (2 * column, (2 * column + 1).min(width - 1));
                let mut sum = [0; 3];
                for pixel in [upper[left], upper[right], lower[left], lower[right]] {
                    for (total, value) in sum.iter_mut().zip(pixel) {
                        *total += i32::from(value);
                    }
                }
                planes.cb.push(channel(&weights.blue, &sum, 2, 128));
                planes.cr.push(channel(&weights.red, &sum, 2, 128));
            }
        }
        Ok(planes)
    }
}

/// Width, height and pixels of a frame that has all its bytes.
fn pixels(frame: &Frame) -> Result<(usize, usize, &[[u8; 3]]), EncodeError> {
    check(frame, (frame.width, frame.height))?;
    Ok((frame.width as usize, frame.height as usize, frame.rgb.as_chunks::<3>().0))
}

/// Weighs a sum of `2^shift` pixels.
fn channel(weights: &[i32; 3], rgb: &[i32; 3], shift: u32, offset: i32) -> u8 {
    let sum: i32 = weights.iter().zip(rgb).map(|(w, v)| w * v).sum();
    let bits = 16 + shift;
    let value = ((sum + (1 << (bits - 1))) >> bits) + offset;
    value.clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, in floating point.
    fn reference(matrix: Matrix, [r, g, b]: [u8; 3]) -> [f64; 3] {
        let (kr, kb) = match matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let [r, g, b] = [r, g, b].map(|v| f64::from(v) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (blue, red) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
        [16.0 + 219.0 * y, 128.0 + 224.0 * blue, 128.0 + 224.0 * red]
    }

    fn full(matrix: Matrix, width: u32, height: u32, rgb: &[u8]) -> Planes {
        Planes::full(matrix, &Frame { width, height, rgb: rgb.to_vec() }).unwrap()
    }

    fn halved(matrix: Matrix, width: u32, height: u32, rgb: &[u8]) -> Planes {
        Planes::halved(matrix, &Frame { width, height, rgb: rgb.to_vec() }).unwrap()
    }

    const BOTH: [Matrix; 2] = [Matrix::Bt601, Matrix::Bt709];

    #[test]
    fn every_colour_is_rounded_from_the_definition() {
        for matrix in BOTH {
            for r in (0..=255).step_by(5) {
                for g in (0..=255).step_by(3) {
                    for b in (0..=255).step_by(5) {
                        let rgb = [r, g, b];
                        let planes = full(matrix, 1, 1, &rgb);
                        let got = [planes.y[0], planes.cb[0], planes.cr[0]].map(f64::from);
                        for (got, want) in got.iter().zip(reference(matrix, rgb)) {
                            assert!((got - want).abs() <= 0.51, "{matrix:?} {rgb:?}: {got} for {want}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn greys_have_no_tint_and_stay_in_range() {
        for matrix in BOTH {
            for grey in 0..=255 {
                let planes = full(matrix, 1, 1, &[grey; 3]);
                assert_eq!((planes.cb[0], planes.cr[0]), (128, 128));
            }
            assert_eq!(full(matrix, 1, 1, &[0; 3]).y, [16]);
            assert_eq!(full(matrix, 1, 1, &[255; 3]).y, [235]);
        }
    }

    #[test]
    fn odd_sizes_are_padded_with_the_edge() {
        let rgb: Vec<u8> = (0..3 * 3 * 5).map(|i| u8::try_from(i * 5 % 256).unwrap()).collect();
        let (full, halved) = (full(Matrix::Bt601, 3, 5, &rgb), halved(Matrix::Bt601, 3, 5, &rgb));
        assert_eq!((halved.size, halved.chroma_size), ((4, 6), (2, 3)));
        assert_eq!((halved.y.len(), halved.cb.len(), halved.cr.len()), (24, 6, 6));
        for row in 0..6 {
            for column in 0..4 {
                assert_eq!(halved.y[row * 4 + column], full.y[row.min(4) * 3 + column.min(2)]);
            }
        }
    }

    #[test]
    fn chroma_is_the_mean_of_four() {
        let flat: Vec<u8> = [200, 30, 90].repeat(4);
        let (full, halved) = (full(Matrix::Bt601, 2, 2, &flat), halved(Matrix::Bt601, 2, 2, &flat));
        assert_eq!((full.cb[0], full.cr[0]), (halved.cb[0], halved.cr[0]));
        let mixed = [255, 255, 255, 0, 0, 0, 0, 0, 255, 255, 255, 0];
        let mixed =
            Planes::halved(Matrix::Bt601, &Frame { width: 2, height: 2, rgb: mixed.to_vec() }).unwrap();
        assert_eq!((mixed.cb[0], mixed.cr[0]), (128, 128));
    }

    #[test]
    fn a_frame_without_all_its_bytes_is_refused() {
        for (width, height, bytes) in [(2, 2, 11), (2, 2, 13), (0, 3, 1)] {
            let frame = Frame { width, height, rgb: vec![0; bytes] };
            for planes in [Planes::full(Matrix::Bt709, &frame), Planes::halved(Matrix::Bt709, &frame)] {
                let text = planes.unwrap_err().to_string();
                assert!(text.contains(&format!("{width}x{height} with {bytes} bytes")), "{text}");
            }
        }
        let nothing = Frame { width: 0, height: 0, rgb: Vec::new() };
        assert!(Planes::halved(Matrix::Bt709, &nothing).unwrap().y.is_empty());
    }
}
