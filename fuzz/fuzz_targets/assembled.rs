//! Names, dtypes and shapes of a file of weights, which becomes a part of a model.

#![no_main]

use kinora_fuzz::{file_of, read_all, told};
use kinora_model_loader::{Assembly, Checkpoint, FileContents};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = file_of(data);
    if let Err(error) = FileContents::of(&file) {
        told(&error);
    }
    let mut assembly = Assembly::new(None);
    if let Err(error) = assembly.add(&file) {
        return told(&error);
    }
    match assembly.finish() {
        Ok(model) => {
            for component in ["transformer", "text_encoder", "vae"] {
                match Checkpoint::open(&model, component) {
                    Ok(part) => read_all(&part),
                    Err(error) => told(&error),
                }
            }
        }
        Err(error) => told(&error),
    }
});
