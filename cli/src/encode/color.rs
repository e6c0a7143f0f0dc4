//! RGB to BT.709 YCbCr in limited range, in whole numbers: the same bytes on every machine.
//!
//! With 16 fractional bits, `Y = 16 + 219/255 (0.2126 R + 0.7152 G + 0.0722 B)`, and `Cb`, `Cr` the scaled differences
//! of blue and red to luma around 128. The chroma weights add up to zero and the luma weights to 219/255, so grey has no
//! tint and white is 235.

const LUMA: [i32; 3] = [11_966, 40_254, 4_064];
const BLUE: [i32; 3] = [-6_596, -22_188, 28_784];
const RED: [i32; 3] = [28_784, -26_145, -2_639];

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
    pub(crate) fn full(width: usize, height: usize, rgb: &[u8]) -> Self {
        let (pixels, _) = rgb[..3 * width * height].as_chunks::<3>();
        Self {
            size: (width, height),
            chroma_size: (width, height),
            y: pixels.iter().map(|p| channel(&LUMA, &p.map(i32::from), 0, 16)).collect(),
            cb: pixels.iter().map(|p| channel(&BLUE, &p.map(i32::from), 0, 128)).collect(),
            cr: pixels.iter().map(|p| channel(&RED, &p.map(i32::from), 0, 128)).collect(),
        }
    }

    /// One chroma sample to two by two pixels, their mean. An odd last column or row is doubled, since the format has
    /// even sizes only.
    pub(crate) fn halved(width: usize, height: usize, rgb: &[u8]) -> Self {
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
            planes.y.extend(line.iter().map(|p| channel(&LUMA, &p.map(i32::from), 0, 16)));
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
                planes.cb.push(channel(&BLUE, &sum, 2, 128));
                planes.cr.push(channel(&RED, &sum, 2, 128));
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
    fn reference([r, g, b]: [u8; 3]) -> [f64; 3] {
        let [r, g, b] = [r, g, b].map(|v| f64::from(v) / 255.0);
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        [16.0 + 219.0 * y, 128.0 + 224.0 * (b - y) / 1.8556, 128.0 + 224.0 * (r - y) / 1.5748]
    }

    #[test]
    fn every_colour_is_rounded_from_the_definition() {
        for r in (0..=255).step_by(5) {
            for g in (0..=255).step_by(3) {
                for b in (0..=255).step_by(5) {
                    let rgb = [r, g, b];
                    let planes = Planes::full(1, 1, &rgb);
                    let got = [planes.y[0], planes.cb[0], planes.cr[0]].map(f64::from);
                    for (got, want) in got.iter().zip(reference(rgb)) {
                        assert!((got - want).abs() <= 0.51, "{rgb:?}: {got} for {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn greys_have_no_tint_and_stay_in_range() {
        for grey in 0..=255 {
            let planes = Planes::full(1, 1, &[grey; 3]);
            assert_eq!((planes.cb[0], planes.cr[0]), (128, 128));
        }
        assert_eq!(Planes::full(1, 1, &[0; 3]).y, [16]);
        assert_eq!(Planes::full(1, 1, &[255; 3]).y, [235]);
    }

    #[test]
    fn odd_sizes_are_padded_with_the_edge() {
        let rgb: Vec<u8> = (0..3 * 3 * 5).map(|i| u8::try_from(i * 5 % 256).unwrap()).collect();
        let full = Planes::full(3, 5, &rgb);
        let halved = Planes::halved(3, 5, &rgb);
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
        let (full, halved) = (Planes::full(2, 2, &flat), Planes::halved(2, 2, &flat));
        assert_eq!((full.cb[0], full.cr[0]), (halved.cb[0], halved.cr[0]));
        let mixed = [255, 255, 255, 0, 0, 0, 0, 0, 255, 255, 255, 0];
        let halved = Planes::halved(2, 2, &mixed);
        assert_eq!((halved.cb[0], halved.cr[0]), (128, 128));
    }
}
