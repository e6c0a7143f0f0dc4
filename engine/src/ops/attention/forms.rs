//! The forms that attention has, which of them a target may use, and which is likely the best.
use super::{Attention, NAME, QUAD};
use crate::{
    op::{Io, elem},
    plan::PlanError,
    target::{Target, clamp_u32},
    tuning::{Choice, size_class},
};
use shaders::Variant;
use std::fmt;

/// One form: the algorithm and its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A subgroup of `lanes` shares keys and values; each lane takes so many queries.
    Register { lanes: u32, queries: u32 },
    /// `rows` by `cols` invocations share tiles in workgroup memory; `keys` for each of them, `values` rows at a time.
    Shared { rows: usize, cols: usize, keys: usize, values: usize },
}

/// Vec4s of the query and key tiles' rows in `attention_shared`, with padding.
const PITCH: usize = 5;

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { lanes, queries } => write!(f, "register {queries}, {lanes} together"),
            Self::Shared { rows, cols, keys, values } => write!(f, "shared {rows}x{cols}x{keys}x{values}"),
        }
    }
}

impl Form {
    /// The part of the variant that says it.
    pub(super) fn variant(self, variant: Variant) -> Variant {
        match self {
            Self::Register { lanes, queries } => variant
                .import("ATTENTION", "attention_register")
                .constant("LANES", lanes)
                .constant("QUERIES", queries),
            Self::Shared { rows, cols, keys, values } => variant
                .import("ATTENTION", "attention_shared")
                .constant("ROWS", clamp_u32(rows))
                .constant("COLS", clamp_u32(cols))
                .constant("KEYS", clamp_u32(keys))
                .constant("V_ROWS", clamp_u32(values)),
        }
    }

    /// Queries that one workgroup takes.
    pub(super) fn block(self) -> usize {
        match self {
            Self::Register { lanes, queries } => (lanes * queries) as usize,
            Self::Shared { rows, .. } => QUAD * rows,
        }
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
pub(super) fn choose(op: &Attention, io: &Io<'_>, target: &Target) -> Result<(Form, Choice), PlanError> {
    let forms = forms(op.head_dim, target)?;
    let (queries, keys) = op.frame_rows(io.inputs);
    let dtypes: Vec<&str> = io.inputs[..3].iter().chain([io.output]).map(|desc| elem(desc).wgsl()).collect();
    let key = format!(
        "{NAME} {}x{}, {} heads of {}, {}{}",
        size_class(queries),
        size_class(keys),
        size_class(op.heads * op.frames),
        op.head_dim,
        dtypes.join(" "),
        if op.bias { ", biased" } else { "" }
    );
    let none = || PlanError::Unsupported { op: NAME, what: "no form fits".to_owned() };
    target.tuning.pick(key, &forms).ok_or_else(none)
}

/// The legal forms, the likely best first.
fn forms(head_dim: usize, target: &Target) -> Result<Vec<Form>, PlanError> {
    if target.software
        && let Some((lanes, largest)) = target.subgroups
        && lanes == largest
        && (4..=16).contains(&lanes)
    {
        return Ok([4, 2, 8].map(|queries| Form::Register { lanes, queries }).to_vec());
    }
    // Wide heads get more columns of invocations, so that an invocation's outputs stay in registers.
    let likely = if head_dim <= 128 { [16, 8, 4] } else { [8, 16, 2] };
    let mut forms = vec![Form::shared(head_dim, likely, target).map_err(|most| {
        let what = format!("heads of {head_dim} exceed the workgroup memory (at most {most})");
        PlanError::Unsupported { op: NAME, what }
    })?];
    for tile in [[16, 8, 4], [16, 16, 2], [8, 8, 4], [8, 16, 2]] {
        if let Ok(form) = Form::shared(head_dim, tile, target)
            && !forms.contains(&form)
        {
            forms.push(form);
        }
    }
    Ok(forms)
}
