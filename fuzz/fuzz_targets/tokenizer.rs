//! A tokenizer: JSON if it begins with a brace, else a sentencepiece model.

#![no_main]

use kinora_model_loader::{ModelFolder, Tokenizer};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let name = if data.starts_with(b"{") { "tokenizer.json" } else { "spiece.model" };
    let config = br#"{"extra_ids":2}"#.to_vec();
    let files = [(format!("t/{name}"), data.to_vec()), ("t/tokenizer_config.json".to_owned(), config)];
    match Tokenizer::open(&ModelFolder::in_memory("fuzz", files), "t") {
        Ok(tokenizer) => match tokenizer.encode("a red fox, é\u{3000}狐", 16) {
            Ok(encoding) => assert!(encoding.ids.len() <= 16),
            Err(error) => kinora_fuzz::told(&error),
        },
        Err(error) => kinora_fuzz::told(&error),
    }
});
