//! Rows of a sequence that a layer makes at a time, where the whole would take too much memory.
use crate::ops::{LayerNormOptions, MatmulOptions, Modulation, Split};

/// Some rows of a residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strip {
    /// The first row: a multiple of [`crate::ops::ROWS_ALIGNED`].
    pub first: usize,
    /// How many; `None`: all that there are.
    rows: Option<usize>,
}

impl Strip {
    /// The strips of `rows` rows, at most `most` of them at a time: of a multiple of [`crate::ops::ROWS_ALIGNED`].
    pub fn all(rows: usize, most: Option<usize>) -> Vec<Self> {
        let Some(most) = most else { return vec![Self { first: 0, rows: None }] };
        let strip = |first| Self { first, rows: Some(most.min(rows - first)) };
        (0..rows).step_by(most.max(1)).map(strip).collect()
    }

    /// The norm of these rows alone.
    pub fn norm(self, options: LayerNormOptions) -> LayerNormOptions {
        // A norm counts its own rows, a product those of its residual.
        let split = |split: Split| Split { rows: split.rows.saturating_sub(self.first), ..split };
        let modulation = options.modulation.map(|m| Modulation { split: m.split.map(split), ..m });
        LayerNormOptions { first_row: self.first, rows: self.rows, modulation, ..options }
    }

    /// A product that is added to these rows of its residual.
    pub fn product(self, options: MatmulOptions) -> MatmulOptions {
        MatmulOptions { first_row: self.rows.map(|_| self.first), ..options }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_cover_all_rows_once() {
        assert_eq!(Strip::all(300, None), [Strip { first: 0, rows: None }]);
        let strips = Strip::all(300, Some(128));
        let ranges: Vec<_> = strips.iter().map(|strip| (strip.first, strip.rows)).collect();
        assert_eq!(ranges, [(0, Some(128)), (128, Some(128)), (256, Some(44))]);
        assert_eq!(Strip::all(128, Some(128)).len(), 1);
    }
}
