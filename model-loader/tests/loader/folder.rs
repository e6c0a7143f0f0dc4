//! Folders on disk, in memory and embedded; the index; files that are not there.

use std::fs;

use kinora_model_loader::{Checkpoint, LoadError, ModelFolder};
use serde_json::{Value, json};

use crate::{Copy, WAN, refused};

const INDEX: &str = "model_index.json";

#[test]
fn all_three_kinds_read_alike() {
    static EMBEDDED: &[(&str, &[u8])] = &[
        (INDEX, include_bytes!("../../../tests/fixtures/wan/model_index.json")),
        ("vae/config.json", include_bytes!("../../../tests/fixtures/wan/vae/config.json")),
        (
            "vae/diffusion_pytorch_model.safetensors",
            include_bytes!("../../../tests/fixtures/wan/vae/diffusion_pytorch_model.safetensors"),
        ),
    ];
    let disk = ModelFolder::open(WAN).unwrap();
    assert_eq!(disk.name(), "wan");
    assert_eq!(disk.location(), WAN);
    let embedded = ModelFolder::embedded("default", EMBEDDED);
    assert_eq!(embedded.location(), "default (embedded)");
    for folder in [&embedded, &Copy::wan().open()] {
        for (path, bytes) in EMBEDDED {
            assert_eq!(&*folder.read(path).unwrap(), *bytes);
            assert_eq!(&*disk.read(path).unwrap(), *bytes);
        }
        assert!(folder.read_optional("vae/absent.json").unwrap().is_none());
        assert_eq!(folder.index().unwrap(), disk.index().unwrap());
        let name = "decoder.conv_in.weight";
        let (one, other) =
            (Checkpoint::open(folder, "vae").unwrap(), Checkpoint::open(&disk, "vae").unwrap());
        assert_eq!(one.tensor(name).unwrap().to_f32(), other.tensor(name).unwrap().to_f32());
    }
    assert!(disk.read("vae/diffusion_pytorch_model.safetensors").unwrap().is_mapped());
    assert!(!disk.read(INDEX).unwrap().is_mapped());
}

#[test]
fn what_is_no_folder_is_refused() {
    refused(ModelFolder::open("/absent/model"), &["/absent/model"]);
    refused(ModelFolder::open(format!("{WAN}/{INDEX}")), &[INDEX, "it is a file"]);
    refused(ModelFolder::open(""), &["``"]);
    let empty = tempfile::tempdir().unwrap();
    let folder = ModelFolder::open(empty.path()).unwrap();
    let error = refused(folder.index(), &[INDEX, empty.path().to_str().unwrap()]);
    assert!(error.hint().unwrap().contains("-Diffusers"));
    refused(Checkpoint::open(&folder, "vae"), &["`vae`", "nothing"]);
    assert!(folder.read_optional("vae/config.json").unwrap().is_none());
    // A folder where a file should be, and a file where a folder should be.
    fs::create_dir(empty.path().join(INDEX)).unwrap();
    let error = refused(folder.index(), &[INDEX]);
    assert!(matches!(error, LoadError::Read { .. }), "{error:?}");
    fs::write(empty.path().join("vae"), "x").unwrap();
    refused(folder.read("vae/config.json"), &["vae/config.json"]);
    refused(Checkpoint::open(&folder, "vae"), &["`vae`"]);
}

#[test]
fn empty_files_are_read_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nothing"), "").unwrap();
    assert!(ModelFolder::open(folder.path()).unwrap().read("nothing").unwrap().is_empty());
}

#[test]
fn the_index_says_what_the_model_is() {
    let index = ModelFolder::open(WAN).unwrap().index().unwrap();
    assert_eq!(index.pipeline, "WanPipeline");
    assert_eq!(index.components.len(), 5);
    assert_eq!(index.class("vae"), Some("AutoencoderKLWan"));
    assert_eq!(index.class("scheduler"), Some("UniPCMultistepScheduler"));
    assert_eq!(index.class("transformer_2"), None);
    assert_eq!(index.components["text_encoder"].to_string(), "transformers.UMT5EncoderModel");
}

/// The index of the small model with one key changed; null takes it away.
fn index_with(key: &str, value: Value) -> ModelFolder {
    let mut index: Value = serde_json::from_slice(&Copy::wan().0[INDEX]).unwrap();
    index[key] = value;
    Copy::wan().with(INDEX, index.to_string()).open()
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    for (key, value, things) in [
        ("_class_name", json!("LTXPipeline"), &["LTXPipeline", "supported: WanPipeline"][..]),
        ("_class_name", json!("WanImageToVideoPipeline"), &["WanImageToVideoPipeline"]),
        ("_class_name", json!(7), &["_class_name", "7"]),
        ("vae", json!(["diffusers", "AutoencoderKL"]), &["`vae`", "AutoencoderKL", "AutoencoderKLWan"]),
        ("vae", json!([null, null]), &["`vae`", "null"]),
        ("vae", Value::Null, &["`vae`", "null"]),
        ("vae", json!("AutoencoderKLWan"), &["`vae`", "expected [\"library\", \"Class\"]"]),
        ("vae", json!(["diffusers"]), &["`vae`"]),
        ("vae", json!([1, 2]), &["`vae`"]),
        ("scheduler", json!([null, null]), &["`scheduler`", "null"]),
        ("transformer_2", json!(["diffusers", "WanTransformer3DModel"]), &["`transformer_2`", "two experts"]),
        ("boundary_ratio", json!(0.875), &["`boundary_ratio`", "0.875", "two experts"]),
        ("boundary_ratio", json!("x"), &["`boundary_ratio`", "\"x\"", "a number"]),
        ("expand_timesteps", json!(true), &["`expand_timesteps`", "true"]),
    ] {
        refused(index_with(key, value).index(), &[&[INDEX], things].concat());
    }
}

#[test]
fn harmless_index_keys_are_read_over() {
    for (key, value) in [
        ("_name_or_path", json!("somewhere")),
        ("image_encoder", json!([null, null])),
        ("image_encoder", json!(["transformers", "CLIPVisionModel"])),
        ("scheduler", json!(["diffusers", "DDIMScheduler"])),
        ("boundary_ratio", Value::Null),
        ("tokenizer", json!(["transformers", "T5Tokenizer"])),
    ] {
        assert!(index_with(key, value).index().is_ok(), "{key}");
    }
}

#[test]
fn a_damaged_index_is_refused() {
    let whole = Copy::wan().0[INDEX].clone();
    for cut in 0..whole.len() - 2 {
        refused(Copy::wan().with(INDEX, &whole[..cut]).open().index(), &[INDEX]);
    }
    for text in ["[]", "null", "7", "\"x\"", "{}", "{\"_class_name\": null}", "\u{0}"] {
        refused(Copy::wan().with(INDEX, text).open().index(), &[INDEX]);
    }
    refused(Copy::wan().without(INDEX).open().index(), &[INDEX, "copy (in memory)"]);
    // Nested far too deep for a stack.
    refused(Copy::wan().with(INDEX, "[".repeat(1_000_000)).open().index(), &[INDEX]);
}
