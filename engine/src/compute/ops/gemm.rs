//! What the ops on the matrix product core share: which variant a target gets, and how a launch is cut.
mod forms;

use crate::{
    cpu::math,
    op::{Binding, elem, reads_groups, weight_constants},
    target::Target,
    tensor::{DType, TensorDesc},
    tuning::{Choice, size_class},
};
use forms::Form;
use model_loader::Format;
use shaders::{Elem, Variant};
use std::ops::Range;

/// A function applied to each element of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// The tanh form of GELU.
    GeluTanh,
    /// `x * sigmoid(x)`.
    Silu,
    /// The larger of x and 0.
    Relu,
}

impl Activation {
    /// `ACTIVATION` in `activation.wgsl`.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::None => 0,
            Self::GeluTanh => 1,
            Self::Silu => 2,
            Self::Relu => 3,
        }
    }

    pub(super) fn cpu(self) -> math::Activation {
        match self {
            Self::None => math::Activation::None,
            Self::GeluTanh => math::Activation::GeluTanh,
            Self::Silu => math::Activation::Silu,
            Self::Relu => math::Activation::Relu,
        }
    }
}

/// A product as the core sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a> {
    /// The left operand.
    pub(super) x: &'a TensorDesc,
    /// Rows of the result.
    pub(super) rows: usize,
    /// The matrix: its first extent counts the columns of the result.
    pub(super) weight: &'a TensorDesc,
    /// Values of a row that lie side by side in both operands.
    pub(super) segment_length: usize,
    /// Whether every segment of x starts at a multiple of four elements.
    pub(super) x_aligned: bool,
}

/// A variant's tile: what one workgroup makes.
#[derive(Debug, Clone)]
pub(super) struct Tiled {
    /// The part of the variant that all ops on the core share.
    pub(super) variant: Variant,
    /// What it was chosen from.
    pub(super) choice: Choice,
    /// How the left operand is read.
    pub(super) reads: Reads,
    rows: usize,
    cols: usize,
}

/// How a kernel reads a left operand: by elements, by quads, or by quads in words of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Scalar,
    Quads,
    Quads64,
}

impl Reads {
    /// The piece that reads the operand.
    fn operand(self) -> &'static str {
        match self {
            Self::Scalar => "x_scalar",
            Self::Quads => "x_quads",
            Self::Quads64 => "x_quads_64",
        }
    }

    /// The piece that reads the frames in front of it.
    pub(super) fn cache(self) -> &'static str {
        match self {
            Self::Scalar => "cache_scalar",
            Self::Quads => "cache_quads",
            Self::Quads64 => "cache_quads_64",
        }
    }
}

/// Floating-point operations of one launch, at most: some 100 ms on a slow device, so that displays and watchdogs stay calm.
/// Software has none; it takes half a second.
const LAUNCH_FLOPS: u64 = 50_000_000_000;
const SOFTWARE_LAUNCH_FLOPS: u64 = 16_000_000_000;

/// How many times that where the weights, which each launch reads again, would outweigh the rows.
const LONGEST_LAUNCH: u64 = 5;

impl Product<'_> {
    /// Whether operands are read four elements at a time.
    pub(super) fn reads_quads(&self) -> bool {
        self.x_aligned && self.segment_length.is_multiple_of(4)
    }

    /// Columns of the result.
    pub(super) fn cols(&self) -> usize {
        self.weight.shape[0]
    }

    /// Values of a row of either operand.
    pub(super) fn k(&self) -> usize {
        self.weight.elements() / self.cols().max(1)
    }

    /// The core and its tile for an op's kernel, as measured or else as likely best, and how it reads its operands.
    pub(super) fn tiled(&self, op: &'static str, target: &Target) -> Tiled {
        let (reads, w_read) = self.reads(target);
        let (forms, likely) = self.forms(target);
        let (form, choice) = match target.tuning.pick(self.key(op), &forms, likely) {
            Some(picked) => picked,
            None => {
                let none = Choice { key: String::new(), forms: Vec::new(), likely: 0 };
                (Form::Shared { rows: 4, cols: 4 }, none)
            }
        };
        let w_read = match (w_read, self.weight.dtype) {
            ("weight_quads_16", DType::F16) if form.stages_halves() => "weight_quads_half",
            _ => w_read,
        };
        let variant = weight_constants(form.variant(), self.weight.dtype, self.reads_quads())
            .alias("X", elem(self.x))
            .import("X_READ", reads.operand())
            .import("W_READ", w_read);
        // Where a row lies in one piece, its scales are loaded once for each run.
        let runs = self.weight.dtype.grouping().is_some() && self.segment_length == self.k();
        let variant = match form {
            Form::Register { .. } if runs => variant.import("GEMM", "gemm_register_runs"),
            Form::Cooperative { .. } | Form::Shared { .. } if runs => self.fetching_runs(variant),
            _ => variant,
        };
        let [rows, cols] = form.tile();
        Tiled { variant, choice, reads, rows, cols }
    }

    /// With the weight fetched run by run, where steps along k divide its groups.
    fn fetching_runs(&self, variant: Variant) -> Variant {
        let Some(grouping) = self.weight.dtype.grouping() else { return variant };
        let depth = variant.consts.get("DEPTH").map_or(0, |depth| *depth as usize);
        if !self.reads_quads() || depth == 0 || !grouping.len().is_multiple_of(depth) {
            return variant;
        }
        let words =
            grouping.layout().is_some_and(|layout| layout.high == 0) && grouping.format() != Format::Iq4Nl;
        variant
            .import("FETCH", "fetch_runs")
            .import("SPAN_READ", if words { "runs_words" } else { "runs_plain" })
    }

    /// How x is read, and the piece that reads the weight.
    fn reads(&self, target: &Target) -> (Reads, &'static str) {
        let grouping = self.weight.dtype.grouping();
        if !self.reads_quads() {
            return (Reads::Scalar, grouping.map_or("weight_scalar", reads_groups));
        }
        let wide = target.reads_words_of_64();
        let x = if wide && self.x.dtype == DType::F32 { Reads::Quads64 } else { Reads::Quads };
        let weight = match (self.weight.dtype, wide) {
            (DType::F16 | DType::Bf16, false) => "weight_quads_16",
            (DType::F16 | DType::Bf16, true) => "weight_quads_16_64",
            (DType::F32 | DType::U32, false) => "weight_quads_32",
            (DType::F32 | DType::U32, true) => "weight_quads_32_64",
            (DType::Grouped(grouping), _) => reads_groups(grouping),
        };
        (x, weight)
    }

    /// What one measurement holds for.
    fn key(&self, op: &'static str) -> String {
        let [rows, cols, k] = [self.rows, self.cols(), self.k()].map(size_class);
        let reads = if self.reads_quads() { "" } else { ", unaligned" };
        format!("{op} {rows}x{cols}x{k}, {} by {}{reads}", self.x.dtype, self.weight.dtype)
    }

    /// Rows beside which the weights are four tenths of what a launch reads and writes. Those in groups count as f16, for to expand
    /// them takes time too.
    fn rows_worth_the_weights(&self) -> u64 {
        let row = self.x.dtype.size() * (self.k() + self.cols());
        let weights = self.weight.bytes().max(2 * self.weight.elements() as u64);
        (weights * 5).div_ceil(2 * row.max(1) as u64)
    }

    /// Cuts the rows so that `row_bytes` fit a binding and no launch takes long.
    pub(super) fn row_tiles(&self, target: &Target, row_bytes: usize) -> Vec<Range<usize>> {
        let budget = if target.launches_take_long() { SOFTWARE_LAUNCH_FLOPS } else { LAUNCH_FLOPS };
        let row_flops = (2 * self.k() as u64 * self.cols() as u64).max(1);
        let (short, long) = (budget / row_flops, LONGEST_LAUNCH * budget / row_flops);
        let quick = usize::try_from(self.rows_worth_the_weights().clamp(short, long)).unwrap_or(usize::MAX);
        let fitting = usize::try_from(target.max_binding_bytes).unwrap_or(usize::MAX) / row_bytes.max(1);
        let tile = if self.rows <= quick.min(fitting) { self.rows } else { quick.min(fitting) / 128 * 128 };
        let tile = tile.max(128);
        (0..self.rows).step_by(tile).map(|start| start..(start + tile).min(self.rows)).collect()
    }

    /// Cuts the columns so that the weight's rows fit a binding.
    pub(super) fn col_tiles(&self, target: &Target) -> Vec<Range<usize>> {
        target.row_tiles(self.cols(), self.weight.dtype.bytes(self.k()))
    }
}

impl Tiled {
    /// The grid for a part of the result.
    pub(super) fn grid(&self, target: &Target, rows: usize, cols: usize) -> [u32; 3] {
        target.fold(rows.div_ceil(self.rows) * cols.div_ceil(self.cols))
    }
}

/// The binding of an optional input; where it is absent, room for one quad, as the kernels declare.
pub(super) fn optional(input: Option<usize>, bind: impl FnOnce(usize) -> Binding) -> Binding {
    match input.map(bind) {
        Some(binding) if binding != Binding::unused() => binding,
        _ => Binding { size: 16, ..Binding::unused() },
    }
}

/// The alias of an optional operand.
pub(super) fn optional_elem(desc: Option<&TensorDesc>) -> Elem {
    desc.map_or(Elem::F32, elem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product<'a>(x: &'a TensorDesc, weight: &'a TensorDesc) -> Product<'a> {
        Product { x, rows: x.rows(), weight, segment_length: x.cols(), x_aligned: true }
    }

    #[test]
    fn launches_are_cut_by_work_and_by_bytes() {
        let x = TensorDesc::new(&[100_000, 1024], DType::F32);
        let weight = TensorDesc::new(&[1024, 1024], DType::F32);
        let target = Target { max_binding_bytes: 64 << 20, ..Target::webgpu_defaults() };
        let tiles = product(&x, &weight).row_tiles(&target, 4096);
        assert_eq!(tiles[0], 0..16_384);
        assert_eq!(tiles.iter().map(ExactSizeIterator::len).sum::<usize>(), 100_000);
        let software = Target { software: true, ..target };
        assert_eq!(product(&x, &weight).row_tiles(&software, 4096)[0], 0..7552);
        // The weights alone would ask for 10,240 rows; a launch takes five times as long as others, no longer.
        let x = TensorDesc::new(&[100_000, 8192], DType::F32);
        let weight = TensorDesc::new(&[8192, 8192], DType::F32);
        assert_eq!(product(&x, &weight).row_tiles(&software, 4096)[0], 0..512);
    }

    #[test]
    fn software_shares_rows_only_over_a_known_subgroup() {
        let x = TensorDesc::new(&[64, 64], DType::F32);
        let weight = TensorDesc::new(&[64, 64], DType::F32);
        let lanes = |subgroups| {
            let target = Target { software: true, subgroups, ..Target::webgpu_defaults() };
            product(&x, &weight).tiled("matmul", &target).variant.consts["LANES"]
        };
        assert_eq!((lanes(Some((8, 8))), lanes(Some((4, 8))), lanes(None)), (8, 1, 1));
    }

    #[test]
    fn software_reads_in_words_of_64_bits_where_it_can_what_is_no_f16_activation() {
        let weights = [DType::F32, DType::Bf16].map(|dtype| TensorDesc::new(&[64, 64], dtype));
        let plain = Target { software: true, ..Target::webgpu_defaults() };
        let wide = Target { shader_i64: true, ..plain.clone() };
        let card = Target { software: false, ..wide.clone() };
        let reads = |x: DType, weight: &TensorDesc, target: &Target| {
            product(&TensorDesc::new(&[64, 64], x), weight).reads(target)
        };
        let [single, half] = &weights;
        assert_eq!(reads(DType::F32, single, &wide), (Reads::Quads64, "weight_quads_32_64"));
        assert_eq!(reads(DType::F16, half, &wide), (Reads::Quads, "weight_quads_16_64"));
        for target in [plain, card] {
            assert_eq!(reads(DType::F32, half, &target), (Reads::Quads, "weight_quads_16"));
        }
    }

    #[test]
    fn groups_are_fetched_in_runs_where_steps_divide_them_and_cut_no_smaller_than_f16() {
        let target = Target::webgpu_defaults();
        let fetch = |format: Format, k: usize| {
            let (x, dtype) = (TensorDesc::new(&[64, k], DType::F32), DType::of_format(format, k).unwrap());
            let imports =
                product(&x, &TensorDesc::new(&[64, k], dtype)).tiled("matmul", &target).variant.imports;
            (imports["FETCH"], imports.get("SPAN_READ").copied())
        };
        assert_eq!(fetch(Format::F16, 256), ("fetch_quads", None));
        assert_eq!(fetch(Format::Q4K, 256), ("fetch_runs", Some("runs_words")));
        assert_eq!(fetch(Format::Q6K, 256), ("fetch_runs", Some("runs_plain")));
        // Groups of eight values.
        assert_eq!(fetch(Format::F8E4M3, 40), ("fetch_quads", None));
        let x = TensorDesc::new(&[1560, 1536], DType::F32);
        let software = Target { software: true, ..target };
        let tiles = [Format::F16, Format::Q8_0].map(|format| {
            let weight = TensorDesc::new(&[8960, 1536], DType::of_format(format, 1536).unwrap());
            product(&x, &weight).row_tiles(&software, 4 * 8960)
        });
        assert_eq!(tiles[0], tiles[1]);
    }

    #[test]
    fn odd_rows_are_read_element_by_element() {
        let (x, weight) = (TensorDesc::new(&[4, 7], DType::F32), TensorDesc::new(&[4, 7], DType::Bf16));
        let variant = product(&x, &weight).tiled("matmul", &Target::webgpu_defaults()).variant;
        assert_eq!((variant.imports["X_READ"], variant.imports["W_READ"]), ("x_scalar", "weight_scalar"));
    }
}
