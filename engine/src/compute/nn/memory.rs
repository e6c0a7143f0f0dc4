//! What a causal autoencoder remembers from chunk to chunk.
use super::Precision;
use crate::{graph::State, tensor::TensorDesc};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The last input frames of every convolution, by its name: made when a graph first asks for them, full of zeros.
///
/// All graphs of one video share one memory.
#[derive(Debug)]
pub struct ConvMemory {
    states: Mutex<BTreeMap<String, State>>,
    precision: Precision,
}

impl ConvMemory {
    /// An empty memory for a model of this precision.
    pub fn new(precision: Precision) -> Self {
        Self { states: Mutex::default(), precision }
    }

    /// How the model stores activations.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The state of the convolution `name`.
    pub(crate) fn state(&self, name: &str, desc: TensorDesc) -> State {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.entry(name.to_owned()).or_insert_with(|| State::new(name, desc)).clone()
    }

    /// All states that graphs have asked for.
    pub fn states(&self) -> Vec<State> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
