//! What happens to a product's sums before they are stored.

use crate::cpu::math::Activation;
use crate::cpu::simd::Simd;

/// Rows inside a slice: row i begins at `offset + i * row_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The values.
    pub(crate) data: &'a [f32],
    /// Where row 0 begins.
    pub(crate) offset: usize,
    /// Distance of rows.
    pub(crate) row_stride: usize,
}

impl<'a> View<'a> {
    /// A contiguous matrix with rows of `columns`.
    pub(crate) fn contiguous(data: &'a [f32], columns: usize) -> Self {
        Self { data, offset: 0, row_stride: columns }
    }

    /// Panics unless `rows` rows of `columns` lie inside the slice.
    pub(crate) fn check(&self, what: &str, rows: usize, columns: usize) {
        check_rows(what, self.data.len(), self.offset, self.row_stride, rows, columns);
    }
}

/// Rows to write inside a slice.
#[derive(Debug)]
pub(crate) struct ViewMut<'a> {
    /// The values.
    pub(crate) data: &'a mut [f32],
    /// Where row 0 begins.
    pub(crate) offset: usize,
    /// Distance of rows, at least their length.
    pub(crate) row_stride: usize,
}

impl<'a> ViewMut<'a> {
    /// A contiguous matrix with rows of `columns`.
    pub(crate) fn contiguous(data: &'a mut [f32], columns: usize) -> Self {
        Self { data, offset: 0, row_stride: columns }
    }

    /// Panics unless `rows` disjoint rows of `columns` lie inside the slice.
    pub(crate) fn check(&self, what: &str, rows: usize, columns: usize) {
        assert!(rows < 2 || self.row_stride >= columns, "{what}: rows overlap");
        check_rows(what, self.data.len(), self.offset, self.row_stride, rows, columns);
    }
}

/// Panics unless the rows lie inside a slice of `len`.
fn check_rows(what: &str, len: usize, offset: usize, stride: usize, rows: usize, columns: usize) {
    let end = rows
        .checked_sub(1)
        .map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(offset)?.checked_add(columns));
    assert!(
        end.is_some_and(|end| end <= len),
        "{what}: {rows} rows of {columns} from {offset} by {stride} exceed {len} values"
    );
}

/// What is added to the product.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Residual<'a> {
    /// Nothing.
    #[default]
    None,
    /// What the output holds.
    Output,
    /// Rows of another tensor.
    Separate(View<'a>),
}

/// What multiplies rows, [n]: one row, and perhaps another one for the first rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGate<'a> {
    /// For all rows but the first ones.
    pub(crate) row: &'a [f32],
    /// How many the first ones are, and theirs.
    pub(crate) first: Option<(usize, &'a [f32])>,
}

impl<'a> RowGate<'a> {
    #[inline(always)]
    fn of(&self, row: usize) -> &'a [f32] {
        match self.first {
            Some((rows, gate)) if row < rows => gate,
            _ => self.row,
        }
    }
}

/// out = residual + gate[n] * (activation(sum + bias[n]) * multiplier[m, n]); what is absent drops out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue<'a> {
    /// Added to each row, [n].
    pub(crate) bias: Option<&'a [f32]>,
    /// Applied to the biased sums.
    pub(crate) activation: Activation,
    /// Multiplies element by element, as in gated feed-forward layers.
    pub(crate) multiplier: Option<View<'a>>,
    /// Multiplies each row.
    pub(crate) gate: Option<RowGate<'a>>,
    /// Added last.
    pub(crate) residual: Residual<'a>,
}

impl Epilogue<'_> {
    /// Panics unless everything fits `rows` output rows of `columns`.
    pub(crate) fn check(&self, rows: usize, columns: usize) {
        let gates = self.gate.map(|gate| (gate.row, gate.first.map(|(_, first)| first))).unzip();
        for (what, vector) in [("bias", self.bias), ("gate", gates.0), ("first gate", gates.1.flatten())] {
            if let Some(vector) = vector {
                assert_eq!(vector.len(), columns, "{what}: length");
            }
        }
        if let Some(view) = &self.multiplier {
            view.check("multiplier", rows, columns);
        }
        if let Residual::Separate(view) = &self.residual {
            view.check("residual", rows, columns);
        }
    }

    /// Finishes `count` sums, of columns `first..first + count` of output row `row`, and stores them at `out`.
    ///
    /// # Safety
    /// `sums` is valid for reading `count` values rounded up to a vector, `out` for reading and writing `count`, and
    /// [`Epilogue::check`] passed for more than `row` rows and for `first + count` columns at least.
    #[inline(always)]
    pub(crate) unsafe fn finish<S: Simd>(
        &self,
        s: S,
        sums: *const f32,
        row: usize,
        first: usize,
        count: usize,
        out: *mut f32,
    ) {
        let vector = |values: &[f32]| values.as_ptr().wrapping_add(first);
        let matrix =
            |view: &View<'_>| view.data.as_ptr().wrapping_add(view.offset + row * view.row_stride + first);
        let bias = self.bias.map(vector);
        let gate = self.gate.map(|gate| vector(gate.of(row)));
        let multiplier = self.multiplier.as_ref().map(matrix);
        let residual = match &self.residual {
            Residual::None => None,
            Residual::Output => Some(out.cast_const()),
            Residual::Separate(view) => Some(matrix(view)),
        };
        let mut at = 0;
        while at < count {
            let left = count - at;
            // SAFETY: `sums` may be read a whole vector at a time, all others and `out` have `left` values from `at` on.
            unsafe {
                let mut y = s.load(sums.add(at));
                if let Some(bias) = bias {
                    y = s.add(y, read(s, bias.add(at), left));
                }
                y = self.activation.vector(s, y);
                if let Some(multiplier) = multiplier {
                    y = s.mul(y, read(s, multiplier.add(at), left));
                }
                y = match (gate, residual) {
                    (None, None) => y,
                    (Some(gate), None) => s.mul(y, read(s, gate.add(at), left)),
                    (None, Some(residual)) => s.add(y, read(s, residual.add(at), left)),
                    (Some(gate), Some(residual)) => {
                        s.mul_add(y, read(s, gate.add(at), left), read(s, residual.add(at), left))
                    }
                };
                if left >= S::LANES {
                    s.store(out.add(at), y);
                } else {
                    s.store_part(out.add(at), y, left);
                }
            }
            at += S::LANES;
        }
    }
}

/// Reads a vector of which `left` lanes exist.
///
/// # Safety
/// `from` is valid for reading `left` values or a whole vector, whichever is less.
#[inline(always)]
unsafe fn read<S: Simd>(s: S, from: *const f32, left: usize) -> S::V {
    // SAFETY: the same contract.
    unsafe { if left >= S::LANES { s.load(from) } else { s.load_part(from, left) } }
}
