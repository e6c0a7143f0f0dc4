//! Seeded standard-normal noise for the first latents.

mod philox;
mod torch_cpu;

pub use philox::PhiloxNormal;
pub use torch_cpu::TorchCpuNormal;

/// Where the noise of a run comes from. Either way the seed decides every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoiseSource {
    /// The counter-based generator [`PhiloxNormal`]: the same bits on every machine.
    #[default]
    Philox,
    /// [`TorchCpuNormal`]: what `torch.randn` draws on the CPU, so that a seed means what it means in diffusers.
    TorchCpu,
}

impl NoiseSource {
    /// Fills `out`, in the order of its elements.
    pub fn fill(self, seed: u64, out: &mut [f32]) {
        match self {
            Self::Philox => PhiloxNormal::new(seed).fill(0, out),
            Self::TorchCpu => TorchCpuNormal::new(seed).fill(out),
        }
    }

    /// Noise for a contiguous tensor of the given shape.
    #[must_use]
    pub fn tensor(self, seed: u64, shape: &[usize]) -> Vec<f32> {
        let mut out = vec![0.0; shape.iter().product()];
        self.fill(seed, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::NoiseSource;

    /// Mean, variance, skewness and kurtosis of 2^18 values lie within five standard errors, neighbours do not
    /// correlate, and the far tail is there.
    #[test]
    fn the_values_are_standard_normal() {
        for source in [NoiseSource::Philox, NoiseSource::TorchCpu] {
            for seed in [0, 42, u64::MAX] {
                let values = source.tensor(seed, &[4, 16, 64, 64]);
                let n = values.len() as f64;
                let moment = |power| values.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / n;
                let within = |got: f64, want: f64, variance: f64, what: &str| {
                    let bound = 5.0 * (variance / n).sqrt();
                    assert!((got - want).abs() < bound, "{source:?}, seed {seed}: {what} {got}");
                };
                within(moment(1), 0.0, 1.0, "mean");
                within(moment(2), 1.0, 2.0, "variance");
                within(moment(3), 0.0, 15.0, "third moment");
                within(moment(4), 3.0, 96.0, "fourth moment");
                for lag in [1, 2, 8, 64] {
                    let pairs = values.iter().zip(&values[lag..]);
                    let product = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() / n;
                    within(product, 0.0, 1.0, "correlation");
                }
                let largest = values.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                assert!((4.0..6.8).contains(&largest), "{source:?}, seed {seed}: {largest}");
            }
        }
    }

    #[test]
    fn seeds_differ_and_repeat() {
        for source in [NoiseSource::Philox, NoiseSource::TorchCpu] {
            assert_eq!(source.tensor(7, &[3, 5]), source.tensor(7, &[15]));
            assert_ne!(source.tensor(7, &[15]), source.tensor(8, &[15]));
            assert!(source.tensor(7, &[3, 0]).is_empty());
        }
    }
}
