//! What a plan is made for: the limits and features of an adapter, as plain data.
use crate::{tensor::DType, tuning::Tuning};

/// The properties of an adapter that decide variants and tiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Largest range that one storage binding may cover, in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Alignment of storage binding offsets, in bytes.
    pub offset_alignment: u64,
    /// Most workgroups along one dimension of a launch.
    pub max_groups: u32,
    /// Most invocations in a workgroup.
    pub max_invocations: u32,
    /// Most bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Whether shaders may use f16.
    pub shader_f16: bool,
    /// Whether shaders may use integers of 64 bits.
    pub shader_i64: bool,
    /// Smallest and largest subgroup size, where shaders may use subgroup operations.
    pub subgroups: Option<(u32, u32)>,
    /// Matrices that a subgroup multiplies as one.
    pub cooperative: Vec<CooperativeMatrices>,
    /// Registers of 32 bits that an invocation has before its values are spilled to memory. No interface tells; what does not fit
    /// is not among an op's forms.
    pub registers: u32,
    /// Whether the "GPU" is the CPU: barriers and workgroup memory then cost more than they save.
    pub software: bool,
    /// What was measured on it.
    pub tuning: Tuning,
}

/// Square matrices that a subgroup multiplies as one, with sums in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CooperativeMatrices {
    /// Rows and columns: 8 or 16.
    pub size: u32,
    /// Of the operands: f16 or f32.
    pub operands: DType,
    /// Whether the kernels compute with loops what the device would: slow, for trying what is around it on other devices.
    pub emulated: bool,
    /// Invocations of a subgroup, if the opened device was seen to multiply right with so many: then the heuristics use them.
    /// Otherwise only what the tuner compares with the plain form does.
    pub proven_lanes: Option<u32>,
}

impl CooperativeMatrices {
    /// What the kernels use of a kind that an adapter reports by rows, columns and depth and by the types of operands and
    /// sums, `None` for other types: squares that they know, with sums in f32.
    pub fn usable(
        sizes: [u32; 3],
        operands: Option<DType>,
        sums: Option<DType>,
        shader_f16: bool,
    ) -> Option<Self> {
        let operands =
            operands.filter(|dtype| *dtype == DType::F32 || (*dtype == DType::F16 && shader_f16))?;
        let square = sizes == [sizes[0]; 3] && matches!(sizes[0], 8 | 16);
        (square && sums == Some(DType::F32)).then_some(Self {
            size: sizes[0],
            operands,
            emulated: false,
            proven_lanes: None,
        })
    }

    /// Each kind once, larger ones and f16 first.
    pub fn ranked(found: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut ranked: Vec<Self> = Vec::new();
        for matrices in found {
            if !ranked.contains(&matrices) {
                ranked.push(matrices);
            }
        }
        ranked.sort_by_key(|matrices| std::cmp::Reverse((matrices.size, matrices.operands == DType::F16)));
        ranked
    }
}

impl Target {
    /// WebGPU's default limits without optional features: what every browser must offer.
    pub fn webgpu_defaults() -> Self {
        Self {
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            offset_alignment: 256,
            max_groups: 65_535,
            max_invocations: 256,
            max_workgroup_bytes: 16 << 10,
            shader_f16: false,
            shader_i64: false,
            subgroups: None,
            cooperative: Vec::new(),
            // What AMD's and NVIDIA's compilers give at most.
            registers: 256,
            software: false,
            tuning: Tuning::default(),
        }
    }

    /// Whether workgroup memory and barriers cost more than they save: invocations of software are lanes of one core, whose
    /// caches do for all of them what workgroup memory does on a GPU.
    pub fn barriers_are_dear(&self) -> bool {
        self.software
    }

    /// Whether a launch that takes a GPU milliseconds takes seconds, so that it is cut smaller to be cancelled in time.
    pub fn launches_take_long(&self) -> bool {
        self.software
    }

    /// Whether a few workgroups keep the whole device busy.
    pub fn has_few_cores(&self) -> bool {
        self.software
    }

    /// Whether a kernel takes about a second to translate, so that only forms that can win are tried.
    pub fn translates_slowly(&self) -> bool {
        self.software
    }

    /// Whether integers are divided lane by lane, so that invocations share the divisions of an address.
    pub fn divides_by_lanes(&self) -> bool {
        self.software
    }

    /// Whether operands in f32 are best read in words of 64 bits: software loads component by component.
    pub fn reads_words_of_64(&self) -> bool {
        self.software && self.shader_i64
    }

    /// Folds `groups` workgroups into a grid whose first two extents keep to the limit.
    ///
    /// `workgroup_index` of the kernels counts them; they ignore the surplus.
    pub fn fold(&self, groups: usize) -> [u32; 3] {
        let max = self.max_groups as usize;
        let y = groups.div_ceil(max).max(1);
        let x = groups.div_ceil(y).max(1);
        [clamp_u32(x), clamp_u32(y), 1]
    }

    /// Cuts `rows` rows of at most `row_bytes` bytes so that every piece fits one binding.
    ///
    /// Pieces start at multiples of 128 rows, so that offsets of 2-byte rows and wider are aligned to 256 bytes.
    /// A single piece of 128 rows that does not fit is returned as it is; the plan then reports the binding.
    pub fn row_tiles(&self, rows: usize, row_bytes: usize) -> Vec<std::ops::Range<usize>> {
        let fitting = usize::try_from(self.max_binding_bytes).unwrap_or(usize::MAX) / row_bytes.max(1);
        let tile = if rows <= fitting { rows.max(1) } else { (fitting / 128 * 128).max(128) };
        (0..rows).step_by(tile).map(|start| start..(start + tile).min(rows)).collect()
    }
}

/// A count as a shader parameter.
///
/// Shapes are checked against `u32::MAX` elements when a graph is planned, so nothing is cut off.
pub(crate) fn clamp_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fold_within_the_limit() {
        let target = Target::webgpu_defaults();
        assert_eq!(target.fold(10), [10, 1, 1]);
        let [x, y, z] = target.fold(1_000_000);
        assert!(x <= 65_535 && z == 1 && x as usize * y as usize >= 1_000_000);
    }

    #[test]
    fn square_sizes_with_sums_in_f32_are_usable() {
        use DType::{F16, F32};
        let usable = |sizes, operands, sums, half| {
            CooperativeMatrices::usable(sizes, operands, sums, half).map(|found| (found.size, found.operands))
        };
        assert_eq!(usable([16; 3], Some(F16), Some(F32), true), Some((16, F16)));
        assert_eq!(usable([16; 3], Some(F16), Some(F32), false), None);
        assert_eq!(usable([8; 3], Some(F32), Some(F32), false), Some((8, F32)));
        assert_eq!(usable([16; 3], Some(F16), Some(F16), true), None);
        assert_eq!(usable([16, 8, 16], Some(F16), Some(F32), true), None);
        assert_eq!(usable([16; 3], None, None, true), None);
        let kind =
            |size, operands| CooperativeMatrices { size, operands, emulated: false, proven_lanes: None };
        let ranked = CooperativeMatrices::ranked([kind(8, F32), kind(8, F16), kind(16, F16), kind(8, F32)]);
        assert_eq!(ranked, [kind(16, F16), kind(8, F16), kind(8, F32)]);
    }

    #[test]
    fn row_tiles_cover_all_rows_once_and_fit() {
        let target = Target { max_binding_bytes: 1 << 20, ..Target::webgpu_defaults() };
        let tiles = target.row_tiles(10_000, 1000);
        assert_eq!(tiles.iter().map(ExactSizeIterator::len).sum::<usize>(), 10_000);
        assert!(tiles.iter().all(|t| t.len() * 1000 <= 1 << 20 && t.start % 128 == 0));
        assert!(tiles.windows(2).all(|w| w[0].end == w[1].start));
    }
}
