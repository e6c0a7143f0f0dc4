//! Rotary positions along several axes (RoFormer, arXiv:2104.09864): each axis turns channels of its own.

/// Cosines and sines of one angle per pair of channels: `[tokens, head_dim / 2]` each, tokens in order t, h, w.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeTables {
    /// Cosines.
    pub cos: Vec<f32>,
    /// Sines.
    pub sin: Vec<f32>,
    /// Channels of a head: twice the columns.
    pub head_dim: usize,
}

/// One axis of a grid of tokens.
#[derive(Debug, Clone)]
pub(super) struct RopeAxis {
    /// Channels of a head that it turns: an even number.
    pub(super) dim: usize,
    /// Where its tokens are.
    pub(super) positions: Vec<f64>,
}

impl RopeAxis {
    /// Tokens at 0, 1, 2, ...
    pub(super) fn integers(dim: usize, count: usize) -> Self {
        Self { dim, positions: (0..count).map(|p| p as f64).collect() }
    }

    /// `[positions, dim / 2]` pairs of cosine and sine; angles in f64, theta 10,000.
    fn table(&self) -> Vec<(f32, f32)> {
        let frequency = |i: usize| 10_000.0_f64.powf(-((2 * i) as f64) / self.dim as f64);
        #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
        let pair = |a: f64| (a.cos() as f32, a.sin() as f32);
        self.positions.iter().flat_map(|p| (0..self.dim / 2).map(move |i| pair(p * frequency(i)))).collect()
    }
}

impl RopeTables {
    /// Tables for a grid of tokens: axes time, height, width, whose channels lie side by side in this order.
    pub(super) fn new(axes: &[RopeAxis; 3]) -> Self {
        let tables = axes.each_ref().map(RopeAxis::table);
        let [frames, height, width] = axes.each_ref().map(|axis| axis.positions.len());
        let head_dim = axes.iter().map(|axis| axis.dim).sum();
        let count = frames * height * width * head_dim / 2;
        let (mut cos, mut sin) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for t in 0..frames {
            for h in 0..height {
                for w in 0..width {
                    for ((axis, table), position) in axes.iter().zip(&tables).zip([t, h, w]) {
                        for (c, s) in &table[position * axis.dim / 2..(position + 1) * axis.dim / 2] {
                            cos.push(*c);
                            sin.push(*s);
                        }
                    }
                }
            }
        }
        Self { cos, sin, head_dim }
    }
}
