//! Noise levels: what flow-matching schedules are made from.

use super::scheduler_error::SchedulerError;

/// More steps than this gain nothing: models are trained on as many noise levels.
pub(crate) const MAX_STEPS: usize = 1000;

/// Refuses numbers that no flow-matching schedule can be made from.
pub(super) fn check(steps: usize, shift: f64) -> Result<(), SchedulerError> {
    if !(1..=MAX_STEPS).contains(&steps) {
        return Err(SchedulerError::Steps { steps, max: MAX_STEPS });
    }
    // Not `<= 0.0`, which NaN would pass.
    if !(shift > 0.0 && shift.is_finite()) {
        return Err(SchedulerError::Shift { shift });
    }
    Ok(())
}

/// numpy's `linspace(start, stop, count)`, to the last bit.
pub(super) fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let spacing = (stop - start) / count.saturating_sub(1).max(1) as f64;
    let mut points: Vec<f64> = (0..count).map(|i| i as f64 * spacing + start).collect();
    if count > 1 {
        points[count - 1] = stop;
    }
    points
}

/// Moves a noise level towards 1 for `shift > 1`: the resolution-dependent shift of Stable Diffusion 3
/// (Esser et al., arXiv:2403.03206, eq. 23).
pub(super) fn shift_sigma(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

#[cfg(test)]
mod tests {
    use super::{linspace, shift_sigma};

    #[test]
    fn linspace_ends_where_it_should() {
        assert_eq!(linspace(1.0, 0.0, 5), [1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(linspace(3.0, 7.0, 1), [3.0]);
        assert_eq!(linspace(0.0, 0.1, 8)[7], 0.1);
    }

    #[test]
    fn shifting_keeps_both_ends_and_one_is_neutral() {
        for shift in [0.5, 1.0, 3.0, 5.0] {
            assert_eq!(shift_sigma(0.0, shift), 0.0);
            assert_eq!(shift_sigma(1.0, shift), 1.0);
        }
        assert_eq!(shift_sigma(0.3, 1.0), 0.3);
        assert_eq!(shift_sigma(0.5, 3.0), 0.75);
    }
}
