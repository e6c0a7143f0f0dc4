//! The tiny decoder on the command line: previews, the video, and what is said without one.

mod support;

use std::fs;
use support::Workspace;

const WAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/taehv-wan21/tiny.safetensors");
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/taehv-wan22/tiny.safetensors");

fn line<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    let small = ["generate", "a boat", "--model", WAN, "--device", "cpu", "--width", "64", "--height", "48"];
    [&small[..], &["--frames", "13", "--steps", "6", "--seed", "3", "--native-size"], flags].concat()
}

/// Width, height and frames of an animated PNG.
fn sizes(path: &std::path::Path) -> (u32, u32, u32) {
    let bytes = fs::read(path).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let info = reader.info();
    (info.width, info.height, info.animation_control.unwrap().num_frames)
}

#[test]
fn a_preview_is_shown_and_the_tiny_decoder_makes_the_video() {
    let here = Workspace::new();
    let full = here.run(&line(&["-o", "full.apng"]));
    full.code(0);
    let flags = ["-o", "tiny.apng", "--tiny-vae", TINY, "--decoder", "tiny", "--preview", "p.apng"];
    let run = here.run(&line(&flags));
    run.code(0);
    assert!(run.stderr.contains("`p.apng` shows the video after step 5"), "{run:?}");
    here.holds(&["full.apng", "p.apng", "tiny.apng"]);
    assert_eq!(sizes(&here.path("tiny.apng")), (64, 48, 13));
    assert_eq!(sizes(&here.path("p.apng")), (32, 24, 4));
    assert!(fs::read(here.path("full.apng")).unwrap() != fs::read(here.path("tiny.apng")).unwrap());
    let inspected = here.run(&["inspect", "tiny.apng"]);
    assert!(inspected.stdout.contains("taehv-wan21/tiny.safetensors --decoder tiny"), "{inspected:?}");
}

#[test]
fn what_is_missing_or_of_no_use_is_told() {
    let here = Workspace::new();
    for flags in [&["-o", "a.apng", "--decoder", "tiny"][..], &["-o", "a.apng", "--preview", "p.apng"]] {
        let run = here.run(&line(flags));
        run.code(1);
        assert!(run.stderr.contains("the model has no tiny decoder"), "{run:?}");
        assert!(run.stderr.contains("`--tiny-vae FILE`"), "{run:?}");
    }
    let run = here.run(&line(&["-o", "a.apng", "--tiny-vae", OTHER, "--decoder", "tiny"]));
    run.code(1);
    assert!(run.stderr.contains("channels that the tiny decoder takes is 48, must be 6"), "{run:?}");
    let run = here.run(&line(&["-o", "a.apng", "--tiny-vae", TINY, "--preview", "a.apng"]));
    run.code(1);
    assert!(run.stderr.contains("`--output` and `--preview` are the same file"), "{run:?}");
    let run = here.run(&line(&["-o", "a.apng", "--tiny-vae", TINY, "--preview", "-"]));
    run.code(1);
    here.holds(&[]);
    let run = here.run(&line(&["-o", "a.apng", "--tiny-vae", TINY]));
    run.code(0);
    assert!(run.stderr.contains("the tiny decoder is not used"), "{run:?}");
}

#[test]
fn a_file_and_a_model_with_one_are_described() {
    let here = Workspace::new();
    let file = here.run(&["inspect", TINY]);
    file.code(0);
    for told in ["TAEHV, a tiny autoencoder", "latent_channels = 6", "block_out_channels = [12,8,8,6]"] {
        assert!(file.stdout.contains(told), "{file:?}");
    }
    let plan = ["inspect", WAN, "--tiny-vae", TINY, "--decoder", "tiny", "--plan", "--device", "cpu"];
    let model = here.run(&[&plan[..], &["--width", "64", "--height", "48", "--frames", "13"]].concat());
    model.code(0);
    assert!(model.stdout.contains("tiny_vae      TAEHV"), "{model:?}");
    assert!(model.stdout.contains("soft_clamp"), "{model:?}");
}
