//! What wgpu calls experimental and the kernels use: cooperative matrices.
use crate::{
    target::{CooperativeMatrices, Target},
    tensor::DType,
};

/// The square sizes that an adapter multiplies with sums in f32, and that the kernels know.
pub(super) fn cooperative(adapter: &wgpu::Adapter) -> Vec<CooperativeMatrices> {
    if !adapter
        .features()
        .contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP)
    {
        return Vec::new();
    }
    let half = adapter.features().contains(wgpu::Features::SHADER_F16);
    let reported = adapter.cooperative_matrix_properties();
    CooperativeMatrices::ranked(reported.iter().filter_map(|properties| usable(properties, half)))
}

fn usable(properties: &wgpu::CooperativeMatrixProperties, half: bool) -> Option<CooperativeMatrices> {
    let sizes = [properties.m_size, properties.n_size, properties.k_size];
    CooperativeMatrices::usable(sizes, dtype(properties.ab_type), dtype(properties.cr_type), half)
}

fn dtype(scalar: wgpu::CooperativeScalarType) -> Option<DType> {
    match scalar {
        wgpu::CooperativeScalarType::F16 => Some(DType::F16),
        wgpu::CooperativeScalarType::F32 => Some(DType::F32),
        _ => None,
    }
}

/// The experimental features that a device for this target is to have.
pub(super) fn features(target: &Target) -> wgpu::Features {
    if target.cooperative.is_empty() {
        wgpu::Features::empty()
    } else {
        wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
    }
}

/// wgpu's leave to use them.
pub(super) fn permission(target: &Target) -> wgpu::ExperimentalFeatures {
    if target.cooperative.is_empty() {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the one experimental feature asked for is that of cooperative matrices. Kernels that use it load and store
    // fragments of workgroup arrays only, whole fragments inside the array, in control flow that naga has found uniform;
    // the tests run the same kernels with fragments emulated in loops, with bounds checks, against references in f64. They
    // are run only where the device was seen to be right: the tuner compares each form with the plain one, `prove_matrices`
    // a product and an attention. In subgroups of another size than planned they store NaN.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
