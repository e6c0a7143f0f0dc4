//! Encoding values in all formats: how far the values that come back are off, and what is refused.

use kinora_model_loader::Format;
use proptest::prelude::*;

/// Values as weights are spread: normal, with this deviation, around `mean`.
fn normal(count: usize, deviation: f32, mean: f32) -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    };
    let mut one = || {
        let (radius, angle) = ((-2.0 * uniform().max(1e-12).ln()).sqrt(), std::f64::consts::TAU * uniform());
        #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
        let value = (radius * angle.cos()) as f32;
        value * deviation + mean
    };
    (0..count).map(|_| one()).collect()
}

fn grouped() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|format| format.is_grouped())
}

fn quantise(format: Format, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![7];
    format.quantise(values, &mut bytes).unwrap();
    assert_eq!(bytes[0], 7, "what was there stays");
    bytes.split_off(1)
}

fn there_and_back(format: Format, values: &[f32]) -> Vec<f32> {
    format.to_f32(&quantise(format, values))
}

/// The root of the mean squared error.
fn error(format: Format, values: &[f32]) -> f64 {
    let back = there_and_back(format, values);
    let squares = values.iter().zip(&back).map(|(want, got)| (f64::from(*want) - f64::from(*got)).powi(2));
    (squares.sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn errors_are_no_larger_than_those_of_ggml() {
    // For normal values of deviation 1, ggml's own quantisers without an importance matrix (August 2026) have the error in
    // the second column. The limits are 1% above what was seen here.
    for (format, of_ggml, limit) in [
        (Format::Q8_0, 0.005346, 0.005397),
        (Format::Q4_0, 0.085872, 0.0824),
        (Format::Q4_1, 0.078149, 0.0711),
        (Format::Q5_0, 0.042638, 0.0408),
        (Format::Q5_1, 0.037793, 0.03424),
        (Format::Iq4Nl, 0.076071, 0.0748),
        (Format::Q2K, 0.29627, 0.2758),
        (Format::Q3K, 0.150759, 0.1465),
        (Format::Q4K, 0.0712645, 0.07217),
        (Format::Q5K, 0.0360805, 0.03601),
        (Format::Q6K, 0.0177512, 0.01753),
    ] {
        assert!(limit < of_ggml * 1.015);
        for deviation in [1.0, 0.02] {
            let got = error(format, &normal(1 << 18, deviation, 0.0)) / f64::from(deviation);
            assert!(got > 0.0 && got <= limit, "{format}: {got}, expected at most {limit}");
        }
    }
}

#[test]
fn a_common_offset_costs_little_where_there_are_minima() {
    // Minima of groups of 256 values are at most zero, so they help below it.
    for (format, mean) in [
        (Format::Q4_1, 3.0),
        (Format::Q5_1, -3.0),
        (Format::Q4K, -3.0),
        (Format::Q5K, -3.0),
        (Format::Q2K, -3.0),
    ] {
        let (around, off) =
            (error(format, &normal(1 << 16, 1.0, 0.0)), error(format, &normal(1 << 16, 1.0, mean)));
        assert!(off < around * 1.5, "{format}: {off} against {around}");
    }
}

#[test]
fn single_elements_are_rounded_to_the_nearest() {
    // The numbers of each format in rising order: what lies between two goes to the nearer, the middle to the even code.
    for format in [Format::F16, Format::BF16, Format::F8E4M3, Format::F8E5M2] {
        let size = format.group_bytes();
        let code = |index: u32| index.to_le_bytes()[..size].to_vec();
        let codes: Vec<u32> =
            (0..1 << (8 * size - 1)).filter(|&i| format.to_f32(&code(i))[0].is_finite()).collect();
        for pair in codes.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|index| f64::from(format.to_f32(&code(index))[0]));
            for (part, want) in
                [(0.0, pair[0]), (0.25, pair[0]), (0.5, pair[0] + pair[0] % 2), (0.75, pair[1])]
            {
                #[expect(clippy::cast_possible_truncation, reason = "exact but for the smallest of BF16")]
                let value = (low + (high - low) * part) as f32;
                if format == Format::BF16 && pair[0] < 0x80 && part != 0.0 {
                    continue;
                }
                assert_eq!(quantise(format, &[value]), code(want), "{format} {value:e}");
                let negative = quantise(format, &[-value]);
                assert_eq!(negative[..size - 1], code(want)[..size - 1]);
                assert_eq!(negative[size - 1], code(want)[size - 1] | 0x80, "{format} -{value:e}");
            }
        }
    }
    let values = normal(1000, 1.0, 0.0);
    assert_eq!(there_and_back(Format::F32, &values), values);
}

#[test]
fn numbers_that_are_not_finite_or_too_large_are_refused() {
    for format in Format::ALL {
        let count = 2 * format.group_len();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.4e38] {
            let mut values = vec![1.0; count];
            values[count - 1] = value;
            let mut bytes = Vec::new();
            let result = format.quantise(&values, &mut bytes);
            if format == Format::F32 && value.is_finite() {
                result.unwrap();
                continue;
            }
            let unfit = result.unwrap_err();
            assert_eq!((unfit.index, unfit.format), (count - 1, format));
            let message = unfit.to_string();
            let reason = if value.is_finite() { "holds up to" } else { "expected a finite number" };
            assert!(
                message.contains(&format!("value {}", count - 1)) && message.contains(reason),
                "{message}"
            );
            assert!(bytes.is_empty());
        }
    }
}

#[test]
fn groups_of_one_value_come_back() {
    for format in grouped() {
        for value in [0.0, -0.0, 1.0, -1.0, 0.1, 447.0, -447.0] {
            let back = there_and_back(format, &vec![value; format.group_len()]);
            // Levels, and scales of scales in half precision, round. Q2_K and Q3_K have scales of 4 and 6 bits.
            for got in back {
                assert!((got - value).abs() <= value.abs() * 0.04, "{format}: {value} came back as {got}");
            }
        }
    }
}

#[test]
fn extremes_stay_finite() {
    for format in grouped() {
        let len = format.group_len();
        let ramp: Vec<f32> = (0..len).map(|i| i as f32 / len as f32 * 2.0 - 1.0).collect();
        for scale in [65_504.0, -65_504.0, 1e-3, 1e-6, 3e-8, 1e-20, f32::MIN_POSITIVE, 1e-45] {
            let values: Vec<f32> = ramp.iter().map(|value| value * scale).collect();
            // Below the smallest number in half precision, scales are zero; Q6_K divides it by 128 and 32 more.
            let least = f32::powi(2.0, -25) * 128.0;
            for (got, want) in there_and_back(format, &values).iter().zip(&values) {
                assert!(
                    (got - want).abs() <= scale.abs() * 0.5 + least,
                    "{format}: {want:e} came back as {got:e}"
                );
            }
            for pattern in [[scale, 0.0], [scale, -scale], [scale, scale]] {
                let values: Vec<f32> = pattern.iter().copied().cycle().take(2 * len).collect();
                assert!(
                    there_and_back(format, &values).iter().all(|value| value.is_finite()),
                    "{format} {scale:e}"
                );
            }
        }
    }
}

#[test]
fn the_same_values_give_the_same_bytes() {
    let values = normal(3 << 16, 1.0, 0.0);
    for format in Format::ALL {
        let whole = quantise(format, &values);
        let parts: Vec<u8> = values.chunks(1 << 12).flat_map(|part| quantise(format, part)).collect();
        assert!(whole == parts, "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_is_off_by_more_than_its_group_allows(
        exponents in proptest::collection::vec(-30i32..15, 256),
        signs in proptest::collection::vec(any::<bool>(), 256),
    ) {
        let values: Vec<f32> = exponents
            .iter()
            .zip(&signs)
            .map(|(&exponent, &sign)| f32::powi(2.0, exponent) * if sign { -1.3 } else { 1.1 })
            .collect();
        for format in grouped() {
            for (values, back) in values.chunks(format.group_len()).zip(there_and_back(format, &values).chunks(format.group_len())) {
                let most = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
                for (want, got) in values.iter().zip(back) {
                    prop_assert!((got - want).abs() <= most * 0.5 + f32::powi(2.0, -18), "{}: {} came back as {}", format, want, got);
                }
            }
        }
    }
}
