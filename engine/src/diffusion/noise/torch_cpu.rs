//! The noise of `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))` in single precision.

use std::f64::consts::TAU;

/// Tensors of at least this many values are drawn in blocks of this size.
const BLOCK: usize = 16;

/// Standard-normal values in the order in which torch draws them.
///
/// The generator is the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded with the **low 32
/// bits** of the seed; torch ignores the others, so `seed` and `seed + 2^32` give the same noise.
///
/// What a draw looks like depends on its size. From 16 values on, 24-bit uniform values are written to the
/// whole tensor and every block of 16 is transformed in place, its first half being radii and its second half
/// angles; a remainder is redrawn together with the values before it, as one last full block. Smaller draws
/// take 53-bit values in pairs and keep the second normal value for the next call. So a tensor has to be drawn
/// in one call, with the shape that torch gives it.
///
/// torch's own last bits depend on the instruction set it runs on: the values here are the same on every
/// machine, within 6e-7 of torch with AVX2 or AVX-512 and within 3e-6 of torch without.
#[derive(Debug, Clone)]
pub struct TorchCpuNormal {
    engine: MersenneTwister,
    /// The second value of a pair drawn one by one.
    spare: Option<f64>,
}

impl TorchCpuNormal {
    /// A generator as after `manual_seed(seed)`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "torch seeds its engine with the low half")]
        let engine = MersenneTwister::new(seed as u32);
        Self { engine, spare: None }
    }

    /// One call of `torch.randn` for a contiguous tensor of this many values. A further call goes on where
    /// this one ended.
    pub fn fill(&mut self, out: &mut [f32]) {
        if out.len() < BLOCK {
            out.fill_with(|| self.single());
            return;
        }
        out.fill_with(|| self.uniform24());
        let (blocks, remainder) = out.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(transform);
        if !remainder.is_empty()
            && let Some(last) = out.last_chunk_mut::<BLOCK>()
        {
            last.fill_with(|| self.uniform24());
            transform(last);
        }
    }

    /// Uniform in [0, 1) on multiples of `2^-24`.
    fn uniform24(&mut self) -> f32 {
        (self.engine.next() & 0x00FF_FFFF) as f32 / (1_u32 << 24) as f32
    }

    /// Uniform in [0, 1) on multiples of `2^-53`.
    fn uniform53(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        let high = u64::from(self.engine.next());
        let low = u64::from(self.engine.next());
        (((high << 32) | low) & ((1 << BITS) - 1)) as f64 / (1_u64 << BITS) as f64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the values are wanted in single precision")]
    fn single(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare as f32;
        }
        let angle = TAU * self.uniform53();
        let radius = (-2.0 * libm::log1p(-self.uniform53())).sqrt();
        let (sin, cos) = libm::sincos(angle);
        self.spare = Some(radius * sin);
        (radius * cos) as f32
    }
}

/// Turns 16 uniform values into 16 normal ones.
#[expect(clippy::cast_possible_truncation, reason = "torch computes this in single precision")]
fn transform(block: &mut [f32; BLOCK]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (first, second) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * libm::log(f64::from(1.0 - *first)) as f32).sqrt();
        let (sin, cos) = libm::sincos(f64::from(TAU as f32 * *second));
        *first = radius * cos as f32;
        *second = radius * sin as f32;
    }
}

/// MT19937.
#[derive(Debug, Clone)]
struct MersenneTwister {
    state: [u32; Self::N],
    next: usize,
}

impl MersenneTwister {
    const N: usize = 624;
    const M: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::N];
        for (i, index) in (1..Self::N).zip(1_u32..) {
            let before = state[i - 1];
            state[i] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(index);
        }
        Self { state, next: Self::N }
    }

    fn next(&mut self) -> u32 {
        if self.next == Self::N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..Self::N {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % Self::N] & 0x7FFF_FFFF);
            let odd = if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + Self::M) % Self::N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests;
