//! A convolution as launches: usually one; more where its frames exceed what a binding may hold.
use super::{
    CausalConv3d, NAME, OutputFrames,
    extents::{Extents, Window},
};
use crate::{
    op::{Binding, Io, Launch, Lowered, Operand, elem},
    ops::gemm::{Product, Tiled, optional, optional_elem},
    params,
    target::{Target, clamp_u32},
};
use shaders::{Elem, Variant};
use std::ops::Range;

params! {
    /// Of `causal_conv3d.wgsl`.
    struct CausalConv3dParams {
        rows: u32, cols: u32, segments: u32, segment_length: u32, row_start: u32, out_cols: u32, col_start: u32,
        out_skip: u32, out_h: u32, out_w: u32, in_h: u32, in_w: u32, kernel_h: u32, kernel_w: u32, stride_t: u32,
        stride_h: u32, stride_w: u32, front: u32, pad_top: u32, pad_left: u32, first_tap_t: u32, x_skip: u32,
        cache_skip: u32, weight_stride: u32, weight_start: u32,
    }
}

/// One convolution on its way to launches.
pub(super) struct Lowering<'a> {
    pub(super) op: &'a CausalConv3d,
    pub(super) io: &'a Io<'a>,
    pub(super) target: &'a Target,
    pub(super) extents: Extents,
}

/// One launch: some taps along time of some rows and columns.
struct Part {
    rows: Range<usize>,
    cols: Range<usize>,
    taps: Range<usize>,
    /// Whether no launch before has summed other taps of these rows, and whether none comes after.
    first: bool,
    last: bool,
}

impl Lowering<'_> {
    pub(super) fn run(&self) -> Lowered {
        let e = &self.extents;
        let product = Product {
            x: &self.io.inputs[0],
            rows: e.output.iter().product(),
            weight: &self.io.inputs[1],
            segment_length: e.channels,
            x_aligned: e.channels.is_multiple_of(4),
        };
        let tiled = product.tiled(NAME, self.target);
        let widest = self.op.residual.map_or(0, |i| self.io.inputs[i].dtype.size());
        let row_bytes = e.n * widest.max(self.io.output.dtype.size());
        let all_taps = 0..e.kernel[0];
        let single_taps = |rows: &Range<usize>| {
            all_taps.clone().all(|tap| self.fits(rows, &(tap..tap + 1)))
                && (4 * rows.len() * e.n) as u64 <= self.target.max_binding_bytes
        };
        let mut scratch = Vec::new();
        let mut launches = Vec::new();
        let mut add = |rows: &Range<usize>, taps: Range<usize>, first: bool, last: bool| {
            for cols in product.col_tiles(self.target) {
                let part = Part { rows: rows.clone(), cols, taps: taps.clone(), first, last };
                launches.push(self.launch(&tiled, &part));
            }
        };
        let tiles =
            product.row_tiles(self.target, row_bytes).into_iter().flat_map(|rows| self.by_frames(rows));
        for rows in tiles {
            for rows in halve_until(rows, |rows| self.fits(rows, &all_taps) || rows.len() <= e.frame()) {
                if self.fits(&rows, &all_taps) {
                    add(&rows, all_taps.clone(), true, true);
                    continue;
                }
                // The frames that all taps see together do not fit a binding: one launch for each tap along time.
                for rows in halve_until(rows, single_taps) {
                    for tap in all_taps.clone() {
                        add(&rows, tap..tap + 1, tap == 0, tap + 1 == e.kernel[0]);
                    }
                    if e.kernel[0] > 1 {
                        let sums = 4 * (rows.len() * e.n) as u64;
                        scratch = vec![scratch.first().map_or(sums, |size| sums.max(*size))];
                    }
                }
            }
        }
        Lowered { launches, scratch, choice: Some(tiled.choice) }
    }

    /// Frame pairs are stored two frames apart, so that rows of several frames are stored far apart: those that do not fit are
    /// cut at frames. Where such a launch stores needs no alignment.
    fn by_frames(&self, rows: Range<usize>) -> Vec<Range<usize>> {
        if self.op.frames == OutputFrames::Same || self.fits(&rows, &(0..self.extents.kernel[0])) {
            return vec![rows];
        }
        let frame = self.extents.frame();
        let frames = rows.start / frame..rows.end.div_ceil(frame);
        frames.map(|t| rows.start.max(t * frame)..rows.end.min((t + 1) * frame)).collect()
    }

    /// Whether one launch can bind what it reads, and what it stores if that is not just its rows.
    fn fits(&self, rows: &Range<usize>, taps: &Range<usize>) -> bool {
        let Window { x, front } = self.extents.window(rows, taps);
        let cache = front.filter(|_| self.op.cache.is_some());
        let size = self.io.inputs[0].dtype.size();
        let limit = self.target.max_binding_bytes;
        let stored = if self.op.frames == OutputFrames::Same { 0 } else { self.output_binding(rows).0.size };
        let mut read = [x, cache].into_iter().flatten();
        stored <= limit && read.all(|elements| self.aligned(&elements, size).1 <= limit)
    }

    fn launch(&self, tiled: &Tiled, part: &Part) -> Launch {
        let (op, io, e) = (self.op, self.io, &self.extents);
        let Part { rows, cols, taps, first, last } = part;
        let window = e.window(rows, taps);
        let (x, x_skip) = self.window_binding(Some(0), window.x);
        let (cache, cache_skip) = self.window_binding(op.cache, window.front);
        let has_cache = cache.operand != Operand::Unused;
        let sums = || Binding::scratch(0, 4 * (rows.len() * e.n) as u64);
        let (out, out_skip) = if *last { self.output_binding(rows) } else { (sums(), 0) };
        let area = e.kernel[1] * e.kernel[2];
        let params = CausalConv3dParams {
            rows: clamp_u32(rows.len()),
            cols: clamp_u32(cols.len()),
            segments: clamp_u32(taps.len() * area),
            segment_length: clamp_u32(e.channels),
            row_start: clamp_u32(rows.start),
            out_cols: clamp_u32(e.n),
            col_start: clamp_u32(cols.start),
            out_skip,
            out_h: clamp_u32(e.output[1]),
            out_w: clamp_u32(e.output[2]),
            in_h: clamp_u32(e.input[1]),
            in_w: clamp_u32(e.input[2]),
            kernel_h: clamp_u32(e.kernel[1]),
            kernel_w: clamp_u32(e.kernel[2]),
            stride_t: clamp_u32(e.stride[0]),
            stride_h: clamp_u32(e.stride[1]),
            stride_w: clamp_u32(e.stride[2]),
            front: clamp_u32(e.front),
            pad_top: clamp_u32(e.pad[0]),
            pad_left: clamp_u32(e.pad[1]),
            first_tap_t: clamp_u32(taps.start),
            x_skip,
            cache_skip,
            weight_stride: clamp_u32(e.k()),
            weight_start: clamp_u32(taps.start * area * e.channels),
        };
        let at_last = |input: Option<usize>| input.filter(|_| *last);
        Launch {
            kernel: &shaders::CAUSAL_CONV3D,
            variant: self.variant(tiled, *first, *last, has_cache),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![
                x,
                io.bind_input_rows(1, cols, e.k()),
                optional(at_last(op.bias), |i| io.bind_input(i)),
                optional(at_last(op.residual), |i| io.bind_input_rows(i, rows, e.n)),
                optional((*last && !*first).then_some(0), |_| sums()),
                cache,
                out,
            ],
            grid: tiled.grid(self.target, rows.len(), cols.len()),
        }
    }

    fn variant(&self, tiled: &Tiled, first: bool, last: bool, has_cache: bool) -> Variant {
        let (op, io) = (self.op, self.io);
        let aliased = op.residual.is_some() && io.aliased == op.residual;
        let residual = op.residual.filter(|_| last && !aliased);
        // Before the last tap, sums pile up in the scratch buffer.
        let adds_to_out = if last { aliased } else { !first };
        let store = match op.frames {
            OutputFrames::Halves if last => "store_frame_pairs",
            OutputFrames::Twice | OutputFrames::TwiceButFirst if last => "store_frames_twice",
            _ => "store_rows",
        };
        let variant = tiled.variant.clone();
        variant
            .alias("Out", if last { elem(io.output) } else { Elem::F32 })
            .alias("Res", optional_elem(residual.map(|i| &io.inputs[i])))
            .constant("HAS_BIAS", (op.bias.is_some() && last).into())
            .constant("HAS_PARTIAL", (last && !first).into())
            .constant("ACTIVATION", if last { op.activation.code() } else { 0 })
            .constant("RESIDUAL", if adds_to_out { 2 } else { residual.is_some().into() })
            .constant("CACHE", if self.extents.repeats { 2 } else { has_cache.into() })
            .constant("UPSAMPLE", clamp_u32(self.extents.factor))
            .import("C_READ", tiled.reads.cache())
            .import("EPILOGUE", "epilogue_conv")
            .constant("FIRST_ONCE", (op.frames == OutputFrames::TwiceButFirst).into())
            .import("STORE", store)
    }

    /// The part of an input that a launch reads, and how many elements lie before it.
    fn window_binding(&self, input: Option<usize>, elements: Option<Range<usize>>) -> (Binding, u32) {
        let (Some(input), Some(elements)) = (input, elements) else {
            return (optional(None, |_| Binding::unused()), 0);
        };
        let size = self.io.inputs[input].dtype.size();
        let (start, bytes) = self.aligned(&elements, size);
        let binding = Binding { operand: Operand::Input(input), offset: (start * size) as u64, size: bytes };
        (binding, clamp_u32(start))
    }

    /// Where rows are stored at last, and how many elements lie before that binding.
    fn output_binding(&self, rows: &Range<usize>) -> (Binding, u32) {
        let frames = self.op.frames;
        if frames == OutputFrames::Same {
            return (self.io.bind_output_rows(rows, self.extents.n), 0);
        }
        let positions = self.extents.frame_pairs(rows, frames == OutputFrames::TwiceButFirst);
        let (_, channels) = frames.shape(1, self.extents.n);
        let size = self.io.output.dtype.size();
        let (start, bytes) = self.aligned(&(positions.start * channels..positions.end * channels), size);
        let binding = Binding { operand: Operand::Output, offset: (start * size) as u64, size: bytes };
        (binding, clamp_u32(start))
    }

    /// Moves the start of a range down to where a binding may begin; returns it and the bytes from there on.
    fn aligned(&self, elements: &Range<usize>, size: usize) -> (usize, u64) {
        let step = usize::try_from(self.target.offset_alignment).unwrap_or(256).max(16) / size;
        let start = elements.start / step * step;
        (start, ((elements.end - start) * size) as u64)
    }
}

/// Cuts a range in halves, at multiples of 128, until every piece satisfies `fits` or is no longer than that.
fn halve_until(rows: Range<usize>, fits: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let (mut open, mut done) = (vec![rows], Vec::new());
    while let Some(rows) = open.pop() {
        let middle = rows.start + (rows.len() / 2).next_multiple_of(128);
        if middle >= rows.end || fits(&rows) {
            done.push(rows);
        } else {
            open.push(middle..rows.end);
            open.push(rows.start..middle);
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::Conv3dOptions;
    use super::*;
    use crate::{
        Graph,
        op::check_params,
        plan::{Plan, PlanTarget},
        tensor::{DType, TensorDesc},
    };

    #[test]
    fn params_match_the_kernel() {
        let desc = TensorDesc::new(&[64, 64], DType::F32);
        let product = Product { x: &desc, rows: 64, weight: &desc, segment_length: 64, x_aligned: true };
        let variant = product.tiled(NAME, &Target::webgpu_defaults()).variant;
        let variant =
            ["HAS_BIAS", "HAS_PARTIAL", "ACTIVATION", "RESIDUAL", "CACHE", "UPSAMPLE", "FIRST_ONCE"]
                .into_iter()
                .fold(variant, |variant, name| variant.constant(name, 1))
                .alias("Out", Elem::F32)
                .alias("Res", Elem::F32)
                .import("C_READ", "cache_quads")
                .import("EPILOGUE", "epilogue_conv")
                .import("STORE", "store_frame_pairs");
        check_params::<CausalConv3dParams>(&shaders::CAUSAL_CONV3D, &variant);
    }

    #[test]
    fn halves_begin_at_multiples_of_128() {
        assert_eq!(halve_until(128..1000, |r| r.len() <= 300), [128..384, 384..640, 640..896, 896..1000]);
        assert_eq!(halve_until(0..100, |_| false), std::iter::once(0..100).collect::<Vec<_>>());
    }

    fn launches(limit: u64, frames: usize) -> Plan {
        let mut graph = Graph::new();
        let x = graph.input("x", &[frames, 64, 64, 16], DType::F32);
        let weight = graph.input("w", &[16, 3, 3, 3, 16], DType::F32);
        let cache = graph.input("cache", &[2, 64, 64, 16], DType::F32);
        let pad = super::super::Pad::all(1);
        let options = Conv3dOptions { cache: Some(cache), pad, ..Conv3dOptions::new(DType::F32) };
        let out = graph.causal_conv3d(x, weight, &options).unwrap();
        graph.output("out", out);
        let target = Target { max_binding_bytes: limit, ..Target::webgpu_defaults() };
        Plan::new(&graph, &PlanTarget::Gpu(target)).unwrap()
    }

    #[test]
    fn bindings_keep_to_the_limit_by_fewer_frames_then_by_taps() {
        // A frame is 256 KiB.
        assert_eq!(launches(4 << 20, 4).launches(), 1);
        let by_frames = launches(768 << 10, 4);
        assert!((2..=8).contains(&by_frames.launches()) && by_frames.largest_binding() <= 768 << 10);
        assert_eq!(by_frames.slots.len(), launches(4 << 20, 4).slots.len());
        let by_taps = launches(200 << 10, 1);
        assert!(by_taps.largest_binding() <= 200 << 10 && by_taps.launches().is_multiple_of(3));
        assert_eq!(by_taps.slots.len(), launches(4 << 20, 1).slots.len() + 1);
    }
}
