//! What a causal autoencoder remembers from chunk to chunk.
use super::Precision;
use crate::{graph::State, tensor::TensorDesc};
use std::{cell::RefCell, collections::BTreeMap};

/// The last input frames of every convolution, by its name: made when a graph first asks for them, full of zeros.
///
/// All graphs of one video share one memory.
#[derive(Debug)]
pub struct ConvMemory {
    states: RefCell<BTreeMap<String, State>>,
    precision: Precision,
}

impl ConvMemory {
    /// An empty memory for a model of this precision.
    pub fn new(precision: Precision) -> Self {
        Self { states: RefCell::default(), precision }
    }

    /// How the model stores activations.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The state of the convolution `name`.
    pub(crate) fn state(&self, name: &str, desc: TensorDesc) -> State {
        self.states.borrow_mut().entry(name.to_owned()).or_insert_with(|| State::new(name, desc)).clone()
    }

    /// All states so far.
    pub fn states(&self) -> Vec<State> {
        self.states.borrow().values().cloned().collect()
    }
}
