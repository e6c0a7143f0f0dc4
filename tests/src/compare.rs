//! Is this close enough? NaN never is, and neither is a reference that proves nothing.

/// What each element may differ by: `abs + rel * |expected|`.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Absolute part.
    pub abs: f64,
    /// Part relative to the expected value.
    pub rel: f64,
}

/// Compares element by element.
///
/// # Errors
/// Says which element is off by how much, or why the reference is no reference.
pub fn compare(got: &[f32], want: &[f64], tolerance: Tolerance) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements, expected {}", got.len(), want.len()));
    }
    if want.iter().any(|w| !w.is_finite()) {
        return Err("the reference is not finite".to_owned());
    }
    if want.iter().all(|w| w.abs() <= tolerance.abs) {
        return Err("the reference is zero within tolerance: this case proves nothing".to_owned());
    }
    for (index, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*g) - w).abs();
        let within = error <= tolerance.abs + tolerance.rel * w.abs(); // false for NaN
        if !within {
            return Err(format!("[{index}] got {g}, expected {w}, off by {error:e}"));
        }
    }
    Ok(())
}

/// `|got - want|_2 / |want|_2`; NaN if anything is not finite or the reference is zero.
pub fn relative_l2(got: &[f32], want: &[f32]) -> f64 {
    if got.len() != want.len() {
        return f64::NAN;
    }
    let (mut difference, mut norm) = (0.0, 0.0);
    for (g, w) in got.iter().zip(want) {
        difference += (f64::from(*g) - f64::from(*w)).powi(2);
        norm += f64::from(*w).powi(2);
    }
    (difference / norm).sqrt()
}

/// Peak signal-to-noise ratio of 8-bit data in dB; infinite if equal, NaN if the lengths differ.
pub fn psnr(got: &[u8], want: &[u8]) -> f64 {
    if got.len() != want.len() || got.is_empty() {
        return f64::NAN;
    }
    let squares: f64 = got.iter().zip(want).map(|(g, w)| (f64::from(*g) - f64::from(*w)).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) / (squares / got.len() as f64)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Tolerance = Tolerance { abs: 1e-6, rel: 1e-5 };

    #[test]
    fn nan_fails() {
        assert!(compare(&[f32::NAN], &[1.0], TOLERANCE).is_err());
        assert!(relative_l2(&[f32::NAN], &[1.0]).is_nan());
    }

    #[test]
    fn a_zero_reference_fails() {
        assert!(compare(&[0.0], &[0.0], TOLERANCE).is_err());
        assert!(relative_l2(&[0.0], &[0.0]).is_nan());
    }

    #[test]
    fn off_by_a_little_fails() {
        assert!(compare(&[1.001], &[1.0], TOLERANCE).is_err());
        assert!(relative_l2(&[1.001], &[1.0]) > 1e-4);
        assert!(psnr(&[100, 100], &[100, 120]) < 30.0);
    }

    #[test]
    fn a_short_output_fails() {
        assert!(compare(&[1.0], &[1.0, 2.0], TOLERANCE).is_err());
        assert!(relative_l2(&[1.0], &[1.0, 2.0]).is_nan());
        assert!(psnr(&[1], &[1, 2]).is_nan());
    }

    #[test]
    fn equal_passes() {
        assert!(compare(&[1.0], &[1.0], TOLERANCE).is_ok());
        assert!(relative_l2(&[1.0], &[1.0]).abs() < 1e-12);
        assert!(psnr(&[1], &[1]).is_infinite());
    }
}
