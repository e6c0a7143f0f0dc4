//! Which constants stay on the device, and when the others are brought: a constant that does not stay is a tensor that becomes live
//! before its use and dies after it.
use super::{PlanTarget, memory};
use crate::{
    cpu::WeightForm,
    graph::Graph,
    tensor::{TensorDesc, TensorId},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Smaller constants stay: they are many, and together nothing.
const SMALLEST: u64 = 64 << 10;

/// Uses of a constant that are no further apart than this many nodes are one: it stays in between.
const TOGETHER: usize = 8;

/// Which constants do not stay, and where in the graph they come.
#[derive(Debug, Default)]
pub(super) struct Streaming {
    /// By the node before which they are brought.
    brings: BTreeMap<usize, Vec<Visit>>,
    streamed: HashSet<usize>,
}

/// One stay of a constant on the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    /// The constant.
    pub(super) tensor: TensorId,
    /// Bytes on the device.
    pub(super) bytes: u64,
    /// The first node that reads it.
    first: usize,
    /// The last one.
    pub(super) last: usize,
}

impl Streaming {
    /// Keeps about `resident` bytes of the constants, spread evenly over the graph, so that there is work beside each that is brought;
    /// of the others each comes `ahead` stays before it is read.
    pub(super) fn new(graph: &Graph, target: &PlanTarget, resident: u64, ahead: usize) -> Self {
        let mut visits = visits(graph, target);
        let total = sizes(&visits).values().sum::<u64>().max(1);
        let mut streaming = Self::default();
        let (mut credit, mut decided) = (0_u64, HashMap::new());
        visits.retain(|visit| {
            *decided.entry(visit.tensor.index()).or_insert_with(|| {
                // Of each byte the share of `resident` in the total may stay.
                credit += u64::try_from(u128::from(visit.bytes) * u128::from(resident) / u128::from(total))
                    .unwrap_or(u64::MAX);
                let stays = credit >= visit.bytes;
                if stays {
                    credit -= visit.bytes;
                }
                !stays
            })
        });
        for (index, visit) in visits.iter().enumerate() {
            streaming.streamed.insert(visit.tensor.index());
            let at = index.checked_sub(ahead).map_or(0, |before| visits[before].first);
            let at = if ahead == 0 { visit.first } else { at };
            streaming.brings.entry(at).or_default().push(*visit);
        }
        streaming
    }

    /// What is brought before node `index`.
    pub(super) fn before(&self, index: usize) -> &[Visit] {
        self.brings.get(&index).map_or(&[], Vec::as_slice)
    }

    /// Whether a constant does not stay.
    pub(super) fn streams(&self, root: TensorId) -> bool {
        self.streamed.contains(&root.index())
    }
}

/// Bytes of all constants that could be brought when they are needed.
pub(super) fn streamable_bytes(graph: &Graph, target: &PlanTarget) -> u64 {
    sizes(&visits(graph, target)).values().sum()
}

fn sizes(visits: &[Visit]) -> HashMap<usize, u64> {
    visits.iter().map(|visit| (visit.tensor.index(), visit.bytes)).collect()
}

/// All stays, in the order in which they begin, as if nothing stayed for good.
fn visits(graph: &Graph, target: &PlanTarget) -> Vec<Visit> {
    let mut uses: BTreeMap<usize, (TensorId, u64, Vec<usize>)> = BTreeMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        let inputs = graph.descs(&node.inputs);
        for (input, id) in node.inputs.iter().enumerate() {
            let root = graph.root(*id);
            if graph.weight_of(root).is_none() {
                continue;
            }
            let form = |inputs: &[TensorDesc]| node.op.weight_form(inputs, input);
            let Some(bytes) = bytes(graph, target, root, &form(&inputs)) else { continue };
            let entry = uses.entry(root.index()).or_insert_with(|| (root, bytes, Vec::new()));
            entry.1 = entry.1.max(bytes);
            entry.2.push(index);
        }
    }
    let mut visits = Vec::new();
    for (tensor, bytes, nodes) in uses.into_values() {
        for run in nodes.chunk_by(|a, b| b - a <= TOGETHER) {
            visits.push(Visit { tensor, bytes, first: run[0], last: run[run.len() - 1] });
        }
    }
    visits.sort_by_key(|visit| (visit.first, visit.tensor.index()));
    visits
}

/// Bytes of a constant on the device; none for one that stays in any case.
fn bytes(graph: &Graph, target: &PlanTarget, root: TensorId, form: &WeightForm) -> Option<u64> {
    let desc = graph.desc(root);
    let bytes = match target {
        PlanTarget::Gpu(_) => memory::bytes(desc, false),
        PlanTarget::Cpu => match form {
            WeightForm::Matrix { .. } | WeightForm::Conv { .. } => form.bytes(desc),
            // What the kernels read as it is stored lies in the mapped file.
            WeightForm::Dense | WeightForm::Stored => return None,
        },
    };
    (bytes >= SMALLEST).then_some(bytes)
}
