//! Which files are needed, and what a plan tells before anything starts.

use hub::{HubError, Wanted};

use crate::support::{Bench, FakeHub, Place, files, files_of_model, weights};

const MODEL: [&str; 16] = [
    "generation.json",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model-00001-of-00002.safetensors",
    "text_encoder/model-00002-of-00002.safetensors",
    "text_encoder/model.safetensors.index.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/spiece.model",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    // Nothing of the list is left out, so its end is marked.
    "",
];

fn names(bench: &Bench, wanted: &Wanted) -> Result<Vec<String>, HubError> {
    Ok(bench.plan(wanted)?.files().iter().map(|file| file.path().to_owned()).collect())
}

fn model() -> Vec<&'static str> {
    MODEL.iter().copied().filter(|name| !name.is_empty()).collect()
}

/// The model without some files, and with others.
fn altered(without: &[&str], with: &[(&str, &str)]) -> Bench {
    let mut files = files_of_model();
    files
        .retain(|(name, _)| !without.contains(&name.as_str()) && with.iter().all(|(other, _)| other != name));
    files.extend(with.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    Bench::new(FakeHub::start(files))
}

#[test]
fn only_needed_files_are_planned() {
    let bench = Bench::of_model();
    let plan = bench.plan(&Wanted::model()).unwrap();
    let names: Vec<_> = plan.files().iter().map(|file| file.path()).collect();
    assert_eq!(names, model());
    assert_eq!((plan.commit(), plan.notice()), (bench.hub.commit().as_str(), None));
    let sizes: usize = files_of_model()
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert_eq!(plan.total_bytes(), sizes as u64);
    // The model's index and that of the shards had to be read.
    let read: Vec<_> = plan.files().iter().filter(|file| file.is_cached()).map(|file| file.path()).collect();
    assert_eq!(read, ["model_index.json", "text_encoder/model.safetensors.index.json"]);
    let cached: u64 = plan.files().iter().filter(|file| file.is_cached()).map(|file| file.size()).sum();
    assert_eq!(plan.missing_bytes(), plan.total_bytes() - cached);
    assert!(bench.hub.asked(Place::Storage).is_empty());
    assert!(!bench.repo_folder().join("refs").exists());
}

#[test]
fn a_variant_counts_for_the_components_that_have_it() {
    let bench = Bench::of_model();
    let variant = |name: &str| Wanted::Model { variant: Some(name.to_owned()) };
    let expected: Vec<String> = model()
        .iter()
        .map(|name| {
            name.replace("transformer/diffusion_pytorch_model", "transformer/diffusion_pytorch_model.fp16")
        })
        .collect();
    assert_eq!(names(&bench, &variant("fp16")).unwrap(), expected);
    let error = names(&bench, &variant("bf16")).unwrap_err();
    assert_eq!(error.to_string(), "`org/tiny` has no weights of the variant `bf16` (found `fp16`)");
}

#[test]
fn what_is_not_there_is_named() {
    let index = "text_encoder/model.safetensors.index.json";
    let cases = [
        (
            altered(&["vae/config.json"], &[]),
            "`vae/config.json` is missing from `org/tiny`: model_index.json names `vae`",
        ),
        (
            altered(&["tokenizer/tokenizer.json", "tokenizer/spiece.model"], &[]),
            "`tokenizer/tokenizer.json` is missing from `org/tiny`: model_index.json names `tokenizer`",
        ),
        (
            altered(&["text_encoder/model-00002-of-00002.safetensors"], &[]),
            "`text_encoder/model-00002-of-00002.safetensors` is missing from `org/tiny`: \
             `text_encoder/model.safetensors.index.json` names it",
        ),
        (
            altered(&[index, "text_encoder/model-00001-of-00002.safetensors"], &[]),
            "`text_encoder/model-00001-of-00002.safetensors` is missing from `org/tiny`: \
             other shards of its weights are there",
        ),
        (
            altered(
                &["vae/diffusion_pytorch_model.safetensors"],
                &[("vae/diffusion_pytorch_model.bin", "x")],
            ),
            "`org/tiny` holds no safetensors weights for `vae` \
             (found `config.json`, `diffusion_pytorch_model.bin`, `flax_model.msgpack`)",
        ),
        (
            altered(&[], &[(index, "[]")]),
            "`text_encoder/model.safetensors.index.json` of `org/tiny` is not valid",
        ),
        (altered(&[], &[(index, r#"{"weight_map": {}}"#)]), "its `weight_map` names no files"),
        (altered(&[], &[("model_index.json", "{")]), "`model_index.json` of `org/tiny` is not valid: EOF"),
    ];
    for (bench, message) in cases {
        let error = names(&bench, &Wanted::model()).unwrap_err();
        assert!(error.to_string().starts_with(message) || error.to_string().ends_with(message), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn shards_need_no_index() {
    let bench = altered(&["text_encoder/model.safetensors.index.json"], &[]);
    let expected: Vec<_> = model().into_iter().filter(|name| !name.ends_with(".index.json")).collect();
    assert_eq!(names(&bench, &Wanted::model()).unwrap(), expected);
}

#[test]
fn processors_bring_their_jsons() {
    let index = r#"{"image_processor": ["transformers", "CLIPImageProcessor"], "x": 1, "y": [1, 2], "_z": ["a", "b"]}"#;
    let bench =
        altered(&[], &[("model_index.json", index), ("image_processor/preprocessor_config.json", "{}")]);
    let found = names(&bench, &Wanted::model()).unwrap();
    assert_eq!(found, ["generation.json", "image_processor/preprocessor_config.json", "model_index.json"]);
}

fn gguf() -> Bench {
    let names = ["README.md", "wan-Q4_K_M.gguf", "wan-Q8_0.gguf", "split/vae.safetensors", "old/wan.bin"];
    Bench::new(FakeHub::start(names.map(|name| (name.to_owned(), weights(100, 1)))))
}

#[test]
fn a_repository_of_single_files_wants_a_pick() {
    let bench = gguf();
    let error = names(&bench, &Wanted::model()).unwrap_err();
    let found = "`split/vae.safetensors`, `wan-Q4_K_M.gguf`, `wan-Q8_0.gguf`";
    assert_eq!(error.to_string(), format!("`org/tiny` holds no model_index.json; its weights are {found}"));

    assert_eq!(names(&bench, &files(&["*Q4_K_M*"])).unwrap(), ["wan-Q4_K_M.gguf"]);
    assert_eq!(
        names(&bench, &files(&["wan-Q8_0.gguf", "*vae*"])).unwrap(),
        ["split/vae.safetensors", "wan-Q8_0.gguf"]
    );
    assert_eq!(names(&bench, &files(&["*.gguf", "wan-*"])).unwrap().len(), 2);
    for pattern in ["*Q5*", "wan", "old/wan.bin", "*.bin"] {
        let error = names(&bench, &files(&["*.gguf", pattern])).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`org/tiny` holds no file `{pattern}`; its weights are {found}")
        );
    }
}

#[test]
fn a_list_without_sizes_is_completed() {
    let bench = gguf();
    bench.hub.list_no_blobs();
    let plan = bench.plan(&files(&["*.gguf"])).unwrap();
    assert_eq!((plan.total_bytes(), plan.missing_bytes()), (200, 200));
    assert_eq!(bench.hub.asked(Place::Hub).iter().filter(|asked| asked.starts_with("HEAD ")).count(), 2);
    bench.pull(&files(&["*.gguf"])).unwrap();
    assert_eq!(bench.read("wan-Q8_0.gguf"), weights(100, 1));
}

#[test]
fn names_are_escaped_in_addresses() {
    let name = "a b/wan 1.gguf";
    let bench = Bench::of_file(name, weights(100, 1));
    bench.pull(&files(&["*.gguf"])).unwrap();
    assert_eq!(bench.read(name), weights(100, 1));
}
