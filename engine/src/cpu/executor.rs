//! Runs a planned graph on the CPU.
use super::{CpuInput, CpuIo};
use crate::{
    error::{PlanError, RunError},
    graph::{Graph, Origin, State},
    plan::{Place, Plan, PlanTarget},
    run::{Cancel, RunInput, Timing},
    stopwatch::Stopwatch,
    tensor::TensorId,
};
use std::collections::HashMap;

/// State tensors, and nothing else: programs own their buffers.
#[derive(Debug, Default)]
pub struct CpuExecutor {
    states: HashMap<u64, Vec<f32>>,
}

/// A graph with its plan and its buffers.
#[derive(Debug)]
pub struct CpuProgram {
    graph: Graph,
    plan: Plan,
    slots: Vec<Vec<f32>>,
}

impl CpuExecutor {
    /// Plans a graph and allocates its buffers.
    pub fn compile(&mut self, graph: Graph) -> Result<CpuProgram, PlanError> {
        let plan = Plan::new(&graph, &PlanTarget::Cpu)?;
        let slots = plan.slots.iter().map(|bytes| vec![0.0; words(*bytes)]).collect();
        for tensor in graph.tensors() {
            if let Origin::State(state) = &tensor.origin {
                self.state(state);
            }
        }
        Ok(CpuProgram { graph, plan, slots })
    }

    /// Runs a program once. Cancellation is looked at between ops.
    pub fn run(
        &mut self,
        program: &mut CpuProgram,
        inputs: &[RunInput<'_>],
        cancel: &Cancel,
        mut timings: Option<&mut Vec<Timing>>,
    ) -> Result<(), RunError> {
        for input in inputs {
            let id = input.find(&program.graph)?;
            if let Place::Slot(slot) = *program.plan.place(id) {
                let words = input.words();
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
        Ok(())
    }

    fn run_node(&mut self, program: &mut CpuProgram, index: usize) {
        let CpuProgram { graph, plan, slots } = program;
        let node = &graph.nodes()[index];
        let output_desc = graph.desc(node.output);
        let aliased = plan.ops[index].aliased;
        // The output leaves its home while the op runs, so that the inputs can be borrowed beside it.
        let mut output =
            match (plan.place(node.output), &graph.tensors()[graph.root(node.output).index()].origin) {
                (Place::Slot(slot), _) => std::mem::take(&mut slots[*slot]),
                (_, Origin::State(state)) => std::mem::take(self.state(state)),
                _ => Vec::new(),
            };
        let descs = graph.descs(&node.inputs);
        let inputs = (0..node.inputs.len())
            .map(|i| {
                if aliased == Some(i) {
                    CpuInput::Aliased
                } else {
                    self.input(graph, plan, slots, node.inputs[i])
                }
            })
            .collect();
        let mut io = CpuIo::new(inputs, &descs, &mut output[..output_desc.elements()], output_desc, aliased);
        node.op.evaluate(&mut io);
        match (plan.place(node.output), &graph.tensors()[graph.root(node.output).index()].origin) {
            (Place::Slot(slot), _) => slots[*slot] = output,
            (_, Origin::State(state)) => *self.state(state) = output,
            _ => {}
        }
    }

    fn input<'a>(
        &'a self,
        graph: &'a Graph,
        plan: &Plan,
        slots: &'a [Vec<f32>],
        id: TensorId,
    ) -> CpuInput<'a> {
        let elements = graph.desc(id).elements();
        match (plan.place(id), &graph.tensors()[graph.root(id).index()].origin) {
            (Place::Slot(slot), _) => CpuInput::Data(&slots[*slot][..elements]),
            (_, Origin::Weight(weight)) => CpuInput::Weight(weight),
            (_, Origin::State(state)) => {
                CpuInput::Data(self.states.get(&state.id()).map_or(&[], Vec::as_slice))
            }
            _ => CpuInput::Data(&[]),
        }
    }

    /// The values of an output or tap, after a run.
    pub fn read(&self, program: &CpuProgram, id: TensorId) -> Vec<f32> {
        match self.input(&program.graph, &program.plan, &program.slots, id) {
            CpuInput::Data(data) => data.to_vec(),
            CpuInput::Weight(weight) => weight.dense().to_vec(),
            CpuInput::Aliased => Vec::new(),
        }
    }

    /// The values of a state.
    pub fn read_state(&mut self, state: &State) -> Vec<f32> {
        self.state(state).clone()
    }

    /// Replaces the first values of a state; the rest become zero.
    pub fn write_state(&mut self, state: &State, values: &[f32]) {
        let data = self.state(state);
        data.fill(0.0);
        data[..values.len()].copy_from_slice(values);
    }

    /// Frees a state's memory; its next use starts from zeros.
    pub fn drop_state(&mut self, state: &State) {
        self.states.remove(&state.id());
    }

    /// Bytes of all states.
    pub fn state_bytes(&self) -> u64 {
        self.states.values().map(|s| 4 * s.len() as u64).sum()
    }

    fn state(&mut self, state: &State) -> &mut Vec<f32> {
        self.states.entry(state.id()).or_insert_with(|| vec![0.0; state.desc().elements()])
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
