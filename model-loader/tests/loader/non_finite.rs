//! Stored numbers that are not finite are found, in every floating-point type, and named.

use kinora_model_loader::{Bytes, Checkpoint, ModelFolder};
use safetensors::{Dtype, tensor::TensorView};

use crate::{Copy, WAN};

fn checkpoint(tensors: &[(&str, Dtype, Vec<u8>)]) -> Checkpoint {
    let views = tensors.iter().map(|(name, dtype, bytes)| {
        let shape = vec![bytes.len() * 8 / dtype.bitsize()];
        (*name, TensorView::new(*dtype, shape, bytes).unwrap())
    });
    Checkpoint::from_bytes("f.safetensors", safetensors::serialize(views, None).unwrap().into()).unwrap()
}

/// What is found in a tensor of this type that holds `bits` among zeros, at several places.
#[track_caller]
fn found(dtype: Dtype, bits: u64) -> Option<&'static str> {
    let size = dtype.bitsize() / 8;
    let mut answers: Vec<Option<&'static str>> = [0, 7, 99]
        .into_iter()
        .map(|place| {
            let mut bytes = vec![0; 100 * size];
            bytes[place * size..][..size].copy_from_slice(&bits.to_le_bytes()[..size]);
            let other = vec![0; 64];
            let found = checkpoint(&[("a", dtype, bytes), ("b", Dtype::F32, other)]).first_non_finite();
            found.map(|found| {
                let shown = format!("`f.safetensors`: tensor `a` holds {}", found.value);
                assert_eq!((found.to_string(), &*found.tensor), (shown, "a"));
                found.value
            })
        })
        .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0]
}

#[test]
fn every_floating_point_type_is_searched() {
    let (nan, infinity) = (Some("NaN"), Some("infinity"));
    for (dtype, cases) in [
        (
            Dtype::F64,
            &[(f64::NAN.to_bits(), nan), (f64::NEG_INFINITY.to_bits(), infinity), (f64::MAX.to_bits(), None)]
                [..],
        ),
        (
            Dtype::F32,
            &[(0x7F80_0000, infinity), (0xFF80_0000, infinity), (0x7F80_0001, nan), (0xFFFF_FFFF, nan)],
        ),
        (Dtype::F32, &[(0x7F7F_FFFF, None), (0xFF7F_FFFF, None), (1, None), (0x8000_0000, None)]),
        (Dtype::F16, &[(0x7C00, infinity), (0xFC00, infinity), (0x7C01, nan), (0xFE00, nan), (0xFBFF, None)]),
        (
            Dtype::BF16,
            &[(0x7F80, infinity), (0xFF80, infinity), (0x7F81, nan), (0xFFC0, nan), (0xFF7F, None)],
        ),
        (Dtype::F8_E5M2, &[(0x7C, infinity), (0xFC, infinity), (0x7D, nan), (0xFF, nan), (0xFB, None)]),
        (Dtype::F8_E4M3, &[(0x7F, nan), (0xFF, nan), (0x7E, None), (0xFE, None), (0x78, None)]),
        (Dtype::F8_E8M0, &[(0xFF, nan), (0xFE, None), (0x7F, None)]),
        (Dtype::U8, &[(0xFF, None), (0x7C, None)]),
        (Dtype::I16, &[(0x7F80, None), (0xFFFF, None)]),
        (Dtype::I64, &[(u64::MAX, None)]),
        (Dtype::BOOL, &[(1, None)]),
    ] {
        for (bits, expected) in cases {
            assert_eq!(found(dtype, *bits), *expected, "{dtype:?} {bits:#x}");
        }
    }
}

#[test]
fn every_pattern_of_a_half_is_judged_as_the_processor_does() {
    for bits in 0..=u16::MAX {
        let bytes: Vec<u8> = bits.to_le_bytes().into();
        let bad = |dtype| checkpoint(&[("a", dtype, bytes.clone())]).first_non_finite().is_some();
        assert_eq!(bad(Dtype::F16), !half(bits, 5).is_finite(), "F16 {bits:#06x}");
        assert_eq!(bad(Dtype::BF16), !half(bits, 8).is_finite(), "BF16 {bits:#06x}");
    }
}

/// A number of 16 bits with an exponent of this width, as far as its being finite goes.
fn half(bits: u16, exponent: u32) -> f32 {
    let fraction = 15 - exponent;
    let (exponent_bits, all) = (bits << 1 >> (fraction + 1), (1_u16 << exponent) - 1);
    if exponent_bits == all { f32::INFINITY } else { f32::from(bits) }
}

#[test]
fn the_small_model_is_finite_and_a_damaged_one_is_named_by_shard() {
    let folder = ModelFolder::open(WAN).unwrap();
    for component in ["transformer", "vae", "text_encoder"] {
        assert_eq!(Checkpoint::open(&folder, component).unwrap().first_non_finite(), None);
    }
    const SHARD: &str = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors";
    let mut bytes = Copy::wan().0[SHARD].clone();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0xFF, 0xFF]);
    let checkpoint = Checkpoint::open(&Copy::wan().with(SHARD, bytes).open(), "transformer").unwrap();
    let found = checkpoint.first_non_finite().unwrap();
    assert_eq!((&*found.file, found.value), (SHARD, "NaN"));
    assert!(checkpoint.tensor(&found.tensor).unwrap().to_f32().iter().any(|value| value.is_nan()));
}

#[test]
fn what_holds_nothing_is_finite() {
    assert_eq!(checkpoint(&[("none", Dtype::F32, Vec::new())]).first_non_finite(), None);
    let empty = Checkpoint::from_bytes("e", Bytes::from_static(b"\x02\0\0\0\0\0\0\0{}")).unwrap();
    assert_eq!(empty.first_non_finite(), None);
}
