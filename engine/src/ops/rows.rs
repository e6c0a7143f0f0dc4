//! What the ops that reduce rows share: how rows are spread over a GPU, and sums that vectorise on the CPU.
use crate::target::Target;
use shaders::Variant;

/// Two streams in one matrix: its first rows take rows of a table further down than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// How many the first are.
    pub rows: usize,
    /// How much further down their rows of the table are.
    pub offset: usize,
}

/// Invocations of a workgroup that has a row per invocation.
const ROWS_OF_A_GROUP: usize = 8;

/// The variant's part that spreads rows over workgroups, and the grid for `rows` rows of `cols` columns.
pub(crate) fn spread_rows(
    variant: Variant,
    rows: usize,
    cols: usize,
    target: &Target,
) -> (Variant, [u32; 3]) {
    if target.software {
        let variant = variant.import("ROW", "row_invocation").overriding("WG", 8);
        (variant, target.fold(rows.div_ceil(ROWS_OF_A_GROUP)))
    } else {
        let wg = if cols > 512 { 128 } else { 64 };
        (variant.import("ROW", "row_workgroup").overriding("WG", wg), target.fold(rows))
    }
}

/// The like for many rows of few columns: on a GPU, [`LANES_OF_A_ROW`] invocations share a row.
pub(crate) fn spread_short_rows(variant: Variant, rows: usize, target: &Target) -> (Variant, [u32; 3]) {
    if target.software {
        return spread_rows(variant, rows, 1, target);
    }
    let variant = variant.import("ROW", "row_lanes").constant("LANES", LANES_OF_A_ROW).overriding("WG", 64);
    (variant, target.fold(rows.div_ceil(64 / LANES_OF_A_ROW as usize)))
}

/// Invocations that share a short row.
const LANES_OF_A_ROW: u32 = 16;

/// The sum of `f` over the values, in sixteen partial sums.
pub(crate) fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; 16];
    let chunks = values.chunks_exact(16);
    let tail: f32 = chunks.remainder().iter().map(|v| f(*v)).sum();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f(*value);
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// Rows of `cols` values that are worth a task of their own.
pub(crate) fn rows_of_a_task(cols: usize) -> usize {
    (16_384 / cols.max(1)).max(1)
}
