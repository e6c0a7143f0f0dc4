//! Which kernels, in which variants, a graph launches on a target: as planned, and in every form that the tuner may choose.
use super::CompileError;
use engine::{
    DType, Graph,
    compute::ops::MatmulOptions,
    compute::plan::{Plan, PlanTarget, PlannedOp},
    compute::target::Target,
    compute::tuning::Choice,
};
use shaders::{Kernel, Variant};

/// Launches of one kernel in one variant, for one op of a graph.
#[derive(Debug, Clone)]
pub struct FormLaunch {
    /// Whose: a case, or a stage of a model.
    pub case: String,
    /// The op and the shape of its result.
    pub op: String,
    /// The form's name; `-` where there is no choice.
    pub form: String,
    /// Whether it is what the heuristic chooses, or there is no choice.
    pub by_heuristic: bool,
    /// The kernel.
    pub kernel: &'static Kernel,
    /// How it is specialised.
    pub variant: Variant,
    /// How many such launches one run of the graph has.
    pub launches: usize,
    /// Floating-point operations of one such launch, on average.
    pub flops: u64,
    /// Bytes that one such launch moves, on average.
    pub bytes: u64,
}

/// Name of the only form of an op.
const NO_CHOICE: &str = "-";

/// The distinct launches of a graph, in program order: those that the heuristics choose, or those of all forms.
///
/// # Errors
/// If the graph does not fit the target.
pub fn launches_of(
    case: &str,
    graph: &Graph,
    target: &Target,
    all_forms: bool,
) -> Result<Vec<FormLaunch>, CompileError> {
    let plan = |target: &Target| Plan::new(graph, &PlanTarget::Gpu(target.clone()));
    let heuristic = plan(target)?;
    let mut found = Vec::new();
    for op in &heuristic.ops {
        note(&mut found, case, op);
    }
    if !all_forms {
        return Ok(found);
    }
    let mut tried: Vec<&Choice> = Vec::new();
    for choice in heuristic.ops.iter().filter_map(|op| op.choice.as_ref()) {
        if tried.iter().any(|known| known.key == choice.key) {
            continue;
        }
        tried.push(choice);
        let others = choice.forms.iter().enumerate().filter(|(index, _)| *index != choice.likely);
        for (_, form) in others {
            let tuning = target.tuning.with(&choice.key, form);
            let tuned = plan(&Target { tuning, ..target.clone() })?;
            let same_choice = |op: &&PlannedOp| op.choice.as_ref().is_some_and(|c| c.key == choice.key);
            for op in tuned.ops.iter().filter(same_choice) {
                note_form(&mut found, case, form, op);
            }
        }
    }
    Ok(found)
}

/// A small product in all forms on the matrices of a target, which has matrices of one kind.
pub(super) fn on_matrices(target: &Target) -> Result<Vec<FormLaunch>, CompileError> {
    let Some(matrices) = target.cooperative.first() else { return Ok(Vec::new()) };
    let mut graph = Graph::new();
    let (x, weight) =
        (graph.input("x", &[64, 64], matrices.operands), graph.input("weight", &[64, 64], matrices.operands));
    let out = graph.matmul(x, weight, &MatmulOptions::new(DType::F32))?;
    graph.output("out", out);
    let mut launches = launches_of("matrices", &graph, target, true)?;
    launches.retain(|launch| launch.variant.imports.contains_key("FRAGMENTS"));
    Ok(launches)
}

fn note(found: &mut Vec<FormLaunch>, case: &str, op: &PlannedOp) {
    note_form(found, case, likely(op).map_or(NO_CHOICE, String::as_str), op);
}

/// The heuristic's form.
fn likely(op: &PlannedOp) -> Option<&String> {
    op.choice.as_ref().and_then(|choice| choice.forms.get(choice.likely))
}

fn note_form(found: &mut Vec<FormLaunch>, case: &str, form: &str, op: &PlannedOp) {
    let by_heuristic = likely(op).is_none_or(|likely| likely == form);
    let each = op.launch_count() as u64;
    let title = format!("{} {:?}", op.name, op.shape);
    for launch in &op.launches {
        let same = |known: &&mut FormLaunch| {
            known.case == case
                && known.op == title
                && known.form == form
                && known.kernel == launch.kernel
                && known.variant == launch.variant
        };
        if let Some(known) = found.iter_mut().find(same) {
            known.launches += 1;
            continue;
        }
        found.push(FormLaunch {
            case: case.to_owned(),
            op: title.clone(),
            form: form.to_owned(),
            by_heuristic,
            kernel: launch.kernel,
            variant: launch.variant.clone(),
            launches: 1,
            flops: op.cost.flops / each,
            bytes: op.cost.bytes / each,
        });
    }
}
