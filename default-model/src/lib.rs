//! The small text-to-video model that the `kinora` binary carries with it, as bytes.
//!
//! [`FILES`] holds a model folder in the diffusers layout; `README.md` is its model card.
//! The package is its own crate so that `cargo package` finds the weights inside it. It weighs more than the 10 MB
//! that crates.io accepts, so `kinora` is installed from its repository: `cargo install --git <repository> kinora`.

/// Aligns embedded bytes, so that the numbers in a weight file can be read where they lie.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! embed {
    ($($path:literal,)*) => {
        &[$(($path, {
            static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!("../weights/", $path)));
            &FILE.0
        }),)*]
    };
}

/// The files of the model folder: path inside the folder (with `/`), and contents.
/// Each file starts at an address that is a multiple of 64.
pub static FILES: &[(&str, &[u8])] = embed![
    "generation.json",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
];

#[cfg(test)]
mod tests {
    use super::FILES;
    use std::path::{Path, PathBuf};

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
        }
        found
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
        let mut on_disk: Vec<String> = files_below(&root)
            .iter()
            .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"))
            // The sentencepiece source of tokenizer.json: Python's slow tokenizer wants it, kinora does not.
            .filter(|path| path != "tokenizer/spiece.model")
            .collect();
        on_disk.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(embedded, on_disk);
    }

    #[test]
    fn files_are_aligned_and_whole() {
        for (path, bytes) in FILES {
            assert_eq!(bytes.as_ptr() as usize % 64, 0, "{path}");
            let on_disk =
                std::fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("weights").join(path)).unwrap();
            assert_eq!(bytes.len() as u64, on_disk.len(), "{path}");
        }
    }
}
