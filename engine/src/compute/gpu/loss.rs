//! What a device reports by itself: that it is lost, or an error that no scope has caught. And a switch by which tests lose it.
use crate::error::DeviceError;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

/// For tests: destroys the device that was opened with it, as if the driver had given it up. Clones are one switch, and a
/// device that is opened after the loss is whole.
#[derive(Debug, Clone, Default)]
pub struct LossSwitch(Arc<AtomicU32>);

impl LossSwitch {
    /// Loses the device at the next call to it.
    pub fn lose(&self) {
        self.lose_after(0);
    }

    /// Loses the device after so many more calls to it, in the middle of the next one.
    pub fn lose_after(&self, calls: u32) {
        self.0.store(calls.saturating_add(1), Ordering::Relaxed);
    }

    /// Whether the device has been lost, or was never to be.
    pub fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Counts a call; whether the device is to be lost in it.
    pub(super) fn falls_in_this_call(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) == Ok(1)
    }
}

/// What a device has reported. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reports(Arc<Mutex<Reported>>);

#[derive(Debug, Default)]
struct Reported {
    lost: Option<String>,
    error: Option<String>,
}

impl Reports {
    /// Listens to a device. Without this an error that no scope catches would panic.
    pub(super) fn listen(device: &wgpu::Device) -> Self {
        let reports = Self::default();
        let (lost, error) = (reports.clone(), reports.clone());
        device.set_device_lost_callback(move |reason, message| {
            lost.change(|reported| reported.lost = Some(format!("{reason:?}: {message}")));
        });
        device.on_uncaptured_error(Arc::new(move |reason: wgpu::Error| {
            error.change(|reported| reported.error = Some(reason.to_string()));
        }));
        reports
    }

    fn change<T>(&self, change: impl FnOnce(&mut Reported) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `Err` if the device is lost, or has reported an error since the last look.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        self.change(|reported| match (&reported.lost, reported.error.take()) {
            (Some(reason), _) => Err(DeviceError::Lost(reason.trim_end_matches([':', ' ']).to_owned())),
            (None, Some(error)) => Err(DeviceError::Validation(error)),
            (None, None) => Ok(()),
        })
    }
}

/// Waits on the device. wgpu panics where the driver gives it up meanwhile; that becomes an error.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn poll(device: &wgpu::Device, how: wgpu::PollType) -> Result<(), DeviceError> {
    caught(|| device.poll(how).map(|_| ()).map_err(|error| error.to_string()))
}

/// What went wrong in `work`, or the panic in which it ended, as a loss.
#[cfg(not(target_arch = "wasm32"))]
fn caught(work: impl FnOnce() -> Result<(), String>) -> Result<(), DeviceError> {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    ended.unwrap_or_else(|_| Err("waiting for it failed".to_owned())).map_err(DeviceError::Lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_falls_once_and_in_the_call_that_was_named() {
        let switch = LossSwitch::default();
        assert!(!switch.falls_in_this_call() && switch.is_idle());
        switch.clone().lose_after(2);
        let falls = [0; 5].map(|_| switch.falls_in_this_call());
        assert_eq!(falls, [false, false, true, false, false]);
        assert!(switch.is_idle());
        switch.lose();
        assert!(!switch.is_idle() && switch.falls_in_this_call());
    }

    #[test]
    fn a_loss_outweighs_other_errors_and_stays() {
        let reports = Reports::default();
        reports.change(|reported| reported.error = Some("an error".to_owned()));
        assert_eq!(reports.check(), Err(DeviceError::Validation("an error".to_owned())));
        assert_eq!(reports.check(), Ok(()));
        reports.change(|reported| reported.error = Some("a consequence".to_owned()));
        reports.change(|reported| reported.lost = Some("Destroyed: ".to_owned()));
        for _ in 0..2 {
            assert_eq!(reports.check(), Err(DeviceError::Lost("Destroyed".to_owned())));
        }
    }

    #[test]
    fn a_panic_while_waiting_is_a_loss() {
        assert_eq!(caught(|| Ok(())), Ok(()));
        assert_eq!(caught(|| Err("late".to_owned())), Err(DeviceError::Lost("late".to_owned())));
        assert!(matches!(caught(|| panic!("as wgpu does")), Err(DeviceError::Lost(_))));
    }
}
