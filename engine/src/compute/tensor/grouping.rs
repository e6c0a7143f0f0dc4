//! Weights whose values share scales: how their groups lie in the memory of a device.
//!
//! A group becomes whole words of 32 bits: first the codes of its values, then what they are multiplied by. The codes of four
//! neighbours are the bytes of a word once that is shifted and masked, so that every format is read in the same way:
//!
//! - the low bits: 8, 4 or 2 of each value; a word holds one quad of neighbours, two or four;
//! - the high bits, if any: 1 or 2 of each value; a word holds eight quads or four;
//! - scales and minima of the runs, if the group has several;
//! - a word with the group's two halves: the scale below, the minimum above.
//!
//! Of float8 a group is as many neighbours as share a factor in f32, which is its last word.
use half::f16;
use model_loader::Format;
use std::fmt;

/// Bytes of a word.
const WORD: usize = 4;
/// Values of a float8 group, at most and at least.
const FLOAT8_LENS: [usize; 2] = [256, 4];

/// The groups of a weight: their format, and how many values each has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grouping {
    format: Format,
    len: u16,
}

/// How the scales of a group's runs lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// There is one run.
    One,
    /// A signed byte for each run.
    Bytes,
    /// A byte for the scale and one for the minimum.
    Pairs,
    /// The scale in the low half of a byte, the minimum in the high one.
    Nibbles,
}

/// How the codes of a format lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Low bits of a code.
    pub(crate) low: usize,
    /// High bits of a code, in words of their own.
    pub(crate) high: usize,
    /// The scales of runs.
    pub(crate) runs: Runs,
}

impl Grouping {
    /// That of a matrix in this format whose rows have so many values. `None` for formats of single elements but float8, and where rows
    /// are not whole groups, or in float8 no whole words.
    pub fn of(format: Format, row_len: usize) -> Option<Self> {
        let len = match format {
            Format::F32 | Format::F16 | Format::BF16 => return None,
            Format::F8E4M3 | Format::F8E5M2 => {
                let [most, least] = FLOAT8_LENS;
                let whole = most.min(1 << row_len.trailing_zeros().min(16));
                if whole < least { return None } else { whole }
            }
            _ => format.group_len(),
        };
        let whole = row_len > 0 && row_len.is_multiple_of(len);
        Some(Self { format, len: u16::try_from(len).ok()? }).filter(|_| whole)
    }

    /// How the values are stored.
    pub fn format(self) -> Format {
        self.format
    }

    /// Values of a group.
    pub fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Never: a group has values.
    pub fn is_empty(self) -> bool {
        false
    }

    /// Words of a group.
    pub fn words(self) -> usize {
        match self.layout() {
            None => self.len() / WORD + 1,
            Some(Layout { low, high, .. }) => (low + high) * self.len() / 32 + self.run_words() + 1,
        }
    }

    /// Bytes of so many values; a part of a group counts as a whole one.
    pub fn bytes(self, values: usize) -> usize {
        values.div_ceil(self.len()) * self.words() * WORD
    }

    /// Where the codes lie; none in float8.
    pub(crate) fn layout(self) -> Option<Layout> {
        let layout = |low, high, runs| Some(Layout { low, high, runs });
        match self.format {
            Format::Q8_0 => layout(8, 0, Runs::One),
            Format::Q4_0 | Format::Q4_1 | Format::Iq4Nl => layout(4, 0, Runs::One),
            Format::Q5_0 | Format::Q5_1 => layout(4, 1, Runs::One),
            Format::Q2K => layout(2, 0, Runs::Nibbles),
            Format::Q3K => layout(2, 1, Runs::Bytes),
            Format::Q4K => layout(4, 0, Runs::Pairs),
            Format::Q5K => layout(4, 1, Runs::Pairs),
            Format::Q6K => layout(4, 2, Runs::Bytes),
            Format::F8E4M3 | Format::F8E5M2 | Format::F32 | Format::F16 | Format::BF16 => None,
        }
    }

    /// Words of the scales of runs.
    pub(crate) fn run_words(self) -> usize {
        let runs = self.len() / self.format.run_len().max(1);
        match self.layout().map_or(Runs::One, |layout| layout.runs) {
            Runs::One => 0,
            Runs::Bytes | Runs::Nibbles => runs / 4,
            Runs::Pairs => runs / 2,
        }
    }

    /// Lays out groups as they are stored. `factor` tells what the values from an index on are multiplied by.
    ///
    /// # Panics
    /// If `stored` are not whole groups.
    pub(crate) fn arrange(self, stored: &[u8], factor: impl Fn(usize) -> f32) -> Vec<u8> {
        let stored_bytes = self.format.bytes(self.len()).unwrap_or(usize::MAX);
        assert!(stored.len().is_multiple_of(stored_bytes), "{} bytes of {}", stored.len(), self.format);
        let mut words = vec![0_u32; stored.len() / stored_bytes * self.words()];
        for (index, (group, words)) in
            stored.chunks_exact(stored_bytes).zip(words.chunks_exact_mut(self.words())).enumerate()
        {
            match self.layout() {
                Some(layout) => self.arrange_codes(layout, group, words),
                None => self.arrange_float8(group, words, factor(index * self.len())),
            }
        }
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// A group that holds what is not a number is not a number: kernels then need not look at each code.
    fn arrange_float8(self, group: &[u8], words: &mut [u32], factor: f32) {
        let broken = self.format == Format::F8E4M3 && group.iter().any(|code| code & 0x7F == 0x7F);
        let (codes, last) = words.split_at_mut(self.len() / WORD);
        for (word, bytes) in codes.iter_mut().zip(group.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        last[0] = if broken { f32::NAN } else { factor }.to_bits();
    }

    fn arrange_codes(self, layout: Layout, group: &[u8], words: &mut [u32]) {
        let Some(taken) = self.format.codes(group) else { return };
        let (lows, rest) = words.split_at_mut(layout.low * self.len() / 32);
        let (highs, rest) = rest.split_at_mut(layout.high * self.len() / 32);
        for (quad, codes) in taken.codes[..self.len()].as_chunks().0.iter().enumerate() {
            let bytes = u32::from_le_bytes(*codes);
            spread(lows, quad, layout.low, bytes);
            spread(highs, quad, layout.high, bytes >> layout.low);
        }
        let runs = self.len() / self.format.run_len();
        for run in 0..runs {
            let (scale, least) = (u32::from(taken.scales[run].cast_unsigned()), u32::from(taken.leasts[run]));
            match layout.runs {
                Runs::One => {}
                Runs::Bytes => rest[run / 4] |= scale << (8 * (run % 4)),
                Runs::Nibbles => rest[run / 4] |= (scale | least << 4) << (8 * (run % 4)),
                Runs::Pairs => rest[run / 2] |= (scale | least << 8) << (16 * (run % 2)),
            }
        }
        if let Some(last) = rest.last_mut() {
            *last = u32::from(taken.scale) | u32::from(taken.least) << 16;
        }
    }

    /// Values of groups in the layout of devices.
    ///
    /// # Panics
    /// If `out` is not as long as the groups in `bytes` have values.
    pub(crate) fn widen(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(self.bytes(out.len()), bytes.len(), "{}: bytes of {} values", self.format, out.len());
        let groups = bytes.chunks_exact(self.words() * WORD);
        for (group, out) in groups.zip(out.chunks_exact_mut(self.len())) {
            let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| group[WORD * at + byte]));
            for (run, values) in out.chunks_exact_mut(self.run_len()).enumerate() {
                let first = run * self.run_len() / WORD;
                for (quad, values) in values.chunks_exact_mut(WORD).enumerate() {
                    self.quad(&word, run, first + quad, values);
                }
            }
        }
    }

    /// Values of a run that share a scale.
    pub(crate) fn run_len(self) -> usize {
        if self.layout().is_some() { self.format.run_len() } else { self.len() }
    }

    fn quad(self, word: &impl Fn(usize) -> u32, run: usize, quad: usize, out: &mut [f32]) {
        let (scale, shift) = self.scale_and_shift(word, run);
        let codes = self.codes(word, quad).to_le_bytes();
        for (out, code) in out.iter_mut().zip(codes) {
            *out = match self.layout() {
                Some(_) => self.value(code) * scale - shift,
                None => self.value(code) * scale,
            };
        }
    }

    /// What the codes of a run are multiplied by, and what is subtracted then.
    #[inline(always)]
    pub(crate) fn scale_and_shift(self, word: &impl Fn(usize) -> u32, run: usize) -> (f32, f32) {
        let Some(layout) = self.layout() else { return (f32::from_bits(word(self.len() / WORD)), 0.0) };
        let runs = (layout.low + layout.high) * self.len() / 32;
        let halves = word(self.words() - 1).to_le_bytes();
        let scale = f16::from_le_bytes([halves[0], halves[1]]).to_f32();
        let least = f16::from_le_bytes([halves[2], halves[3]]).to_f32();
        let byte = |at: usize| word(runs + at / WORD).to_le_bytes()[at % WORD];
        let (scale, least) = match layout.runs {
            Runs::One => (scale, least),
            Runs::Bytes => (scale * f32::from(byte(run).cast_signed()), least),
            Runs::Nibbles => (scale * f32::from(byte(run) & 15), least * f32::from(byte(run) >> 4)),
            Runs::Pairs => (scale * f32::from(byte(2 * run)), least * f32::from(byte(2 * run + 1))),
        };
        let zero = self.format.zero();
        if zero > 0 { (scale, scale * f32::from(zero)) } else { (scale, least) }
    }

    /// The codes of a quad, one in each byte.
    #[inline(always)]
    pub(crate) fn codes(self, word: &impl Fn(usize) -> u32, quad: usize) -> u32 {
        let Some(layout) = self.layout() else { return word(quad) };
        let lows = gather(word, quad, layout.low);
        if layout.high == 0 {
            return lows;
        }
        let first = layout.low * self.len() / 32;
        lows | gather(&|at| word(first + at), quad, layout.high) << layout.low
    }

    /// The value of a code before it is scaled.
    #[inline(always)]
    pub(crate) fn value(self, code: u8) -> f32 {
        match self.format {
            Format::Iq4Nl => f32::from(Format::IQ4_NL_VALUES[usize::from(code & 15)]),
            Format::F8E4M3 => e4m3(code),
            Format::F8E5M2 => f16::from_le_bytes([0, code]).to_f32(),
            _ => f32::from(code),
        }
    }
}

/// In the exponent of f32, for which the few codes of the smallest numbers are whole numbers. Not a number is told by the factor.
#[inline(always)]
fn e4m3(code: u8) -> f32 {
    let magnitude = u32::from(code & 0x7F);
    let normal = f32::from_bits((magnitude << 20) + (120 << 23));
    let small = f32::from(code & 0x7F) / 512.0;
    let value = if magnitude < 8 { small } else { normal };
    f32::from_bits(value.to_bits() | u32::from(code & 0x80) << 24)
}

impl fmt::Display for Grouping {
    /// As in files; with the length of a float8 group, which they do not fix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.format.name().to_lowercase();
        if self.layout().is_some() { f.pad(&name) } else { f.pad(&format!("{name}:{}", self.len)) }
    }
}

/// Puts `bits` of each byte of a quad in its place.
fn spread(words: &mut [u32], quad: usize, bits: usize, bytes: u32) {
    if let Some(each) = 8_usize.checked_div(bits) {
        words[quad / each] |= (bytes & mask(bits)) << (bits * (quad % each));
    }
}

#[inline(always)]
fn gather(word: &impl Fn(usize) -> u32, quad: usize, bits: usize) -> u32 {
    let each = 8 / bits;
    word(quad / each) >> (bits * (quad % each)) & mask(bits)
}

/// The low bits of every byte.
#[inline(always)]
fn mask(bits: usize) -> u32 {
    0x0101_0101 * (0xFF >> (8 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(count: usize) -> Vec<u8> {
        let mut state = 3_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn what_is_arranged_says_what_was_stored() {
        for format in Format::ALL {
            let Some(grouping) = Grouping::of(format, 768) else { continue };
            let mut stored = random(format.bytes(3 * 768).unwrap());
            for group in stored.chunks_exact_mut(format.group_bytes()) {
                for at in format.halves() {
                    group[*at + 1] &= 0xB7;
                }
            }
            if !format.is_grouped() {
                stored.iter_mut().for_each(|code| *code &= 0xBF);
            }
            let factor = |index: usize| if format.is_grouped() { 1.0 } else { [0.5, -3.0, 0.0][index / 768] };
            let arranged = grouping.arrange(&stored, factor);
            assert_eq!(arranged.len(), grouping.bytes(3 * 768), "{format}");
            let mut got = vec![0.0; 3 * 768];
            grouping.widen(&arranged, &mut got);
            for (at, want) in format.to_f32(&stored).into_iter().enumerate() {
                assert_eq!(got[at], want * factor(at), "{format} {at}");
            }
        }
    }

    #[test]
    fn groups_are_whole_words_and_few_more_than_stored() {
        let bytes = |format: Format| Grouping::of(format, 1536).unwrap().words() * 4;
        assert_eq!([Format::Q8_0, Format::Q4_0, Format::Q5_1].map(bytes), [36, 20, 24]);
        assert_eq!([Format::Q2K, Format::Q3K, Format::Q4K].map(bytes), [84, 116, 148]);
        assert_eq!([Format::Q5K, Format::Q6K, Format::F8E4M3].map(bytes), [180, 212, 260]);
    }

    #[test]
    fn rows_of_no_whole_groups_have_none() {
        for (format, row_len, len) in [
            (Format::Q8_0, 64, Some(32)),
            (Format::Q8_0, 48, None),
            (Format::Q4K, 128, None),
            (Format::F8E4M3, 1536, Some(256)),
            (Format::F8E5M2, 100, Some(4)),
            (Format::F8E5M2, 6, None),
            (Format::F8E5M2, 0, None),
            (Format::F16, 64, None),
        ] {
            assert_eq!(Grouping::of(format, row_len).map(Grouping::len), len, "{format} {row_len}");
        }
    }

    #[test]
    fn all_codes_of_float8_are_known_and_what_is_no_number_stays_so() {
        for format in [Format::F8E4M3, Format::F8E5M2] {
            let grouping = Grouping::of(format, 4).unwrap();
            let codes: Vec<u8> = (0..=255).collect();
            let mut got = vec![0.0; 256];
            grouping.widen(&grouping.arrange(&codes, |_| 1.0), &mut got);
            for (code, want) in format.to_f32(&codes).into_iter().enumerate() {
                // The three before it share its group.
                let spoiled = want.is_nan() || format == Format::F8E4M3 && code % 128 >= 124;
                assert!(got[code] == want || spoiled && got[code].is_nan(), "{format} {code:#x}");
            }
        }
    }
}
