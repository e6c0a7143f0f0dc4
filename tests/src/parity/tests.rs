//! The comparison fails when it should.
use super::*;

const BARS: Bars = Bars { relative_l2: 1e-4, psnr: 50.0 };

fn golden(shape: &[usize], data: TensorData) -> GoldenTensor {
    GoldenTensor {
        recorded: Recorded { shape: shape.to_vec(), data },
        role: "output".to_owned(),
        thinned: None,
        time_chunks: Vec::new(),
        note: String::new(),
    }
}

fn floats(values: &[f32]) -> TensorData {
    TensorData::F32(values.to_vec())
}

fn failures(shape: &[usize], got: TensorData, wanted: &GoldenTensor) -> Vec<String> {
    let run = BTreeMap::from([("x".to_owned(), Recorded { shape: shape.to_vec(), data: got })]);
    judge(&run, &BTreeMap::from([("x", wanted)]), BARS).failures
}

#[test]
fn equal_passes_whatever_the_unit_axes() {
    let wanted = golden(&[1, 3], floats(&[1.0, 2.0, 3.0]));
    assert!(failures(&[3, 1], floats(&[1.0, 2.0, 3.0]), &wanted).is_empty());
    let wanted = golden(&[2], TensorData::I64(vec![7, 8]));
    assert!(failures(&[1, 2], TensorData::I64(vec![7, 8]), &wanted).is_empty());
}

#[test]
fn off_nan_zero_and_misshapen_fail() {
    let wanted = golden(&[2], floats(&[1.0, 2.0]));
    assert!(!failures(&[2], floats(&[1.001, 2.0]), &wanted).is_empty());
    assert!(!failures(&[2], floats(&[f32::NAN, 2.0]), &wanted).is_empty());
    assert!(!failures(&[3], floats(&[1.0, 2.0, 3.0]), &wanted).is_empty());
    assert!(!failures(&[2], TensorData::I64(vec![1, 2]), &wanted).is_empty());
    assert!(!failures(&[2], floats(&[0.0, 0.0]), &golden(&[2], floats(&[0.0, 0.0]))).is_empty());
    assert!(!failures(&[2], floats(&[0.0, 0.0]), &golden(&[2], floats(&[f32::NAN, 0.0]))).is_empty());
}

#[test]
fn other_integers_and_bytes_fail() {
    assert!(!failures(&[1], TensorData::I64(vec![1]), &golden(&[1], TensorData::I64(vec![2]))).is_empty());
    assert!(!failures(&[1], TensorData::U8(vec![9]), &golden(&[1], TensorData::U8(vec![10]))).is_empty());
}

#[test]
fn missing_and_nothing_fail() {
    let wanted = golden(&[1], floats(&[1.0]));
    assert_eq!(judge(&BTreeMap::new(), &BTreeMap::from([("x", &wanted)]), BARS).failures, ["x: missing"]);
    assert!(!judge(&BTreeMap::new(), &BTreeMap::new(), BARS).failures.is_empty());
}

#[test]
fn left_out_rows_are_left_out() {
    // Rows 0 and 2, columns 0, 2 and 4 of [2, 3, 5].
    let full: Vec<f32> = (0_u8..30).map(f32::from).collect();
    let kept = [0.0, 2.0, 4.0, 10.0, 12.0, 14.0, 15.0, 17.0, 19.0, 25.0, 27.0, 29.0];
    let thinned = Some((vec![2, 3, 5], vec![1, 2, 2]));
    let wanted = GoldenTensor { thinned, ..golden(&[2, 2, 3], floats(&kept)) };
    assert!(failures(&[2, 3, 5], floats(&full), &wanted).is_empty());
    assert!(!failures(&[2, 5, 3], floats(&full), &wanted).is_empty());
}
