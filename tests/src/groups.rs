//! Weights in groups that share scales: any codes, sane scales.
use crate::case::Random;
use engine::{DType, compute::tensor::Grouping};
use model_loader::{Bytes, Format, HostTensor};

/// The dtype of a matrix in this format whose rows have so many values.
///
/// # Panics
/// If graphs have none.
pub fn dtype(format: Format, row_len: usize) -> DType {
    let dtype = DType::of_format(format, row_len).filter(|dtype| dtype.grouping().is_some());
    dtype.unwrap_or_else(|| panic!("no {format} in rows of {row_len}"))
}

/// All formats in which values share a scale, float8 among them.
pub fn formats() -> impl Iterator<Item = Format> {
    let single = |format: &Format| matches!(format, Format::F32 | Format::F16 | Format::BF16);
    Format::ALL.into_iter().filter(move |format| !single(format))
}

/// A tensor of random codes. Scales are of either sign, some of them zero or so small that a half can hardly hold them; of float8,
/// e4m3fn has one for each row and e5m2 one for all.
pub fn tensor(name: &str, grouping: Grouping, shape: &[usize], seed: u64) -> HostTensor {
    let format = grouping.format();
    let mut random = Random(seed);
    let count: usize = shape.iter().product();
    let mut bytes: Vec<u8> =
        (0..format.bytes(count).unwrap_or(0)).map(|_| random.bits().to_le_bytes()[0]).collect();
    if !format.is_grouped() {
        // Codes of numbers up to 2; half of them are below a hundredth.
        let most = if format == Format::F8E4M3 { 0x40 } else { 0x3F };
        bytes.iter_mut().for_each(|code| *code = (*code & 0x80) | ((*code & 0x7F) % most));
    }
    // Codes times scales are 1 or so at most, and minima too.
    let range = format.zero().max(match format {
        Format::Q4_1 => 15,
        Format::Q5_1 => 31,
        Format::Iq4Nl => 127,
        _ => 32,
    });
    let runs = if format.run_len() < format.group_len() { 32.0 } else { 1.0 };
    for (index, group) in bytes.chunks_exact_mut(format.group_bytes()).enumerate() {
        for (half, at) in format.halves().iter().enumerate() {
            let most = if half == 0 { 1.0 / f64::from(range) / runs } else { 1.0 / runs };
            let value = match index % 7 {
                3 => 0.0,
                5 => 3e-7,
                _ => (random.unit() * 2.0 - 1.0) * most,
            };
            group[*at..at + 2].copy_from_slice(&half::f16::from_f64(value).to_le_bytes());
        }
    }
    let mut tensor = HostTensor::new(name, format, shape, Bytes::from(bytes));
    let mut factors = |count: usize| -> Vec<f32> {
        (0..count).map(|_| crate::case::narrow(random.unit() * 2.0 - 1.0)).collect()
    };
    tensor.scale = match format {
        Format::F8E4M3 => Some(factors(shape[0]).into()),
        Format::F8E5M2 => Some(factors(1).into()),
        _ => None,
    };
    tensor
}

/// Its values.
pub fn values(tensor: &HostTensor) -> Vec<f64> {
    tensor.to_f32().into_iter().map(f64::from).collect()
}
