//! A group norm as launches: two, or more where a tensor exceeds what a binding may hold.
use super::{GroupNorm, Nearest};
use crate::{
    op::{Binding, Io, Launch, Lowered, Operand, elem},
    ops::window::window,
    params,
    target::{Target, clamp_u32},
    tensor::TensorDesc,
};
use shaders::{Kernel, Variant};
use std::ops::Range;

static MOMENTS: &Kernel = &shaders::GROUP_NORM_MOMENTS;
static KERNEL: &Kernel = &shaders::GROUP_NORM;

params! {
    struct MomentsParams {
        rows: u32, segments: u32, first_segment: u32, groups: u32, group_units: u32, span: u32, pieces: u32, slices: u32,
        chunks: u32, chunk_rows: u32, parts: u32, part_start: u32, x_skip: u32,
    }
}

params! {
    struct GroupNormParams {
        rows: u32, segments: u32, first_segment: u32, groups: u32, group_units: u32, span: u32, pieces: u32, slices: u32,
        blocks: u32, block_rows: u32, parts: u32, eps: f32, x_skip: u32, out_skip: u32, position: u32, frames: u32,
        height: u32, width: u32, z_frames: u32, z_height: u32, z_width: u32, z_apart: u32, z_skip: u32,
    }
}

/// Units side by side that a workgroup reads: 128 bytes of f32 quads.
const SLICE_UNITS: usize = 8;
/// Invocations of a workgroup, at most; where barriers are dear, few, each with much to do.
const INVOCATIONS: usize = 256;
const SOFTWARE_INVOCATIONS: usize = 8;
/// Positions of an invocation in one chunk, at least.
const CHUNK_STEPS: usize = 16;
const SOFTWARE_CHUNK_STEPS: usize = 256;
/// Most chunks of a segment: each workgroup of the second launch merges those of its groups.
const MOST_CHUNKS: usize = 256;
const MOST_SOFTWARE_CHUNKS: usize = 64;
/// Positions of the second launch's block for each part that it merges: reading 12 bytes costs little beside that.
const BLOCK_ROWS_PER_PART: usize = 8;
/// Least positions in a block for each invocation along them.
const BLOCK_STEPS: usize = 32;
/// Bytes of `Moments` in the kernels.
const MOMENTS_BYTES: usize = 12;
/// Bytes that one launch reads, at most, where the "GPU" is the CPU: some tens of milliseconds.
const SOFTWARE_LAUNCH_BYTES: u64 = 128 << 20;

/// Some positions of one segment, or some whole segments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tile {
    segments: Range<usize>,
    rows: Range<usize>,
}

/// How channels are shared out.
#[derive(Debug, Clone, Copy)]
struct Slices {
    /// Channels of a unit: four where groups allow it.
    width: usize,
    group_units: usize,
    span: usize,
    pieces: usize,
    count: usize,
    /// Units of a workgroup.
    units: usize,
}

impl Slices {
    fn new(channels: usize, groups: usize) -> Self {
        let group_channels = channels / groups;
        let width = if group_channels.is_multiple_of(4) { 4 } else { 1 };
        let group_units = group_channels / width;
        let pieces = group_units.div_ceil(SLICE_UNITS);
        let span = group_units.div_ceil(pieces);
        let slice_groups = if pieces > 1 { 1 } else { (SLICE_UNITS / span).clamp(1, groups) };
        let count = groups.div_ceil(slice_groups) * pieces;
        Self { width, group_units, span, pieces, count, units: slice_groups * span }
    }
}

/// Everything about the two launches that their tiles share.
pub(super) struct Lowering<'a> {
    op: &'a GroupNorm,
    io: &'a Io<'a>,
    target: &'a Target,
    slices: Slices,
    segments: usize,
    segment_rows: usize,
    /// Invocations along positions.
    lane_rows: usize,
    nearest: Option<Nearest>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(op: &'a GroupNorm, io: &'a Io<'a>, target: &'a Target) -> Self {
        let (segments, segment_rows) = op.segments(io.output);
        let slices = Slices::new(io.output.cols(), op.groups);
        let invocations = if target.has_few_cores() { SOFTWARE_INVOCATIONS } else { INVOCATIONS };
        let lane_rows = (invocations / slices.units).min(segment_rows.next_power_of_two());
        Self { op, io, target, slices, segments, segment_rows, lane_rows, nearest: op.nearest(io.inputs) }
    }

    pub(super) fn run(&self) -> Lowered {
        let tiles = self.tiles();
        let tiles_of_segment = tiles.iter().filter(|tile| tile.segments.start == 0).count().max(1);
        let longest = tiles.iter().map(|tile| tile.rows.len()).max().unwrap_or(1);
        let chunks = self.chunks(longest, tiles_of_segment);
        let parts = tiles_of_segment * chunks;
        let scratch = (self.segments * self.moments_bytes(parts)) as u64;
        let mut launches = Vec::new();
        for (index, tile) in tiles.iter().enumerate() {
            let part = if tiles_of_segment == 1 { 0 } else { index % tiles_of_segment * chunks };
            launches.push(self.moments(tile, chunks, part, parts));
        }
        for tile in tiles.into_iter().flat_map(|tile| self.by_modulation(tile)) {
            launches.push(self.normalise(&tile, parts));
        }
        Lowered { launches, scratch: vec![scratch], choice: None }
    }

    /// Chunks of a segment in each launch.
    fn chunks(&self, rows: usize, tiles_of_segment: usize) -> usize {
        let (most, steps) = if self.target.has_few_cores() {
            (MOST_SOFTWARE_CHUNKS, SOFTWARE_CHUNK_STEPS)
        } else {
            (MOST_CHUNKS, CHUNK_STEPS)
        };
        // Few workgroups keep no GPU busy, so that even many tiles get some chunks each.
        rows.div_ceil(steps * self.lane_rows).clamp(1, (most / tiles_of_segment).max(8))
    }

    /// Bytes of the moments of a segment.
    fn moments_bytes(&self, parts: usize) -> usize {
        parts * self.slices.pieces * self.op.groups * MOMENTS_BYTES
    }

    /// The moments of a tile's segments, and which one of those in the binding is the first.
    fn bind_moments(&self, tile: &Tile, parts: usize) -> (Binding, u32) {
        let bytes = self.moments_bytes(parts);
        let alignment = usize::try_from(self.target.offset_alignment).unwrap_or(256).max(256);
        let first = tile.segments.start;
        let start = (0..=first).rev().find(|start| (start * bytes).is_multiple_of(alignment)).unwrap_or(0);
        let binding = Binding::rows(Operand::Scratch(0), &(start..tile.segments.end), bytes);
        (binding, clamp_u32(first - start))
    }

    /// Cuts the tensor so that every piece fits one binding; all segments that are cut are cut alike.
    fn tiles(&self) -> Vec<Tile> {
        let size = self.io.inputs[0].dtype.size().max(self.io.output.dtype.size());
        let most = self.target.max_binding_bytes;
        let most = if self.target.launches_take_long() { most.min(SOFTWARE_LAUNCH_BYTES) } else { most };
        // A binding may begin a little early.
        let rows =
            usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(256) / (self.io.output.cols() * size);
        let all = 0..self.segment_rows;
        if self.segment_rows <= rows {
            // The moments of short segments may be larger than what they are of; a binding may begin 256 segments early.
            let moments = self.moments_bytes(self.chunks(self.segment_rows, 1));
            let by_moments = (usize::try_from(most).unwrap_or(usize::MAX) / moments).saturating_sub(256);
            let step = (rows / self.segment_rows.max(1)).min(by_moments);
            let starts = (0..self.segments).step_by(step.max(1));
            return starts
                .map(|first| Tile { segments: first..(first + step).min(self.segments), rows: all.clone() })
                .collect();
        }
        let count = self.segment_rows.div_ceil(rows.max(1));
        let step = self.segment_rows.div_ceil(count);
        (0..self.segments)
            .flat_map(|segment| {
                all.clone().step_by(step).map(move |start| Tile {
                    segments: segment..segment + 1,
                    rows: start..(start + step).min(self.segment_rows),
                })
            })
            .collect()
    }

    /// Cuts a tile further where the part of the modulation that it needs does not fit a binding.
    fn by_modulation(&self, tile: Tile) -> Vec<Tile> {
        let fits = |tile: &Tile| self.modulation(tile).0.size <= self.target.max_binding_bytes;
        let (mut open, mut done) = (vec![tile], Vec::new());
        while let Some(tile) = open.pop() {
            let Tile { segments, rows } = tile.clone();
            if fits(&tile) || (segments.len() == 1 && rows.len() < 2) {
                done.push(tile);
            } else if segments.len() > 1 {
                let middle = segments.start + segments.len() / 2;
                open.push(Tile { segments: middle..segments.end, rows: rows.clone() });
                open.push(Tile { segments: segments.start..middle, rows });
            } else {
                let middle = rows.start + rows.len() / 2;
                open.push(Tile { segments: segments.clone(), rows: middle..rows.end });
                open.push(Tile { segments, rows: rows.start..middle });
            }
        }
        done
    }

    /// The positions of the volume that a tile covers.
    fn positions(&self, tile: &Tile) -> Range<usize> {
        let start = tile.segments.start * self.segment_rows + tile.rows.start;
        start..(tile.segments.end - 1) * self.segment_rows + tile.rows.end
    }

    /// A tile of `desc`, whose buffer is `operand`, and how many units lie before it in the binding.
    fn bind(&self, operand: Operand, desc: &TensorDesc, tile: &Tile) -> (Binding, u32) {
        let (positions, cols) = (self.positions(tile), desc.cols());
        let elements = positions.start * cols..positions.end * cols;
        let (binding, skip) = window(operand, &elements, desc.dtype.size(), self.target);
        (binding, clamp_u32(skip / self.slices.width))
    }

    /// x, of which nothing has been overwritten while its moments are taken.
    fn source(&self, tile: &Tile) -> (Binding, u32) {
        self.bind(Operand::Input(0), &self.io.inputs[0], tile)
    }

    /// The part of the modulation that a tile needs, and how many of its positions lie before the binding.
    fn modulation(&self, tile: &Tile) -> (Binding, u32) {
        let Some(nearest) = &self.nearest else { return (Binding::unused(), 0) };
        let [_, height, width] = nearest.from;
        let [_, z_height, z_width] = nearest.to;
        let positions = self.positions(tile);
        let place = |position: usize| (position / width / height, position / width % height);
        let ((first, top), (last, bottom)) = (place(positions.start), place(positions.end - 1));
        let (start, end) = if first == last {
            (nearest.line(first, top), nearest.line(last, bottom) + z_width)
        } else {
            (nearest.line(first, 0), nearest.line(last, 0) + z_height * z_width)
        };
        // Whole positions from where a binding may begin.
        let cols = 2 * self.io.output.cols();
        let alignment = usize::try_from(self.target.offset_alignment).unwrap_or(256).max(256);
        let start = (0..=start).rev().find(|at| (4 * at * cols).is_multiple_of(alignment)).unwrap_or(0);
        (Binding::rows(Operand::Input(3), &(start..end), 4 * cols), clamp_u32(start))
    }

    fn variant(&self) -> Variant {
        let (unit, fold) =
            if self.slices.width == 4 { ("unit_quad", "fold_quad") } else { ("unit_scalar", "fold_scalar") };
        let variant = Variant::new()
            .alias("X", elem(&self.io.inputs[0]))
            .alias("Out", elem(self.io.output))
            .import("UNIT", unit)
            .overriding("WG", clamp_u32(self.slices.units * self.lane_rows))
            .overriding("LANE_UNITS", clamp_u32(self.slices.units));
        variant.import("FOLD", fold)
    }

    fn moments(&self, tile: &Tile, chunks: usize, part: usize, parts: usize) -> Launch {
        let (x, x_skip) = self.source(tile);
        let (moments, first_segment) = self.bind_moments(tile, parts);
        let Slices { group_units, span, pieces, count, .. } = self.slices;
        let params = MomentsParams {
            rows: clamp_u32(tile.rows.len()),
            segments: clamp_u32(tile.segments.len()),
            first_segment,
            groups: clamp_u32(self.op.groups),
            group_units: clamp_u32(group_units),
            span: clamp_u32(span),
            pieces: clamp_u32(pieces),
            slices: clamp_u32(count),
            chunks: clamp_u32(chunks),
            chunk_rows: clamp_u32(tile.rows.len().div_ceil(chunks)),
            parts: clamp_u32(parts * pieces),
            part_start: clamp_u32(part),
            x_skip,
        };
        Launch {
            kernel: MOMENTS,
            variant: self.variant(),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![x, moments],
            grid: self.target.fold(tile.segments.len() * chunks * count),
        }
    }

    fn normalise(&self, tile: &Tile, parts: usize) -> Launch {
        let Slices { group_units, span, pieces, count, .. } = self.slices;
        let aliased = self.io.aliased == Some(0);
        let (x, x_skip) = if aliased { (Binding::unused(), 0) } else { self.source(tile) };
        let (out, out_skip) = self.bind(Operand::Output, self.io.output, tile);
        let (modulation, z_skip) = self.modulation(tile);
        let (moments, first_segment) = self.bind_moments(tile, parts);
        let rows = tile.rows.len();
        let block_rows =
            (BLOCK_ROWS_PER_PART * parts * pieces).max(BLOCK_STEPS * self.lane_rows).min(rows).max(1);
        let blocks = rows.div_ceil(block_rows);
        let Nearest { from: [frames, height, width], to: [z_frames, z_height, z_width], apart } =
            self.nearest.unwrap_or(Nearest { from: [1; 3], to: [1; 3], apart: false });
        let params = GroupNormParams {
            rows: clamp_u32(rows),
            segments: clamp_u32(tile.segments.len()),
            first_segment,
            groups: clamp_u32(self.op.groups),
            group_units: clamp_u32(group_units),
            span: clamp_u32(span),
            pieces: clamp_u32(pieces),
            slices: clamp_u32(count),
            blocks: clamp_u32(blocks),
            block_rows: clamp_u32(block_rows),
            parts: clamp_u32(parts * pieces),
            eps: self.op.eps,
            x_skip,
            out_skip,
            position: clamp_u32(self.positions(tile).start),
            frames: clamp_u32(frames),
            height: clamp_u32(height),
            width: clamp_u32(width),
            z_frames: clamp_u32(z_frames),
            z_height: clamp_u32(z_height),
            z_width: clamp_u32(z_width),
            z_apart: apart.into(),
            z_skip,
        };
        let variant = self
            .variant()
            .constant("SILU", self.op.silu.into())
            .constant("IN_PLACE", aliased.into())
            .constant("MODULATED", self.nearest.is_some().into());
        Launch {
            kernel: KERNEL,
            variant,
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![x, moments, self.io.bind_input(1), self.io.bind_input(2), modulation, out],
            grid: self.target.fold(tile.segments.len() * blocks * count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GroupNormOptions, NearestModulation, Scope};
    use super::*;
    use crate::{
        Graph,
        op::check_params,
        plan::{Plan, PlanTarget},
        tensor::DType,
    };
    use shaders::Elem;

    #[test]
    fn params_match_the_kernels() {
        let variant =
            Variant::new().alias("X", Elem::F32).import("UNIT", "unit_quad").import("FOLD", "fold_quad");
        let variant = variant.alias("Out", Elem::F32);
        check_params::<MomentsParams>(MOMENTS, &variant);
        let variant = variant.constant("SILU", 1).constant("IN_PLACE", 0).constant("MODULATED", 1);
        check_params::<GroupNormParams>(KERNEL, &variant);
    }

    #[test]
    fn slices_hold_whole_groups_or_pieces_of_one() {
        let of = |channels, groups| {
            let Slices { width, group_units, span, pieces, count, units } = Slices::new(channels, groups);
            assert!(span * pieces >= group_units && units <= SLICE_UNITS);
            (width, group_units, span, pieces, count, units)
        };
        assert_eq!(of(128, 32), (4, 1, 1, 1, 4, 8));
        assert_eq!(of(512, 32), (4, 4, 4, 1, 16, 8));
        assert_eq!(of(12, 4), (1, 3, 3, 1, 2, 6));
        assert_eq!(of(96, 1), (4, 24, 8, 3, 3, 8));
        assert_eq!(of(7, 7), (1, 1, 1, 1, 1, 7));
    }

    fn plan(limit: u64, scope: Scope, x: [usize; 4], z: [usize; 4]) -> Plan {
        let mut graph = Graph::new();
        let (x, c) = (graph.input("x", &x, DType::F32), x[3]);
        let (weight, bias) = (graph.input("w", &[c], DType::F32), graph.input("b", &[c], DType::F32));
        let values = graph.input("z", &z, DType::F32);
        let modulation = Some(NearestModulation { values, first_apart: true });
        let options = GroupNormOptions {
            scope,
            groups: 4,
            eps: 1e-6,
            weight,
            bias,
            modulation,
            silu: true,
            out: DType::F32,
        };
        let out = graph.group_norm(x, &options).unwrap();
        graph.output("out", out);
        let target = Target { max_binding_bytes: limit, ..Target::webgpu_defaults() };
        Plan::new(&graph, &PlanTarget::Gpu(target)).unwrap()
    }

    #[test]
    fn x_is_read_twice_and_written_once_in_place_too() {
        let mut graph = Graph::new();
        let [weight, bias] = ["weight", "bias"].map(|name| graph.input(name, &[16], DType::F32));
        let options = GroupNormOptions {
            scope: Scope::Volume,
            groups: 4,
            eps: 1e-6,
            weight,
            bias,
            modulation: None,
            silu: false,
            out: DType::F32,
        };
        let x = graph.input("x", &[9, 32, 40, 16], DType::F32);
        let once = graph.group_norm(x, &options).unwrap();
        let twice = graph.group_norm(once, &options).unwrap();
        graph.output("out", twice);
        let plan = Plan::new(&graph, &PlanTarget::Gpu(Target::webgpu_defaults())).unwrap();
        let aliased: Vec<_> = plan.ops.iter().map(|op| op.aliased).collect();
        assert_eq!(aliased, [None, Some(0)]);
        // What is above three times x are the moments.
        for op in &plan.ops {
            let of_x = op.cost.bytes as f64 / (4 * 9 * 32 * 40 * 16) as f64;
            assert!((3.0..3.1).contains(&of_x), "{of_x}");
        }
    }

    #[test]
    fn bindings_keep_to_the_limit() {
        // x is 720 KiB, a frame of it 80 KiB; the modulation 20 KiB, a line of it 2 KiB.
        let plan = |limit, scope| plan(limit, scope, [9, 32, 40, 16], [3, 8, 10, 32]);
        for scope in [Scope::Volume, Scope::Frame, Scope::Position] {
            for limit in [1 << 20, 300 << 10, 100 << 10, 60 << 10] {
                let plan = plan(limit, scope);
                assert!(plan.largest_binding() <= limit, "{scope:?} in {limit}");
                let launches = plan.launches();
                assert_eq!(launches == 2, limit == 1 << 20, "{scope:?} in {limit}: {launches}");
            }
        }
    }
}
