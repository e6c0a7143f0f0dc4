//! The contract that one op keeps: its shape rule, its GPU lowering and its CPU evaluation.
use crate::{
    cpu::{CpuIo, WeightForm},
    error::LowerError,
    target::{Target, clamp_u32},
    tensor::{DType, Grouping, Runs, TensorDesc},
    tuning::Choice,
};
use model_loader::Format;
use shaders::{Kernel, Variant};
use std::fmt::Debug;

/// One operation on tensors.
pub trait Op: Debug + Send + Sync {
    /// The op's name in errors, plans and traces.
    fn name(&self) -> &'static str;

    /// The shape and dtype rules, and the only place that checks them.
    ///
    /// # Errors
    /// [`OpError`] naming the op, the argument, what it is and what it should be.
    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError>;

    /// The input whose buffer the output may take over when nothing else needs it.
    ///
    /// Only legal if every invocation reads just those elements of that input which it writes itself.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// Floating-point operations, a multiply-add counting as two.
    fn flops(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64;

    /// Functions that the op computes along with its own, each a launch of its own if nothing were fused.
    ///
    /// A function is of one tensor or two: a product, a norm, a sum, a factor, an activation, a rotation, a change of order.
    fn fused(&self, _: &[TensorDesc]) -> usize {
        0
    }

    /// Bytes of input `index` that the result depends on: all, unless the op takes some columns or rows only.
    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        inputs[index].bytes()
    }

    /// Bytes of the output that the op computes: all, unless it leaves some rows as they were.
    fn writes(&self, _inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        output.bytes()
    }

    /// Which kernels, how specialised, over what grids.
    ///
    /// # Errors
    /// [`LowerError`] if the target cannot hold what the op needs.
    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError>;

    /// In which form [`Op::evaluate`] reads input `index` if that is a constant.
    fn weight_form(&self, _inputs: &[TensorDesc], _index: usize) -> WeightForm {
        WeightForm::Dense
    }

    /// Computes the output in f32 on the CPU.
    fn evaluate(&self, io: &mut CpuIo<'_>);
}

/// What an op is lowered for.
#[derive(Debug, Clone, Copy)]
pub struct Io<'a> {
    /// The inputs' shapes and dtypes.
    pub inputs: &'a [TensorDesc],
    /// The output's.
    pub output: &'a TensorDesc,
    /// The input that shares the output's buffer; it must not be bound.
    pub aliased: Option<usize>,
}

impl Io<'_> {
    /// The whole of an input as a binding; nothing is bound if it is aliased.
    pub fn bind_input(&self, index: usize) -> Binding {
        if self.aliased == Some(index) {
            return Binding::unused();
        }
        Binding::whole(Operand::Input(index), &self.inputs[index])
    }

    /// Rows `rows` of an input of `cols` columns.
    pub fn bind_input_rows(&self, index: usize, rows: &std::ops::Range<usize>, cols: usize) -> Binding {
        if self.aliased == Some(index) {
            return Binding::unused();
        }
        Binding::rows(Operand::Input(index), rows, self.inputs[index].dtype.bytes(cols))
    }

    /// The whole output as a binding.
    pub fn bind_output(&self) -> Binding {
        Binding::whole(Operand::Output, self.output)
    }

    /// Rows `rows` of an output of `cols` columns.
    pub fn bind_output_rows(&self, rows: &std::ops::Range<usize>, cols: usize) -> Binding {
        Binding::rows(Operand::Output, rows, cols * self.output.dtype.size())
    }
}

/// The GPU form of an op.
#[derive(Debug, Clone, Default)]
pub struct Lowered {
    /// In order.
    pub launches: Vec<Launch>,
    /// Sizes in bytes of buffers that live for this op only.
    pub scratch: Vec<u64>,
    /// What [`Target::tuning`] was asked for, if the op has several forms. Forms of one choice must differ in nothing
    /// else: as many launches, over the same ranges of the same operands.
    pub choice: Option<Choice>,
}

impl From<Vec<Launch>> for Lowered {
    fn from(launches: Vec<Launch>) -> Self {
        Self { launches, ..Self::default() }
    }
}

/// One launch of a kernel.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Its specialisation.
    pub variant: Variant,
    /// The bytes of its `Params`.
    pub params: Vec<u8>,
    /// Its storage bindings 1, 2, ... in order.
    pub bindings: Vec<Binding>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
}

/// A buffer range that a launch sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Whose buffer.
    pub operand: Operand,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// Whose buffer a binding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// An input of the op.
    Input(usize),
    /// Its output.
    Output,
    /// A scratch buffer of the op.
    Scratch(usize),
    /// None: the variant declares the binding and never reads it.
    Unused,
}

impl Binding {
    /// All of a tensor.
    pub fn whole(operand: Operand, desc: &TensorDesc) -> Self {
        Self { operand, offset: 0, size: desc.bytes() }
    }

    /// Some rows of a tensor.
    pub fn rows(operand: Operand, rows: &std::ops::Range<usize>, row_bytes: usize) -> Self {
        Self { operand, offset: (rows.start * row_bytes) as u64, size: (rows.len() * row_bytes) as u64 }
    }

    /// The first `size` bytes of scratch buffer `index`.
    pub fn scratch(index: usize, size: u64) -> Self {
        Self { operand: Operand::Scratch(index), offset: 0, size }
    }

    /// A declared binding that the variant does not use: one element of the widest type.
    pub fn unused() -> Self {
        Self { operand: Operand::Unused, offset: 0, size: 16 }
    }
}

/// Arguments that an op refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// A wrong shape.
    #[error("{op}: {what} is {got:?}, expected {expected:?}")]
    Shape {
        /// The op.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A wrong element type.
    #[error("{op}: {what} is {got}, expected {expected}")]
    DType {
        /// The op.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// Its dtype.
        got: DType,
        /// What is accepted.
        expected: &'static str,
    },
    /// Anything else that does not fit.
    #[error("{op}: {what} is {got}, expected {expected}")]
    Value {
        /// The op.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// What it is.
        got: String,
        /// What it should be.
        expected: String,
    },
}

impl OpError {
    /// A wrong shape.
    pub fn shape(op: &'static str, what: &'static str, got: &[usize], expected: &[usize]) -> Self {
        Self::Shape { op, what, got: got.to_vec(), expected: expected.to_vec() }
    }

    /// A wrong value.
    pub fn value(op: &'static str, what: &'static str, got: impl Debug, expected: impl Into<String>) -> Self {
        Self::Value { op, what, got: format!("{got:?}"), expected: expected.into() }
    }

    /// `Ok` if the shapes are equal.
    pub fn expect_shape(
        op: &'static str,
        what: &'static str,
        got: &TensorDesc,
        expected: &[usize],
    ) -> Result<(), Self> {
        if got.shape == expected { Ok(()) } else { Err(Self::shape(op, what, &got.shape, expected)) }
    }

    /// `Ok` if `got` is an activation type: f32, f16 or bf16.
    pub fn expect_activation(op: &'static str, what: &'static str, got: &TensorDesc) -> Result<(), Self> {
        match got.dtype {
            DType::F32 | DType::F16 | DType::Bf16 => Ok(()),
            other => Err(Self::DType { op, what, got: other, expected: "f32, f16 or bf16" }),
        }
    }

    /// `Ok` if `got` has exactly this dtype.
    pub fn expect_dtype(
        op: &'static str,
        what: &'static str,
        got: &TensorDesc,
        dtype: DType,
    ) -> Result<(), Self> {
        let expected = match dtype {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::U32 => "u32",
            DType::Grouped(_) => "in groups",
        };
        if got.dtype == dtype { Ok(()) } else { Err(Self::DType { op, what, got: got.dtype, expected }) }
    }
}

/// The shader type of an activation whose dtype the shape rule has accepted.
pub(crate) fn elem(desc: &TensorDesc) -> shaders::Elem {
    desc.dtype.elem().unwrap_or(shaders::Elem::F32)
}

/// What `weight_scalar` and its like are told of a matrix in its stored dtype: `W_FORMAT`, and of groups how they lie.
///
/// `whole` says that only whole quads are asked for.
pub(crate) fn weight_constants(variant: Variant, dtype: DType, whole: bool) -> Variant {
    let variant = variant.constant(
        "W_FORMAT",
        match dtype {
            DType::F32 | DType::U32 => 0,
            DType::F16 => 1,
            DType::Bf16 => 2,
            DType::Grouped(grouping) => 3 + grouping.format() as u32,
        },
    );
    let Some(grouping) = dtype.grouping() else { return variant };
    let variant = variant
        .constant("W_LEN", clamp_u32(grouping.len()))
        .constant("W_WHOLE", whole.into())
        .constant("W_RUN", clamp_u32(grouping.run_len()));
    let format = grouping.format();
    let Some(layout) = grouping.layout() else {
        return variant.constant("W_E4M3", (format == Format::F8E4M3).into());
    };
    variant
        .constant("W_LOW", clamp_u32(layout.low))
        .constant("W_HIGH", clamp_u32(layout.high))
        .constant("W_ZERO", format.zero().into())
        .constant("W_TABLE", (format == Format::Iq4Nl).into())
        .constant("W_RUN_WORDS", clamp_u32(grouping.run_words()))
        .constant(
            "W_RUNS",
            match layout.runs {
                Runs::One => 0,
                Runs::Bytes => 1,
                Runs::Pairs => 2,
                Runs::Nibbles => 3,
            },
        )
}

/// The piece that reads a grouped matrix.
pub(crate) fn reads_groups(grouping: Grouping) -> &'static str {
    if grouping.layout().is_some() { "weight_groups" } else { "weight_float8" }
}

/// A `Params` struct whose layout a test holds against the one in the kernel.
pub trait Params: bytemuck::Pod {
    /// Names and offsets of the members.
    const FIELDS: &'static [(&'static str, usize)];
}

/// Declares a kernel's `Params`: `params! { struct SoftmaxParams { cols: u32, scale: f32 } }`.
///
/// `check_params` compares it with naga's reflection of the kernel.
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident: $ty:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $(pub(crate) $field: $ty),+ }
        impl $crate::op::Params for $name {
            const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field))),+];
        }
    };
}

/// Panics unless `P` has the members and offsets of the kernel's `Params`.
#[cfg(test)]
pub(crate) fn check_params<P: Params>(kernel: &'static Kernel, variant: &Variant) {
    let interface = kernel.prepare(variant).unwrap_or_else(|e| panic!("{e}")).interface;
    let got: Vec<(String, usize)> = P::FIELDS.iter().map(|(n, o)| ((*n).to_owned(), *o)).collect();
    let want: Vec<(String, usize)> =
        interface.params.iter().map(|f| (f.name.clone(), f.offset as usize)).collect();
    assert_eq!(got, want, "Params of {}", kernel.name);
}
