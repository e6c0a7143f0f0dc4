//! What downloads and editors do to files: Git LFS pointers in their place, byte order marks, other encodings.

use kinora_model_loader::config::{
    GenerationConfig, ModelScheduler, T5Config, TokenizerConfig, WanTransformerConfig, WanVaeConfig,
};
use kinora_model_loader::{Checkpoint, LoadError, ModelFolder, Tokenizer};

use crate::{Copy, refused};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4665bb1d8f1e\nsize 98488\n";

/// Reads everything that a run reads.
fn read_all(folder: &ModelFolder) -> Result<(), LoadError> {
    folder.index()?;
    GenerationConfig::load(folder)?;
    ModelScheduler::load(folder, "scheduler")?;
    WanTransformerConfig::load(folder, "transformer")?;
    WanVaeConfig::load(folder, "vae")?;
    T5Config::load(folder, "text_encoder")?;
    TokenizerConfig::load(folder, "tokenizer")?;
    Tokenizer::open(folder, "tokenizer")?;
    for component in ["transformer", "vae", "text_encoder"] {
        Checkpoint::open(folder, component)?;
    }
    Ok(())
}

/// A small model without what no run reads, and with the one file that it does not have.
fn model() -> Copy {
    Copy::wan()
        .without("golden.json")
        .without("golden.safetensors")
        .without("tokenizer/special_tokens_map.json")
        .with("generation.json", "{}")
}

/// The same with one form of the tokenizer: the other one would be read in its place.
fn with_spiece() -> Copy {
    model().without("tokenizer/tokenizer.json")
}

fn with_json() -> Copy {
    model().without("tokenizer/spiece.model").without("tokenizer/added_tokens.json")
}

#[test]
fn git_lfs_pointers_are_named() {
    for copy in [with_json, with_spiece] {
        for path in copy().0.keys() {
            let folder = copy().with(path, POINTER).open();
            let error = refused(read_all(&folder), &[&format!("`{path}`"), "copy", "is a Git LFS pointer"]);
            assert!(error.hint().unwrap().contains("`git lfs pull`"), "{:?}", error.hint());
        }
    }
    let disk = tempfile::tempdir().unwrap();
    let file = disk.path().join("lone.safetensors");
    std::fs::write(&file, POINTER).unwrap();
    refused(Checkpoint::open_file(file), &["lone.safetensors", "is a Git LFS pointer"]);
}

#[test]
fn json_may_begin_with_a_byte_order_mark() {
    for copy in [with_json, with_spiece] {
        let mut copy = copy();
        for (_, bytes) in copy.0.iter_mut().filter(|(path, _)| path.ends_with(".json")) {
            bytes.splice(..0, *b"\xEF\xBB\xBF");
        }
        read_all(&copy.open()).unwrap();
    }
}

#[test]
fn other_encodings_are_named() {
    for copy in [with_json, with_spiece] {
        for path in copy().0.keys().filter(|path| path.ends_with(".json")) {
            let text = String::from_utf8(copy().0[path].clone()).unwrap();
            for mark in ["", "\u{FEFF}"] {
                let wide: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
                let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
                let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
                for bytes in [little, big] {
                    let error = refused(read_all(&copy().with(path, bytes).open()), &[path, "UTF-16"]);
                    assert!(error.hint().unwrap().contains("UTF-8"), "{:?}", error.hint());
                }
            }
        }
    }
}
