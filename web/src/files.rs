//! A model's files, as the worker hands them over.
use js_sys::Uint8Array;
use model_loader::{Bytes, ModelFolder};
use wasm_bindgen::prelude::wasm_bindgen;

/// The files of a model folder by their path in it.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct ModelFiles(Vec<(String, Bytes)>);

#[wasm_bindgen]
impl ModelFiles {
    /// No files yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, `/` between the folders of its path.
    pub fn add(&mut self, path: String, contents: &Uint8Array) {
        self.0.push((path, contents.to_vec().into()));
    }
}

impl ModelFiles {
    /// The folder of these files.
    pub(crate) fn folder(self, name: &str) -> ModelFolder {
        ModelFolder::in_memory(name, self.0)
    }
}
