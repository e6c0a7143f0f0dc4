//! Reads pickles as data. A pickle is a program for a stack machine that may call anything in Python; this machine knows the few
//! names that tensors need, makes plain values of them, and refuses every other name.

mod machine;
mod operation;
mod reader;

use std::ops::Range;

use super::globals::{Global, Rebuild};

/// A value of a pickle. Dicts and tuples are places in [`Values`], so that a value that is used twice is one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    Tuple(Items),
    Dict(usize),
    Global(Global),
    /// What `torch.save` keeps beside the pickle, by its description.
    Storage(Items),
    /// A tensor made of these arguments.
    Tensor(Rebuild, Items),
    /// A value of which nothing but its kind is of interest.
    Other(&'static str),
}

/// Consecutive values of [`Values`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Items {
    start: usize,
    len: usize,
}

/// All values of a pickle.
pub(super) struct Values<'a> {
    items: Vec<Value<'a>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) root: Value<'a>,
}

/// Why a pickle is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is damaged, or uses what `torch.save` does not.
    Bad(String),
    /// It asks for this name.
    Foreign(String),
}

/// The values of the pickle in `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Values<'_>, Fault> {
    machine::Machine::new(bytes).run()
}

impl<'a> Values<'a> {
    /// The values of a tuple or of a call.
    pub(super) fn items(&self, items: Items) -> &[Value<'a>] {
        &self.items[Range::from(items)]
    }

    /// The pairs of a dict, in the order in which they were set.
    pub(super) fn dict(&self, index: usize) -> &[(Value<'a>, Value<'a>)] {
        &self.dicts[index]
    }
}

impl From<Items> for Range<usize> {
    fn from(Items { start, len }: Items) -> Self {
        start..start + len
    }
}

impl Value<'_> {
    /// What messages call it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a name",
            Self::Storage(_) => "a storage",
            Self::Tensor(..) => "a tensor",
            Self::Other(kind) => kind,
        }
    }
}
