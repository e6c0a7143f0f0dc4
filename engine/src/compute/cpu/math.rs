//! Vectorised exponential and the activation functions built on it.

use super::simd::Simd;

/// A function applied to each element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Activation {
    /// The identity.
    #[default]
    None,
    /// The tanh form of GELU.
    GeluTanh,
    /// x * sigmoid(x).
    Silu,
    /// The larger of x and 0; not a number stays so.
    Relu,
}

impl Activation {
    /// Applies the function to a vector.
    #[inline(always)]
    pub(crate) fn vector<S: Simd>(self, s: S, x: S::V) -> S::V {
        match self {
            Self::None => x,
            Self::GeluTanh => gelu_tanh(s, x),
            Self::Silu => silu(s, x),
            Self::Relu => s.max(s.splat(0.0), x),
        }
    }
}

/// exp(x) with a relative error below 2e-7 for x in [-87.3, 88.3]; outside, the value at the nearer end.
/// Not a number stays so.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see below")]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // ln 2 in two parts: n times the first is exact for |n| < 2^9.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Cephes' polynomial for (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2.
    const POLYNOMIAL: [f32; 6] =
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = s.min(s.splat(88.3), s.max(s.splat(-87.3), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.mul_add(n, s.splat(-LN2_LOW), s.mul_add(n, s.splat(-LN2_HIGH), x));
    let mut p = s.splat(POLYNOMIAL[0]);
    // Counted, as every call must be inlined whatever the build's settings.
    for i in 1..POLYNOMIAL.len() {
        p = s.mul_add(p, r, s.splat(POLYNOMIAL[i]));
    }
    let p = s.add(s.mul_add(p, s.mul(r, r), r), s.splat(1.0));
    s.scale(p, n)
}

/// x / (1 + exp(-x)).
#[inline(always)]
fn silu<S: Simd>(s: S, x: S::V) -> S::V {
    let denominator = s.add(s.splat(1.0), exp(s, s.sub(s.splat(0.0), x)));
    s.div(x, denominator)
}

/// x / 2 * (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3), computed as x / (1 + exp(-2 u)).
#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::V) -> S::V {
    const LINEAR: f32 = -1.595_769_2; // -2 sqrt(2 / pi)
    const CUBIC: f32 = LINEAR * 0.044_715;
    let exponent = s.mul(x, s.mul_add(s.mul(x, x), s.splat(CUBIC), s.splat(LINEAR)));
    s.div(x, s.add(s.splat(1.0), exp(s, exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{Isa, Work};

    /// An activation over a slice.
    struct Apply<'a> {
        activation: Activation,
        values: &'a mut [f32],
    }

    impl Work for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let activation = self.activation;
            let mut vectors = self.values.chunks_exact_mut(S::LANES);
            for chunk in &mut vectors {
                // SAFETY: the chunk has LANES values.
                unsafe { s.store(chunk.as_mut_ptr(), activation.vector(s, s.load(chunk.as_ptr()))) };
            }
            let rest = vectors.into_remainder();
            // SAFETY: exactly the remaining values are read and written.
            unsafe {
                let v = activation.vector(s, s.load_part(rest.as_ptr(), rest.len()));
                s.store_part(rest.as_mut_ptr(), v, rest.len());
            }
        }
    }

    struct Exp<'a>(&'a mut [f32]);

    impl Work for Exp<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for chunk in self.0.chunks_exact_mut(S::LANES) {
                // SAFETY: the chunk has LANES values.
                unsafe { s.store(chunk.as_mut_ptr(), exp(s, s.load(chunk.as_ptr()))) };
            }
        }
    }

    /// 16 * 4000 values spread over [low, high].
    fn spread(low: f32, high: f32) -> Vec<f32> {
        (0..64_000_u16).map(|i| low + (high - low) * f32::from(i) / 63_999.0).collect()
    }

    #[test]
    fn exp_is_within_2e_7_of_std() {
        for isa in Isa::available() {
            for (low, high) in [(-87.3, 88.3), (-1.0, 1.0), (-20.0, 0.0)] {
                let input = spread(low, high);
                let mut got = input.clone();
                isa.dispatch(Exp(&mut got));
                for (&x, &y) in input.iter().zip(&got) {
                    let want = f64::from(x).exp();
                    let error = (f64::from(y) - want).abs() / want;
                    assert!(error <= 2e-7, "{isa:?}: exp({x}) = {y}, relative error {error:e}");
                }
            }
        }
    }

    #[test]
    fn exp_saturates_and_keeps_nan() {
        for isa in Isa::available() {
            let mut values = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, 0.0].repeat(4);
            isa.dispatch(Exp(&mut values));
            assert!(values[0] >= 0.0 && values[0] < 2e-38, "{isa:?}: {}", values[0]);
            assert!(values[1] > 2e38, "{isa:?}: {}", values[1]);
            assert!(values[2].is_nan(), "{isa:?}");
            assert_eq!(values[3], 1.0, "{isa:?}");
        }
    }

    #[test]
    fn activations_match_their_formulas() {
        for isa in Isa::available() {
            for (activation, formula) in [
                (Activation::GeluTanh, gelu_reference as fn(f64) -> f64),
                (Activation::Silu, |x: f64| x / (1.0 + (-x).exp())),
                (Activation::Relu, |x: f64| x.max(0.0)),
            ] {
                for (low, high) in [(-6.0, 6.0), (-0.01, 0.01), (-1e4, 1e4)] {
                    let mut input = spread(low, high);
                    input.pop(); // an incomplete last vector
                    let mut got = input.clone();
                    isa.dispatch(Apply { activation, values: &mut got });
                    for (&x, &y) in input.iter().zip(&got) {
                        let want = formula(f64::from(x));
                        // The rounded exponent moves exp by a relative |exponent| * 6e-8; deep in the tail only
                        // the absolute size matters.
                        let within = (f64::from(y) - want).abs() <= 1e-6 * want.abs() + 1e-9;
                        assert!(within, "{isa:?} {activation:?}({x}) = {y}, expected {want}");
                    }
                }
            }
        }
        for activation in [Activation::GeluTanh, Activation::Relu] {
            let mut nan = [f32::NAN];
            Isa::current().dispatch(Apply { activation, values: &mut nan });
            assert!(nan[0].is_nan());
        }
    }

    fn gelu_reference(x: f64) -> f64 {
        let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
        // The same as x / 2 (1 + tanh u) without its cancellation.
        x / (1.0 + (-2.0 * u).exp())
    }
}
