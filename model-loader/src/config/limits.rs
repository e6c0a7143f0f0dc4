//! Bounds on config values. Within them, sizes computed from a config cannot overflow 64 bits.

use serde_json::Value;

use crate::Result;
use crate::config::Fields;

/// The widest layer.
pub(crate) const WIDTH: usize = 1 << 20;
/// The most layers, blocks or heads.
pub(crate) const COUNT: usize = 1 << 12;
/// The longest sequence, largest vocabulary or number of timesteps.
pub(crate) const LENGTH: usize = 1 << 24;

impl Fields {
    /// Refuses a value outside of `1..=most`.
    pub(crate) fn check_size(&self, key: &str, value: usize, most: usize) -> Result<()> {
        if (1..=most).contains(&value) {
            return Ok(());
        }
        Err(self.bad(key, &value.into(), &format!("1 to {most}")))
    }

    /// Takes a size of `1..=most`; absent, it is `default`.
    pub(crate) fn size_or(&mut self, key: &str, default: usize, most: usize) -> Result<usize> {
        let value = self.or(key, default)?;
        self.check_size(key, value, most)?;
        Ok(value)
    }

    /// Takes a size of `1..=most` that may be absent or null.
    pub(crate) fn optional_size(&mut self, key: &str, most: usize) -> Result<Option<usize>> {
        let value = self.optional(key)?;
        if let Some(value) = value {
            self.check_size(key, value, most)?;
        }
        Ok(value)
    }

    /// Takes the epsilon of a norm, greater than zero and less than one; absent, it is `default`.
    pub(crate) fn epsilon_or(&mut self, key: &str, default: f64) -> Result<f32> {
        let value = self.or(key, default)?;
        let narrow = self.narrow(key, value)?;
        if narrow > 0.0 && narrow < 1.0 {
            return Ok(narrow);
        }
        Err(self.bad(key, &value.into(), "a number between 0 and 1"))
    }

    /// Takes a number greater than zero; absent, it is `default`.
    pub(crate) fn positive_or(&mut self, key: &str, default: f64) -> Result<f64> {
        let value = self.or(key, default)?;
        self.check_positive(key, value)?;
        Ok(value)
    }

    /// Refuses a number that is not finite or not greater than zero.
    pub(crate) fn check_positive(&self, key: &str, value: f64) -> Result<()> {
        if value.is_finite() && value > 0.0 {
            return Ok(());
        }
        Err(self.bad(key, &value.into(), "a number greater than 0"))
    }

    /// Takes a list of numbers as f32; absent, it is `default`.
    pub(crate) fn floats_or(&mut self, key: &str, default: &[f64]) -> Result<Vec<f32>> {
        self.or(key, default.to_vec())?.into_iter().map(|value| self.narrow(key, value)).collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is asked for")]
    fn narrow(&self, key: &str, value: f64) -> Result<f32> {
        let narrow = value as f32;
        if narrow.is_finite() {
            return Ok(narrow);
        }
        Err(self.bad(key, &Value::from(value), "a number within the range of f32"))
    }
}
