//! Separable resampling in fixed point, to the last bit as PIL computes it.

use std::f64::consts::PI;

use rayon::prelude::*;

use crate::video::Frame;

/// Bits behind the point of a weight: with 8 bits of pixel and 2 of headroom, 32 in all.
const PRECISION: u32 = 32 - 8 - 2;
/// Lobes of the window to each side.
const LOBES: f64 = 3.0;

/// Resamples both ways, with bytes in between; a side that keeps its length is left as it is.
pub(super) fn lanczos(picture: &Frame, width: usize, height: usize) -> Frame {
    let (old_width, old_height) = (picture.width as usize, picture.height as usize);
    let mut rgb = picture.rgb.clone();
    let is_down_first = down_first([old_width, width], [old_height, height]);
    if is_down_first {
        rgb = down(&rgb, 3 * old_width, &Window::all(old_height, height));
    }
    if width != old_width {
        rgb = across(&rgb, old_width, &Window::all(old_width, width));
    }
    if height != old_height && !is_down_first {
        rgb = down(&rgb, 3 * width, &Window::all(old_height, height));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the caller's sizes have 32 bits")]
    Frame { width: width as u32, height: height as u32, rgb }
}

/// Whether the height changes before the width: PIL's choice since its version 13, and a cheap one where the height
/// shrinks by more than twice as many rows as the width by columns. The order shows in the last bits.
fn down_first([old_width, width]: [usize; 2], [old_height, height]: [usize; 2]) -> bool {
    let lost_rows = old_height.saturating_sub(height);
    lost_rows > 2 * old_width.saturating_sub(width)
}

/// The old pixels that make a new one.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Window {
    fn all(old: usize, new: usize) -> Vec<Self> {
        (0..new).map(|index| Self::of(old, new, index)).collect()
    }

    /// When it shrinks, the window grows with the scale, so that every old pixel counts.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions are clamped to the picture, and weights are at most 1.5 in magnitude"
    )]
    fn of(old: usize, new: usize, index: usize) -> Self {
        let scale = old as f64 / new as f64;
        let stretch = scale.max(1.0);
        let center = (index as f64 + 0.5) * scale;
        let support = LOBES * stretch;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(old);
        let weights: Vec<f64> =
            (first..end).map(|at| lanczos_window((at as f64 - center + 0.5) * (1.0 / stretch))).collect();
        let sum: f64 = weights.iter().sum();
        let one = f64::from(1_u32 << PRECISION);
        let weights = weights.iter().map(|weight| (weight / sum * one).round() as i32).collect();
        Self { first, weights }
    }
}

fn lanczos_window(x: f64) -> f64 {
    if (-LOBES..LOBES).contains(&x) { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// The weighted sum of bytes that lie `stride` apart.
fn weighted(bytes: &[u8], stride: usize, weights: &[i32]) -> u8 {
    let half = 1 << (PRECISION - 1);
    let sum = bytes
        .iter()
        .step_by(stride)
        .zip(weights)
        .fold(half, |sum, (byte, weight)| sum + i32::from(*byte) * weight);
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn across(rgb: &[u8], old_width: usize, windows: &[Window]) -> Vec<u8> {
    let rows = rgb.par_chunks_exact(3 * old_width);
    let new_row = |row: &[u8]| -> Vec<u8> {
        let pixels = windows.iter().flat_map(|window| {
            let row = &row[3 * window.first..];
            [0, 1, 2].map(|channel| weighted(&row[channel..], 3, &window.weights))
        });
        pixels.collect()
    };
    rows.flat_map_iter(new_row).collect()
}

fn down(rgb: &[u8], row_bytes: usize, windows: &[Window]) -> Vec<u8> {
    let new_row = |window: &Window| -> Vec<u8> {
        let rows = &rgb[window.first * row_bytes..];
        (0..row_bytes).map(|column| weighted(&rows[column..], row_bytes, &window.weights)).collect()
    };
    windows.par_iter().flat_map_iter(new_row).collect()
}
