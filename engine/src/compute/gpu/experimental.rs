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
    let mut found: Vec<CooperativeMatrices> = Vec::new();
    for properties in adapter.cooperative_matrix_properties() {
        if let Some(matrices) = usable(&properties, half)
            && !found.contains(&matrices)
        {
            found.push(matrices);
        }
    }
    // Larger ones and f16 first.
    found.sort_by_key(|matrices| std::cmp::Reverse((matrices.size, matrices.operands == DType::F16)));
    found
}

fn usable(properties: &wgpu::CooperativeMatrixProperties, half: bool) -> Option<CooperativeMatrices> {
    use wgpu::CooperativeScalarType as Scalar;
    let size = properties.m_size;
    let square = [properties.n_size, properties.k_size] == [size; 2] && matches!(size, 8 | 16);
    let operands = match properties.ab_type {
        Scalar::F16 if half => DType::F16,
        Scalar::F32 => DType::F32,
        _ => return None,
    };
    (square && properties.cr_type == Scalar::F32).then_some(CooperativeMatrices {
        size,
        operands,
        emulated: false,
        proven_lanes: None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_sizes_with_sums_in_f32_are_usable() {
        use wgpu::CooperativeScalarType::{F16, F32, I32};
        let properties =
            |[m_size, n_size, k_size]: [u32; 3], ab_type, cr_type| wgpu::CooperativeMatrixProperties {
                m_size,
                n_size,
                k_size,
                ab_type,
                cr_type,
                saturating_accumulation: false,
            };
        let matrices = |size, operands| {
            Some(CooperativeMatrices { size, operands, emulated: false, proven_lanes: None })
        };
        assert_eq!(usable(&properties([16; 3], F16, F32), true), matrices(16, DType::F16));
        assert_eq!(usable(&properties([16; 3], F16, F32), false), None);
        assert_eq!(usable(&properties([8; 3], F32, F32), false), matrices(8, DType::F32));
        assert_eq!(usable(&properties([16; 3], F16, F16), true), None);
        assert_eq!(usable(&properties([16, 8, 16], F16, F32), true), None);
        assert_eq!(usable(&properties([16; 3], I32, I32), true), None);
    }
}
