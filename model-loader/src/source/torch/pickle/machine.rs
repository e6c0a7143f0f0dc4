//! The stack machine that pickles are programs for.

use std::collections::BTreeMap;

use super::operation::*;
use super::reader::{Reader, Result, bad};
use super::{Fault, Items, Value, Values};
use crate::source::torch::globals::Global;

/// More than any real file takes: some fifty operations make a tensor. It bounds memory as well, since no operation adds more than one
/// value.
const MAX_OPERATIONS: usize = 4_000_000;
/// The newest version of the protocol.
const MAX_PROTOCOL: u8 = 5;

pub(super) struct Machine<'a> {
    code: Reader<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
    items: Vec<Value<'a>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
}

impl<'a> Machine<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            code: Reader::new(bytes),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
            items: Vec::new(),
            dicts: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Values<'a>> {
        for _ in 0..MAX_OPERATIONS {
            let operation = self.code.byte()?;
            if operation == STOP {
                return self.finish();
            }
            self.step(operation)?;
        }
        bad(format!("it takes more than {MAX_OPERATIONS} operations"))
    }

    fn finish(mut self) -> Result<Values<'a>> {
        let root = self.pop()?;
        let (left, values) = (self.code.left(), self.stack.len());
        if left > 0 || values > 0 {
            return bad(format!("{left} bytes and {values} values are left after its end"));
        }
        Ok(Values { items: self.items, dicts: self.dicts, root })
    }

    fn step(&mut self, operation: u8) -> Result<()> {
        match operation {
            PROTO => return self.protocol(),
            // The length of a frame is of use to streams only.
            FRAME => return self.code.take(8).map(drop),
            MARK => self.marks.push(self.stack.len()),
            POP => return self.pop().map(drop),
            POP_MARK => return self.pop_marked().map(drop),
            DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            BINPUT | LONG_BINPUT | MEMOIZE | BINGET | LONG_BINGET => return self.remember(operation),
            APPEND | APPENDS | SETITEM | SETITEMS | ADDITEMS => return self.fill(operation),
            GLOBAL | STACK_GLOBAL => return self.global(operation),
            REDUCE | NEWOBJ => return self.call(),
            BUILD => return self.build(),
            BINPERSID => {
                let Value::Tuple(items) = self.pop()? else {
                    return bad("it describes a storage by something other than a tuple");
                };
                self.stack.push(Value::Storage(items));
            }
            _ => {
                let value = match self.container(operation)? {
                    Some(value) => value,
                    None => self.constant(operation)?,
                };
                self.stack.push(value);
            }
        }
        Ok(())
    }

    fn protocol(&mut self) -> Result<()> {
        match self.code.byte()? {
            2..=MAX_PROTOCOL => Ok(()),
            other => bad(format!("it is of protocol {other}, expected 2 to {MAX_PROTOCOL}")),
        }
    }

    /// A value that the operation itself spells.
    fn constant(&mut self, operation: u8) -> Result<Value<'a>> {
        Ok(match operation {
            NONE => Value::Other("None"),
            NEWTRUE | NEWFALSE => Value::Other("a bool"),
            BININT1 => Value::Int(self.code.byte()?.into()),
            BININT2 => Value::Int(u16::from_le_bytes(self.code.array()?).into()),
            BININT => Value::Int(i32::from_le_bytes(self.code.array()?).into()),
            LONG1 => {
                let len = self.code.byte()?;
                self.code.long(len.into())?
            }
            LONG4 => {
                let len = u32::from_le_bytes(self.code.array()?);
                self.code.long(len.into())?
            }
            BINFLOAT => self.code.take(8).map(|_| Value::Other("a float"))?,
            BINUNICODE | SHORT_BINUNICODE | BINUNICODE8 => {
                let len = self.code.length(operation)?;
                self.code.text(len)?
            }
            // Texts of Python 2, and bytes.
            SHORT_BINSTRING | BINSTRING | SHORT_BINBYTES | BINBYTES | BINBYTES8 | BYTEARRAY8 => {
                let len = self.code.length(operation)?;
                self.code.take(len).map(|_| Value::Other("bytes"))?
            }
            other => {
                let at = self.code.at() - 1;
                return bad(format!(
                    "it has the operation {other:#04x} at byte {at}, which torch does not write"
                ));
            }
        })
    }

    /// A new list, tuple, set or dict, if the operation makes one. What lists and sets hold is of no interest.
    fn container(&mut self, operation: u8) -> Result<Option<Value<'a>>> {
        Ok(Some(match operation {
            EMPTY_LIST => Value::Other("a list"),
            LIST => self.pop_marked().map(|_| Value::Other("a list"))?,
            EMPTY_SET => Value::Other("a set"),
            FROZENSET => self.pop_marked().map(|_| Value::Other("a set"))?,
            EMPTY_TUPLE => Value::Tuple(Items { start: 0, len: 0 }),
            TUPLE1..=TUPLE3 => {
                let len = usize::from(operation - TUPLE1 + 1);
                let start = self.stack.len().checked_sub(len).filter(|&start| start >= self.floor());
                let Some(start) = start else { return empty() };
                self.tuple(start)
            }
            TUPLE => {
                let start = self.marked()?;
                self.tuple(start)
            }
            EMPTY_DICT => self.new_dict(),
            DICT => {
                let dict = self.new_dict();
                let pairs = self.pop_marked()?;
                self.set(dict, &pairs)?;
                dict
            }
            _ => return Ok(None),
        }))
    }

    fn tuple(&mut self, start: usize) -> Value<'a> {
        let items = Items { start: self.items.len(), len: self.stack.len() - start };
        self.items.extend(self.stack.drain(start..));
        Value::Tuple(items)
    }

    fn new_dict(&mut self) -> Value<'a> {
        self.dicts.push(Vec::new());
        Value::Dict(self.dicts.len() - 1)
    }

    /// Puts values into the container below them.
    fn fill(&mut self, operation: u8) -> Result<()> {
        let values = match operation {
            APPEND => vec![self.pop()?],
            SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_marked()?,
        };
        let container = self.top()?;
        match (operation, container) {
            (SETITEM | SETITEMS, _) => self.set(container, &values),
            (APPEND | APPENDS, Value::Other("a list")) | (ADDITEMS, Value::Other("a set")) => Ok(()),
            _ => bad(format!("it appends to {}", container.kind())),
        }
    }

    fn set(&mut self, dict: Value<'a>, values: &[Value<'a>]) -> Result<()> {
        let Value::Dict(index) = dict else {
            return bad(format!("it sets items of {}", dict.kind()));
        };
        let (pairs, rest) = values.as_chunks();
        if !rest.is_empty() {
            return bad("it sets a key without a value");
        }
        self.dicts[index].extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn remember(&mut self, operation: u8) -> Result<()> {
        let place = match operation {
            // One more than there are, as Python counts; there are no more than operations.
            MEMOIZE => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
            BINPUT | BINGET => self.code.byte()?.into(),
            _ => u32::from_le_bytes(self.code.array()?),
        };
        if matches!(operation, BINGET | LONG_BINGET) {
            let Some(&value) = self.memo.get(&place) else {
                return bad(format!("it asks for the value {place} of its memo, which was never put there"));
            };
            self.stack.push(value);
        } else {
            let top = self.top()?;
            self.memo.insert(place, top);
        }
        Ok(())
    }

    fn global(&mut self, operation: u8) -> Result<()> {
        let (module, name) = if operation == GLOBAL {
            (self.code.line()?, self.code.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let (Value::Text(module), Value::Text(name)) = (module, name) else {
                return bad("it asks for a name that is no text");
            };
            (module, name)
        };
        let Some(global) = Global::find(module, name) else {
            return Err(Fault::Foreign(format!("{module}.{name}")));
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// What a call would make. Classes and functions alike are called with a tuple.
    fn call(&mut self) -> Result<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let (Value::Tuple(items), Value::Global(global)) = (arguments, callee) else {
            return bad(format!("it calls {} with {}", callee.kind(), arguments.kind()));
        };
        let first = self.items[items.start..][..items.len].first().copied();
        let value = match (global, first) {
            (Global::OrderedDict, None) => self.new_dict(),
            (Global::Rebuild(rebuild), Some(_)) => Value::Tensor(rebuild, items),
            (Global::Parameter, Some(tensor @ Value::Tensor(..))) => tensor,
            (Global::Size, Some(sizes @ Value::Tuple(_))) => sizes,
            (Global::Device, Some(_)) => Value::Other("a device"),
            _ => return bad(format!("it calls what makes tensors with {} values of other kinds", items.len)),
        };
        self.stack.push(value);
        Ok(())
    }

    /// Attributes of a dict, such as the versions that modules keep beside their weights, are of no interest.
    fn build(&mut self) -> Result<()> {
        let _attributes = self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            other => bad(format!("it sets attributes of {}", other.kind())),
        }
    }

    /// What lies below the last mark is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Value<'a>> {
        if self.stack.len() <= self.floor() {
            return empty();
        }
        self.stack.last().copied().map_or_else(empty, Ok)
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn marked(&mut self) -> Result<usize> {
        self.marks.pop().map_or_else(|| bad("it lacks a mark"), Ok)
    }

    fn pop_marked(&mut self) -> Result<Vec<Value<'a>>> {
        let start = self.marked()?;
        Ok(self.stack.split_off(start))
    }
}

fn empty<T>() -> Result<T> {
    bad("it takes a value from an empty stack")
}
