//! Panels of weights that stay in groups, and how parts of them are unpacked for the kernels.
//!
//! A panel holds the words of its columns side by side: the first word of each column's first group, the second of each, and so on. A
//! vector of words then makes four vectors of values, one for each of four neighbours along k.

use model_loader::Format;
use rayon::prelude::*;

use super::pack::AlignedBuffer;
use crate::tensor::{Grouping, Layout, Runs};

/// Puts the groups of a matrix [n, k], as devices want them, into panels of `columns`; columns past n are zeros.
pub(super) fn pack(grouping: Grouping, bytes: &[u8], columns: usize, n: usize, k: usize) -> AlignedBuffer {
    let row = grouping.bytes(k) / 4;
    let mut buffer = AlignedBuffer::new(n.next_multiple_of(columns) * row * 4);
    if row > 0 {
        let panels = buffer.values_mut::<u32>().par_chunks_mut(columns * row);
        panels.zip(bytes.par_chunks(columns * row * 4)).for_each(|(panel, rows)| {
            for (column, row) in rows.chunks_exact(row * 4).enumerate() {
                for (to, word) in panel[column..].iter_mut().step_by(columns).zip(row.as_chunks().0) {
                    *to = u32::from_le_bytes(*word);
                }
            }
        });
    }
    buffer
}

/// Unpacks one panel of `COLUMNS` columns from a whole group on, as many values of k as `out` has room for: those of all columns for the
/// first k, then for the second. Inlined into what is compiled for an instruction set, whose vectors it is made of.
#[inline(always)]
pub(super) fn unpack<const COLUMNS: usize>(grouping: Grouping, panel: &[u32], out: &mut [f32]) {
    let groups = panel.as_chunks::<COLUMNS>().0.chunks_exact(grouping.words());
    let all = groups.zip(out.as_chunks_mut::<COLUMNS>().0.chunks_exact_mut(grouping.len()));
    let Some(layout) = grouping.layout() else {
        match grouping.format() {
            Format::F8E4M3 => all.for_each(|(group, out)| float8(group, out, e4m3)),
            _ => all.for_each(|(group, out)| float8(group, out, |code| widened(code << 8))),
        }
        return;
    };
    let plain = |code| code as f32;
    let table = |place: i32| f32::from(Format::IQ4_NL_VALUES[(place & 15) as usize]);
    match (layout.low, layout.high) {
        (8, _) => all.for_each(|(group, out)| codes::<COLUMNS, 8, 0>(grouping, layout, group, out, plain)),
        (4, 0) if grouping.format() == Format::Iq4Nl => {
            all.for_each(|(group, out)| codes::<COLUMNS, 4, 0>(grouping, layout, group, out, table));
        }
        (4, 0) => all.for_each(|(group, out)| codes::<COLUMNS, 4, 0>(grouping, layout, group, out, plain)),
        (4, 1) => all.for_each(|(group, out)| codes::<COLUMNS, 4, 1>(grouping, layout, group, out, plain)),
        (4, _) => all.for_each(|(group, out)| codes::<COLUMNS, 4, 2>(grouping, layout, group, out, plain)),
        (_, 0) => all.for_each(|(group, out)| codes::<COLUMNS, 2, 0>(grouping, layout, group, out, plain)),
        _ => all.for_each(|(group, out)| codes::<COLUMNS, 2, 1>(grouping, layout, group, out, plain)),
    }
}

/// A group of codes of `LOW` and `HIGH` bits in each column. Loops count, so that each becomes a few vectors.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see above")]
fn codes<const COLUMNS: usize, const LOW: usize, const HIGH: usize>(
    grouping: Grouping,
    layout: Layout,
    group: &[[u32; COLUMNS]],
    out: &mut [[f32; COLUMNS]],
    value: impl Fn(i32) -> f32 + Copy,
) {
    let (highs, runs) = (LOW * grouping.len() / 32, (LOW + HIGH) * grouping.len() / 32);
    let mask = |bits: usize| 0x0101_0101 * (0xFF_u32 >> (8 - bits));
    let zero = f32::from(grouping.format().zero());
    let halves = &group[grouping.words() - 1];
    let (mut scale, mut least) = ([0.0; COLUMNS], [0.0; COLUMNS]);
    for column in 0..COLUMNS {
        scale[column] = widened(halves[column] & 0xFFFF);
        least[column] = widened(halves[column] >> 16);
    }
    for (run, out) in out.chunks_exact_mut(grouping.run_len()).enumerate() {
        let (mut scales, mut shifts) = (scale, least);
        match layout.runs {
            Runs::One => {}
            Runs::Bytes => {
                let (words, shift) = (&group[runs + run / 4], 24 - 8 * (run % 4));
                for column in 0..COLUMNS {
                    scales[column] *= ((words[column] << shift).cast_signed() >> 24) as f32;
                }
            }
            Runs::Pairs => {
                let (words, shift) = (&group[runs + run / 2], 16 * (run % 2));
                for column in 0..COLUMNS {
                    let both = (words[column] >> shift).cast_signed();
                    scales[column] *= (both & 255) as f32;
                    shifts[column] *= (both >> 8 & 255) as f32;
                }
            }
            Runs::Nibbles => {
                let (words, shift) = (&group[runs + run / 4], 8 * (run % 4));
                for column in 0..COLUMNS {
                    let both = (words[column] >> shift).cast_signed();
                    scales[column] *= (both & 15) as f32;
                    shifts[column] *= (both >> 4 & 15) as f32;
                }
            }
        }
        if zero > 0.0 {
            for column in 0..COLUMNS {
                shifts[column] = scales[column] * zero;
            }
        }
        let first = run * grouping.run_len() / 4;
        for (quad, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let quad = first + quad;
            let mut codes = [0; COLUMNS];
            let (words, shift) = (&group[quad * LOW / 8], LOW * (quad % (8 / LOW)));
            for column in 0..COLUMNS {
                codes[column] = words[column] >> shift & mask(LOW);
            }
            if HIGH > 0 {
                let each = if HIGH == 1 { 8 } else { 4 };
                let (words, shift) = (&group[highs + quad / each], HIGH * (quad % each));
                for column in 0..COLUMNS {
                    codes[column] |= (words[column] >> shift & mask(HIGH.max(1))) << LOW;
                }
            }
            for place in 0..4 {
                for column in 0..COLUMNS {
                    let code = (codes[column] >> (8 * place) & 255).cast_signed();
                    out[place][column] = value(code) * scales[column] - shifts[column];
                }
            }
        }
    }
}

/// A group of float8 in each column.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "as in `codes`")]
fn float8<const COLUMNS: usize>(
    group: &[[u32; COLUMNS]],
    out: &mut [[f32; COLUMNS]],
    value: impl Fn(u32) -> f32 + Copy,
) {
    let Some((factors, codes)) = group.split_last() else { return };
    for (codes, out) in codes.iter().zip(out.as_chunks_mut::<4>().0) {
        for place in 0..4 {
            for column in 0..COLUMNS {
                out[place][column] =
                    value(codes[column] >> (8 * place) & 255) * f32::from_bits(factors[column]);
            }
        }
    }
}

/// The value of a half, without branches.
#[inline(always)]
fn widened(bits: u32) -> f32 {
    // Its exponent counts from another place; that of what is infinite or no number is full in both.
    let value = f32::from_bits((bits & 0x7FFF) << 13) * f32::from_bits((112 + 127) << 23);
    let full = if bits & 0x7C00 == 0x7C00 { 0xFF << 23 } else { 0 };
    f32::from_bits(value.to_bits() | full | (bits & 0x8000) << 16)
}

/// In the exponent of f32, for which the few codes of the smallest numbers are whole numbers. Where one is no number, the factor is none.
#[inline(always)]
fn e4m3(code: u32) -> f32 {
    let magnitude = code & 0x7F;
    let small = magnitude.cast_signed() as f32 / 512.0;
    let normal = f32::from_bits((magnitude << 20) + (120 << 23));
    let value = if magnitude < 8 { small } else { normal };
    f32::from_bits(value.to_bits() | (code & 0x80) << 24)
}

/// Rounds rows of values to bfloat16 and puts each two of them side by side, column by column; a last row alone gets zeros beside it.
#[inline(always)]
pub(super) fn pair<const COLUMNS: usize>(values: &[f32], pairs: &mut [[u16; 2]]) {
    let rows = values.as_chunks::<COLUMNS>().0;
    let zeros = [0.0; COLUMNS];
    let pairs = pairs.as_chunks_mut::<COLUMNS>().0;
    for (index, pairs) in pairs.iter_mut().enumerate() {
        let [even, odd] = [0, 1].map(|row| rows.get(2 * index + row).unwrap_or(&zeros));
        for column in 0..COLUMNS {
            pairs[column] = [rounded(even[column]), rounded(odd[column])];
        }
    }
}

/// The bits of the nearest bfloat16.
#[inline(always)]
fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let bits = if bits & 0x7FFF_FFFF > 0x7F80_0000 { bits | 1 << 22 } else { nearest };
    (bits >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_unpack_to_what_was_packed() {
        const COLUMNS: usize = 8;
        let mut state = 5_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let (n, k) = (COLUMNS + 3, 512);
        for format in Format::ALL {
            let Some(grouping) = Grouping::of(format, k) else { continue };
            let words = grouping.bytes(n * k) / 4;
            let bytes: Vec<u8> = (0..words)
                .flat_map(|at| {
                    let last = (at + 1).is_multiple_of(grouping.words());
                    match grouping.layout() {
                        _ if !last => next() & 0xBFBF_BFBF,
                        Some(_) => [0x0001_2C00, 0xB000_8003][at % 2],
                        None => [0.25_f32, -3.0][at % 2].to_bits(),
                    }
                    .to_le_bytes()
                })
                .collect();
            let mut want = vec![0.0; n * k];
            grouping.widen(&bytes, &mut want);
            let packed = pack(grouping, &bytes, COLUMNS, n, k);
            let row = grouping.bytes(k) / 4;
            let mut got = vec![0.0; 256 * COLUMNS];
            for panel in 0..2 {
                // From the 256th value on.
                let first = (panel * row + row / 2) * COLUMNS;
                let words = &packed.values::<u32>()[first..(panel + 1) * row * COLUMNS];
                unpack::<COLUMNS>(grouping, words, &mut got);
                for column in 0..COLUMNS.min(n - panel * COLUMNS) {
                    for at in 0..256 {
                        let want = want[(panel * COLUMNS + column) * k + 256 + at];
                        assert_eq!(got[at * COLUMNS + column], want, "{format} column {column} value {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn halves_are_widened_and_pairs_are_rounded_as_by_the_book() {
        for bits in 0..=u16::MAX {
            let (got, want) = (widened(bits.into()), half::f16::from_bits(bits).to_f32());
            assert!(got == want || got.is_nan() && want.is_nan(), "{bits:#x}: {got} {want}");
        }
        let values = [1.0, 1.003, -2.7e-39, f32::INFINITY, f32::NAN, f32::MAX, 0.0, 3.004];
        let mut pairs = [[0; 2]; 8];
        pair::<8>(&values, &mut pairs);
        for (value, [got, zero]) in values.into_iter().zip(pairs) {
            let want = half::bf16::from_f32(value);
            assert!((got == want.to_bits() || value.is_nan() && want.is_nan()) && zero == 0, "{value}");
        }
    }
}
