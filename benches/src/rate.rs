//! From work and time to GFLOP/s, GB/s and shares of what the device can do.
use std::{fmt, time::Duration};

/// What one run of a case does.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that its launches bind, each once.
    pub bytes: u64,
}

/// The most that a device was seen to do, in this very run.
#[derive(Debug, Clone, Copy)]
pub struct Peaks {
    /// By chains of multiply-adds, in GFLOP/s.
    pub gflops: f64,
    /// By the sum of two long vectors, in GB/s.
    pub gbytes: f64,
}

impl Work {
    /// 10^9 operations a second.
    pub fn gflops(self, time: Duration) -> f64 {
        self.flops as f64 / time.as_secs_f64() / 1e9
    }

    /// 10^9 bytes a second.
    pub fn gbytes(self, time: Duration) -> f64 {
        self.bytes as f64 / time.as_secs_f64() / 1e9
    }

    /// One line: time, rates, shares of the peaks.
    pub fn line(self, time: Duration, peaks: Peaks) -> impl fmt::Display {
        let (gflops, gbytes) = (self.gflops(time), self.gbytes(time));
        format!(
            "{:10.3} ms  {gflops:8.1} GFLOP/s ({:3.0} % of peak)  {gbytes:7.1} GB/s ({:3.0} % of peak)",
            time.as_secs_f64() * 1e3,
            100.0 * gflops / peaks.gflops,
            100.0 * gbytes / peaks.gbytes
        )
    }
}
