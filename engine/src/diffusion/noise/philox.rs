//! The default noise: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11)
//! and the Box-Muller transform.

/// Rounds of the recommended variant.
const ROUNDS: usize = 10;
/// Multipliers and key increments of Philox4x32, from the paper.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Standard-normal values as a pure function of a seed and an index, so that any part of a tensor can be
/// drawn alone.
///
/// The key is the seed, low word first. Values `4n` to `4n + 3` come from counter block `[n, n >> 32, 0, 0]`:
/// its words make the uniform pairs (0, 1) and (2, 3), and each pair a normal pair, cosine first. The other two
/// counter words are free for further independent streams.
///
/// Logarithm, sine and cosine are those of the `libm` crate, computed in double precision from additions,
/// multiplications and square roots alone and then rounded. They do not depend on the platform's mathematics
/// library, so the values are the same to the last bit everywhere.
#[derive(Debug, Clone, Copy)]
pub struct PhiloxNormal {
    key: [u32; 2],
}

impl PhiloxNormal {
    /// The sequence of `seed`; all 64 bits count.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { key: words(seed) }
    }

    /// The value at `index`.
    #[must_use]
    pub fn at(&self, index: u64) -> f32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// Fills `out` with the values from `first` on.
    pub fn fill(&self, first: u64, out: &mut [f32]) {
        let mut index = first;
        let mut rest = out;
        while !rest.is_empty() {
            let block = self.block(index / 4);
            let available = &block[(index % 4) as usize..];
            let count = available.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&available[..count]);
            index += count as u64;
            rest = later;
        }
    }

    fn block(&self, number: u64) -> [f32; 4] {
        let [low, high] = words(number);
        let [a, b, c, d] = philox([low, high, 0, 0], self.key);
        let (x, y) = box_muller(a, b);
        let (z, w) = box_muller(c, d);
        [x, y, z, w]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the value is split into its halves")]
const fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// Four random words for a counter and a key.
fn philox(counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    for _ in 0..ROUNDS {
        let [low0, high0] = words(u64::from(MULTIPLIERS[0]) * u64::from(c[0]));
        let [low1, high1] = words(u64::from(MULTIPLIERS[1]) * u64::from(c[2]));
        c = [high1 ^ c[1] ^ key[0], low1, high0 ^ c[3] ^ key[1], low0];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    c
}

/// Two independent standard-normal values from two random words.
#[expect(clippy::cast_possible_truncation, reason = "the values are wanted in single precision")]
fn box_muller(a: u32, b: u32) -> (f32, f32) {
    const SCALE: f64 = 1.0 / (1_u64 << 32) as f64;
    // In (0, 1]: the logarithm is finite and at most 22.2, the largest value 6.66.
    let u = (f64::from(a) + 1.0) * SCALE;
    let angle = std::f64::consts::TAU * (f64::from(b) * SCALE);
    let radius = (-2.0 * libm::log(u)).sqrt();
    let (sin, cos) = libm::sincos(angle);
    ((radius * cos) as f32, (radius * sin) as f32)
}

#[cfg(test)]
mod tests {
    use super::{PhiloxNormal, box_muller, philox};

    /// The known answers that come with the authors' Random123 library.
    #[test]
    fn philox_gives_the_published_answers() {
        let ones = u32::MAX;
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi_counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let pi_key = [0xa409_3822, 0x299f_31d0];
        assert_eq!(philox(pi_counter, pi_key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn extreme_words_stay_finite() {
        assert_eq!(box_muller(u32::MAX, 0).0, 0.0);
        let (largest, zero) = box_muller(0, 0);
        assert!((6.65..6.67).contains(&largest) && zero == 0.0, "{largest} {zero}");
        let (x, y) = box_muller(0, u32::MAX);
        assert!(x.is_finite() && y.is_finite());
    }

    #[test]
    fn any_part_can_be_drawn_alone() {
        let normal = PhiloxNormal::new(42);
        let mut whole = vec![0.0; 37];
        normal.fill(0, &mut whole);
        for first in 0..9 {
            for count in [0, 1, 3, 4, 5, 28] {
                let mut part = vec![f32::NAN; count];
                normal.fill(first as u64, &mut part);
                assert_eq!(part, whole[first..first + count], "{count} from {first}");
            }
        }
        assert!((0..).zip(&whole).all(|(index, &value)| normal.at(index) == value));
        // The counter is 64 bits wide.
        assert_ne!(normal.at(0), normal.at(4 << 32));
        assert_ne!(PhiloxNormal::new(1).at(0), PhiloxNormal::new(1 + (1 << 32)).at(0));
    }

    /// Pinned: a change here changes what every seed means.
    #[test]
    fn the_sequence_stays_what_it_is() {
        let bits: Vec<u32> = (0..4).map(|index| PhiloxNormal::new(42).at(index).to_bits()).collect();
        assert_eq!(bits, [3212336732, 1044819176, 3214813394, 1073103675]);
    }
}
