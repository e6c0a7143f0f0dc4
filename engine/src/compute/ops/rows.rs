//! What the ops that reduce rows share: how rows are spread over a GPU, and sums that vectorise on the CPU.
use crate::{
    op::OpError,
    target::{Target, clamp_u32},
};
use shaders::Variant;

/// Two streams in one matrix: its first rows take rows of a table further down than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// How many the first are.
    pub rows: usize,
    /// How much further down their rows of the table are.
    pub offset: usize,
}

/// Rows at whose multiples a binding may begin, whatever a row is wide: see [`Target::row_tiles`].
pub const ROWS_ALIGNED: usize = 128;

/// `Err` unless a binding may begin at a row.
pub(crate) fn check_first_row(op: &'static str, first: usize) -> Result<(), OpError> {
    if first.is_multiple_of(ROWS_ALIGNED) {
        return Ok(());
    }
    Err(OpError::value(op, "first row", first, format!("a multiple of {ROWS_ALIGNED}")))
}

/// Elements that a kernel handles at a time: four, two or one, by what every row and run of columns is a multiple of.
pub(crate) fn unit_of(extents: &[usize]) -> usize {
    [4, 2].into_iter().find(|unit| extents.iter().all(|extent| extent.is_multiple_of(*unit))).unwrap_or(1)
}

/// Rows of so many units of so many elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    /// How many.
    pub(crate) count: usize,
    /// Units of a row.
    pub(crate) units: usize,
    /// Elements of a unit.
    pub(crate) unit: usize,
}

/// Elements that an invocation holds at most, and those of a row per invocation.
const HELD_ELEMENTS: usize = 64;
/// Steps that software unrolls, since what is held must not be indexed: more take its compiler seconds.
const SOFTWARE_STEPS: usize = 8;
/// Invocations of a workgroup that has a row per invocation.
const ROWS_OF_A_GROUP: usize = 8;
/// Invocations that share a short row.
const LANES_OF_A_ROW: usize = 16;

impl Rows {
    /// The variant's part that spreads rows over workgroups, and the grid.
    pub(crate) fn spread(self, variant: Variant, target: &Target) -> (Variant, [u32; 3]) {
        if !target.barriers_are_dear() {
            let wg = [64, 128, 256].into_iter().find(|wg| self.units.div_ceil(*wg) * self.unit <= 16);
            let wg = wg.unwrap_or(256);
            let variant = self.hold(variant, wg, HELD_ELEMENTS / self.unit).import("ROW", "row_workgroup");
            return (variant.overriding("WG", clamp_u32(wg)), target.fold(self.count));
        }
        match target.subgroups {
            // Neighbours load side by side what a row per invocation would load from eight places.
            Some((lanes, most))
                if lanes == most && (4..=16).contains(&lanes) && self.units > HELD_ELEMENTS / 4 =>
            {
                let variant =
                    self.hold(variant, lanes as usize, SOFTWARE_STEPS).import("ROW", "row_subgroup");
                (variant.overriding("WG", lanes), target.fold(self.count))
            }
            _ => self.one_each(variant, target),
        }
    }

    /// The like for many rows of few columns.
    pub(crate) fn spread_short(self, variant: Variant, target: &Target) -> (Variant, [u32; 3]) {
        if target.barriers_are_dear() {
            return self.one_each(variant, target);
        }
        let variant =
            self.hold(variant, LANES_OF_A_ROW, HELD_ELEMENTS / self.unit).import("ROW", "row_lanes");
        let variant = variant.constant("LANES", clamp_u32(LANES_OF_A_ROW)).overriding("WG", 64);
        (variant, target.fold(self.count.div_ceil(64 / LANES_OF_A_ROW)))
    }

    /// A row per invocation.
    fn one_each(self, variant: Variant, target: &Target) -> (Variant, [u32; 3]) {
        let variant = self.hold(variant, 1, SOFTWARE_STEPS).import("ROW", "row_invocation");
        (
            variant.overriding("WG", clamp_u32(ROWS_OF_A_GROUP)),
            target.fold(self.count.div_ceil(ROWS_OF_A_GROUP)),
        )
    }

    /// The units' part of the variant, and how many of them each of `lanes` invocations holds: all of its share, rounded up so
    /// that there are few variants, or none.
    fn hold(self, variant: Variant, lanes: usize, most: usize) -> Variant {
        let share = self.units.div_ceil(lanes).next_power_of_two();
        let name = match self.unit {
            4 => "unit_quad",
            2 => "unit_pair",
            _ => "unit_scalar",
        };
        variant.constant("HELD", if share <= most { clamp_u32(share) } else { 0 }).import("UNIT", name)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn held(units: usize, target: &Target) -> (&'static str, u32, u32) {
        let (variant, _) = Rows { count: 9, units, unit: 4 }.spread(Variant::new(), target);
        (variant.imports["ROW"], variant.overrides["WG"], variant.consts["HELD"])
    }

    #[test]
    fn rows_are_held_where_an_invocation_has_the_registers() {
        let gpu = Target::webgpu_defaults();
        assert_eq!(held(16, &gpu), ("row_workgroup", 64, 1));
        // 1.3B, 14B, and more than 256 invocations hold.
        assert_eq!(held(384, &gpu), ("row_workgroup", 128, 4));
        assert_eq!(held(1280, &gpu), ("row_workgroup", 256, 8));
        assert_eq!(held(5000, &gpu), ("row_workgroup", 256, 0));
        let software = Target { software: true, subgroups: Some((8, 8)), ..gpu };
        assert_eq!(held(8, &software), ("row_invocation", 8, 8));
        assert_eq!(held(16, &software), ("row_invocation", 8, 0));
        assert_eq!(held(64, &software), ("row_subgroup", 8, 8));
        assert_eq!(held(384, &software), ("row_subgroup", 8, 0));
        assert_eq!(held(384, &Target { subgroups: None, ..software }), ("row_invocation", 8, 0));
    }

    #[test]
    fn units_divide_every_run() {
        assert_eq!([&[8, 0, 12][..], &[8, 2], &[6, 3], &[]].map(unit_of), [4, 2, 1, 4]);
    }
}
