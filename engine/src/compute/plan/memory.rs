//! Which tensors share which buffers: liveness over the program order, best fit, in place where legal.
use crate::{
    graph::{Graph, Origin},
    tensor::{DType, TensorDesc, TensorId},
};

/// Where a tensor lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In slot `0..` of the plan.
    Slot(usize),
    /// In the model's constants.
    Weight,
    /// In a state tensor.
    State,
    /// Nowhere: no node makes it or reads it.
    Nowhere,
}

#[derive(Debug)]
pub(super) struct Memory {
    widen: bool,
    last_use: Vec<usize>,
    pinned: Vec<bool>,
    places: Vec<Place>,
    slots: Vec<u64>,
    free: Vec<usize>,
}

impl Memory {
    /// `widen`: every element takes four bytes, as on the CPU.
    pub(super) fn new(graph: &Graph, widen: bool) -> Self {
        let count = graph.tensors().len();
        let mut memory = Self {
            widen,
            last_use: vec![0; count],
            pinned: vec![false; count],
            places: vec![Place::Nowhere; count],
            slots: Vec::new(),
            free: Vec::new(),
        };
        for (index, node) in graph.nodes().iter().enumerate() {
            for input in &node.inputs {
                memory.last_use[graph.root(*input).index()] = index;
            }
        }
        for (_, output) in graph.outputs() {
            memory.pinned[graph.root(*output).index()] = true;
        }
        for (index, tensor) in graph.tensors().iter().enumerate() {
            memory.places[index] = match &tensor.origin {
                Origin::Weight(_) => Place::Weight,
                Origin::State(_) => Place::State,
                Origin::Input(_) => {
                    // Written before the run and perhaps read again in the next: never shared.
                    memory.pinned[index] = true;
                    Place::Slot(memory.new_slot(bytes(&tensor.desc, widen)))
                }
                Origin::Node | Origin::View(_) => Place::Nowhere,
            };
        }
        memory
    }

    /// Gives the output of node `index` a place; returns the input whose buffer it takes over.
    pub(super) fn place_output(&mut self, graph: &Graph, index: usize) -> Option<usize> {
        let node = &graph.nodes()[index];
        let output = graph.root(node.output);
        if matches!(graph.tensors()[output.index()].origin, Origin::State(_)) {
            return node.inputs.iter().position(|input| graph.root(*input) == output);
        }
        let size = bytes(graph.desc(output), self.widen);
        if let Some(input) = node.op.in_place().filter(|i| self.may_take_over(graph, index, *i, size)) {
            let place = self.places[graph.root(node.inputs[input]).index()].clone();
            self.places[output.index()] = place;
            return Some(input);
        }
        let slot = self.take_slot(size);
        self.places[output.index()] = Place::Slot(slot);
        None
    }

    fn may_take_over(&self, graph: &Graph, index: usize, input: usize, size: u64) -> bool {
        let node = &graph.nodes()[index];
        let Some(root) = node.inputs.get(input).map(|id| graph.root(*id)) else { return false };
        let uses = node.inputs.iter().filter(|id| graph.root(**id) == root).count();
        matches!(graph.tensors()[root.index()].origin, Origin::Node)
            && !self.pinned[root.index()]
            && self.last_use[root.index()] == index
            && uses == 1
            && bytes(graph.desc(root), self.widen) == size
            && self.holds_alike(graph.desc(root).dtype, graph.desc(node.output).dtype)
    }

    /// Whether values of both are held in the same way; where all are widened, all numbers but integers are.
    fn holds_alike(&self, a: DType, b: DType) -> bool {
        a == b || self.widen && a != DType::U32 && b != DType::U32
    }

    pub(super) fn place_scratch(&mut self, sizes: &[u64]) -> Vec<usize> {
        sizes.iter().map(|size| self.take_slot(*size)).collect()
    }

    /// Frees what node `index` used last.
    pub(super) fn release(&mut self, graph: &Graph, index: usize, scratch: &[usize]) {
        self.free.extend_from_slice(scratch);
        let node = &graph.nodes()[index];
        let output = graph.root(node.output);
        let mut roots: Vec<TensorId> = node.inputs.iter().map(|id| graph.root(*id)).collect();
        // A result that nobody reads gives its slot back at once.
        if self.last_use[output.index()] <= index {
            roots.push(output);
        }
        roots.sort();
        roots.dedup();
        let output_place = self.places[output.index()].clone();
        for root in roots {
            let place = &self.places[root.index()];
            let taken_over = root != output && *place == output_place;
            if let Place::Slot(slot) = *place
                && !self.pinned[root.index()]
                && self.last_use[root.index()] <= index
                && !taken_over
            {
                self.free.push(slot);
            }
        }
    }

    pub(super) fn finish(mut self, graph: &Graph) -> (Vec<u64>, Vec<Place>) {
        for index in 0..self.places.len() {
            let id = TensorId(u32::try_from(index).unwrap_or(u32::MAX));
            self.places[index] = self.places[graph.root(id).index()].clone();
        }
        (self.slots, self.places)
    }

    /// Lets others have a slot.
    pub(super) fn free(&mut self, slot: usize) {
        self.free.push(slot);
    }

    pub(super) fn take_slot(&mut self, size: u64) -> usize {
        let fitting = (0..self.free.len())
            .filter(|i| self.slots[self.free[*i]] >= size)
            .min_by_key(|i| self.slots[self.free[*i]]);
        // Nothing fits: let the largest free slot grow.
        let chosen = fitting.or_else(|| (0..self.free.len()).max_by_key(|i| self.slots[self.free[*i]]));
        match chosen {
            None => self.new_slot(size),
            Some(position) => {
                let slot = self.free.swap_remove(position);
                self.slots[slot] = self.slots[slot].max(size);
                slot
            }
        }
    }

    fn new_slot(&mut self, size: u64) -> usize {
        self.slots.push(size);
        self.slots.len() - 1
    }
}

/// Buffers hold whole 4-byte words.
pub(super) fn bytes(desc: &TensorDesc, widen: bool) -> u64 {
    let bytes = if widen { 4 * desc.elements() as u64 } else { desc.bytes() };
    bytes.next_multiple_of(4)
}
