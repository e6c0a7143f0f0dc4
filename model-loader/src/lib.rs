//! Reads a model's files: named host tensors, typed configs, token ids and clean prompts. Knows no GPU.
//!
//! ```no_run
//! use kinora_model_loader::{Checkpoint, ModelFolder, Tokenizer, config::WanTransformerConfig, prompt};
//!
//! # fn main() -> Result<(), kinora_model_loader::LoadError> {
//! let folder = ModelFolder::open("Wan2.1-T2V-1.3B-Diffusers")?;
//! let index = folder.index()?;
//! let config = WanTransformerConfig::load(&folder, "transformer")?;
//! let weights = Checkpoint::open(&folder, "transformer")?;
//! let bias = weights.tensor_shaped("proj_out.bias", &[config.out_channels * 4])?.to_f32();
//! let ids = Tokenizer::open(&folder, "tokenizer")?.encode(&prompt::clean("a  red fox"), 512)?.ids;
//! # Ok(())
//! # }
//! ```

mod assembly;
mod bytes;
mod change;
mod checkpoint;
pub mod config;
mod contents;
mod convert;
mod error;
mod file_contents;
mod folder;
mod format;
mod gguf_writer;
mod index;
mod infer;
mod json;
mod lora;
mod names;
mod non_finite;
mod notices;
pub mod prompt;
mod quantise;
mod random;
mod source;
mod tensor;
mod tokenizer;
mod weight_files;

pub use assembly::{Assembly, NamedFile, PartOrigin};
pub use bytes::Bytes;
pub use change::{Change, LowRank};
pub use checkpoint::{Checkpoint, WeightSource};
pub use convert::{Conversion, gguf_formats};
pub use error::LoadError;
pub use file_contents::{FileContents, PartContents};
pub use folder::ModelFolder;
pub use format::{Codes, Format};
pub use gguf_writer::{GgufValue, GgufWriter, TensorPlan};
pub use index::{ComponentClass, Family, ModelIndex};
pub use non_finite::NonFinite;
pub use quantise::Unfit;
pub use tensor::HostTensor;
pub use tokenizer::{Encoding, Tokenizer};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, LoadError>;
