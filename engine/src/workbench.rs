//! The engine measured on itself: single kernels at the sizes of real models, beside what the device can do at most.
mod cases;
mod measure;

pub use cases::{BenchCase, cases, conv_and_product, copy, copy_peak, fma_peak, group_norm, matmul};
pub use measure::{KernelTime, Measured, Peaks, measure};
