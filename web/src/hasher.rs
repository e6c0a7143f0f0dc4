//! SHA-256 piece by piece: the browser's own takes a whole file at once.
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use wasm_bindgen::prelude::wasm_bindgen;

/// The SHA-256 of a file.
#[wasm_bindgen]
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

#[wasm_bindgen]
impl Hasher {
    /// Of nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest in hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
