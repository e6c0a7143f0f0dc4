//! Files of every format: what they are called, and that they appear whole or not at all.

use super::settings::read_settings;
use super::*;
use encode::Rate;
use std::path::Path;

const SETTINGS: &str = r#"{"kinora":"0.1.0","prompt":"a \"red\" balloon, über dem Meer 日本","seed":42}"#;

fn info(width: u32, height: u32, frames: u32) -> VideoInfo {
    VideoInfo {
        width,
        height,
        rate: Rate::from_fps(16.0),
        frames,
        metadata: vec![
            ("Title".into(), "a red balloon".into()),
            ("Software".into(), "kinora 0.1.0".into()),
            ("Comment".into(), SETTINGS.into()),
        ],
    }
}

/// A picture of its own for each index.
fn frame(width: u32, height: u32, index: u32) -> Frame {
    let value = |i: u32| u8::try_from((i * 7 + index * 50) % 256).unwrap();
    Frame { width, height, rgb: (0..3 * width * height).map(value).collect() }
}

fn write(target: &Target, info: VideoInfo, native: bool) -> Result<Written> {
    let (width, height, frames) = (info.width, info.height, info.frames);
    let mut writer = open(target, info, native)?;
    for index in 0..frames {
        writer.frame(&frame(width, height, index))?;
    }
    writer.finish()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_settings(path: &Path) {
    let settings =
        read_settings(path).unwrap().unwrap_or_else(|| panic!("no settings in {}", path.display()));
    assert_eq!(
        serde_json::Value::Object(settings),
        serde_json::from_str::<serde_json::Value>(SETTINGS).unwrap()
    );
}

#[test]
fn every_format_is_a_file_with_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mp4", "apng", "y4m"] {
        let path = folder.path().join(format!("a.{extension}"));
        let written = write(&Target::parse(path.as_os_str()).unwrap(), info(48, 32, 3), false).unwrap();
        assert_eq!(written, Written { name: path.to_str().map(str::to_owned), notices: Vec::new() });
        if extension != "y4m" {
            assert_settings(&path);
        }
    }
    assert_eq!(names(folder.path()), ["a.apng", "a.mp4", "a.y4m"]);
}

#[test]
fn sizes_beyond_h264_are_refused() {
    // No folder either: the size is looked at first.
    let target = Target::Mp4("no/such/folder/unused.mp4".into());
    for (width, height) in [(3856, 16), (16, 4000), (2176, 2176), (8, 300)] {
        let failure = open(&target, info(width, height, 1), true).map(drop).unwrap_err();
        let text = failure.to_string();
        let limit = if width == 8 { "from 16 pixels" } else { "up to 3840x2160" };
        assert!(text.contains(&format!("{width}x{height}")) && text.contains(limit), "{text}");
        assert!(failure.hint_text().unwrap().contains(".png"));
    }
}

#[test]
fn numbered_pngs_carry_the_settings_and_are_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::PngSequence(folder.path().join("f.png"));
    let written = write(&target, info(48, 32, 3), false).unwrap();
    assert!(written.name.unwrap().ends_with("f-%04d.png"));
    assert_eq!(names(folder.path()), ["f-0001.png", "f-0002.png", "f-0003.png"]);
    for index in 0..3 {
        let path = folder.path().join(format!("f-{:04}.png", index + 1));
        assert_settings(&path);
        assert_eq!(decode_png(&path), enlarge(&frame(48, 32, index), 8).rgb);
    }
    // A shorter video of the same name leaves the rest of the longer one, and says so.
    let written = write(&target, info(48, 32, 1), false).unwrap();
    assert!(written.notices[0].contains("f-0002.png"));
}

fn decode_png(path: &Path) -> Vec<u8> {
    let file = io::BufReader::new(File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut rgb).unwrap();
    rgb
}

#[test]
fn a_pattern_says_where_the_number_goes() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::PngSequence(folder.path().join("%03d-of.png"));
    let written = write(&target, info(48, 32, 2), false).unwrap();
    assert!(written.name.unwrap().ends_with("%03d-of.png"));
    assert_eq!(names(folder.path()), ["001-of.png", "002-of.png"]);
}

#[test]
fn of_two_videos_at_once_neither_loses_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mp4", "apng", "y4m", "png"] {
        let path = folder.path().join(format!("a.{extension}"));
        let target = Target::parse(path.as_os_str()).unwrap();
        let mut writers = [0, 1].map(|_| open(&target, info(48, 32, 1), true).unwrap());
        for writer in &mut writers {
            writer.frame(&frame(48, 32, 0)).unwrap();
        }
        let [one, two] = writers.map(|writer| writer.finish().unwrap());
        assert!(one.notices.is_empty());
        let other = two.name.unwrap();
        assert!(two.notices[0].ends_with(&format!("this one wrote `{other}`")), "{:?}", two.notices);
    }
    assert_eq!(
        names(folder.path()),
        ["a-0001.png", "a-2-0001.png", "a-2.apng", "a-2.mp4", "a-2.y4m", "a.apng", "a.mp4", "a.y4m"]
    );
}

#[test]
fn an_unfinished_video_leaves_nothing_and_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mp4", "apng", "y4m", "png"] {
        let path = folder.path().join(format!("a.{extension}"));
        let target = Target::parse(path.as_os_str()).unwrap();
        std::fs::write(&path, "old").unwrap();
        let mut writer = open(&target, info(48, 32, 3), false).unwrap();
        writer.frame(&frame(48, 32, 0)).unwrap();
        drop(writer);
        // Ended early, it does not pass for finished either.
        let mut writer = open(&target, info(48, 32, 3), false).unwrap();
        writer.frame(&frame(48, 32, 0)).unwrap();
        assert_eq!(writer.finish().unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }
    assert_eq!(names(folder.path()), ["a.apng", "a.mp4", "a.png", "a.y4m"]);
}

#[test]
fn a_wrong_frame_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(&Target::Apng(folder.path().join("a.apng")), info(48, 32, 1), false).unwrap();
    assert!(writer.frame(&frame(32, 48, 0)).is_err());
    writer.frame(&frame(48, 32, 0)).unwrap();
    assert!(writer.frame(&frame(48, 32, 0)).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_so() {
    // Writes to this device fail as on a full disk; a link to it stays a link, so nothing is renamed over it.
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = io::Write::write(&mut full, b"x").unwrap_err();
    let failure = staging::cannot_write(Path::new("a.mp4"), &error);
    assert_eq!(failure.to_string(), "cannot write `a.mp4`: No space left on device");
    assert_eq!(failure.exit_code(), 2);
    assert!(failure.hint_text().unwrap().contains("untouched"));
}

#[test]
fn settings_are_read_from_videos_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    for text in ["", "words", "\0\0\0\u{20}ftyp", "\u{89}PNG"] {
        std::fs::write(&path, text).unwrap();
        let failure = read_settings(&path).unwrap_err();
        assert_eq!((failure.exit_code(), failure.to_string().contains("text")), (1, true), "{failure}");
    }
    assert_eq!(read_settings(&folder.path().join("none")).unwrap_err().exit_code(), 1);
}
