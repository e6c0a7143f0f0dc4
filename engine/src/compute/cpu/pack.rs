//! Weight matrices rearranged once into the panels that the matrix kernels stream.

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};
use rayon::prelude::*;

use super::arithmetic::{Arithmetic, Operands};
use super::bf16::{STEP, Unit};
use super::groups;
use super::simd::Isa;
use crate::tensor::{DType, Grouping};

/// A weight matrix [n, k] (k contiguous) as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
    /// Groups as devices want them.
    Grouped(Grouping, &'a [u8]),
}

impl Weights<'_> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::Grouped(grouping, bytes) => bytes.len() / grouping.bytes(1) * grouping.len(),
        }
    }

    /// How they are stored.
    fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::Bf16,
            Self::Grouped(grouping, _) => DType::Grouped(*grouping),
        }
    }

    /// All values in single precision.
    pub(crate) fn to_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.to_vec(),
            Self::F16(values) => values.iter().map(|x| x.to_f32()).collect(),
            Self::Bf16(values) => values.iter().map(|x| x.to_f32()).collect(),
            Self::Grouped(grouping, bytes) => {
                let mut values = vec![0.0; self.len()];
                grouping.widen(bytes, &mut values);
                values
            }
        }
    }
}

/// How a panel's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// 4 bytes.
    F32,
    /// 2 bytes, widened by the kernel.
    F16,
    /// 2 bytes, widened by the kernel.
    Bf16,
    /// bfloat16 values in pairs along k, for a unit that multiplies them.
    Pairs(Unit),
    /// Groups, which tasks unpack: to values in f32, or to pairs for a unit.
    Grouped(Grouping, Option<Unit>),
}

impl Format {
    /// Of a panel of weights of this dtype. Half-precision weights stay so where the machine widens them for free.
    fn of(isa: Isa, dtype: DType) -> Self {
        match dtype {
            DType::F16 if matches!(isa, Isa::Avx512 | Isa::Avx2) => Self::F16,
            DType::Bf16 => Self::Bf16,
            DType::Grouped(grouping) => Self::Grouped(grouping, None),
            DType::F16 | DType::F32 | DType::U32 => Self::F32,
        }
    }

    /// Of a panel for a unit.
    fn of_unit(unit: Unit, dtype: DType) -> Self {
        match dtype {
            DType::Grouped(grouping) => Self::Grouped(grouping, Some(unit)),
            DType::F32 | DType::F16 | DType::Bf16 | DType::U32 => Self::Pairs(unit),
        }
    }

    /// Bytes of a value; of groups, of a word.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::F32 | Self::Grouped(..) => 4,
            Self::F16 | Self::Bf16 | Self::Pairs(_) => 2,
        }
    }
}

/// 64 bytes on a cache line of their own, so that no vector of a panel straddles two.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Zeroed memory aligned to cache lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlignedBuffer {
    lines: Vec<Line>,
}

impl AlignedBuffer {
    /// `bytes` zero bytes, rounded up to whole lines.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { lines: vec![Line::zeroed(); bytes.div_ceil(size_of::<Line>())] }
    }

    /// Grows to at least `bytes`; what it held stays.
    pub(crate) fn grow(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(size_of::<Line>());
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::zeroed());
        }
    }

    /// The memory as values of `T`.
    pub(crate) fn values<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&self.lines)
    }

    /// The memory as values of `T`.
    pub(crate) fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

/// A weight matrix [n, k] in panels of [`Isa::columns`] outputs: panel p holds, for each k in turn, the weights of outputs
/// p * columns .. (p + 1) * columns, with zeros past n. In pairs, for every two k in turn the two weights of each output, with
/// zeros past k.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeight {
    isa: Isa,
    format: Format,
    n: usize,
    k: usize,
    buffer: AlignedBuffer,
}

impl PackedWeight {
    /// Packs `weights` [n, k] for products of such operands on this machine.
    pub(crate) fn new(operands: Operands, weights: Weights<'_>, n: usize, k: usize) -> Self {
        Self::for_arithmetic(Arithmetic::of(operands), weights, n, k)
    }

    /// Packs for a given arithmetic.
    pub(crate) fn for_arithmetic(arithmetic: Arithmetic, weights: Weights<'_>, n: usize, k: usize) -> Self {
        assert_eq!(weights.len(), n * k, "weights are [{n}, {k}]");
        if let Weights::Grouped(grouping, bytes) = weights {
            let (isa, unit) = match arithmetic {
                Arithmetic::F32(isa) => (isa, None),
                Arithmetic::Bf16(unit) => (unit.isa(), Some(unit)),
            };
            let buffer = groups::pack(grouping, bytes, isa.columns(), n, k);
            return Self { isa, format: Format::Grouped(grouping, unit), n, k, buffer };
        }
        let isa = match arithmetic {
            Arithmetic::F32(isa) => isa,
            Arithmetic::Bf16(unit) => return Self::in_pairs(unit, weights, n, k),
        };
        let format = Format::of(isa, weights.dtype());
        match weights {
            Weights::F32(values) => Self::pack(isa, format, values, n, k, |x| x.to_bits()),
            Weights::F16(values) if format == Format::F16 => {
                Self::pack(isa, format, values, n, k, f16::to_bits)
            }
            Weights::F16(values) => Self::pack(isa, format, values, n, k, |x| x.to_f32().to_bits()),
            Weights::Bf16(values) => Self::pack(isa, format, values, n, k, bf16::to_bits),
            Weights::Grouped(..) => Self::pack(isa, format, &weights.to_f32(), n, k, |x| x.to_bits()),
        }
    }

    fn in_pairs(unit: Unit, weights: Weights<'_>, n: usize, k: usize) -> Self {
        match weights {
            Weights::F32(values) => Self::pack_pairs(unit, values, n, k, bf16::from_f32),
            Weights::F16(values) => Self::pack_pairs(unit, values, n, k, |x| bf16::from_f32(x.to_f32())),
            Weights::Bf16(values) => Self::pack_pairs(unit, values, n, k, |x| x),
            Weights::Grouped(..) => Self::pack_pairs(unit, &weights.to_f32(), n, k, bf16::from_f32),
        }
    }

    /// Bytes that a matrix [n, k] of this dtype takes when it is packed for products of such operands on this machine.
    pub(crate) fn size(operands: Operands, dtype: DType, n: usize, k: usize) -> usize {
        let bytes = match Arithmetic::of(operands) {
            Arithmetic::F32(isa) => Self::panel_bytes(isa, Format::of(isa, dtype), n, k),
            Arithmetic::Bf16(unit) => Self::panel_bytes(unit.isa(), Format::of_unit(unit, dtype), n, k),
        };
        bytes.next_multiple_of(size_of::<Line>())
    }

    fn panel_bytes(isa: Isa, format: Format, n: usize, k: usize) -> usize {
        let depth = match format {
            Format::Grouped(grouping, _) => return n.next_multiple_of(isa.columns()) * grouping.bytes(k),
            Format::Pairs(_) => k.next_multiple_of(STEP),
            Format::F32 | Format::F16 | Format::Bf16 => k,
        };
        n.next_multiple_of(isa.columns()) * depth * format.size()
    }

    /// Packs values whose bits are `T`.
    fn pack<V: Copy + Sync, T: Pod + Send + Sync>(
        isa: Isa,
        format: Format,
        values: &[V],
        n: usize,
        k: usize,
        bits: impl Fn(V) -> T + Copy + Send + Sync,
    ) -> Self {
        let columns = isa.columns();
        let mut buffer = AlignedBuffer::new(Self::panel_bytes(isa, format, n, k));
        if k > 0 {
            buffer
                .values_mut::<T>()
                .par_chunks_mut(columns * k)
                .zip(values.par_chunks(columns * k))
                .for_each(|(panel, rows)| {
                    for (column, row) in rows.chunks_exact(k).enumerate() {
                        for (to, &value) in panel[column..].iter_mut().step_by(columns).zip(row) {
                            *to = bits(value);
                        }
                    }
                });
        }
        Self { isa, format, n, k, buffer }
    }

    /// Packs pairs of values, rounded where they are not bfloat16.
    fn pack_pairs<V: Copy + Sync>(
        unit: Unit,
        values: &[V],
        n: usize,
        k: usize,
        round: impl Fn(V) -> bf16 + Copy + Send + Sync,
    ) -> Self {
        let columns = unit.isa().columns();
        let mut buffer = AlignedBuffer::new(Self::panel_bytes(unit.isa(), Format::Pairs(unit), n, k));
        if k > 0 {
            let panels = buffer.values_mut::<[u16; 2]>();
            let panel_len = columns * k.next_multiple_of(STEP) / 2;
            panels.par_chunks_mut(panel_len).zip(values.par_chunks(columns * k)).for_each(|(panel, rows)| {
                for (column, row) in rows.chunks_exact(k).enumerate() {
                    for (to, pair) in panel[column..].iter_mut().step_by(columns).zip(row.chunks(2)) {
                        for (to, &value) in to.iter_mut().zip(pair) {
                            *to = round(value).to_bits();
                        }
                    }
                }
            });
        }
        Self { isa: unit.isa(), format: Format::Pairs(unit), n, k, buffer }
    }

    /// The instruction set it was packed for.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// How values are stored.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Outputs.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Inputs.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// Values of k that a panel has room for.
    pub(crate) fn depth(&self) -> usize {
        if let Format::Pairs(_) = self.format { self.k.next_multiple_of(STEP) } else { self.k }
    }

    /// Bytes of the panels.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.buffer.lines.as_slice())
    }

    /// The panels; `T` is as wide as the format.
    pub(crate) fn panels<T: Pod>(&self) -> &[T] {
        assert_eq!(size_of::<T>(), self.format.size());
        self.buffer.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_every_weight_and_zeros_past_the_end() {
        for isa in Isa::available() {
            let columns = isa.columns();
            for n in [1, columns - 1, columns, columns + 1, 2 * columns + 3] {
                for k in [1, 2, 7] {
                    let weights: Vec<f32> = (1..=u16::try_from(n * k).unwrap()).map(f32::from).collect();
                    let packed =
                        PackedWeight::for_arithmetic(Arithmetic::F32(isa), Weights::F32(&weights), n, k);
                    let panels: &[f32] = packed.panels();
                    for column in 0..n.next_multiple_of(columns) {
                        for i in 0..k {
                            let got = panels[(column / columns * k + i) * columns + column % columns];
                            let want = if column < n { weights[column * k + i] } else { 0.0 };
                            assert_eq!(got, want, "{isa:?} n {n} k {k} column {column} input {i}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn plans_know_the_size_of_what_is_packed() {
        for operands in [Operands::F32, Operands::Bf16] {
            for (n, k) in [(1, 1), (33, 70), (64, 512)] {
                let weights = vec![bf16::ONE; n * k];
                let packed = PackedWeight::new(operands, Weights::Bf16(&weights), n, k);
                assert_eq!(packed.bytes(), PackedWeight::size(operands, DType::Bf16, n, k), "{operands:?}");
                if n == 64 {
                    assert_eq!(packed.bytes(), 2 * n * k, "{operands:?}: half of what f32 takes");
                }
            }
        }
    }

    #[test]
    fn half_weights_stay_half_where_widening_is_cheap() {
        let weights = [f16::from_f32(1.5); 6];
        for isa in Isa::available() {
            let packed = PackedWeight::for_arithmetic(Arithmetic::F32(isa), Weights::F16(&weights), 2, 3);
            match packed.format() {
                Format::F16 => assert_eq!(packed.panels::<u16>()[0], f16::from_f32(1.5).to_bits()),
                format => {
                    assert_eq!(format, Format::F32);
                    assert_eq!(packed.panels::<f32>()[0], 1.5);
                }
            }
        }
        let brains = [bf16::from_f32(-2.0); 4];
        let packed = PackedWeight::new(Operands::F32, Weights::Bf16(&brains), 2, 2);
        assert_eq!((packed.format(), packed.n(), packed.k()), (Format::Bf16, 2, 2));
        assert_eq!(packed.panels::<u16>()[1], bf16::from_f32(-2.0).to_bits());
    }
}
