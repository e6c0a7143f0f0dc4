//! Videos that start from a picture: the recorded frames from the recorded picture and noise, and refusals.

mod support;

use safetensors::SafeTensors;
use std::fs;
use support::Workspace;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
const SMALL: &[&str] = &["--device", "cpu", "--steps", "1", "-o", "v.y4m"];

fn fixture(path: &str) -> String {
    format!("{FIXTURES}/{path}")
}

/// The command line of the recorded call.
#[test]
fn the_recorded_video_is_made_from_its_picture() {
    let here = Workspace::new();
    let (model, picture) = (fixture("cogvideox-5b-i2v"), fixture("cogvideox-5b-i2v/image.png"));
    let recorded = fixture("cogvideox-5b-i2v/golden.safetensors");
    let prompt = "A paper boat drifts down a narrow stream between wet stones.";
    let size = ["--width", "64", "--height", "48", "--frames", "9", "--native-size", "-o", "f.png"];
    let sampling = ["--steps", "4", "--guidance", "6", "--dynamic-guidance", "--negative", "blurry"];
    let inputs = ["--model", &model, "--image", &picture, "--initial-latents", &recorded, "--device", "cpu"];
    let run = here.run(&[&["generate", prompt], &size[..], &sampling, &inputs].concat());
    run.code(0);
    let told = "the picture is stretched from 75x50 to 64x48; `--image-fit crop` keeps its shape";
    assert!(run.stderr.contains(told), "{run:?}");

    let file = fs::read(&recorded).unwrap();
    let golden = SafeTensors::deserialize(&file).unwrap();
    let frames = golden.tensor("video.u8").unwrap();
    assert_eq!(frames.shape(), [9, 48, 64, 3]);
    for (index, want) in frames.data().chunks_exact(48 * 64 * 3).enumerate() {
        let file = fs::File::open(here.path(&format!("f-{:04}.png", index + 1))).unwrap();
        let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
        let mut got = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut got).unwrap();
        assert_eq!(got.len(), want.len());
        let worst = got.iter().zip(want).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "frame {index}: off by {worst:?}");
    }
    let inspected = here.run(&["inspect", "f-0001.png"]);
    assert!(
        inspected.stdout.contains(" --dynamic-guidance ") && inspected.stdout.contains(" --image "),
        "{inspected:?}"
    );
}

#[test]
fn every_refusal_names_the_file_and_the_remedy() {
    let here = Workspace::new();
    fs::write(here.path("words.jpg"), "no picture").unwrap();
    let whole = fs::read(fixture("cogvideox-5b-i2v/image.png")).unwrap();
    fs::write(here.path("cut.png"), &whole[..whole.len() / 2]).unwrap();
    let (from_picture, from_text) = (fixture("cogvideox-5b-i2v"), fixture("cogvideox-5b"));
    let cases: [(&[&str], [&str; 2]); 5] = [
        (
            &["--model", &from_picture, "--image", "words.jpg"],
            ["`words.jpg` is not a picture", "PNG, JPEG or WebP"],
        ),
        (
            &["--model", &from_picture, "--image", "cut.png"],
            ["`cut.png` is a damaged PNG file", "get the file again"],
        ),
        (&["--model", &from_picture, "--image", "absent.png"], ["cannot read `absent.png`", ""]),
        (&["--model", &from_picture], ["`cogvideox-5b-i2v`", "`--image FILE`"]),
        (&["--model", &from_text, "--image", "cut.png"], ["`cut.png` has no use", "leave out `--image`"]),
    ];
    for (flags, told) in cases {
        let run = here.run(&[&["generate", "x"], SMALL, flags].concat());
        run.code(1);
        for part in told {
            assert!(run.stderr.contains(part), "{part:?} is not in: {run:?}");
        }
    }
    let euler =
        ["--model", &from_text, "--scheduler", "euler", "--width", "64", "--height", "48", "--frames", "9"];
    let run = here.run(&[&["generate", "x"], SMALL, &euler].concat());
    run.code(1);
    assert!(run.stderr.contains("expected `ddim` or `dpm`"), "{run:?}");
    here.holds(&["cut.png", "words.jpg"]);
}
