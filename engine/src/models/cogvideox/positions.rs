//! Where the video tokens of CogVideoX are: rotary tables, and tables that are added to the tokens. All in f64.
use crate::models::{RopeTables, rope::RopeAxis};
use model_loader::config::CogVideoXTransformerConfig;

/// Rotary tables for a grid of tokens: a quarter of a head for time, three eighths for rows and for columns.
///
/// With patches of one frame, the picture's grid is fitted into that of the training, centred, and sampled there, so
/// that rows and columns lie between integers; with patches of several frames, tokens are at integers.
pub(super) fn rotary(config: &CogVideoXTransformerConfig, grid: [usize; 3]) -> RopeTables {
    let head = config.attention_head_dim;
    let (time, space) = (head / 4, head / 8 * 3);
    let [frames, rows, columns] = grid;
    let axes = if config.patch_size_t.is_some() {
        [RopeAxis::integers(space, rows), RopeAxis::integers(space, columns)]
    } else {
        let base = [config.sample_height / config.patch_size, config.sample_width / config.patch_size];
        let [height, width] = fitted([rows, columns], base);
        [height.sample(space, rows), width.sample(space, columns)]
    };
    let [rows, columns] = axes;
    RopeTables::new(&[RopeAxis::integers(time, frames), rows, columns])
}

/// Part of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    start: f64,
    stop: f64,
}

impl Span {
    /// `count` places from the start on, of which the last is the `count`-th part of the stop before the stop.
    fn sample(self, dim: usize, count: usize) -> RopeAxis {
        let last = self.stop * (count - 1) as f64 / count as f64;
        let step = if count > 1 { (last - self.start) / (count - 1) as f64 } else { 0.0 };
        RopeAxis { dim, positions: (0..count).map(|i| self.start + step * i as f64).collect() }
    }
}

/// The largest part of `base` (rows, columns) with the proportions of `grid`, in its middle.
fn fitted(grid: [usize; 2], base: [usize; 2]) -> [Span; 2] {
    let ([rows, columns], [base_rows, base_columns]) = (grid.map(|n| n as f64), base.map(|n| n as f64));
    let size = if rows / columns > base_rows / base_columns {
        [base_rows, (base_rows / rows * columns).round_ties_even()]
    } else {
        [(base_columns / columns * rows).round_ties_even(), base_columns]
    };
    let span = |size: f64, base: f64| {
        let start = ((base - size) / 2.0).round_ties_even();
        Span { start, stop: start + size }
    };
    [span(size[0], base_rows), span(size[1], base_columns)]
}

/// The table `[tokens, width]` that is added to the tokens: a quarter of the columns for time, three eighths for
/// columns of the picture, three eighths for its rows; each sines first, then cosines.
pub(super) fn sines(config: &CogVideoXTransformerConfig, grid: [usize; 3]) -> Vec<f32> {
    let width = config.inner_dim();
    let (time, space) = (width / 4, width / 8 * 3);
    let [frames, rows, columns] = grid;
    let (stretch, pace) = (config.spatial_interpolation_scale, config.temporal_interpolation_scale);
    let t: Vec<_> = (0..frames).map(|t| waves(time, t as f64 / pace)).collect();
    let y: Vec<_> = (0..rows).map(|y| waves(space, y as f64 / stretch)).collect();
    let x: Vec<_> = (0..columns).map(|x| waves(space, x as f64 / stretch)).collect();
    let mut table = Vec::with_capacity(frames * rows * columns * width);
    for t in &t {
        for y in &y {
            for x in &x {
                table.extend([t, x, y].into_iter().flatten());
            }
        }
    }
    table
}

/// `[sin(p f) | cos(p f)]` with f_k = 10000^(-k / half), half = dim / 2.
fn waves(dim: usize, position: f64) -> Vec<f32> {
    let half = dim / 2;
    let angles = (0..half).map(|k| position * 10_000.0_f64.powf(-(k as f64) / half as f64));
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
    let waves = angles.clone().map(|a| a.sin() as f32).chain(angles.map(|a| a.cos() as f32)).collect();
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_fitted_into_that_of_the_training() {
        // The published sizes themselves, a square, a tall picture; halves are rounded to even.
        let spans = |grid, base| fitted(grid, base).map(|span| (span.start, span.stop));
        assert_eq!(spans([30, 45], [30, 45]), [(0.0, 30.0), (0.0, 45.0)]);
        assert_eq!(spans([32, 32], [30, 45]), [(0.0, 30.0), (8.0, 38.0)]);
        assert_eq!(spans([45, 30], [30, 45]), [(0.0, 30.0), (12.0, 32.0)]);
        assert_eq!(spans([3, 4], [4, 6]), [(0.0, 4.0), (0.0, 5.0)]);
        assert_eq!(spans([10, 45], [30, 45]), [(10.0, 20.0), (0.0, 45.0)]);
    }

    #[test]
    fn samples_end_before_the_span_does() {
        let axis = Span { start: 8.0, stop: 38.0 }.sample(2, 32);
        let last = 38.0 * 31.0 / 32.0;
        assert!((axis.positions[0] - 8.0).abs() < 1e-12 && (axis.positions[31] - last).abs() < 1e-12);
        assert_eq!(Span { start: 3.0, stop: 5.0 }.sample(2, 1).positions, [3.0]);
    }
}
