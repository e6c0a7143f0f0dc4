//! What is computed: tensors and the ops between them, in program order. No buffers, no GPU.
use crate::{
    op::{Op, OpError},
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// A tensor that survives runs and is written in place: caches, latents. It starts as zeros, and its memory is freed when the
/// last clone is gone, those in graphs and programs included.
#[derive(Debug, Clone)]
pub struct State(Arc<StateData>);

/// Knows whether a [`State`] is still in use.
#[derive(Debug, Clone)]
pub(crate) struct WeakState(Weak<StateData>);

#[derive(Debug)]
struct StateData {
    id: u64,
    name: String,
    desc: TensorDesc,
}

static NEXT_STATE: AtomicU64 = AtomicU64::new(0);

impl State {
    /// A new state tensor; clones are the same state.
    pub fn new(name: impl Into<String>, desc: TensorDesc) -> Self {
        let id = NEXT_STATE.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(StateData { id, name: name.into(), desc }))
    }

    /// Its name, for messages and plans.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Shape and dtype.
    pub fn desc(&self) -> &TensorDesc {
        &self.0.desc
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn downgrade(&self) -> WeakState {
        WeakState(Arc::downgrade(&self.0))
    }
}

impl WeakState {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Where a tensor's data comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Given by the caller at every run.
    Input(String),
    /// A constant of the model.
    Weight(Weight),
    /// A tensor that survives runs.
    State(State),
    /// The result of a node.
    Node,
    /// The same elements as another tensor under another shape.
    View(TensorId),
}

/// One tensor of a graph.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Shape and dtype.
    pub desc: TensorDesc,
    /// Where its data comes from.
    pub origin: Origin,
}

impl Tensor {
    /// The constant that it is, if it is one.
    pub fn weight(&self) -> Option<&Weight> {
        match &self.origin {
            Origin::Weight(weight) => Some(weight),
            _ => None,
        }
    }
}

/// One op applied to tensors.
#[derive(Debug)]
pub struct Node {
    /// The op.
    pub op: Box<dyn Op>,
    /// What it reads.
    pub inputs: Vec<TensorId>,
    /// What it writes.
    pub output: TensorId,
}

/// A program: nodes run in the order in which they were pushed.
#[derive(Debug, Default)]
pub struct Graph {
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    outputs: Vec<(String, TensorId)>,
    shared: HashMap<(bool, u64), TensorId>,
    keeps_taps: bool,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A graph in which [`Graph::tap`] keeps intermediate tensors readable.
    pub fn with_taps(keeps_taps: bool) -> Self {
        Self { keeps_taps, ..Self::default() }
    }

    /// A tensor that the caller supplies at every run.
    pub fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> TensorId {
        self.tensor(TensorDesc::new(shape, dtype), Origin::Input(name.to_owned()))
    }

    /// A constant; the same weight is the same tensor.
    pub fn weight(&mut self, weight: &Weight) -> TensorId {
        if let Some(id) = self.shared.get(&(false, weight.id())) {
            return *id;
        }
        let id = self.tensor(weight.desc().clone(), Origin::Weight(weight.clone()));
        self.shared.insert((false, weight.id()), id);
        id
    }

    /// A state tensor; the same state is the same tensor.
    pub fn state(&mut self, state: &State) -> TensorId {
        if let Some(id) = self.shared.get(&(true, state.id())) {
            return *id;
        }
        let id = self.tensor(state.desc().clone(), Origin::State(state.clone()));
        self.shared.insert((true, state.id()), id);
        id
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: TensorId, shape: &[usize]) -> Result<TensorId, OpError> {
        let desc = TensorDesc::new(shape, self.desc(x).dtype);
        if desc.elements() != self.desc(x).elements() {
            return Err(OpError::shape("reshape", "x", &self.desc(x).shape, shape));
        }
        Ok(self.tensor(desc, Origin::View(x)))
    }

    /// Applies an op.
    pub fn push(&mut self, op: impl Op + 'static, inputs: &[TensorId]) -> Result<TensorId, OpError> {
        let desc = op.output(&self.descs(inputs))?;
        let output = self.tensor(desc, Origin::Node);
        self.nodes.push(Node { op: Box::new(op), inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// Applies an op whose result replaces the contents of a state tensor.
    ///
    /// An op that lists the state among its inputs sees the old contents through its output.
    pub fn push_into(
        &mut self,
        op: impl Op + 'static,
        inputs: &[TensorId],
        state: TensorId,
    ) -> Result<(), OpError> {
        let desc = op.output(&self.descs(inputs))?;
        if desc.elements() != self.desc(state).elements() || desc.dtype != self.desc(state).dtype {
            return Err(OpError::shape(op.name(), "state", &self.desc(state).shape, &desc.shape));
        }
        self.nodes.push(Node { op: Box::new(op), inputs: inputs.to_vec(), output: state });
        Ok(())
    }

    /// Makes the result of a node live in a state tensor: the node writes there, nothing is copied.
    ///
    /// # Errors
    /// If shape or dtype differ, or `x` is not the result of a node.
    pub fn store(&mut self, x: TensorId, state: &State) -> Result<(), OpError> {
        let target = self.state(state);
        if self.desc(x) != self.desc(target) {
            return Err(OpError::shape("store", "state", &self.desc(target).shape, &self.desc(x).shape));
        }
        let node = self.nodes.iter_mut().find(|node| node.output == x);
        let node = node.ok_or_else(|| OpError::value("store", "x", x, "the result of a node"))?;
        node.output = target;
        self.tensors[x.index()].origin = Origin::View(target);
        Ok(())
    }

    /// Makes a tensor readable after a run.
    pub fn output(&mut self, name: &str, x: TensorId) {
        self.outputs.push((name.to_owned(), x));
    }

    /// Makes an intermediate tensor readable after a run if this graph keeps taps.
    pub fn tap(&mut self, name: &str, x: TensorId) {
        if self.keeps_taps {
            self.output(name, x);
        }
    }

    /// Whether [`Graph::tap`] does anything.
    pub fn keeps_taps(&self) -> bool {
        self.keeps_taps
    }

    /// Shape and dtype of a tensor.
    pub fn desc(&self, x: TensorId) -> &TensorDesc {
        &self.tensors[x.index()].desc
    }

    /// A tensor.
    pub fn tensor_of(&self, x: TensorId) -> &Tensor {
        &self.tensors[x.index()]
    }

    /// The ids of all tensors.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TensorId> {
        (0..self.tensors.len()).map(|index| TensorId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// All tensors; a [`TensorId`] counts them.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All nodes in program order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What the caller supplies at every run, by name.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, TensorId)> {
        self.tensors.iter().enumerate().filter_map(|(index, tensor)| match &tensor.origin {
            Origin::Input(name) => Some((name.as_str(), TensorId(u32::try_from(index).unwrap_or(u32::MAX)))),
            _ => None,
        })
    }

    /// Named results.
    pub fn outputs(&self) -> &[(String, TensorId)] {
        &self.outputs
    }

    /// The tensor whose storage `x` uses.
    pub fn root(&self, mut x: TensorId) -> TensorId {
        while let Origin::View(of) = self.tensors[x.index()].origin {
            x = of;
        }
        x
    }

    /// The constant whose storage `x` uses, if it is one.
    pub(crate) fn weight_of(&self, x: TensorId) -> Option<&Weight> {
        self.tensors[self.root(x).index()].weight()
    }

    /// The state whose storage `x` uses, if it is one.
    pub(crate) fn state_of(&self, x: TensorId) -> Option<&State> {
        match &self.tensors[self.root(x).index()].origin {
            Origin::State(state) => Some(state),
            _ => None,
        }
    }

    pub(crate) fn descs(&self, ids: &[TensorId]) -> Vec<TensorDesc> {
        ids.iter().map(|id| self.desc(*id).clone()).collect()
    }

    fn tensor(&mut self, desc: TensorDesc, origin: Origin) -> TensorId {
        let id = u32::try_from(self.tensors.len()).expect("fewer than 2^32 tensors");
        self.tensors.push(Tensor { desc, origin });
        TensorId(id)
    }
}
