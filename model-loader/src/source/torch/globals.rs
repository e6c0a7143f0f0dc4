//! The only names that a pickle may ask for: those that files of tensors need.

use crate::Format;

/// What a name in a pickle stands for. Nothing of it is ever run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    OrderedDict,
    Rebuild(Rebuild),
    Parameter,
    Size,
    Device,
    /// Storage of elements of a type; of bytes alone if none.
    Storage(Option<&'static DType>),
    DType(&'static DType),
}

/// The functions that make a tensor of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rebuild {
    /// Of storage, offset, size and strides.
    Plain,
    /// Then whether it needs gradients, hooks, and maybe marks.
    V2,
    /// Then the type, where the storage is of bytes, and maybe marks.
    V3,
}

/// One element type of torch.
#[derive(Debug)]
pub(super) struct DType {
    names: &'static [&'static str],
    storage: &'static str,
    /// As safetensors calls it.
    pub(super) stored_as: &'static str,
    pub(super) bytes: usize,
}

impl DType {
    /// How its values are read; `Err` holds the name of a type that is not read.
    pub(super) fn format(&self) -> Result<Format, String> {
        let elements = Format::by_name(self.stored_as).filter(|format| !format.is_grouped());
        elements.ok_or_else(|| self.stored_as.to_owned())
    }
}

const fn dtype(
    names: &'static [&'static str],
    storage: &'static str,
    stored_as: &'static str,
    bytes: usize,
) -> DType {
    DType { names, storage, stored_as, bytes }
}

/// Types without a storage of their own are kept as bytes.
static DTYPES: [DType; 22] = [
    dtype(&["float32", "float"], "FloatStorage", "F32", 4),
    dtype(&["float16", "half"], "HalfStorage", "F16", 2),
    dtype(&["bfloat16"], "BFloat16Storage", "BF16", 2),
    dtype(&["float8_e4m3fn"], "Float8_e4m3fnStorage", "F8_E4M3", 1),
    dtype(&["float8_e5m2"], "Float8_e5m2Storage", "F8_E5M2", 1),
    dtype(&["float8_e4m3fnuz"], "Float8_e4m3fnuzStorage", "F8_E4M3FNUZ", 1),
    dtype(&["float8_e5m2fnuz"], "Float8_e5m2fnuzStorage", "F8_E5M2FNUZ", 1),
    dtype(&["float8_e8m0fnu"], "", "F8_E8M0", 1),
    dtype(&["float4_e2m1fn_x2"], "", "F4", 1),
    dtype(&["float64", "double"], "DoubleStorage", "F64", 8),
    dtype(&["int64", "long"], "LongStorage", "I64", 8),
    dtype(&["int32", "int"], "IntStorage", "I32", 4),
    dtype(&["int16", "short"], "ShortStorage", "I16", 2),
    dtype(&["int8"], "CharStorage", "I8", 1),
    dtype(&["uint8"], "ByteStorage", "U8", 1),
    dtype(&["uint16"], "", "U16", 2),
    dtype(&["uint32"], "", "U32", 4),
    dtype(&["uint64"], "", "U64", 8),
    dtype(&["bool"], "BoolStorage", "BOOL", 1),
    dtype(&["complex32", "chalf"], "", "C32", 4),
    dtype(&["complex64", "cfloat"], "ComplexFloatStorage", "C64", 8),
    dtype(&["complex128", "cdouble"], "ComplexDoubleStorage", "C128", 16),
];

impl Global {
    /// What `name` in `module` stands for, if it is known.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Self::Rebuild(Rebuild::Plain),
            ("torch._utils", "_rebuild_tensor_v2") => Self::Rebuild(Rebuild::V2),
            ("torch._utils", "_rebuild_tensor_v3") => Self::Rebuild(Rebuild::V3),
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Device,
            ("torch" | "torch.storage", "UntypedStorage") => Self::Storage(None),
            ("torch", name) => {
                let stored = |dtype: &&DType| !dtype.storage.is_empty() && dtype.storage == name;
                match DTYPES.iter().find(stored) {
                    Some(dtype) => Self::Storage(Some(dtype)),
                    None => Self::DType(DTYPES.iter().find(|dtype| dtype.names.contains(&name))?),
                }
            }
            _ => return None,
        })
    }
}
