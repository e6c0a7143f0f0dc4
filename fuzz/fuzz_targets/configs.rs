//! Every JSON file that says how a model is built.

#![no_main]

use kinora_model_loader::config::*;
use kinora_model_loader::{LoadError, ModelFolder};

fn check<T>(result: Result<T, LoadError>) {
    if let Err(error) = result {
        kinora_fuzz::told(&error);
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let files = ["model_index.json", "generation.json", "c/config.json", "c/scheduler_config.json"];
    let folder = ModelFolder::in_memory("fuzz", files.map(|name| (name.to_owned(), data.to_vec())));
    check(folder.index());
    check(ModelScheduler::load(&folder, "c"));
    check(WanTransformerConfig::from_json("c", data));
    check(WanVaeConfig::from_json("c", data));
    check(CogVideoXTransformerConfig::from_json("c", data));
    check(CogVideoXVaeConfig::from_json("c", data));
    check(T5Config::from_json("c", data));
    check(TokenizerConfig::from_json("c", data));
    check(GenerationConfig::from_json("c", data));
});
