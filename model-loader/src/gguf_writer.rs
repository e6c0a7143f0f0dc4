//! Writes GGUF files (version 3) tensor by tensor, whatever format each comes in and is to be stored in.

mod header;
mod pieces;

use std::io::Write;

pub use self::header::{GgufValue, TensorPlan};
use crate::{HostTensor, LoadError, Result};

/// What the data of each tensor is aligned to.
const ALIGNMENT: usize = 32;
/// Values that are widened and encoded at once: 16 MB in f32 and at most as much encoded. A multiple of all groups.
const PIECE: usize = 4 << 20;

/// A file that is being written: what it will hold is announced first, then the tensors come in the announced order.
///
/// ```
/// use kinora_model_loader::{Bytes, Format, GgufValue, GgufWriter, HostTensor, TensorPlan};
///
/// # fn main() -> Result<(), kinora_model_loader::LoadError> {
/// let metadata = [("general.architecture", GgufValue::Text("wan".to_owned()))];
/// let plan = TensorPlan { name: "bias".to_owned(), shape: vec![4], format: Format::F16 };
/// let mut writer = GgufWriter::new("small.gguf", Vec::new(), &metadata, vec![plan])?;
/// let bias = HostTensor::new("bias", Format::F32, &[4], Bytes::from_static(&[0; 16]));
/// writer.write_tensor(&bias, |_values| {})?;
/// let file = writer.finish()?;
/// assert!(file.starts_with(b"GGUF"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GgufWriter<W> {
    file: String,
    out: W,
    plans: std::vec::IntoIter<TensorPlan>,
}

impl<W: Write> GgufWriter<W> {
    /// Writes the header of a file with these tensors. Messages call the file `file`.
    ///
    /// # Errors
    /// When a tensor cannot be stored as planned, a name or a key is there twice, or `out` fails.
    pub fn new(file: &str, out: W, metadata: &[(&str, GgufValue)], tensors: Vec<TensorPlan>) -> Result<Self> {
        let header = header::header(file, metadata, &tensors)?;
        let mut writer = Self { file: file.to_owned(), out, plans: tensors.into_iter() };
        writer.write(&header)?;
        Ok(writer)
    }

    /// Writes the next tensor, with its scale and its changes applied. In between, `progress` is told how many values were written
    /// since it was told last. Beside a mapped file's pages, which are released, this takes some 32 MB.
    ///
    /// # Errors
    /// When it is not the announced tensor, holds a value that its format cannot hold, or `out` fails.
    pub fn write_tensor(&mut self, tensor: &HostTensor, mut progress: impl FnMut(usize)) -> Result<()> {
        let Some(plan) = self.plans.next() else {
            return Err(self.unwritable(&tensor.name, "all announced tensors were written".to_owned()));
        };
        if tensor.name != plan.name {
            return Err(self.unwritable(&tensor.name, format!("the next one announced is `{}`", plan.name)));
        }
        if tensor.shape != plan.shape {
            let reason = format!("it is {:?}, announced was {:?}", tensor.shape, plan.shape);
            return Err(self.unwritable(&tensor.name, reason));
        }
        let elements = tensor.elements();
        if tensor.format.bytes(elements) != Some(tensor.bytes.len()) {
            let reason = format!("{} {:?} has {} bytes", tensor.format, tensor.shape, tensor.bytes.len());
            return Err(self.unwritable(&tensor.name, reason));
        }
        let as_it_is = tensor.is_plain() && tensor.format == plan.format;
        let (mut values, mut encoded) = (Vec::new(), Vec::new());
        for start in (0..elements).step_by(PIECE) {
            let range = start..elements.min(start + PIECE);
            let bytes = pieces::bytes(tensor, &range);
            if as_it_is {
                self.write(&bytes)?;
            } else {
                values.resize(range.len(), 0.0);
                pieces::widen(tensor, &bytes, range.clone(), &mut values);
                encoded.clear();
                plan.format.quantise(&values, &mut encoded).map_err(|mut unfit| {
                    unfit.index += start;
                    self.unwritable(&tensor.name, unfit.to_string())
                })?;
                self.write(&encoded)?;
            }
            bytes.release_pages();
            progress(range.len());
        }
        let written = plan.format.bytes(elements).unwrap_or(0);
        self.write(&[0; ALIGNMENT][..written.next_multiple_of(ALIGNMENT) - written])
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// When an announced tensor was not written, or `out` fails.
    pub fn finish(mut self) -> Result<W> {
        if let Some(plan) = self.plans.next() {
            return Err(self.unwritable(&plan.name, "it was announced and did not come".to_owned()));
        }
        self.out.flush().map_err(|source| LoadError::Write { file: self.file.clone(), source })?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|source| LoadError::Write { file: self.file.clone(), source })
    }

    fn unwritable(&self, tensor: &str, reason: String) -> LoadError {
        LoadError::UnwritableTensor { file: self.file.clone(), tensor: tensor.to_owned(), reason }
    }
}
