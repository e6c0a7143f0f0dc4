//! Chains of multiply-adds in registers: the most that the vector units can do.
use super::simd::{Isa, Simd, Work};
use rayon::prelude::*;

/// Independent chains per element: as many as hide the latency of two multiply-add units.
pub(crate) const CHAINS: usize = 8;

/// For each value of `x`, [`CHAINS`] chains that start at x, x + 1, .. and `rounds` times become y / 2 + 1/4, summed.
pub(crate) fn multiply_add_chains(x: &[f32], rounds: usize, out: &mut [f32]) {
    /// Values per task.
    const PART: usize = 1024;
    out.par_chunks_mut(PART).zip(x.par_chunks(PART)).for_each(|(out, x)| {
        Isa::current().dispatch(Chains { x, rounds, out });
    });
}

struct Chains<'a> {
    x: &'a [f32],
    rounds: usize,
    out: &'a mut [f32],
}

impl Work for Chains<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (half, quarter, one) = (s.splat(0.5), s.splat(0.25), s.splat(1.0));
        for (out, x) in self.out.chunks_mut(S::LANES).zip(self.x.chunks(S::LANES)) {
            // SAFETY: `x` has that many values.
            let mut start = unsafe { s.load_part(x.as_ptr(), x.len()) };
            let mut chains = [start; CHAINS];
            for chain in &mut chains {
                *chain = start;
                start = s.add(start, one);
            }
            for _ in 0..self.rounds {
                for y in &mut chains {
                    *y = s.mul_add(*y, half, quarter);
                }
            }
            let sum = chains.into_iter().reduce(|a, b| s.add(a, b)).unwrap_or(start);
            // SAFETY: `out` has that many values.
            unsafe { s.store_part(out.as_mut_ptr(), sum, out.len()) };
        }
    }
}
