//! How near to a chip's peak a loop can come, from what it issues: an upper bound, with everything else assumed perfect.
use super::{
    assembly::LoopCounts,
    chips::{CACHE_BYTES, Chip, LANES, LDS_BYTES},
};

/// What [`Estimate::of`] takes for granted, for whoever reads its numbers.
pub const ASSUMPTIONS: &str = "Shares are upper bounds: in the hottest loop each compute unit issues 64 lanes of vector arithmetic a clock \
    (pairs not counted) or 512 operations of a matrix instruction, LDS moves 128 bytes and the first cache 64 bytes a clock, memory brings each \
    operand once at full bandwidth, all of them overlap, and enough subgroups hide every latency. Scalar instructions, bank conflicts, repeated \
    reads and what runs outside the loop cost nothing.";

/// What holds a launch back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Vector and matrix arithmetic.
    Arithmetic,
    /// Workgroup memory.
    Lds,
    /// The first-level cache.
    Cache,
    /// The device's memory.
    Memory,
}

/// What a launch reaches at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Of the chip's peak, 0 to 1: of its matrix instructions if the loop has some, else of its multiply-adds; of its
    /// bandwidth, where that is the bound.
    pub share: f64,
    /// By what it is held back.
    pub bound: Bound,
    /// The time that it takes at least, in seconds.
    pub seconds: f64,
}

/// Operations of a matrix instruction of 16x16x16.
const MATRIX_FLOPS: f64 = 8192.0;

impl Estimate {
    /// Estimates a launch of so many floating-point operations on so many bytes, whose hottest loop is known.
    pub fn of(chip: &Chip, counts: &LoopCounts, subgroup_size: u32, flops: u64, bytes: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (flops, bytes) = (flops as f64, bytes as f64);
        let memory = bytes / (chip.memory_gbytes * 1e9);
        let peak = if counts.wmma > 0 { chip.matrix_gflops() } else { chip.fma_gflops() };
        let least = flops / (peak * 1e9).max(1.0);
        let of_loop = loop_share(chip, counts, subgroup_size);
        let (share, bound) = of_loop.unwrap_or((1.0, Bound::Arithmetic));
        if memory >= least / share {
            return Self { share: 1.0, bound: Bound::Memory, seconds: memory };
        }
        Self { share, bound, seconds: least / share }
    }
}

/// The share of arithmetic peak that a loop allows; `None` if it multiplies nothing.
fn loop_share(chip: &Chip, counts: &LoopCounts, subgroup_size: u32) -> Option<(f64, Bound)> {
    #[expect(clippy::cast_precision_loss, reason = "counts of a loop's instructions")]
    let number = |count: usize| count as f64;
    let lanes = f64::from(subgroup_size);
    let vector = |count: usize| number(count) * lanes / f64::from(LANES);
    let matrix = number(counts.wmma) * MATRIX_FLOPS / f64::from(chip.matrix_flops.max(1));
    let products = if counts.wmma > 0 { matrix } else { vector(counts.fma) };
    if products <= 0.0 {
        return None;
    }
    let arithmetic = matrix + vector(counts.fma + counts.vector);
    // However little a lane takes, a subgroup's access takes as long as one of 4 bytes a lane.
    let moved = |accesses: usize, bytes: usize| number(bytes.max(4 * accesses)) * lanes;
    let lds =
        moved(counts.lds_loads, counts.lds_load_bytes) + moved(counts.lds_stores, counts.lds_store_bytes);
    let lds = lds / f64::from(LDS_BYTES);
    let cache = number(counts.global_load_bytes) * lanes / f64::from(CACHE_BYTES);
    let bounds = [(Bound::Arithmetic, arithmetic), (Bound::Lds, lds), (Bound::Cache, cache)];
    let (bound, cycles) = bounds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some((products / cycles, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longest_bounds_the_share() {
        let chip = Chip::named("navi31").unwrap();
        let plain = LoopCounts { fma: 512, lds_loads: 48, lds_load_bytes: 48 * 16, ..LoopCounts::default() };
        // 512 clocks of arithmetic beside 384 of LDS.
        assert_eq!(loop_share(chip, &plain, 64), Some((1.0, Bound::Arithmetic)));
        // 16 clocks for each product beside 8 for each load of 16 bytes by 64 lanes.
        let matrices = LoopCounts { wmma: 4, lds_loads: 16, lds_load_bytes: 256, ..LoopCounts::default() };
        assert_eq!(loop_share(chip, &matrices, 64), Some((0.5, Bound::Lds)));
        // Loads of 2 bytes take as long as loads of 4.
        let narrow = LoopCounts { lds_load_bytes: 32, ..matrices };
        assert_eq!(loop_share(chip, &narrow, 64), Some((1.0, Bound::Arithmetic)));
        assert_eq!(loop_share(chip, &LoopCounts { vector: 9, ..LoopCounts::default() }, 64), None);
    }

    #[test]
    fn few_operations_on_many_bytes_are_bound_by_memory() {
        let chip = Chip::named("navi31").unwrap();
        let counts = LoopCounts { fma: 4, global_loads: 1, global_load_bytes: 16, ..LoopCounts::default() };
        let estimate = |flops, bytes| Estimate::of(chip, &counts, 64, flops, bytes);
        assert_eq!(
            estimate(1_000, 960_000_000),
            Estimate { share: 1.0, bound: Bound::Memory, seconds: 1e-3 }
        );
        // A quarter of 30.72 TFLOP/s.
        let busy = estimate(7_680_000_000, 1_000);
        assert_eq!((busy.share, busy.bound), (0.25, Bound::Cache));
        assert!((busy.seconds - 1e-3).abs() < 1e-9, "{busy:?}");
    }
}
