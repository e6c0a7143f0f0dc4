//! In what order and in which buffers a graph runs: plain data, made and printable without a GPU.
mod cost;
mod memory;
mod print;
mod residency;

pub use cost::Cost;
pub use memory::Place;

use crate::{
    cpu::WeightForm,
    error::{LowerError, PlanError},
    graph::{Graph, Node, Origin},
    op::{Io, Launch, Lowered, Operand},
    target::Target,
    tensor::{DType, TensorDesc, TensorId},
    tuning::Choice,
};
use residency::{Streaming, Visit};
use std::collections::{HashMap, HashSet};

/// What a graph is planned for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanTarget {
    /// The CPU executor: memory only, every activation held in f32.
    Cpu,
    /// An adapter.
    Gpu(Target),
}

/// A schedule: for each node its launches, for each tensor its place, for each slot its size.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it was made for.
    target: PlanTarget,
    /// Bytes that it was to keep to.
    budget: Option<u64>,
    /// One entry per node, in program order.
    pub ops: Vec<PlannedOp>,
    /// Sizes in bytes of the buffers that tensors take turns in.
    pub slots: Vec<u64>,
    /// By tensor (views included, which have their root's place).
    pub places: Vec<Place>,
    /// The nodes in program order, and between them the constants that are brought when they are needed.
    pub steps: Vec<Step>,
    /// Bytes of the constants that stay: as they are stored, or on the CPU in the forms that its kernels read.
    pub weight_bytes: u64,
    /// Bytes of all constants that one run brings, and of those that are there at a time beside the slots.
    pub streamed_bytes: StreamedBytes,
    /// Bytes of the state tensors that the graph uses.
    pub state_bytes: u64,
}

/// What a run does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Brings a constant that does not stay.
    Bring {
        /// The constant.
        tensor: TensorId,
        /// On a GPU, the slot that it comes to.
        slot: Option<usize>,
    },
    /// Runs the op at this index.
    Run(usize),
}

/// Bytes of constants that do not stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamedBytes {
    /// Brought by one run.
    pub each_run: u64,
    /// There at a time, where that is in no slot: on the CPU.
    pub at_a_time: u64,
}

/// One node, lowered.
#[derive(Debug, Clone)]
pub struct PlannedOp {
    /// The op's name.
    pub name: &'static str,
    /// The shape of its output.
    pub shape: Vec<usize>,
    /// Its launches; empty for the CPU.
    pub launches: Vec<Launch>,
    /// On the CPU, of each input that is a constant, the form in which it is read.
    pub forms: Vec<Option<WeightForm>>,
    /// Of each input whether it is a constant that was brought for it; on a GPU with the slot that it lies in.
    pub streamed: Vec<Option<Brought>>,
    /// Slots of its scratch buffers.
    pub scratch: Vec<usize>,
    /// The input whose buffer the output has taken over.
    pub aliased: Option<usize>,
    /// What it takes.
    pub cost: Cost,
    /// Between which forms there was a choice.
    pub choice: Option<Choice>,
}

/// Where a constant is that was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// In a slot.
    Slot(usize),
    /// With the op that reads it: on the CPU.
    Beside,
}

impl PlanTarget {
    /// Whether it is the same device; what was measured on it meanwhile does not matter.
    fn is_same_device(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cpu, Self::Cpu) => true,
            (Self::Gpu(a), Self::Gpu(b)) => *a == Target { tuning: a.tuning.clone(), ..b.clone() },
            _ => false,
        }
    }
}

impl Plan {
    /// Plans a graph.
    ///
    /// # Errors
    /// [`PlanError`] if a tensor or binding does not fit the target.
    pub fn new(graph: &Graph, target: &PlanTarget) -> Result<Self, PlanError> {
        Self::streaming(graph, target, &Streaming::default())
    }

    /// Plans a graph so that it takes no more than `budget` bytes, constants included: those that do not fit are brought in each run,
    /// as early as there is room. If not even that fits, the plan takes as little as there is a way to.
    ///
    /// # Errors
    /// [`PlanError`] if a tensor or binding does not fit the target.
    pub fn within(graph: &Graph, target: &PlanTarget, budget: u64) -> Result<Self, PlanError> {
        /// How often the bytes that stay are halved in search of the most that fit.
        const HALVINGS: usize = 5;
        let all = Self { budget: Some(budget), ..Self::new(graph, target)? };
        let streamable = residency::streamable_bytes(graph, target);
        if all.total_bytes() <= budget || streamable == 0 {
            return Ok(all);
        }
        let plan = |resident, ahead| {
            let streaming = Streaming::new(graph, target, resident, ahead);
            Self::streaming(graph, target, &streaming).map(|plan| Self { budget: Some(budget), ..plan })
        };
        // The CPU packs with the cores that would compute meanwhile.
        let ahead: &[usize] = if matches!(target, PlanTarget::Cpu) { &[0] } else { &[2, 1, 0] };
        let mut best = None;
        for ahead in ahead {
            let least = plan(0, *ahead)?;
            let fits = least.total_bytes() <= budget;
            best = Some((least, *ahead));
            if fits {
                break;
            }
        }
        let Some((mut best, ahead)) = best else { return Ok(all) };
        if best.total_bytes() > budget {
            return Ok(best);
        }
        let (mut fitting, mut step) = (0, streamable);
        for _ in 0..HALVINGS {
            step /= 2;
            let more = plan(fitting + step, ahead)?;
            if more.total_bytes() <= budget {
                (best, fitting) = (more, fitting + step);
            }
        }
        Ok(best)
    }

    /// Plans the same graph anew, for the same device and bytes.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub(crate) fn again(&self, graph: &Graph, target: &PlanTarget) -> Result<Self, PlanError> {
        match self.budget {
            Some(budget) => Self::within(graph, target, budget),
            None => Self::new(graph, target),
        }
    }

    fn streaming(graph: &Graph, target: &PlanTarget, streaming: &Streaming) -> Result<Self, PlanError> {
        let is_cpu = matches!(target, PlanTarget::Cpu);
        let mut guests = Guests::default();
        let mut steps = Vec::with_capacity(graph.nodes().len());
        let mut memory = memory::Memory::new(graph, matches!(target, PlanTarget::Cpu));
        let mut ops = Vec::with_capacity(graph.nodes().len());
        for (index, node) in graph.nodes().iter().enumerate() {
            let inputs = graph.descs(&node.inputs);
            let output = graph.desc(node.output).clone();
            check_elements(node.op.name(), &output)?;
            for visit in streaming.before(index) {
                let slot = (!is_cpu).then(|| memory.take_slot(visit.bytes));
                steps.push(Step::Bring { tensor: visit.tensor, slot });
                guests.come(*visit, slot);
            }
            let aliased = memory.place_output(graph, index);
            let io = Io { inputs: &inputs, output: &output, aliased };
            let Lowered { launches, scratch, choice } = match target {
                PlanTarget::Cpu => Lowered::default(),
                PlanTarget::Gpu(target) => {
                    check_dtype(node.op.name(), &output)?;
                    check_buffer(node.op.name(), &output, target)?;
                    let lowered = node.op.lower(&io, target)?;
                    check_bindings(node.op.name(), &lowered.launches, target)?;
                    lowered
                }
            };
            let forms = match target {
                PlanTarget::Cpu => weight_forms(graph, node, &inputs),
                PlanTarget::Gpu(_) => Vec::new(),
            };
            let scratch = memory.place_scratch(&scratch);
            memory.release(graph, index, &scratch);
            let streamed = node.inputs.iter().map(|id| guests.place(graph.root(*id))).collect();
            guests.leave(index, &mut memory);
            let cost = match target {
                PlanTarget::Cpu => {
                    let inputs = node.inputs.iter().map(|id| held(graph, *id)).collect::<Vec<_>>();
                    let io = Io { inputs: &inputs, output: &held(graph, node.output), aliased };
                    Cost::new(node.op.as_ref(), &io, &launches)
                }
                PlanTarget::Gpu(_) => Cost::new(node.op.as_ref(), &io, &launches),
            };
            let (name, shape) = (node.op.name(), output.shape);
            ops.push(PlannedOp { name, shape, launches, forms, streamed, scratch, aliased, cost, choice });
            steps.push(Step::Run(index));
        }
        let (slots, places) = memory.finish(graph);
        let weight_bytes = weight_bytes(graph, target, &ops, |root| !streaming.streams(root));
        let (target, streamed_bytes) = (target.clone(), guests.bytes);
        let state_bytes = state_bytes(graph, &target);
        Ok(Self {
            target,
            budget: None,
            ops,
            slots,
            places,
            steps,
            weight_bytes,
            streamed_bytes,
            state_bytes,
        })
    }

    /// What it was made for.
    pub fn target(&self) -> &PlanTarget {
        &self.target
    }

    /// Whether it says how this graph runs on this target.
    pub(crate) fn is_for(&self, graph: &Graph, target: &PlanTarget) -> bool {
        let same = |(op, node): (&PlannedOp, &Node)| {
            op.name == node.op.name() && op.shape == graph.desc(node.output).shape
        };
        self.target.is_same_device(target)
            && self.places.len() == graph.tensors().len()
            && self.ops.len() == graph.nodes().len()
            && self.ops.iter().zip(graph.nodes()).all(same)
    }

    /// Bytes of all slots and states, and of constants that come and go: what a run needs beside the weights that stay.
    pub fn working_bytes(&self) -> u64 {
        self.slots.iter().sum::<u64>() + self.state_bytes + self.streamed_bytes.at_a_time
    }

    /// Bytes of all that a run needs.
    pub fn total_bytes(&self) -> u64 {
        self.weight_bytes + self.working_bytes()
    }

    /// Floating-point operations of one run.
    pub fn flops(&self) -> u64 {
        self.ops.iter().map(|op| op.cost.flops).sum()
    }

    /// Bytes that one run reads and writes.
    pub fn bytes(&self) -> u64 {
        self.ops.iter().map(|op| op.cost.bytes).sum()
    }

    /// Bytes that one run would read and write if every op read what it needs and wrote its result once.
    pub fn least_bytes(&self) -> u64 {
        self.ops.iter().map(|op| op.cost.least_bytes).sum()
    }

    /// Launches of one run; on the CPU, ops.
    pub fn launches(&self) -> usize {
        self.ops.iter().map(PlannedOp::launch_count).sum()
    }

    /// Launches of one run if no op did more than one function.
    pub fn unfused_launches(&self) -> usize {
        self.ops.iter().map(PlannedOp::unfused_launches).sum()
    }

    /// The largest range that any launch binds.
    pub fn largest_binding(&self) -> u64 {
        let bindings = self.ops.iter().flat_map(|op| &op.launches).flat_map(|d| &d.bindings);
        bindings.map(|b| b.size).max().unwrap_or(0)
    }

    /// The constants that do not stay.
    pub(crate) fn streamed(&self) -> HashSet<TensorId> {
        let brought = self.steps.iter().filter_map(|step| match step {
            Step::Bring { tensor, .. } => Some(*tensor),
            Step::Run(_) => None,
        });
        brought.collect()
    }

    /// Where a tensor lives.
    pub fn place(&self, x: TensorId) -> &Place {
        &self.places[x.index()]
    }
}

impl PlannedOp {
    /// How many launches it has; on the CPU, one.
    pub fn launch_count(&self) -> usize {
        self.launches.len().max(1)
    }

    /// Launches if it did its own function only and every other one came after it: at least one for each.
    pub fn unfused_launches(&self) -> usize {
        self.launch_count() + self.cost.fused
    }
}

fn check_elements(op: &'static str, output: &TensorDesc) -> Result<(), PlanError> {
    if u32::try_from(output.elements()).is_err() {
        return Err(PlanError::TooManyElements { op, shape: output.shape.clone() });
    }
    Ok(())
}

/// Shaders have no bfloat16 but in weights.
fn check_dtype(op: &'static str, output: &TensorDesc) -> Result<(), LowerError> {
    match output.dtype {
        DType::Bf16 => Err(LowerError { op, what: "activations in bf16 are for the CPU".to_owned() }),
        DType::Grouped(_) => Err(LowerError { op, what: "activations are not grouped".to_owned() }),
        DType::F32 | DType::F16 | DType::U32 => Ok(()),
    }
}

/// A tensor as the CPU holds it: what is no constant takes four bytes for each value.
fn held(graph: &Graph, id: TensorId) -> TensorDesc {
    let desc = graph.desc(id);
    match desc.dtype {
        DType::F16 | DType::Bf16 if graph.weight_of(id).is_none() => TensorDesc::new(&desc.shape, DType::F32),
        _ => desc.clone(),
    }
}

fn check_buffer(op: &'static str, output: &TensorDesc, target: &Target) -> Result<(), PlanError> {
    let (bytes, limit) = (output.bytes(), target.max_buffer_bytes);
    if bytes > limit {
        return Err(PlanError::Buffer { op, shape: output.shape.clone(), bytes, limit });
    }
    Ok(())
}

fn check_bindings(op: &'static str, launches: &[Launch], target: &Target) -> Result<(), PlanError> {
    let limit = target.max_binding_bytes;
    for binding in launches.iter().flat_map(|d| &d.bindings) {
        if binding.size > limit {
            let what = match binding.operand {
                Operand::Input(i) => format!("binding of input {i}"),
                Operand::Output => "binding of the output".to_owned(),
                Operand::Scratch(i) => format!("scratch buffer {i}"),
                Operand::Unused => "dummy binding".to_owned(),
            };
            return Err(PlanError::Binding { op, what, bytes: binding.size, limit });
        }
    }
    Ok(())
}

/// Bytes of the weights, each once for each form in which it is read.
fn weight_bytes(
    graph: &Graph,
    target: &PlanTarget,
    ops: &[PlannedOp],
    stays: impl Fn(TensorId) -> bool,
) -> u64 {
    if let PlanTarget::Gpu(_) = target {
        let tensors = graph.ids().map(|id| (id, graph.tensor_of(id)));
        let weights = tensors.filter(|(id, tensor)| tensor.weight().is_some() && stays(*id));
        return weights.map(|(_, tensor)| memory::bytes(&tensor.desc, false)).sum();
    }
    let mut read: HashMap<(u64, WeightForm), u64> = HashMap::new();
    for (node, op) in graph.nodes().iter().zip(ops) {
        for (input, form) in node.inputs.iter().zip(&op.forms) {
            if let (Some(weight), Some(form)) = (graph.weight_of(*input), form)
                && stays(graph.root(*input))
            {
                read.insert((weight.id(), *form), form.bytes(weight.desc()));
            }
        }
    }
    read.into_values().sum()
}

fn state_bytes(graph: &Graph, target: &PlanTarget) -> u64 {
    let states = graph.tensors().iter().filter(|tensor| matches!(tensor.origin, Origin::State(_)));
    states.map(|tensor| memory::bytes(&tensor.desc, matches!(target, PlanTarget::Cpu))).sum()
}

/// The constants that are there for a while.
#[derive(Debug, Default)]
struct Guests {
    there: Vec<(Visit, Option<usize>)>,
    bytes: StreamedBytes,
}

impl Guests {
    fn come(&mut self, visit: Visit, slot: Option<usize>) {
        self.there.push((visit, slot));
        self.bytes.each_run += visit.bytes;
        let beside = self.there.iter().filter(|(_, slot)| slot.is_none()).map(|(visit, _)| visit.bytes).sum();
        self.bytes.at_a_time = self.bytes.at_a_time.max(beside);
    }

    fn place(&self, root: TensorId) -> Option<Brought> {
        let (_, slot) = self.there.iter().find(|(visit, _)| visit.tensor == root)?;
        Some(slot.map_or(Brought::Beside, Brought::Slot))
    }

    /// Frees those that node `index` reads last.
    fn leave(&mut self, index: usize, memory: &mut memory::Memory) {
        self.there.retain(|(visit, slot)| {
            let stays = visit.last > index;
            if !stays && let Some(slot) = slot {
                memory.free(*slot);
            }
            stays
        });
    }
}

/// In which forms the CPU reads those inputs of a node that are constants.
fn weight_forms(graph: &Graph, node: &Node, inputs: &[TensorDesc]) -> Vec<Option<WeightForm>> {
    let form =
        |(index, id): (usize, &TensorId)| graph.weight_of(*id).map(|_| node.op.weight_form(inputs, index));
    node.inputs.iter().enumerate().map(form).collect()
}

#[cfg(test)]
mod tests;
