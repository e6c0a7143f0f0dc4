//! What outlives a program in an executor's memory: constants and states, each until nobody holds its handle.
use crate::{
    graph::{Graph, State, WeakState},
    weight::{WeakWeight, Weight},
};
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

/// Constants, one for each weight and form, and states.
#[derive(Debug)]
pub(crate) struct Residents<F, W, S> {
    weights: HashMap<(u64, F), Resident<WeakWeight, W>>,
    states: HashMap<u64, Resident<WeakState, S>>,
    brought: u64,
}

#[derive(Debug)]
struct Resident<H, T> {
    handle: H,
    value: T,
    bytes: u64,
}

impl<F, W, S> Default for Residents<F, W, S> {
    fn default() -> Self {
        Self { weights: HashMap::new(), states: HashMap::new(), brought: 0 }
    }
}

impl<F: Eq + Hash, W, S> Residents<F, W, S> {
    /// A weight in a form, if it is there.
    pub(crate) fn weight(&self, weight: &Weight, form: F) -> Option<&W> {
        self.weights.get(&(weight.id(), form)).map(|resident| &resident.value)
    }

    /// Holds a weight in a form, of so many bytes.
    pub(crate) fn keep_weight(&mut self, weight: &Weight, form: F, value: W, bytes: u64) {
        let resident = Resident { handle: weight.downgrade(), value, bytes };
        self.brought += bytes;
        self.weights.insert((weight.id(), form), resident);
    }

    /// A state, if it is there.
    pub(crate) fn state(&self, state: &State) -> Option<&S> {
        self.states.get(&state.id()).map(|resident| &resident.value)
    }

    /// A state; where it is not there yet, `make` gives it and its bytes.
    pub(crate) fn state_mut(&mut self, state: &State, make: impl FnOnce() -> (S, u64)) -> &mut S {
        let resident = self.states.entry(state.id()).or_insert_with(|| {
            let (value, bytes) = make();
            Resident { handle: state.downgrade(), value, bytes }
        });
        &mut resident.value
    }

    /// Frees the constants that a graph does not use.
    pub(crate) fn keep_only_weights_of(&mut self, graph: &Graph) {
        let used: HashSet<u64> =
            graph.tensors().iter().filter_map(|tensor| Some(tensor.weight()?.id())).collect();
        self.weights.retain(|(id, _), _| used.contains(id));
    }

    /// Counts a constant that was brought and is not held.
    pub(crate) fn note_brought(&mut self, bytes: u64) {
        self.brought += bytes;
    }

    /// Frees what nobody holds the handle of any more.
    pub(crate) fn sweep(&mut self) {
        self.weights.retain(|_, resident| resident.handle.is_alive());
        self.states.retain(|_, resident| resident.handle.is_alive());
    }

    /// Bytes of all weights that were ever brought here.
    pub(crate) fn brought(&self) -> u64 {
        self.brought
    }

    /// Bytes of all that is held.
    pub(crate) fn bytes(&self) -> u64 {
        let weights = self.weights.values().map(|resident| resident.bytes);
        weights.chain(self.states.values().map(|resident| resident.bytes)).sum()
    }
}
