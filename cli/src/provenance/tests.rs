//! What is written reads back, and the printed command asks for the same.

use super::*;
use crate::args::{Cli, Command, DecoderArg, FitArg, GenerateArgs, PartArgs, PrecisionArg, SchedulerArg};
use crate::device::DeviceArg;
use clap::Parser;
use encode::metadata::MARK;
use encode::{Rate, rate_value};
use std::path::PathBuf;

fn provenance() -> Provenance {
    Provenance {
        kinora: "0.1.0",
        prompt: "the dog's \x1b[31mball".into(),
        negative_prompt: String::new(),
        model: DEFAULT_NAME.into(),
        transformer: None,
        text_encoder: None,
        vae: None,
        tiny_vae: None,
        decoder: None,
        tokenizer: None,
        loras: Vec::new(),
        seed: u64::MAX,
        noise: "torch",
        initial_latents: None,
        width: 96,
        height: 64,
        frames: 33,
        fps: rate_value(Rate::from_fps(16.0)),
        steps: 24,
        guidance: 4.0,
        dynamic_guidance: false,
        image: None,
        image_fit: None,
        scheduler: "euler".into(),
        precision: "f32".into(),
        memory: None,
        native_size: false,
        device: "A Card (Vulkan)".into(),
    }
}

fn map(provenance: &Provenance) -> Map<String, Value> {
    serde_json::from_str(&provenance.metadata()[2].1).unwrap()
}

/// Words as a shell takes them: plain ones, `'..'`, `$'..'` and `\'`, side by side.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![Vec::new()];
    let mut rest = line.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let word = words.last_mut().unwrap();
        match byte {
            b' ' => words.push(Vec::new()),
            b'\\' => {
                word.push(rest[0]);
                rest = &rest[1..];
            }
            b'\'' => {
                let end = rest.iter().position(|&byte| byte == b'\'').unwrap();
                word.extend(&rest[..end]);
                rest = &rest[end + 1..];
            }
            b'$' => rest = escaped(&rest[1..], word),
            byte => word.push(byte),
        }
    }
    words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
}

/// The inside of `$'..'`; gives back what follows it.
fn escaped<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> &'a [u8] {
    loop {
        match rest {
            [b'\'', after @ ..] => return after,
            [b'\\', a @ b'0'..=b'7', b, c, after @ ..] => {
                word.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            [b'\\', letter, after @ ..] => {
                word.push(match letter {
                    b'n' => b'\n',
                    b't' => b'\t',
                    same => *same,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => panic!("no end"),
        }
    }
}

/// What this program makes of the printed command.
fn parsed(provenance: &Provenance) -> GenerateArgs {
    let command = command(&map(provenance));
    assert!(!command.contains(char::is_control), "{command:?}");
    let cli = Cli::try_parse_from(words(&command)).unwrap_or_else(|error| panic!("{command}: {error}"));
    let Command::Generate(args) = cli.command else { panic!() };
    *args
}

#[test]
fn what_is_written_reads_back_in_order() {
    let map = map(&provenance());
    assert_eq!(map.keys().next().unwrap(), MARK);
    assert_eq!(map["seed"], Value::from(u64::MAX));
    let text = describe(&map);
    assert!(
        text.starts_with("kinora           0.1.0\nprompt           the dog's \\u{1b}[31mball\n"),
        "{text}"
    );
    assert_eq!(
        text.lines().last().unwrap(),
        "kinora generate $'the dog\\'s \\033[31mball' --seed 18446744073709551615 --width 96 --height 64 \
         --frames 33 --fps 16 --steps 24 --guidance 4.0 --scheduler euler --precision f32 --torch-noise"
    );
}

#[test]
fn every_setting_comes_back_from_the_command() {
    let provenance = Provenance {
        negative_prompt: "-blurry, it's\nlow".into(),
        model: "my models/boats".into(),
        transformer: Some("t.gguf".into()),
        text_encoder: Some("e".into()),
        vae: Some("v".into()),
        tiny_vae: Some("y".into()),
        decoder: Some("tiny"),
        tokenizer: Some("k".into()),
        loras: vec!["l:0.5".into(), "m:1".into()],
        initial_latents: Some("-l.safetensors".into()),
        fps: rate_value(Rate::from_fps(23.976)),
        guidance: -1.5,
        dynamic_guidance: true,
        image: Some("a boat.png".into()),
        image_fit: Some("crop"),
        scheduler: "dpm".into(),
        precision: "f16".into(),
        memory: Some(8_000_000_001),
        native_size: true,
        device: CPU.into(),
        ..provenance()
    };
    let args = parsed(&provenance);
    assert_eq!(args.video.prompt, provenance.prompt);
    assert_eq!(args.video.negative.as_ref(), Some(&provenance.negative_prompt));
    assert_eq!(args.source.model, Some(provenance.model.into()));
    let PartArgs { transformer, text_encoder, vae, tiny_vae, tokenizer, lora } = args.source.parts;
    let parts = [transformer, text_encoder, vae, tiny_vae, tokenizer].map(Option::unwrap);
    assert_eq!(parts, ["t.gguf", "e", "v", "y", "k"].map(PathBuf::from));
    assert_eq!(args.decoder, DecoderArg::Tiny);
    assert_eq!(lora, ["l:0.5", "m:1"].map(|lora| lora.parse().unwrap()));
    assert_eq!(args.video.initial_latents, provenance.initial_latents.map(Into::into));
    assert_eq!((args.video.seed, args.video.torch_noise), (Some(u64::MAX), true));
    assert_eq!((args.video.width, args.video.height, args.video.frames), (Some(96), Some(64), Some(33)));
    assert_eq!(args.video.fps, Some(24000.0 / 1001.0));
    assert_eq!(
        (args.video.steps, args.video.guidance, args.video.dynamic_guidance),
        (Some(24), Some(-1.5), true)
    );
    assert_eq!((args.video.image, args.video.image_fit), (provenance.image.map(Into::into), FitArg::Crop));
    assert_eq!((args.video.scheduler, args.precision), (Some(SchedulerArg::Dpm), PrecisionArg::F16));
    assert_eq!((args.memory, args.native_size), (Some(8_000_000_001), true));
    assert_eq!(args.device, DeviceArg::Cpu);
}

#[test]
fn any_prompt_comes_back_from_the_command() {
    for prompt in [
        "",
        "a boat",
        "two\nlines\tand\ra 'quote' \\n",
        "-a boat",
        "--seed 7\n",
        "$(rm) `x` \"$HOME\" !",
        "\x1b[2J\u{85}7 \u{7f}",
        "ünï 日本\n日",
    ] {
        let args = parsed(&Provenance { prompt: prompt.into(), ..provenance() });
        assert_eq!((args.video.prompt.as_str(), args.video.seed), (prompt, Some(u64::MAX)));
    }
}

#[test]
fn a_models_own_negative_prompt_is_turned_off_where_it_was() {
    assert_eq!(parsed(&provenance()).video.negative, None);
    let other = Provenance { model: "boats".into(), ..provenance() };
    assert_eq!(parsed(&other).video.negative.as_deref(), Some(""));
}

#[test]
fn settings_of_another_version_are_shown_too() {
    let map: Map<String, Value> = serde_json::from_str(r#"{"kinora":"9","new":[1,{"a":2}]}"#).unwrap();
    assert!(describe(&map).contains("new     [1,{\"a\":2}]"));
}
