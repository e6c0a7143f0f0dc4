//! RGB to YCbCr in limited range, in whole numbers: the same bytes on every machine.
//!
//! With 16 fractional bits, `Y = 16 + 219/255 (Kr R + Kg G + Kb B)`, and `Cb`, `Cr` are the scaled differences of blue
//! and red to luma around 128. The chroma weights add up to zero and the luma weights to 219/255, so grey has no tint
//! and white is 235.

/// Which weights luma has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
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
pub(crate) struct Planes {
    /// Width and height of the luma plane.
    pub(crate) size: (usize, usize),
    /// Width and height of each chroma plane.
    pub(crate) chroma_size: (usize, usize),
    /// Luma.
    pub(crate) y: Vec<u8>,
    /// Difference of blue.
    pub(crate) cb: Vec<u8>,
    /// Difference of red.
    pub(crate) cr: Vec<u8>,
}

impl Planes {
    /// One chroma sample to each pixel.
    pub(crate) fn full(matrix: Matrix, width: usize, height: usize, rgb: &[u8]) -> Self {
        let weights = matrix.weights();
        let (pixels, _) = rgb[..3 * width * height].as_chunks::<3>();
        Self {
            size: (width, height),
            chroma_size: (width, height),
            y: pixels.iter().map(|p| channel(&weights.luma, &p.map(i32::from), 0, 16)).collect(),
            cb: pixels.iter().map(|p| channel(&weights.blue, &p.map(i32::from), 0, 128)).collect(),
            cr: pixels.iter().map(|p| channel(&weights.red, &p.map(i32::from), 0, 128)).collect(),
        }
    }

    /// One chroma sample to two by two pixels, their mean. An odd last column or row is doubled, since the format has
    /// even sizes only.
    pub(crate) fn halved(matrix: Matrix, width: usize, height: usize, rgb: &[u8]) -> Self {
        let weights = matrix.weights();
        let (pixels, _) = rgb[..3 * width * height].as_chunks::<3>();
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
        planes
    }
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

    const BOTH: [Matrix; 2] = [Matrix::Bt601, Matrix::Bt709];

    #[test]
    fn every_colour_is_rounded_from_the_definition() {
        for matrix in BOTH {
            for r in (0..=255).step_by(5) {
                for g in (0..=255).step_by(3) {
                    for b in (0..=255).step_by(5) {
                        let rgb = [r, g, b];
                        let planes = Planes::full(matrix, 1, 1, &rgb);
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
                let planes = Planes::full(matrix, 1, 1, &[grey; 3]);
                assert_eq!((planes.cb[0], planes.cr[0]), (128, 128));
            }
            assert_eq!(Planes::full(matrix, 1, 1, &[0; 3]).y, [16]);
            assert_eq!(Planes::full(matrix, 1, 1, &[255; 3]).y, [235]);
        }
    }

    #[test]
    fn odd_sizes_are_padded_with_the_edge() {
        let rgb: Vec<u8> = (0..3 * 3 * 5).map(|i| u8::try_from(i * 5 % 256).unwrap()).collect();
        let full = Planes::full(Matrix::Bt601, 3, 5, &rgb);
        let halved = Planes::halved(Matrix::Bt601, 3, 5, &rgb);
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
        let (full, halved) =
            (Planes::full(Matrix::Bt601, 2, 2, &flat), Planes::halved(Matrix::Bt601, 2, 2, &flat));
        assert_eq!((full.cb[0], full.cr[0]), (halved.cb[0], halved.cr[0]));
        let mixed = [255, 255, 255, 0, 0, 0, 0, 0, 255, 255, 255, 0];
        let halved = Planes::halved(Matrix::Bt601, 2, 2, &mixed);
        assert_eq!((halved.cb[0], halved.cr[0]), (128, 128));
    }
}
