//! Names that would lead out of the cache: refused by name, and nothing is written.

use std::fs;

use hub::{HubError, Wanted};

use crate::support::{Bench, FakeHub, files, files_of_model, tree};

const EVIL: [&str; 8] = [
    "../../../../evil.gguf",
    "/tmp/evil.gguf",
    "a/../../evil.gguf",
    "C:/evil.gguf",
    "..\\evil.gguf",
    "a\0evil.gguf",
    "a//evil.gguf",
    "a/.. /evil.gguf",
];

#[test]
fn evil_names_are_refused_by_name() {
    for name in EVIL {
        let bench = Bench::of_file(name, b"evil".to_vec());
        let error = bench.pull(&files(&["*evil.gguf"])).unwrap_err();
        assert!(matches!(error, HubError::BadName { .. }), "{error}");
        assert!(error.to_string().contains(&format!("`{}`", name.escape_debug())), "{error}");
        assert_eq!(tree(bench.folder.path()), Vec::<String>::new(), "{name}");
        assert_eq!(bench.hub.sent(), 0);
    }
}

#[test]
fn evil_names_that_nobody_needs_do_no_harm() {
    let evil = EVIL.map(|name| (name.to_owned(), b"evil".to_vec()));
    let bench = Bench::new(FakeHub::start(files_of_model().into_iter().chain(evil)));
    let folder = bench.pull(&Wanted::model()).unwrap();
    assert!(tree(bench.folder.path()).iter().all(|path| !path.contains("evil")));
    assert!(folder.join("model_index.json").is_file());
}

/// The model with one of its files replaced, and others added.
fn changed(name: &str, text: &str, more: &[&str]) -> Bench {
    let mut files = files_of_model();
    files.retain(|(known, _)| known != name);
    files.push((name.to_owned(), text.as_bytes().to_vec()));
    files.extend(more.iter().map(|name| ((*name).to_owned(), b"evil".to_vec())));
    Bench::new(FakeHub::start(files))
}

#[test]
fn an_index_cannot_lead_out_either() {
    let index = "text_encoder/model.safetensors.index.json";
    let out = "../../../../evil.safetensors";
    let map = format!(r#"{{"weight_map": {{"a": "{out}"}}}}"#);
    let bench = changed(index, &map, &[&format!("text_encoder/{out}")]);
    let error = bench.pull(&Wanted::model()).unwrap_err().to_string();
    assert!(error.contains(&format!("the file `text_encoder/{out}`, which is refused")), "{error}");

    let pickled = changed(index, r#"{"weight_map": {"a": "pytorch_model.bin"}}"#, &[]);
    let error = pickled.pull(&Wanted::model()).unwrap_err().to_string();
    assert!(error.contains("names `pytorch_model.bin`, which is no safetensors file"), "{error}");

    let model = r#"{"../../../../evil": ["diffusers", "AutoencoderKLWan"]}"#;
    let more = ["../../../../evil/config.json", "../../../../evil/model.safetensors"];
    let bench = changed("model_index.json", model, &more);
    let error = bench.pull(&Wanted::model()).unwrap_err();
    assert!(matches!(error, HubError::BadName { .. }), "{error}");
    assert!(tree(bench.folder.path()).iter().all(|path| !path.contains("evil")));
}

#[test]
fn an_evil_ref_is_not_followed() {
    let bench = Bench::of_model();
    bench.pull(&Wanted::model()).unwrap();
    fs::write(bench.repo_folder().join("refs/main"), "../../../elsewhere").unwrap();
    let error = bench.open().cached(&crate::support::repo(), &Wanted::model()).unwrap_err();
    assert_eq!(error.to_string(), "`org/tiny` is not complete in the cache: its revision `main` is missing");
}
