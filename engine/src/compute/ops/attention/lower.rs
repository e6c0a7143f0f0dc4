//! The launches of an attention: which variant, and how rows and keys are cut to fit bindings and time.
use super::{Attention, INPUTS, QUAD, forms::choose};
use crate::{
    error::LowerError,
    op::{Binding, Io, Launch, Lowered, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::DType,
    tuning::Choice,
};
use shaders::Variant;
use std::ops::Range;

params! {
    /// Of `attention.wgsl`.
    struct AttentionParams {
        heads: u32,
        q_rows: u32,
        k_rows: u32,
        q_group: u32,
        k_group: u32,
        q_stride: u32,
        q_offset: u32,
        k_stride: u32,
        k_offset: u32,
        v_stride: u32,
        v_offset: u32,
        out_stride: u32,
        out_offset: u32,
        bias_origin: u32,
        scale: f32,
        head_size: u32,
        query_position: u32,
        key_position: u32,
        mask_before: u32,
        mask_after: u32,
    }
}

/// Floating-point operations of one launch: some tenths of a second on a small GPU or on a CPU.
const WORK_OF_A_LAUNCH: u64 = 1 << 38;
const WORK_OF_A_SOFTWARE_LAUNCH: u64 = 1 << 32;

/// Rows are cut at multiples of this.
const ROWS_STEP: usize = 128;

/// A specialisation, and the queries that one workgroup takes.
struct Shape {
    variant: Variant,
    block: usize,
}

/// One launch's part of the work.
struct Part {
    groups: Range<usize>,
    queries: Range<usize>,
    keys: Range<usize>,
    /// Keys that any of the queries sees, in all launches.
    seen: Range<usize>,
}

pub(super) fn lower(op: &Attention, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
    let (shape, choice) = shape(op, io, target)?;
    let (queries, keys) = op.group_rows(io.inputs);
    let fitting = Fitting::new(op, io, target);
    let mut lowered = Lowered { choice: Some(choice), ..Lowered::default() };
    for groups in pieces(op.groups, fitting.groups(op.groups, queries, keys, target)) {
        let most = if keys <= fitting.keys { fitting.queries } else { fitting.queries.min(fitting.carried) };
        let rows = queries;
        let query_pieces = pieces(queries, most.min(fitting.affordable(keys, groups.len())));
        for queries in query_pieces {
            let seen = op.mask.seen_by(&queries, rows, keys);
            let key_pieces = pieces(seen.len(), fitting.keys.max(1));
            if key_pieces.len() > 1 {
                let bytes = (queries.len() * fitting.carry_row) as u64;
                lowered.scratch = vec![bytes.max(lowered.scratch.first().copied().unwrap_or(0))];
            }
            for keys in &key_pieces {
                let keys = seen.start + keys.start..seen.start + keys.end;
                let (groups, queries, seen) = (groups.clone(), queries.clone(), seen.clone());
                let part = Part { groups, queries, keys, seen };
                lowered.launches.push(launch(op, io, target, &shape, &part));
            }
        }
    }
    Ok(lowered)
}

/// The specialisation, the queries that one workgroup takes, and what it was chosen from.
fn shape(op: &Attention, io: &Io<'_>, target: &Target) -> Result<(Shape, Choice), LowerError> {
    let (form, choice) = choose(op, io, target)?;
    let single = io.inputs[1].dtype == DType::F32 && io.inputs[2].dtype == DType::F32;
    let kv_read = if target.reads_words_of_64() && single { "kv_quads_64" } else { "kv_quads" };
    let variant = Variant::new()
        .import("KV_READ", kv_read)
        .alias("Q", elem(&io.inputs[0]))
        .alias("K", elem(&io.inputs[1]))
        .alias("V", elem(&io.inputs[2]))
        .alias("Out", elem(io.output))
        .constant("DH4", clamp_u32(op.head_dim / QUAD))
        .constant("HAS_BIAS", u32::from(op.bias))
        .constant("MASK", op.mask.code());
    Ok((Shape { variant: form.variant(variant), block: form.block() }, choice))
}

/// How many rows of one frame fit.
struct Fitting {
    /// Queries and outputs of a launch.
    queries: usize,
    /// Keys and values.
    keys: usize,
    /// Queries whose state is carried from launch to launch.
    carried: usize,
    /// Bytes of the state of one query.
    carry_row: usize,
    /// Multiply-adds of one query and one key, doubled twice.
    flops: u64,
    work: u64,
}

impl Fitting {
    fn new(op: &Attention, io: &Io<'_>, target: &Target) -> Self {
        // Ranges begin at aligned offsets, up to one alignment before their first row.
        let limit = target.max_binding_bytes.saturating_sub(target.offset_alignment);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let row = |index: usize| io.inputs[index].cols() * io.inputs[index].dtype.size();
        let carry_row = op.heads * (op.head_dim + 2) * 4;
        Self {
            queries: limit / row(0).max(op.width() * io.output.dtype.size()),
            keys: limit / row(1).max(row(2)),
            carried: limit / carry_row,
            carry_row,
            flops: 4 * op.width() as u64,
            work: if target.launches_take_long() { WORK_OF_A_SOFTWARE_LAUNCH } else { WORK_OF_A_LAUNCH },
        }
    }

    /// Frames of a launch; one if not even one fits whole.
    fn groups(&self, groups: usize, queries: usize, keys: usize, target: &Target) -> usize {
        let affordable = self.work / (queries as u64 * keys as u64 * self.flops).max(1);
        let affordable = usize::try_from(affordable).unwrap_or(usize::MAX);
        let fitting = (self.queries / queries).min(self.keys / keys).min(affordable);
        fitting.clamp(1, groups.min(target.max_groups as usize))
    }

    /// Queries of a launch that end in time.
    fn affordable(&self, keys: usize, groups: usize) -> usize {
        let queries = self.work / (keys as u64 * groups as u64 * self.flops).max(1);
        usize::try_from(queries).unwrap_or(usize::MAX).max(ROWS_STEP)
    }
}

/// Cuts `count` into pieces of at most `most`, at multiples of [`ROWS_STEP`] if there is more than one such step.
fn pieces(count: usize, most: usize) -> Vec<Range<usize>> {
    let step = if most >= count || most < ROWS_STEP { most.max(1) } else { most / ROWS_STEP * ROWS_STEP };
    (0..count).step_by(step).map(|start| start..(start + step).min(count)).collect()
}

fn launch(op: &Attention, io: &Io<'_>, target: &Target, shape: &Shape, part: &Part) -> Launch {
    let (queries, keys) = op.group_rows(io.inputs);
    let Part { groups, queries: query_rows, keys: key_rows, seen } = part;
    let [mask_before, mask_after] = op.mask.extents(keys).map(clamp_u32);
    // All groups of a launch of several are whole.
    let span = |rows: &Range<usize>, frame: usize| {
        groups.start * frame + rows.start..(groups.end - 1) * frame + rows.end
    };
    let (q_span, k_span) = (span(query_rows, queries), span(key_rows, keys));
    let q = window(io, Operand::Input(0), &q_span, target);
    let k = window(io, Operand::Input(1), &k_span, target);
    let v = window(io, Operand::Input(2), &k_span, target);
    let out = window(io, Operand::Output, &q_span, target);
    let quads = |index: usize| clamp_u32(io.inputs[index].cols() / QUAD);
    let column = |index: usize| clamp_u32(op.columns[index] / QUAD);
    let params = AttentionParams {
        heads: clamp_u32(op.heads),
        q_rows: clamp_u32(query_rows.len()),
        k_rows: clamp_u32(key_rows.len()),
        q_group: clamp_u32(queries),
        k_group: clamp_u32(keys),
        q_stride: quads(0),
        q_offset: q.1 + column(0),
        k_stride: quads(1),
        k_offset: k.1 + column(1),
        v_stride: quads(2),
        v_offset: v.1 + column(2),
        out_stride: clamp_u32(op.width() / QUAD),
        out_offset: out.1,
        bias_origin: clamp_u32(keys - 1 + key_rows.start).wrapping_sub(clamp_u32(query_rows.start)),
        scale: op.scale * std::f32::consts::LOG2_E,
        head_size: clamp_u32(op.head_dim / QUAD),
        query_position: clamp_u32(query_rows.start + keys.saturating_sub(queries)),
        key_position: clamp_u32(key_rows.start),
        mask_before,
        mask_after,
    };
    let (first, last) = (key_rows.start == seen.start, key_rows.end == seen.end);
    let mut bindings =
        vec![q.0, k.0, v.0, if op.bias { io.bind_input(INPUTS.len()) } else { Binding::unused() }, out.0];
    let whole = first && last;
    if !whole {
        let bytes = query_rows.len() * op.heads * (op.head_dim + 2) * 4;
        bindings.push(Binding::scratch(0, bytes as u64));
    }
    let variant =
        shape.variant.clone().import("CARRY", if whole { "attention_whole" } else { "attention_carry" });
    Launch {
        kernel: &shaders::ATTENTION,
        variant: variant.constant("CARRY_IN", u32::from(!first)).constant("CARRY_OUT", u32::from(!last)),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings,
        grid: [
            clamp_u32(query_rows.len().div_ceil(shape.block)),
            clamp_u32(op.heads),
            clamp_u32(groups.len()),
        ],
    }
}

/// Rows of an operand from the last aligned offset before them, and how many vec4s later they begin.
fn window(io: &Io<'_>, operand: Operand, rows: &Range<usize>, target: &Target) -> (Binding, u32) {
    let desc = match operand {
        Operand::Input(index) => &io.inputs[index],
        _ => io.output,
    };
    let row_bytes = (desc.cols() * desc.dtype.size()) as u64;
    let (start, end) = (rows.start as u64 * row_bytes, rows.end as u64 * row_bytes);
    let offset = start / target.offset_alignment * target.offset_alignment;
    let skipped = (start - offset) / (QUAD * desc.dtype.size()) as u64;
    let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
    (Binding { operand, offset, size: end - offset }, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{Op, check_params},
        ops::Mask,
        tensor::{DType, TensorDesc},
    };

    fn op(heads: usize, head_dim: usize, groups: usize) -> Attention {
        let width = heads * head_dim;
        let columns = [0, width, 2 * width];
        let (mask, out) = (Mask::None, DType::F32);
        Attention { heads, head_dim, scale: 0.5, bias: false, mask, groups, columns, out }
    }

    fn lowered(op: &Attention, rows: usize, target: &Target) -> Result<Lowered, LowerError> {
        let qkv = TensorDesc::new(&[rows, 3 * op.width()], DType::F32);
        let inputs = [qkv.clone(), qkv.clone(), qkv];
        let output = op.output(&inputs).unwrap_or_else(|e| panic!("{e}"));
        op.lower(&Io { inputs: &inputs, output: &output, aliased: None }, target)
    }

    #[test]
    fn params_match_the_kernel_in_both_forms() {
        let software = Target { software: true, subgroups: Some((8, 8)), ..Target::webgpu_defaults() };
        for target in [software, Target::webgpu_defaults()] {
            let lowered = lowered(&op(2, 16, 1), 64, &target).unwrap_or_else(|e| panic!("{e}"));
            check_params::<AttentionParams>(&shaders::ATTENTION, &lowered.launches[0].variant);
        }
    }

    #[test]
    fn long_videos_are_cut_by_queries_and_keys_within_the_limits() {
        // Wan 1.3B at 480x832x81 in f32: q, k and v together take 604 MB.
        let target = Target::webgpu_defaults();
        let lowered = lowered(&op(12, 128, 1), 32_760, &target).unwrap_or_else(|e| panic!("{e}"));
        let launches = &lowered.launches;
        assert!(launches.iter().flat_map(|d| &d.bindings).all(|b| b.size <= target.max_binding_bytes));
        assert!(lowered.scratch[0] <= target.max_binding_bytes);
        let consts = |name: &str| -> u32 { launches.iter().map(|d| d.variant.consts[name]).sum() };
        assert!(consts("CARRY_IN") > 0, "keys do not fit one binding");
        assert_eq!(consts("CARRY_IN"), consts("CARRY_OUT"), "what is carried out is carried in");
    }

    #[test]
    fn launches_that_would_see_nothing_are_left_out() {
        let target = Target { max_binding_bytes: 1 << 20, ..Target::webgpu_defaults() };
        let launches = |mask: Mask| {
            let op = Attention { mask, ..op(1, 64, 1) };
            lowered(&op, 4096, &target).unwrap_or_else(|e| panic!("{e}")).launches
        };
        let (all, causal, window) = (
            launches(Mask::None),
            launches(Mask::Causal { block: 64 }),
            launches(Mask::Window { before: 100, after: 0 }),
        );
        assert!(causal.len() < all.len() && window.len() < causal.len());
        let consts = |name: &str| -> u32 { causal.iter().map(|d| d.variant.consts[name]).sum() };
        assert_eq!(consts("CARRY_IN"), consts("CARRY_OUT"), "what is carried out is carried in");
    }

    #[test]
    fn many_groups_are_cut_between_groups() {
        let target = Target { max_binding_bytes: 1 << 20, ..Target::webgpu_defaults() };
        let lowered = lowered(&op(1, 64, 21), 21 * 100, &target).unwrap_or_else(|e| panic!("{e}"));
        assert!(lowered.scratch.is_empty() && lowered.launches.len() == 2);
        let groups: Vec<u32> = lowered.launches.iter().map(|d| d.grid[2]).collect();
        assert_eq!(groups, [13, 8]);
        assert!(lowered.launches.iter().flat_map(|d| &d.bindings).all(|b| b.offset % 256 == 0));
    }

    #[test]
    fn heads_beyond_the_workgroup_memory_are_refused_by_name() {
        let error = lowered(&op(1, 4096, 1), 8, &Target::webgpu_defaults()).map(|_| ()).unwrap_err();
        let want = "attention: heads of 4096 exceed the workgroup memory (at most 3072)";
        assert_eq!(error.to_string(), want);
    }
}
