//! Names, dtypes and shapes of a LoRA, laid over a transformer.

#![no_main]

use kinora_fuzz::{file_of, read_all, told};
use kinora_model_loader::{Assembly, Checkpoint, ModelFolder};
use std::sync::OnceLock;

static BASE: OnceLock<ModelFolder> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let base = BASE.get_or_init(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");
        ModelFolder::open(folder).expect("the fixture is there")
    });
    let mut assembly = Assembly::new(Some(base.clone()));
    if let Err(error) = assembly.add_lora(&file_of(data), 0.5) {
        return told(&error);
    }
    match assembly.finish() {
        Ok(model) => match Checkpoint::open(&model, "transformer") {
            Ok(transformer) => read_all(&transformer),
            Err(error) => told(&error),
        },
        Err(error) => told(&error),
    }
});
