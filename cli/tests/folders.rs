//! Model folders as people have them: saved in variants, with a scheduler of another kind, fetched in part.

mod support;

use std::fs;
use std::path::Path;
use support::{Run, Workspace};

const WAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");
const SCHEDULER: &str = "m/scheduler/scheduler_config.json";

/// A copy of the small model as `m`.
fn model(here: &Workspace) {
    copy(Path::new(WAN), &here.path("m"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn generate(here: &Workspace, flags: &[&str]) -> Run {
    let small = ["generate", "a boat", "--model", "m", "--device", "cpu", "--width", "32", "--height", "32"];
    let few = ["--frames", "5", "--steps", "2", "--seed", "3", "-o", "v.y4m"];
    here.run(&[&small[..], &few, flags].concat())
}

fn edit(here: &Workspace, file: &str, keys: &[(&str, serde_json::Value)]) {
    let path = here.path(file);
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, value) in keys {
        json[*key] = value.clone();
    }
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn variants_in_shards_and_leftover_keys_make_the_same_video() {
    let here = Workspace::new();
    model(&here);
    generate(&here, &[]).code(0);
    let plain = fs::read(here.path("v.y4m")).unwrap();

    let folder = here.path("m/transformer");
    let index = folder.join("diffusion_pytorch_model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap().replace("model-0", "model.bf16-0");
    fs::write(folder.join("diffusion_pytorch_model.safetensors.index.bf16.json"), text).unwrap();
    fs::remove_file(index).unwrap();
    for number in ["00001", "00002"] {
        let name = |variant| format!("diffusion_pytorch_model{variant}-{number}-of-00002.safetensors");
        fs::rename(folder.join(name("")), folder.join(name(".bf16"))).unwrap();
    }
    edit(&here, SCHEDULER, &[("shift", 7.0.into())]);
    edit(&here, "m/transformer/config.json", &[("gradient_checkpointing", true.into())]);
    let run = generate(&here, &[]);
    run.code(0);
    let notice =
        "`scheduler/scheduler_config.json`: `shift` is not a key of `UniPCMultistepScheduler` and is ignored";
    assert_eq!(run.stderr.matches(notice).count(), 1, "{run:?}");
    assert!(!run.stderr.contains("gradient_checkpointing"), "{run:?}");
    assert!(fs::read(here.path("v.y4m")).unwrap() == plain, "another video");

    let inspected = here.run(&["inspect", "m"]);
    inspected.code(0);
    assert!(inspected.stderr.contains(notice), "{inspected:?}");
}

#[test]
fn another_scheduler_gets_past_one_that_is_not_supported() {
    let here = Workspace::new();
    model(&here);
    generate(&here, &["--scheduler", "euler"]).code(0);
    let euler = fs::read(here.path("v.y4m")).unwrap();
    edit(&here, SCHEDULER, &[("_class_name", "DPMSolverMultistepScheduler".into())]);
    fs::remove_file(here.path("v.y4m")).unwrap();
    let run = generate(&here, &[]);
    run.code(1);
    assert!(run.stderr.contains("DPMSolverMultistepScheduler"), "{run:?}");
    assert!(run.stderr.contains("hint: ") && run.stderr.contains("`euler` or `unipc`"), "{run:?}");
    here.holds(&["m"]);
    generate(&here, &["--scheduler", "euler"]).code(0);
    assert!(fs::read(here.path("v.y4m")).unwrap() == euler, "another video");
    let inspected = here.run(&["inspect", "m"]);
    inspected.code(0);
    assert!(inspected.stdout.contains("cannot be run: `scheduler/scheduler_config.json`"), "{inspected:?}");
}

#[test]
fn a_git_lfs_pointer_is_named() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4665bb1d8f1e\nsize 98488\n";
    for file in [
        "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
    ] {
        let here = Workspace::new();
        model(&here);
        fs::write(here.path("m").join(file), POINTER).unwrap();
        let run = generate(&here, &[]);
        run.code(1);
        let message = format!("`{file}` in `m` is a Git LFS pointer");
        assert!(run.stderr.contains(&message) && run.stderr.contains("`git lfs pull`"), "{run:?}");
        here.holds(&["m"]);
    }
}
