//! The index of several shards, two of which are there.

#![no_main]

use kinora_model_loader::{Checkpoint, ModelFolder};

/// A file of one tensor, `a` or `b`.
fn shard(name: char) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#);
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &[0; 8]].concat()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let files = [
        ("t/diffusion_pytorch_model.safetensors.index.json", data.to_vec()),
        ("t/a.safetensors", shard('a')),
        ("t/b.safetensors", shard('b')),
    ];
    let files = files.map(|(name, content)| (name.to_owned(), content));
    match Checkpoint::open(&ModelFolder::in_memory("fuzz", files), "t") {
        Ok(checkpoint) => kinora_fuzz::read_all(&checkpoint),
        Err(error) => kinora_fuzz::told(&error),
    }
});
