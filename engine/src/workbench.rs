//! The engine measured on itself: single kernels at the sizes of real models, beside what the device can do at most.
mod cases;
mod measure;

pub use cases::{BenchCase, cases, copy_peak, fma_peak};
pub use measure::{KernelTime, Measured, Peaks, measure};
