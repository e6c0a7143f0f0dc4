//! The binary as a person meets it: help, wrong flags, exit codes, what is said where.

mod support;

use std::fs;
use support::{Run, Workspace};

#[test]
fn help_and_version_go_to_the_standard_output() {
    let here = Workspace::new();
    for line in [
        &["--help"][..],
        &["generate", "--help"],
        &["devices", "-h"],
        &["inspect", "--help"],
        &["pull", "--help"],
        &["--version"],
    ] {
        let run = here.run(line);
        run.code(0);
        assert!(run.stdout.contains("kinora"), "{run:?}");
        assert!(run.stderr.is_empty(), "{run:?}");
    }
    let help = here.run(&["generate", "--help"]).stdout;
    for flag in [
        "--model",
        "--output",
        "--width",
        "--height",
        "--frames",
        "--fps",
        "--steps",
        "--guidance",
        "--seed",
        "--negative",
        "--scheduler",
        "--precision",
        "--device",
        "--trace",
        "--native-size",
        "--tiny-vae",
        "--decoder",
        "--preview",
        "--initial-latents",
        "--dump",
        "--torch-noise",
        "--quiet",
    ] {
        assert!(help.contains(flag), "{flag} is not in:\n{help}");
    }
}

#[test]
fn a_wrong_command_line_is_the_users_fault() {
    let here = Workspace::new();
    for line in [
        &[][..],
        &["paint"],
        &["generate"],
        &["generate", "x", "--bogus"],
        &["generate", "x", "--steps", "many"],
        &["generate", "x", "--steps", "-1"],
        &["generate", "x", "--device", "cuda"],
        &["generate", "x", "--scheduler", "ddim"],
        &["generate", "x", "--precision", "f8"],
        &["generate", "one", "two"],
        &["inspect"],
    ] {
        let run = here.run(line);
        run.code(1);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{line:?}: {run:?}");
    }
    here.holds(&[]);
}

/// The arguments after `generate x`, the error and the hint.
const REFUSED: &[(&[&str], &str, &str)] = &[
    (&["--width", "490"], "--width is 490, must be a multiple of 16; the nearest are 480 and 496", ""),
    (&["--height", "0"], "--height is 0, must be from 16 to 8192", ""),
    (&["--height", "4294967295"], "--height is 4294967295, must be from 16 to 8192", ""),
    (&["--frames", "0"], "--frames is 0, must be from 1 to 4097", ""),
    (&["--steps", "0"], "--steps is 0, must be from 1 to 1000", ""),
    (&["--fps", "0"], "--fps is 0, must be from 0.01 to 1000", ""),
    (
        &["--device", "cpu", "--precision", "f16"],
        "--precision is f16, must be f32 or bf16 on the CPU",
        "leave out",
    ),
    (
        &["--device", "gpu", "--precision", "bf16"],
        "--precision is bf16, must be f32 or f16 on a GPU",
        "leave out",
    ),
    (&["--fps", "1/0"], "--fps is inf, must be from 0.01 to 1000", ""),
    (
        &["-o", "a.mp4", "--dump", "./a.mp4"],
        "`--output` and `--dump` are the same file, `a.mp4`",
        "give each",
    ),
    (&["-o", "%d-%d.png"], "cannot number files like `%d-%d.png`", "write the place of the number once"),
    (&["--fps", "nan"], "--fps is NaN, must be from 0.01 to 1000", ""),
    (&["--guidance", "inf"], "--guidance is inf, must be a number from -1000 to 1000", ""),
    (&["-o", "a.avi"], "cannot tell the format of `a.avi`", "known extensions: .mp4, .png"),
    (
        &["-o", "no/a.mp4"],
        "cannot write `no/a.mp4`: there is no folder `no`",
        "create it first: mkdir -p 'no'",
    ),
    (
        &["--dump", "no/d.safetensors"],
        "cannot write `no/d.safetensors`: there is no folder `no`",
        "create it first",
    ),
    (&["--trace", "no/t.json"], "cannot write `no/t.json`: there is no folder `no`", "create it first"),
    (&["--model", "nowhere"], "`nowhere` is not a model folder: it does not exist", ""),
    (&["--initial-latents", "none.safetensors"], "none.safetensors", ""),
];

#[test]
fn what_cannot_be_made_is_refused_before_the_work() {
    let here = Workspace::new();
    for (flags, error, hint) in REFUSED {
        let run = here.run(&[&["generate", "x"], *flags].concat());
        run.code(1);
        let first = run.stderr.lines().next().unwrap();
        assert!(first.starts_with("error: ") && first.contains(error), "{flags:?}: {run:?}");
        assert!(!first.ends_with('.'), "{run:?}");
        if !hint.is_empty() {
            assert!(run.stderr.contains(&format!("\n\nhint: {hint}")), "{flags:?}: {run:?}");
        }
        assert!(run.stdout.is_empty(), "{run:?}");
        here.holds(&[]);
    }
}

#[test]
fn no_colour_reaches_a_pipe() {
    let run = Workspace::new().run(&["generate", "x", "-o", "a.avi"]);
    assert!(!run.stderr.contains('\x1b'), "{run:?}");
}

#[test]
fn the_embedded_model_can_be_inspected() {
    let run = Workspace::new().run(&["inspect", "default"]);
    run.code(0);
    for part in
        ["WanPipeline", "WanTransformer3DModel", "AutoencoderKLWan", "UMT5EncoderModel", "128x80, 33 frames"]
    {
        assert!(run.stdout.contains(part), "{part} is not in:\n{}", run.stdout);
    }
    assert!(run.stderr.is_empty(), "{run:?}");
}

#[test]
fn plans_are_printed_for_a_size_without_running_them() {
    let here = Workspace::new();
    let size = ["--width", "32", "--height", "48", "--frames", "6", "--device", "cpu"];
    let run = here.run(&[&["inspect", "default", "--plan"], &size[..]].concat());
    run.code(0);
    assert!(run.stdout.contains("plan for 32x48, 5 frames, f32 on CPU"), "{run:?}");
    for stage in [
        "encode a prompt",
        "denoise a step           12",
        "decode a chunk",
        "working memory",
        "unfused",
        "matmul",
    ] {
        assert!(run.stdout.contains(stage), "{stage} is not in:\n{}", run.stdout);
    }
    assert!(run.stderr.contains("making 5 frames instead of 6"), "{run:?}");
    let run = here.run(&["inspect", "default", "--plan", "--width", "50", "--device", "cpu"]);
    run.code(1);
    assert!(run.stdout.is_empty() && run.stderr.contains("--width is 50,"), "{run:?}");
}

#[test]
fn inspecting_something_else_says_what_it_takes() {
    let here = Workspace::new();
    fs::write(here.path("notes.txt"), "words").unwrap();
    fs::write(here.path("empty.mp4"), "").unwrap();
    fs::create_dir(here.path("folder")).unwrap();
    fs::create_dir(here.path("broken")).unwrap();
    fs::write(here.path("broken/model_index.json"), "{\"_class_name\": \"WanPipeline\"").unwrap();
    for (target, error) in [
        ("missing", "there is no `missing`"),
        ("notes.txt", "cannot read `notes.txt`: neither MP4 nor PNG"),
        ("empty.mp4", "cannot read `empty.mp4`: neither MP4 nor PNG"),
        ("folder", "`model_index.json` is missing from the model folder `folder`"),
        ("broken", "`model_index.json` is not valid"),
    ] {
        let run = here.run(&["inspect", target]);
        run.code(1);
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(error), "{target}: {run:?}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn devices_are_listed_as_text_and_as_json() {
    let here = Workspace::new();
    let run = here.run(&["devices"]);
    run.code(0);
    assert!(run.stdout.contains("cpu "), "{run:?}");
    let run: Run = here.run(&["devices", "--json"]);
    run.code(0);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(value["cpu"]["threads"].as_u64().unwrap() >= 1);
    assert!(value["gpus"].is_array());
}
