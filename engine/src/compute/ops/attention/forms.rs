//! The forms that attention has, which of them a target may use, and which is likely the best.
use super::{super::cooperative::Fragments, Attention, NAME, QUAD};
use crate::{
    error::LowerError,
    op::{Io, elem},
    target::{Target, clamp_u32},
    tensor::TensorDesc,
    tuning::{Choice, size_class},
};
use shaders::Variant;
use std::fmt;

/// One form: the algorithm and its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A subgroup of `lanes` shares keys and values, `spans` times as many at once; each lane takes so many queries.
    Register { lanes: u32, queries: u32, spans: u32 },
    /// `rows` by `cols` invocations share tiles in workgroup memory; `keys` for each of them, `values` rows at a time.
    Shared { rows: usize, cols: usize, keys: usize, values: usize },
    /// On cooperative matrices: each of `subgroups` takes so many fragments of queries, and of keys at a time; of the outputs
    /// `beside` of them take the same rows.
    Cooperative { fragments: Fragments, subgroups: u32, queries: u32, keys: u32, beside: u32 },
}

/// Vec4s of the query and key tiles' rows in `attention_shared`, with padding.
const PITCH: usize = 5;

/// Registers of the form on cooperative matrices beside fragments, scores and what it fetches, as counted in what AMD's compiler makes.
const OTHER_REGISTERS: u32 = 48;

/// Registers of the form in workgroup memory beside outputs and scores: 76 were counted in what AMD's compiler makes.
const SHARED_OTHER_REGISTERS: usize = 76;

/// Registers at most of a form that the heuristic takes on cooperative matrices: with more, too few subgroups hide each other's waits.
const ROOMY_REGISTERS: u32 = 208;

/// Queries from which on cooperative matrices are worth filling.
const QUERIES_FOR_MATRICES: usize = 32;

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { lanes, queries, spans } => {
                write!(f, "register {queries}x{spans}, {lanes} together")
            }
            Self::Shared { rows, cols, keys, values } => write!(f, "shared {rows}x{cols}x{keys}x{values}"),
            Self::Cooperative { fragments, subgroups, queries, keys, .. } => {
                write!(f, "{fragments}, {subgroups} of {queries}x{keys}")
            }
        }
    }
}

impl Form {
    /// The part of the variant that says it.
    pub(super) fn variant(self, variant: Variant) -> Variant {
        match self {
            Self::Register { lanes, queries, spans } => variant
                .import("ATTENTION", "attention_register")
                .constant("LANES", lanes)
                .constant("QUERIES", queries)
                .constant("SPANS", spans),
            Self::Shared { rows, cols, keys, values } => variant
                .import("ATTENTION", "attention_shared")
                .constant("ROWS", clamp_u32(rows))
                .constant("COLS", clamp_u32(cols))
                .constant("KEYS", clamp_u32(keys))
                .constant("V_ROWS", clamp_u32(values)),
            Self::Cooperative { fragments, subgroups, queries, keys, beside } => {
                let variant = variant
                    .import("ATTENTION", "attention_cooperative")
                    .constant("SUBGROUPS", subgroups)
                    .constant("Q_FRAGS", queries)
                    .constant("SUB_N", beside)
                    .constant("K_FRAGS", keys);
                fragments.variant(variant)
            }
        }
    }

    /// Queries that one workgroup takes.
    pub(super) fn block(self) -> usize {
        match self {
            Self::Register { lanes, queries, .. } => (lanes * queries) as usize,
            Self::Shared { rows, .. } => QUAD * rows,
            Self::Cooperative { fragments, subgroups, queries, .. } => {
                (subgroups * queries * fragments.size) as usize
            }
        }
    }

    /// Fragments of outputs that a subgroup of a form on cooperative matrices makes: down and right.
    fn outputs(self, head_dim: usize) -> [u32; 2] {
        let Self::Cooperative { fragments, queries, beside, .. } = self else { return [0; 2] };
        [queries * beside, clamp_u32(head_dim) / fragments.size / beside]
    }

    /// Invocations that share tiles, with as many rows of values as fit; `Err` says how wide heads may be.
    fn shared(head_dim: usize, [rows, cols, keys]: [usize; 3], target: &Target) -> Result<Self, usize> {
        let (quads, scores) = (head_dim / QUAD, keys * cols * rows);
        let query_key_tile = (QUAD * rows + keys * cols) * PITCH;
        // Workgroup memory holds scores and one tile, which is of queries and keys or of values.
        let most = ((target.max_workgroup_bytes as usize).min(16 << 10) / 16).saturating_sub(scores);
        let budget = if query_key_tile >= 4 * quads { query_key_tile } else { most };
        let values = [16, 8, 4, 2, 1].into_iter().find(|values| values * quads <= budget);
        match values {
            Some(values) if budget <= most => Ok(Self::Shared { rows, cols, keys, values }),
            _ => Err(QUAD * most),
        }
    }
}

/// The form that was measured as the fastest, or else is likely to be.
pub(super) fn choose(op: &Attention, io: &Io<'_>, target: &Target) -> Result<(Form, Choice), LowerError> {
    let mut forms = forms(op.head_dim, target)?;
    forms.extend(cooperative(op.head_dim, &[&io.inputs[0], &io.inputs[1], &io.inputs[2]], target));
    let (queries, keys) = op.group_rows(io.inputs);
    let likely = if queries < QUERIES_FOR_MATRICES { None } else { on_matrices(&forms, op.head_dim) };
    let dtypes: Vec<&str> = io.inputs[..3].iter().chain([io.output]).map(|desc| elem(desc).wgsl()).collect();
    let key = format!(
        "{NAME} {}x{}, {} heads of {}, {}{}{}",
        size_class(queries),
        size_class(keys),
        size_class(op.heads * op.groups),
        op.head_dim,
        dtypes.join(" "),
        if op.bias { ", biased" } else { "" },
        ["", ", causal", ", windowed"][op.mask.code() as usize]
    );
    let none = || LowerError { op: NAME, what: "no form fits".to_owned() };
    target.tuning.pick(key, &forms, likely.unwrap_or(0)).ok_or_else(none)
}

/// The legal forms, the likely best first.
fn forms(head_dim: usize, target: &Target) -> Result<Vec<Form>, LowerError> {
    if target.barriers_are_dear()
        && let Some((lanes, largest)) = target.subgroups
        && lanes == largest
        && (4..=16).contains(&lanes)
    {
        return Ok([(4, 2), (8, 2), (4, 1), (2, 1)]
            .map(|(queries, spans)| Form::Register { lanes, queries, spans })
            .to_vec());
    }
    // Wide heads get more columns of invocations, so that an invocation's outputs stay in registers.
    let likely = if head_dim <= 128 { [16, 8, 4] } else { [8, 16, 2] };
    let mut forms = vec![Form::shared(head_dim, likely, target).map_err(|most| {
        let what = format!("heads of {head_dim} exceed the workgroup memory (at most {most})");
        LowerError { op: NAME, what }
    })?];
    for tile in [[16, 8, 4], [16, 16, 2], [8, 8, 4], [8, 16, 2]] {
        let [_, cols, keys] = tile;
        // Four queries' outputs, vec4s that the columns share, and their scores.
        let registers = 16 * (head_dim / QUAD).div_ceil(cols) + 4 * keys + SHARED_OTHER_REGISTERS;
        if let Ok(form) = Form::shared(head_dim, tile, target)
            && registers <= target.registers as usize
            && !forms.contains(&form)
        {
            forms.push(form);
        }
    }
    Ok(forms)
}

/// The place of the form on proven matrices that loads the fewest operands for a product, of those with registers to spare.
fn on_matrices(forms: &[Form], head_dim: usize) -> Option<usize> {
    let loads = |form: &Form| {
        let Form::Cooperative { fragments, queries, .. } = *form else { return None };
        let [rows, cols] = form.outputs(head_dim);
        let roomy = registers(*form, clamp_u32(head_dim)) <= ROOMY_REGISTERS;
        // Keys are loaded for each product with a fragment of queries, weights and values for rows and columns of outputs.
        let loads = 1.0 / f64::from(queries) + f64::from(rows + cols) / f64::from(rows * cols);
        fragments.proven.then_some((!roomy, loads))
    };
    let all = forms.iter().enumerate().filter_map(|(index, form)| Some((index, loads(form)?)));
    let best = all.min_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    best.map(|(index, _)| index)
}

/// The forms on cooperative matrices, of which a head must be whole fragments. Software gets none.
fn cooperative(head_dim: usize, activations: &[&TensorDesc], target: &Target) -> Vec<Form> {
    if target.barriers_are_dear() {
        return Vec::new();
    }
    let mut forms = Vec::new();
    for fragments in Fragments::of(target, activations) {
        for (subgroups, queries, keys) in [(4, 1, 2), (4, 1, 4), (2, 1, 2), (4, 2, 2), (4, 2, 4), (2, 2, 2)] {
            let depth = clamp_u32(head_dim) / fragments.size;
            let form = Form::Cooperative {
                fragments,
                subgroups,
                queries,
                keys,
                beside: beside(subgroups, queries, depth),
            };
            if cooperative_fits(form, clamp_u32(head_dim), target) {
                forms.push(form);
            }
        }
    }
    forms
}

/// How many of the subgroups share rows of outputs, `depth` fragments wide: they load the fewest operands when what each makes is
/// as good as square.
fn beside(subgroups: u32, queries: u32, depth: u32) -> u32 {
    let loads = |beside: &u32| queries * beside + depth / beside;
    let dividing = |beside: &u32| subgroups.is_multiple_of(*beside) && depth.is_multiple_of(*beside);
    (1..=subgroups).filter(dividing).min_by_key(loads).unwrap_or(1)
}

/// The registers that an invocation of a form on cooperative matrices needs.
fn registers(form: Form, head_dim: u32) -> u32 {
    let Form::Cooperative { fragments, subgroups, queries, keys, .. } = form else { return 0 };
    let [rows, cols] = form.outputs(head_dim as usize);
    let sums = (rows * cols + queries * keys) * fragments.sum_registers();
    let operands = (queries * head_dim / fragments.size + rows + 1) * fragments.operand_registers();
    let block_k = keys * fragments.size;
    let fetched = (block_k * head_dim).div_ceil(subgroups * fragments.lanes) * fragments.bytes() / 4;
    let scores = block_k * queries * fragments.size / fragments.lanes;
    sums + operands + fetched + scores + OTHER_REGISTERS
}

/// Whether the target has the workgroup memory, the invocations, which must come out even, and the registers.
fn cooperative_fits(form: Form, head_dim: u32, target: &Target) -> bool {
    let Form::Cooperative { fragments, subgroups, queries, keys, .. } = form else { return false };
    let (rows, block_k) = (queries * fragments.size, keys * fragments.size);
    let block_q = subgroups * rows;
    let (key_pitch, value_pitch) = (head_dim + fragments.pad(), block_k + fragments.pad());
    let queries = block_q * if fragments.operands_stay() { key_pitch + value_pitch } else { value_pitch };
    let operands = (block_k * key_pitch).max(head_dim * value_pitch) + queries;
    let singles = block_q * (block_k + 4) + block_q + 1;
    let registers = registers(form, head_dim);
    head_dim.is_multiple_of(fragments.size)
        && fragments.lanes.is_multiple_of(rows)
        && block_k.is_multiple_of(4 * fragments.lanes / rows)
        // An invocation fetches one column of quads of the keys, and squares of the values of the same keys.
        && (head_dim / 4).max(block_k / 4) <= subgroups * fragments.lanes
        && subgroups * fragments.lanes <= target.max_invocations
        && (fragments.operands_stay() || registers <= target.registers)
        && operands * fragments.bytes() + singles * 4 <= target.max_workgroup_bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{target::CooperativeMatrices, tensor::DType};

    #[test]
    fn heads_of_the_models_have_forms_on_cooperative_matrices_and_software_has_none() {
        let cooperative =
            vec![CooperativeMatrices { size: 16, operands: DType::F16, emulated: false, proven_lanes: None }];
        for lanes in [32, 64] {
            let card = Target {
                max_workgroup_bytes: 32 << 10,
                subgroups: Some((lanes, lanes)),
                cooperative: cooperative.clone(),
                ..Target::webgpu_defaults()
            };
            let half = TensorDesc::new(&[64, 512], DType::F16);
            for head_dim in [32, 64, 80, 96, 128] {
                assert!(!super::cooperative(head_dim, &[&half; 3], &card).is_empty(), "{head_dim}");
            }
            for head_dim in [8, 72, 132, 256] {
                assert!(super::cooperative(head_dim, &[&half; 3], &card).is_empty(), "{head_dim}");
            }
            // Small subgroups have too few invocations for wide heads.
            let small = Target { subgroups: Some((8, 8)), ..card.clone() };
            let small =
                Target { cooperative: vec![CooperativeMatrices { size: 8, ..cooperative[0] }], ..small };
            let together = |form: &Form| match form {
                Form::Cooperative { fragments, subgroups, .. } => fragments.lanes * subgroups,
                _ => 0,
            };
            assert!(super::cooperative(80, &[&half; 3], &small).iter().all(|form| together(form) >= 20));
            let software = Target { software: true, ..card.clone() };
            assert!(super::cooperative(64, &[&half; 3], &software).is_empty());
            let single = TensorDesc::new(&[64, 512], DType::F32);
            assert!(super::cooperative(64, &[&half, &half, &single], &card).is_empty());
        }
    }
}
