//! Seeded standard-normal noise.

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

/// The noise of one run, tensor after tensor.
#[derive(Debug, Clone)]
pub struct NoiseStream(Position);

#[derive(Debug, Clone)]
enum Position {
    Philox { normal: PhiloxNormal, next: u64 },
    TorchCpu(Box<TorchCpuNormal>),
}

impl NoiseStream {
    /// A stream of [`NoiseSource::Philox`] that goes on after `drawn` values.
    #[must_use]
    pub fn philox(seed: u64, drawn: u64) -> Self {
        Self(Position::Philox { normal: PhiloxNormal::new(seed), next: drawn })
    }

    /// How many values a stream of [`NoiseSource::Philox`] has given; `None` for another generator.
    #[must_use]
    pub fn philox_drawn(&self) -> Option<u64> {
        match &self.0 {
            Position::Philox { next, .. } => Some(*next),
            Position::TorchCpu(_) => None,
        }
    }

    /// The next tensor of `elements` values.
    #[must_use]
    pub fn draw(&mut self, elements: usize) -> Vec<f32> {
        let mut out = vec![0.0; elements];
        match &mut self.0 {
            Position::Philox { normal, next } => {
                normal.fill(*next, &mut out);
                *next += elements as u64;
            }
            Position::TorchCpu(normal) => normal.fill(&mut out),
        }
        out
    }
}

impl NoiseSource {
    /// A run's noise from the beginning; its first tensor is that of [`tensor`](Self::tensor).
    #[must_use]
    pub fn stream(self, seed: u64) -> NoiseStream {
        NoiseStream(match self {
            Self::Philox => Position::Philox { normal: PhiloxNormal::new(seed), next: 0 },
            Self::TorchCpu => Position::TorchCpu(Box::new(TorchCpuNormal::new(seed))),
        })
    }

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
    use super::{NoiseSource, NoiseStream};

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

    #[test]
    fn a_stream_goes_on() {
        for source in [NoiseSource::Philox, NoiseSource::TorchCpu] {
            let mut stream = source.stream(7);
            let (first, second) = (stream.draw(50), stream.draw(50));
            assert_eq!(first, source.tensor(7, &[50]));
            assert_ne!(first, second);
        }
        let mut stream = NoiseSource::Philox.stream(7);
        let first = stream.draw(50);
        let mut moved = NoiseStream::philox(7, stream.philox_drawn().unwrap());
        assert_eq!([first, moved.draw(50)].concat(), NoiseSource::Philox.tensor(7, &[100]));
        assert_eq!(NoiseSource::TorchCpu.stream(7).philox_drawn(), None);
        let mut stream = NoiseSource::Philox.stream(7);
        let parts = [stream.draw(3), stream.draw(8), stream.draw(5)].concat();
        assert_eq!(parts, NoiseSource::Philox.tensor(7, &[16]));
    }
}
