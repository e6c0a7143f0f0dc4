//! The engine measured on itself: kernels at the sizes of real models, and the stages of a model, beside what the device can
//! do at most; and what the compilers of chips that are not there make of the kernels.
mod cases;
pub mod compile;
mod half_cases;
mod measure;
mod model;

pub use cases::{
    BenchCase, bf16_cases, cases, conv_and_product, copy, copy_peak, fma_peak, group_norm, matmul,
};
pub use half_cases::half_cases;
pub use measure::{KernelTime, Measured, Peaks, measure};
pub use model::{ModelBench, StageTimes};
