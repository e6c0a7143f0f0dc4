//! Runs a planned graph on the CPU.
use crate::{
    cpu::{CpuInput, CpuIo, FormedWeight, WeightForm, widen},
    error::{CompileError, RunError},
    graph::{Graph, Origin, State},
    plan::{Brought, Place, Plan, PlanTarget, PlannedOp},
    residents::Residents,
    run::{self, Cancel, RunInput, Timing},
    stopwatch::Stopwatch,
    tensor::TensorId,
    weight::Weight,
};
use std::{borrow::Cow, sync::Arc};

/// Constants in the forms that the kernels read, and states. Programs own their other buffers.
#[derive(Debug, Default)]
pub struct CpuExecutor {
    residents: Residents<WeightForm, Constant, Vec<f32>>,
}

/// A graph with its plan, its constants and its buffers.
#[derive(Debug)]
pub struct CpuProgram {
    graph: Graph,
    plan: Plan,
    /// By node and input.
    constants: Vec<Vec<Option<Constant>>>,
    slots: Vec<Vec<f32>>,
}

/// A constant as the kernels read it.
#[derive(Debug, Clone)]
enum Constant {
    /// As the weight itself holds it: in f32, or as it is stored.
    Held(WeightForm),
    /// In a copy of its own.
    Formed(Arc<FormedWeight>),
}

impl CpuExecutor {
    /// Brings a graph's constants into the forms that the kernels read, and allocates its buffers.
    ///
    /// # Errors
    /// If the plan is of another graph, or of a GPU.
    pub fn compile(&mut self, graph: Graph, plan: Plan) -> Result<CpuProgram, CompileError> {
        self.residents.sweep();
        if !plan.is_for(&graph, &PlanTarget::Cpu) {
            return Err(CompileError::OtherPlan);
        }
        let mut constants = Vec::with_capacity(plan.ops.len());
        for (node, op) in graph.nodes().iter().zip(&plan.ops) {
            let inputs = node.inputs.iter().zip(&op.forms);
            let inputs = inputs.zip(&op.streamed);
            let constant = |((id, form), streamed): ((&TensorId, &Option<WeightForm>), &Option<Brought>)| {
                // What does not stay is brought when its op runs.
                if streamed.is_some() {
                    return None;
                }
                Some(self.constant(graph.weight_of(*id)?, (*form)?))
            };
            constants.push(inputs.map(constant).collect());
        }
        let slots = plan.slots.iter().map(|bytes| vec![0.0; words(*bytes)]).collect();
        for tensor in graph.tensors() {
            if let Origin::State(state) = &tensor.origin {
                self.state(state);
            }
        }
        Ok(CpuProgram { graph, plan, constants, slots })
    }

    /// A weight in a form, made at its first use.
    fn constant(&mut self, weight: &Weight, form: WeightForm) -> Constant {
        if let Some(constant) = self.residents.weight(weight, form) {
            return constant.clone();
        }
        let constant = Constant::new(weight, form);
        let bytes = match &constant {
            Constant::Held(form) => form.bytes(weight.desc()),
            Constant::Formed(formed) => formed.bytes(),
        };
        self.residents.keep_weight(weight, form, constant.clone(), bytes);
        constant
    }

    /// Runs a program once. Cancellation is looked at between ops.
    pub fn run(
        &mut self,
        program: &mut CpuProgram,
        inputs: &[RunInput<'_>],
        cancel: &Cancel,
        mut timings: Option<&mut Vec<Timing>>,
    ) -> Result<(), RunError> {
        for (id, words) in run::inputs(&program.graph, inputs)? {
            if let Place::Slot(slot) = *program.plan.place(id) {
                program.slots[slot][..words.len()].copy_from_slice(words);
            }
        }
        for index in 0..program.graph.nodes().len() {
            if cancel.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            let start = Stopwatch::start();
            self.run_node(program, index);
            if let Some(timings) = timings.as_deref_mut() {
                timings.push(Timing::of(&program.plan.ops[index], None, start.elapsed()));
            }
        }
        self.residents.sweep();
        Ok(())
    }

    /// The constants that an op reads and that do not stay, by its inputs.
    fn bring(&mut self, graph: &Graph, op: &PlannedOp, inputs: &[TensorId]) -> Vec<Option<Constant>> {
        let mut brought = Vec::with_capacity(inputs.len());
        for ((id, form), streamed) in inputs.iter().zip(&op.forms).zip(&op.streamed) {
            brought.push(match (graph.weight_of(*id), form, streamed) {
                (Some(weight), Some(form), Some(_)) => {
                    self.residents.note_brought(form.bytes(weight.desc()));
                    Some(Constant::new(weight, *form))
                }
                _ => None,
            });
        }
        brought
    }

    fn run_node(&mut self, program: &mut CpuProgram, index: usize) {
        let brought =
            self.bring(&program.graph, &program.plan.ops[index], &program.graph.nodes()[index].inputs);
        let CpuProgram { graph, plan, constants, slots } = program;
        let node = &graph.nodes()[index];
        let output_desc = graph.desc(node.output);
        let aliased = plan.ops[index].aliased;
        // The output leaves its home while the op runs, so that the inputs can be borrowed beside it.
        let mut output = match (plan.place(node.output), graph.state_of(node.output)) {
            (Place::Slot(slot), _) => std::mem::take(&mut slots[*slot]),
            (_, Some(state)) => std::mem::take(self.state(state)),
            _ => Vec::new(),
        };
        let descs = graph.descs(&node.inputs);
        let constant = |i: usize| constants[index][i].as_ref().or(brought[i].as_ref());
        let input = |(i, id): (usize, &TensorId)| match (constant(i), graph.weight_of(*id)) {
            _ if aliased == Some(i) => CpuInput::Aliased,
            (Some(constant), Some(weight)) => constant.input(weight),
            _ => CpuInput::Dense(self.values(graph, plan, slots, *id)),
        };
        let inputs = node.inputs.iter().enumerate().map(input).collect();
        let mut io = CpuIo::new(inputs, &descs, &mut output[..output_desc.elements()], output_desc, aliased);
        node.op.evaluate(&mut io);
        match (plan.place(node.output), graph.state_of(node.output)) {
            (Place::Slot(slot), _) => slots[*slot] = output,
            (_, Some(state)) => *self.state(state) = output,
            _ => {}
        }
    }

    /// The values of a tensor that is no constant.
    fn values<'a>(&'a self, graph: &Graph, plan: &Plan, slots: &'a [Vec<f32>], id: TensorId) -> &'a [f32] {
        match (plan.place(id), graph.state_of(id)) {
            (Place::Slot(slot), _) => &slots[*slot][..graph.desc(id).elements()],
            (_, Some(state)) => self.residents.state(state).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// The values of an output or tap, after a run.
    pub fn read<'a>(&'a self, program: &'a CpuProgram, id: TensorId) -> Cow<'a, [f32]> {
        match program.graph.weight_of(id) {
            Some(weight) => Cow::Owned(widen(weight.desc().dtype, &weight.bytes())),
            None => Cow::Borrowed(self.values(&program.graph, &program.plan, &program.slots, id)),
        }
    }

    /// The values of a state.
    pub fn read_state(&mut self, state: &State) -> Vec<f32> {
        self.state(state).clone()
    }

    /// Replaces the first values of a state; the rest become zero.
    pub fn write_state(&mut self, state: &State, values: &[f32]) {
        self.residents.sweep();
        let data = self.state(state);
        data.fill(0.0);
        data[..values.len()].copy_from_slice(values);
    }

    /// Frees the constants that a graph does not use.
    pub fn keep_only_weights_of(&mut self, graph: &Graph) {
        self.residents.keep_only_weights_of(graph);
    }

    /// Bytes of the constants and states that somebody still holds the handle of.
    pub fn resident_bytes(&mut self) -> u64 {
        self.residents.sweep();
        self.residents.bytes()
    }

    /// Bytes of all constants that were ever brought here.
    pub fn brought_bytes(&self) -> u64 {
        self.residents.brought()
    }

    fn state(&mut self, state: &State) -> &mut Vec<f32> {
        let elements = state.desc().elements();
        self.residents.state_mut(state, || (vec![0.0; elements], 4 * elements as u64))
    }
}

impl Constant {
    fn new(weight: &Weight, form: WeightForm) -> Self {
        let held = match form {
            WeightForm::Dense => weight.values().is_some(),
            WeightForm::Stored => weight.held().is_some(),
            WeightForm::Matrix { .. } | WeightForm::Conv { .. } => false,
        };
        if held {
            return Self::Held(form);
        }
        let formed = FormedWeight::new(form, weight.desc().dtype, weight.bytes());
        weight.release_pages();
        Self::Formed(Arc::new(formed))
    }

    /// What an op reads.
    fn input<'a>(&'a self, weight: &'a Weight) -> CpuInput<'a> {
        match self {
            Self::Held(WeightForm::Stored) => CpuInput::Stored(weight.held().unwrap_or_default()),
            Self::Held(_) => CpuInput::Dense(weight.values().unwrap_or_default()),
            Self::Formed(formed) => formed.input(),
        }
    }
}

impl CpuProgram {
    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

fn words(bytes: u64) -> usize {
    usize::try_from(bytes / 4).unwrap_or(usize::MAX)
}
