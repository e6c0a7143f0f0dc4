//! Components as GGUF files, under the names that other programs look for.

mod tokenizer;

use std::io::Write;
use std::path::Path;

use crate::assembly::{NamedFile, check_architecture};
use crate::contents::{self, Found};
use crate::gguf_writer::{GgufValue, GgufWriter, TensorPlan};
use crate::names::{t5, wan_transformer};
use crate::{Checkpoint, Format, LoadError, ModelFolder, Result, infer};

/// A component that is to be written as a GGUF file.
#[derive(Debug)]
pub struct Conversion {
    weights: Checkpoint,
    metadata: Vec<(String, GgufValue)>,
    /// Each tensor's name in `weights`, and what it becomes.
    tensors: Vec<(String, TensorPlan)>,
    notices: Vec<String>,
}

/// Tensors of fewer values stay in f32.
const SMALL: usize = 1024;

/// Modules of a Wan transformer that are used once and decide much: they stay in half precision.
const ENDS: [&str; 6] =
    ["patch_embedding.", "text_embedding.", "time_embedding.", "time_projection.", "img_emb.", "head."];

/// The numbers by which llama.cpp tells what most of a file is stored in.
const FILE_TYPES: &[(Format, u32)] = &[
    (Format::F32, 0),
    (Format::F16, 1),
    (Format::Q4_0, 2),
    (Format::Q4_1, 3),
    (Format::Q8_0, 7),
    (Format::Q5_0, 8),
    (Format::Q5_1, 9),
    (Format::Q2K, 10),
    (Format::Q3K, 11),
    (Format::Q4K, 14),
    (Format::Q5K, 16),
    (Format::Q6K, 18),
    (Format::Iq4Nl, 25),
    (Format::BF16, 32),
];

/// Formats that GGUF files have, for messages and choices.
pub fn gguf_formats() -> impl Iterator<Item = Format> {
    FILE_TYPES.iter().map(|(format, _)| *format)
}

impl Conversion {
    /// Of the only part that a file holds, or of that which is asked for.
    ///
    /// # Errors
    /// When the file is not sound, holds no such part, or several and none is asked for.
    pub fn of_file(file: &NamedFile, part: Option<&str>, format: Format) -> Result<Self> {
        let checkpoint = Checkpoint::from_bytes(&file.name, file.bytes.clone())?;
        check_architecture(&checkpoint)?;
        let mut found = contents::find(&checkpoint);
        found.retain(|found| part.is_none_or(|part| found.layout.component == part));
        let several = found.len() > 1;
        let (Some(found), false) = (found.pop(), several) else {
            let contents = contents::describe(&checkpoint);
            let file = file.name.clone();
            return Err(match part {
                Some(part) => LoadError::WrongPart { file, expected: part.to_owned(), contents },
                None if several => LoadError::SeveralParts { file, contents },
                None => LoadError::UnknownContents { file, contents },
            });
        };
        let pieces = tokenizer::pieces_of(&checkpoint, found.prefix)?;
        Self::new(&found, found.take(&checkpoint)?, pieces, format)
    }

    /// Of a component of a model folder.
    ///
    /// # Errors
    /// When the folder has no such component, or one that is not known.
    pub fn of_folder(folder: &ModelFolder, part: &str, format: Format) -> Result<Self> {
        let checkpoint = Checkpoint::open(folder, part)?;
        let Some(found) =
            contents::find(&checkpoint).into_iter().find(|found| found.layout.component == part)
        else {
            let (file, contents) = (checkpoint.file().to_owned(), contents::describe(&checkpoint));
            return Err(LoadError::WrongPart { file, expected: part.to_owned(), contents });
        };
        let pieces = folder.read_optional("tokenizer/spiece.model")?;
        Self::new(&found, found.take(&checkpoint)?, pieces, format)
    }

    fn new(found: &Found, weights: Checkpoint, pieces: Option<crate::Bytes>, format: Format) -> Result<Self> {
        let mut conversion = Self { weights, metadata: Vec::new(), tensors: Vec::new(), notices: Vec::new() };
        let family = found.layout.family;
        let (architecture, rename): (&str, fn(&str) -> Option<String>) =
            match (found.layout.component, family) {
                ("text_encoder", _) => ("t5encoder", t5::to_gguf),
                ("transformer", Some(crate::Family::Wan)) => ("wan", wan_transformer::to_original),
                ("vae", _) => ("vae", |name| Some(name.to_owned())),
                _ => ("cogvideox", |name| Some(name.to_owned())),
            };
        conversion.describe(architecture, format);
        if architecture == "t5encoder" {
            conversion.add_encoder(pieces)?;
        }
        let names: Vec<String> = conversion.weights.names().map(str::to_owned).collect();
        for name in names {
            // `encoder.embed_tokens` repeats `shared` where both are there.
            let repeated =
                name == "encoder.embed_tokens.weight" && conversion.weights.contains("shared.weight");
            let Some(theirs) = rename(&name).filter(|_| !repeated) else {
                conversion.notices.push(format!("`{name}` has no name in such files and is left out"));
                continue;
            };
            let shape = conversion.weights.shape(&name).unwrap_or_default().to_vec();
            let format = format_of(&theirs, &shape, format);
            conversion.tensors.push((name, TensorPlan { name: theirs, shape, format }));
        }
        Ok(conversion)
    }

    fn describe(&mut self, architecture: &str, format: Format) {
        self.put("general.architecture", GgufValue::Text(architecture.to_owned()));
        self.put("general.quantization_version", GgufValue::U32(2));
        if let Some((_, number)) = FILE_TYPES.iter().find(|(known, _)| *known == format) {
            self.put("general.file_type", GgufValue::U32(*number));
        }
    }

    fn put(&mut self, key: &str, value: GgufValue) {
        self.metadata.push((key.to_owned(), value));
    }

    /// The config of a text encoder, and its tokenizer if there is one.
    fn add_encoder(&mut self, pieces: Option<crate::Bytes>) -> Result<()> {
        const KEYS: [(&str, &str); 6] = [
            ("num_layers", "block_count"),
            ("d_model", "embedding_length"),
            ("d_ff", "feed_forward_length"),
            ("num_heads", "attention.head_count"),
            ("d_kv", "attention.key_length"),
            ("relative_attention_num_buckets", "attention.relative_buckets_count"),
        ];
        if let Some(config) = infer::config("text_encoder", &self.weights) {
            for (ours, theirs) in KEYS {
                let number = config.get(ours).and_then(serde_json::Value::as_u64);
                if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
                    self.put(&format!("t5encoder.{theirs}"), GgufValue::U32(number));
                }
            }
            self.put("t5encoder.attention.layer_norm_epsilon", GgufValue::F32(1e-6));
        }
        match pieces {
            Some(pieces) => self.metadata.extend(tokenizer::metadata(self.weights.file(), &pieces)?),
            None => self.notices.push(
                "no sentencepiece model is at hand, so the file has no tokenizer: name one when it is used"
                    .to_owned(),
            ),
        }
        Ok(())
    }

    /// What the user should know of what will be written.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The tensors as they will be written.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorPlan> {
        self.tensors.iter().map(|(_, plan)| plan)
    }

    /// How many values all tensors have.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.tensors().map(|plan| plan.shape.iter().product::<usize>() as u64).sum()
    }

    /// Bytes of the data that will be written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = |plan: &TensorPlan| plan.format.bytes(plan.shape.iter().product()).unwrap_or(0) as u64;
        self.tensors().map(bytes).sum()
    }

    /// Writes the file, which messages call `file`; `progress` is told how many values were written since it was told last, and
    /// whether to go on. Takes some 50 MB beside the pages of a mapped file.
    ///
    /// # Errors
    /// When a tensor holds what its format cannot, or `out` fails.
    pub fn write<W: Write>(self, file: &Path, out: W, mut progress: impl FnMut(usize)) -> Result<()> {
        let metadata: Vec<(&str, GgufValue)> =
            self.metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let plans = self.tensors().cloned().collect();
        let mut writer = GgufWriter::new(&file.display().to_string(), out, &metadata, plans)?;
        for (name, plan) in &self.tensors {
            let tensor = self.weights.tensor(name)?;
            let tensor = crate::HostTensor { name: plan.name.clone(), ..tensor };
            writer.write_tensor(&tensor, &mut progress)?;
        }
        writer.finish().map(|_| ())
    }
}

/// What a tensor is stored as where most are to be stored as `wanted`: what is small, no matrix or used once keeps its precision.
fn format_of(name: &str, shape: &[usize], wanted: Format) -> Format {
    let elements: usize = shape.iter().product();
    if wanted == Format::F32 || shape.len() < 2 || elements <= SMALL || name.ends_with("modulation") {
        return Format::F32;
    }
    let is_convolution = shape.len() > 2;
    let is_end = ENDS.iter().any(|end| name.starts_with(end)) || name.contains("attn_rel_b");
    if !wanted.is_grouped() {
        return wanted;
    }
    if is_convolution {
        return Format::F32;
    }
    let row = shape.last().copied().unwrap_or(1);
    match wanted {
        _ if is_end => Format::F16,
        wanted if row.is_multiple_of(wanted.group_len()) => wanted,
        // Rows of no whole groups of 256 may be of groups of 32.
        _ if row.is_multiple_of(Format::Q8_0.group_len()) => Format::Q8_0,
        _ => Format::F16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_much_keeps_its_precision() {
        for (name, shape, wanted, format) in [
            ("blocks.0.ffn.0.weight", &[8960, 1536][..], Format::Q4K, Format::Q4K),
            ("blocks.0.ffn.0.weight", &[8960, 96], Format::Q4K, Format::Q8_0),
            ("blocks.0.ffn.0.weight", &[8960, 100], Format::Q4K, Format::F16),
            ("blocks.0.ffn.0.bias", &[8960], Format::Q4K, Format::F32),
            ("blocks.0.modulation", &[1, 6, 1536], Format::Q8_0, Format::F32),
            ("head.head.weight", &[64, 1536], Format::Q8_0, Format::F16),
            ("patch_embedding.weight", &[1536, 16, 1, 2, 2], Format::Q8_0, Format::F32),
            ("enc.blk.0.attn_rel_b.weight", &[32, 64], Format::Q8_0, Format::F16),
            ("blocks.0.ffn.0.weight", &[8960, 1536], Format::BF16, Format::BF16),
            ("blocks.0.ffn.0.weight", &[8960, 1536], Format::F32, Format::F32),
        ] {
            assert_eq!(format_of(name, shape, wanted), format, "{name} {shape:?} as {wanted}");
        }
    }
}
