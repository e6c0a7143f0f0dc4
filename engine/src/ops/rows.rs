//! What the ops that reduce rows share: how rows are spread over a GPU, and sums that vectorise on the CPU.
use crate::target::Target;
use shaders::Variant;

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
