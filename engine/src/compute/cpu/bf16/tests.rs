//! Rounding, and which units there are. The products are tested where they are used: `gemm`, `conv3d` and `attention`.

use bytemuck::Zeroable;
use half::bf16;

use super::*;
use crate::cpu::gemm::tests::values;

/// Rounds values as the left operand of a product with one, which gives them back in f32.
struct Round<'a>(&'a [f32], &'a mut [f32]);

impl UnitWork for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, K: Kernel<S>>(self, s: S, kernel: K) {
        let zero = K::Left::zeroed();
        let (mut left, mut sums) = (vec![zero; K::ROWS * LEFT_STRIDE], vec![0.0; K::ROWS * S::COLUMNS]);
        let mut panel = vec![0_u16; STEP * S::COLUMNS];
        for (&x, to) in self.0.iter().zip(self.1) {
            panel.fill(0);
            panel[0] = bf16::ONE.to_bits();
            let sums_at = Sums { at: sums.as_mut_ptr(), stride: S::COLUMNS, accumulate: false };
            // SAFETY: `left` has ROWS rows of LEFT_STRIDE values, `panel` STEP rows and `sums` ROWS rows of COLUMNS.
            unsafe {
                kernel.round_row(s, &raw const x, 1, left.as_mut_ptr());
                let strip = Rounded { left: left.as_ptr(), rows: 1, depth: 1 };
                kernel.multiply(s, strip, panel.as_ptr(), true, sums_at);
            }
            *to = sums[0];
        }
    }
}

#[test]
fn every_unit_rounds_to_the_nearest_and_to_even() {
    let mut numbers = values(500, 1);
    // Half way between neighbours, a little beside it, the largest, and what is no number.
    numbers.extend([0x3f80_8000, 0x3f81_8000, 0x3f80_8001, 0x3f80_7fff, 0xbf83_8000].map(f32::from_bits));
    numbers.extend([0.0, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    // All bits set but the sign: rounding must not carry into it.
    numbers.push(f32::from_bits(0x7fff_ffff));
    for unit in Unit::available() {
        let mut rounded = vec![7.0; numbers.len()];
        unit.dispatch(Round(&numbers, &mut rounded));
        for (&x, &got) in numbers.iter().zip(&rounded) {
            let want = bf16::from_f32(x).to_f32();
            assert!(got == want || (want.is_nan() && got.is_nan()), "{unit:?}: {x} became {got}, not {want}");
        }
    }
}

#[test]
fn the_best_unit_comes_first() {
    let units = Unit::available();
    assert_eq!(units[0], Unit::current());
    assert!(units.contains(&Unit::Widened(Isa::Portable)));
    // On a machine made to have it, a unit that is not found is a fault of the search.
    if let Ok(expected) = std::env::var("KINORA_TEST_UNIT") {
        assert_eq!(format!("{:?}", units[0]), expected);
    }
}
