//! What a group says, apart from where its bits lie: for those who lay it out anew.

use super::small_groups::IQ4_NL_VALUES;
use super::{Format, k_groups};

/// One group of a grouped format, taken apart. Of the arrays the first values count: codes of [`Format::group_len`], scales and
/// minima of one run each.
///
/// Value i is `scale * scales[run] * (codes[i] - zero) - least * leasts[run]` with the [`Format::zero`] of the format, halves
/// widened. Every product is exact in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// The values' codes; of [`Format::Iq4Nl`] places in [`Format::IQ4_NL_VALUES`].
    pub codes: [u8; 256],
    /// What the scale is multiplied by in each run: ones where there is one run.
    pub scales: [i8; 16],
    /// What the minimum is multiplied by in each run.
    pub leasts: [u8; 16],
    /// The bits of a half.
    pub scale: u16,
    /// The bits of a half; zero where a format has no minimum.
    pub least: u16,
}

impl Format {
    /// What the codes of [`Format::Iq4Nl`] stand for.
    pub const IQ4_NL_VALUES: [i8; 16] = IQ4_NL_VALUES;

    /// The code of the value zero in a grouped format without minima, else 0.
    #[must_use]
    pub const fn zero(self) -> u8 {
        match self {
            Self::Q8_0 => 128,
            Self::Q4_0 => 8,
            Self::Q5_0 => 16,
            Self::Q3K => 4,
            Self::Q6K => 32,
            _ => 0,
        }
    }

    /// Values of a run, which share a scale: a whole group, or a part of one with a small scale of its own.
    #[must_use]
    pub const fn run_len(self) -> usize {
        match self {
            Self::Q2K | Self::Q3K | Self::Q6K => 16,
            Self::Q4K | Self::Q5K => 32,
            _ => self.group_len(),
        }
    }

    /// Takes one group apart. `None` for a format of single elements, or bytes that are not one group.
    #[must_use]
    pub fn codes(self, group: &[u8]) -> Option<Codes> {
        if !self.is_grouped() || group.len() != self.group_bytes() {
            return None;
        }
        let half = |place: usize| {
            self.halves().get(place).map_or(0, |&at| u16::from_le_bytes([group[at], group[at + 1]]))
        };
        let mut taken =
            Codes { codes: [0; 256], scales: [1; 16], leasts: [1; 16], scale: half(0), least: half(1) };
        let codes = &mut taken.codes;
        match self {
            Self::Q8_0 => codes.iter_mut().zip(&group[2..]).for_each(|(code, byte)| *code = byte ^ 0x80),
            Self::Q4_0 | Self::Iq4Nl => nibbles(codes, &group[2..]),
            Self::Q4_1 => nibbles(codes, &group[4..]),
            Self::Q5_0 => five_bits(codes, &group[2..6], &group[6..]),
            Self::Q5_1 => five_bits(codes, &group[4..8], &group[8..]),
            Self::Q2K => {
                two_bits(codes, &group[16..80]);
                for (run, both) in group[..16].iter().enumerate() {
                    taken.scales[run] = (both & 15).cast_signed();
                    taken.leasts[run] = both >> 4;
                }
            }
            Self::Q3K => {
                two_bits(codes, &group[32..96]);
                for (at, code) in codes.iter_mut().enumerate() {
                    *code |= (group[at % 32] >> (at / 32) & 1) << 2;
                }
                taken.scales = std::array::from_fn(|run| k_groups::q3_k_scale(group, run));
            }
            Self::Q4K | Self::Q5K => {
                let lows = if self == Self::Q4K { &group[16..] } else { &group[48..] };
                for (at, code) in codes.iter_mut().enumerate() {
                    *code = lows[32 * (at / 64) + at % 32] >> (4 * (at / 32 % 2)) & 15;
                    if self == Self::Q5K {
                        *code |= (group[16 + at % 32] >> (at / 32) & 1) << 4;
                    }
                }
                for run in 0..8 {
                    let [scale, least] = k_groups::six_bits(&group[4..16], run);
                    (taken.scales[run], taken.leasts[run]) = (scale.cast_signed(), least);
                }
            }
            Self::Q6K => {
                for (at, code) in codes.iter_mut().enumerate() {
                    let (half, place) = (at / 128, at % 128);
                    let low = group[64 * half + place % 64] >> (4 * (place / 64)) & 15;
                    let high = group[128 + 32 * half + place % 32] >> (2 * (place / 32)) & 3;
                    *code = low | high << 4;
                }
                taken.scales = std::array::from_fn(|run| group[192 + run].cast_signed());
            }
            Self::F32 | Self::F16 | Self::BF16 | Self::F8E4M3 | Self::F8E5M2 => {}
        }
        // These two add what the others subtract.
        if matches!(self, Self::Q4_1 | Self::Q5_1) {
            taken.least ^= 0x8000;
        }
        Some(taken)
    }
}

/// Low halves of 16 bytes, then high halves.
fn nibbles(codes: &mut [u8; 256], bytes: &[u8]) {
    for at in 0..32 {
        codes[at] = bytes[at % 16] >> (4 * (at / 16)) & 15;
    }
}

fn five_bits(codes: &mut [u8; 256], tops: &[u8], bytes: &[u8]) {
    nibbles(codes, bytes);
    for at in 0..32 {
        codes[at] |= (tops[at / 8] >> (at % 8) & 1) << 4;
    }
}

/// 32 bytes hold four runs of 32 values.
fn two_bits(codes: &mut [u8; 256], bytes: &[u8]) {
    for (at, code) in codes.iter_mut().enumerate() {
        *code = bytes[32 * (at / 128) + at % 32] >> (2 * (at / 32 % 4)) & 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn groups_taken_apart_say_what_they_said() {
        let mut state = 7_u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        for format in Format::ALL {
            let mut group: Vec<u8> = (0..format.group_bytes()).map(|_| byte()).collect();
            if !format.is_grouped() {
                assert_eq!(format.codes(&group), None);
                continue;
            }
            // Of either sign, zero and subnormal.
            for (scale, least) in [(0x2E01, 0xB123), (0xB3FF, 0x0003), (0x0001, 0x3000), (0x8000, 0x0000)] {
                for (at, bits) in format.halves().iter().zip([scale, least]) {
                    group[*at..at + 2].copy_from_slice(&u16::to_le_bytes(bits));
                }
                let taken = format.codes(&group).unwrap();
                let [scale, least] = [taken.scale, taken.least].map(|bits| f16::from_bits(bits).to_f32());
                for (at, want) in format.to_f32(&group).into_iter().enumerate() {
                    let run = at / format.run_len();
                    let code = match format {
                        Format::Iq4Nl => f32::from(Format::IQ4_NL_VALUES[usize::from(taken.codes[at])]),
                        _ => f32::from(taken.codes[at]) - f32::from(format.zero()),
                    };
                    let got = scale * f32::from(taken.scales[run]) * code;
                    let got = got - least * f32::from(taken.leasts[run]);
                    assert_eq!(got, want, "{format} {at}");
                }
            }
        }
    }
}
