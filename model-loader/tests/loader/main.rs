//! Tests of the public interface on a whole small model, and on damaged copies of it.

mod assembly;
mod checkpoint;
mod cogvideox;
mod cogvideox_vae;
mod config;
mod corruption;
mod files;
mod folder;
mod gguf;
mod gguf_writer;
mod ignored_keys;
mod non_finite;
mod prompt;
mod quantise;
mod scheduler;
mod tiny_vae;
mod tokenizer;
mod torch;
mod torch_corruption;
mod torch_file;
mod weight_files;

use std::collections::BTreeMap;

use kinora_model_loader::{LoadError, ModelFolder};

/// A small Wan model with random weights, as diffusers saves it.
const WAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");

/// Small CogVideoX models of the kinds 2B, 5B and 1.5; the first holds its tokenizer in both forms.
const COGVIDEOX: [&str; 3] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/cogvideox"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/cogvideox-5b"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/cogvideox-1.5"),
];

/// The files of a small model, to be changed and opened.
struct Copy(BTreeMap<String, Vec<u8>>);

impl Copy {
    fn wan() -> Self {
        Self::of(WAN)
    }

    fn of(model: &str) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(format!("{model}/{folder}")).unwrap() {
                let entry = entry.unwrap();
                let path = format!("{folder}{}", entry.file_name().to_str().unwrap());
                if entry.path().is_dir() {
                    folders.push(format!("{path}/"));
                } else {
                    files.insert(path, std::fs::read(entry.path()).unwrap());
                }
            }
        }
        Self(files)
    }

    fn without(mut self, path: &str) -> Self {
        assert!(self.0.remove(path).is_some(), "{path} is not in the fixture");
        self
    }

    fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), bytes.into());
        self
    }

    fn open(self) -> ModelFolder {
        ModelFolder::in_memory("copy", self.0)
    }
}

/// The message of an error that must name `things`, and must say what to do.
#[track_caller]
fn refused<T>(result: Result<T, LoadError>, things: &[&str]) -> LoadError {
    let Err(error) = result else { panic!("accepted what should be refused for {things:?}") };
    let message = error.to_string();
    for thing in things {
        assert!(message.contains(thing), "`{message}` does not name `{thing}`");
    }
    assert!(!message.ends_with('.'), "`{message}` ends with a period");
    let hint = error.hint().expect("every error has a hint");
    assert!(!hint.is_empty() && !hint.ends_with('.'), "`{hint}`");
    error
}
