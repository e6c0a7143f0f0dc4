//! Every format, written and read back.

use super::metadata::{Content, read_settings, settings_in};
use super::*;
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

/// A colourful moving picture.
pub(super) fn frame(width: u32, height: u32, index: u32) -> Frame {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let disc = (x.abs_diff(width / 4 + 2 * index)).pow(2) + y.abs_diff(height / 2).pow(2)
                < (height / 4).pow(2);
            let sky = [(x * 200 / width) + 30, y * 180 / height + 20, 220 - y * 120 / height];
            let pixel = if disc { [230, 60, 40 + index] } else { sky };
            rgb.extend(pixel.map(|v| u8::try_from(v.min(255)).unwrap()));
        }
    }
    Frame { width, height, rgb }
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

/// A decoder of our own choosing reads what a player would.
fn decode_h264(path: &Path) -> (Vec<Vec<u8>>, (usize, usize)) {
    use openh264::formats::YUVSource;
    use shiguredo_mp4::boxes::SampleEntry;
    use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
    let bytes = std::fs::read(path).unwrap();
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: &bytes });
    let mut decoder = openh264::decoder::Decoder::new().unwrap();
    let (mut luma, mut size) = (Vec::new(), (0, 0));
    while let Some(sample) = demuxer.next_sample().unwrap() {
        let mut stream = Vec::new();
        if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
            for set in entry.avcc_box.sps_list.iter().chain(&entry.avcc_box.pps_list) {
                stream.extend([0, 0, 0, 1]);
                stream.extend(set);
            }
        }
        let start = usize::try_from(sample.data_offset).unwrap();
        let mut data = &bytes[start..start + sample.data_size];
        while let Some((length, rest)) = data.split_first_chunk::<4>() {
            let (unit, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            stream.extend([0, 0, 0, 1]);
            stream.extend(unit);
            data = rest;
        }
        let picture = decoder.decode(&stream).unwrap().expect("a picture for each sample");
        size = picture.dimensions();
        let stride = picture.strides().0;
        luma.push(picture.y().chunks(stride).flat_map(|row| row[..size.0].to_vec()).collect());
    }
    (luma, size)
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let count = f64::from(u32::try_from(a.len()).unwrap());
    10.0 * (255.0 * 255.0 * count / squares.max(1e-9)).log10()
}

#[test]
fn an_mp4_holds_every_frame_at_good_quality() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let written = write(&Target::Mp4(path.clone()), info(96, 64, 33), false).unwrap();
    assert_eq!(written.name.as_deref(), path.to_str());
    assert_eq!(names(folder.path()), ["a.mp4"]);
    assert_settings(&path);
    let (frames, size) = decode_h264(&path);
    assert_eq!((frames.len(), size), (33, (384, 256)));
    for (index, luma) in frames.iter().enumerate() {
        let source = enlarge::enlarge(&frame(96, 64, u32::try_from(index).unwrap()), 4);
        let want = color::Planes::halved(color::Matrix::Bt709, 384, 256, &source.rgb);
        let psnr = psnr(luma, &want.y);
        assert!(psnr >= 38.0, "frame {index}: {psnr:.1} dB");
    }
    // The index comes before the pictures.
    let bytes = std::fs::read(&path).unwrap();
    let at = |kind: &[u8]| bytes.windows(4).position(|w| w == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
    assert!(at(b"colr") < at(b"mdat"));
}

#[test]
fn the_same_frames_make_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mp4", "apng", "y4m"] {
        let [a, b] = ["a", "b"].map(|name| folder.path().join(format!("{name}.{extension}")));
        for path in [&a, &b] {
            write(&Target::parse(path.as_os_str()).unwrap(), info(48, 32, 5), false).unwrap();
        }
        assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(), "{extension}");
    }
}

#[test]
fn odd_sizes_and_single_frames_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height, frames) in [(17, 31, 3), (16, 16, 1), (250, 16, 2)] {
        for extension in ["mp4", "apng", "y4m", "png"] {
            let path = folder.path().join(format!("{width}-{frames}.{extension}"));
            write(&Target::parse(path.as_os_str()).unwrap(), info(width, height, frames), true).unwrap();
        }
        let (frames_read, size) = decode_h264(&folder.path().join(format!("{width}-{frames}.mp4")));
        assert_eq!(frames_read.len(), frames as usize);
        assert_eq!(size, (width.next_multiple_of(2) as usize, height.next_multiple_of(2) as usize));
    }
}

#[test]
fn sizes_up_to_the_limit_of_h264_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(3840, 16), (16, 3840), (2160, 16), (16, 2160), (3840, 2160), (18, 3838)] {
        let path = folder.path().join(format!("{width}x{height}.mp4"));
        write(&Target::Mp4(path.clone()), info(width, height, 1), true).unwrap();
        let (frames, size) = decode_h264(&path);
        assert_eq!((frames.len(), size), (1, (width as usize, height as usize)));
        let want = color::Planes::halved(
            color::Matrix::Bt709,
            width as usize,
            height as usize,
            &frame(width, height, 0).rgb,
        );
        let psnr = psnr(&frames[0], &want.y);
        assert!(psnr >= 38.0, "{width}x{height}: {psnr:.1} dB");
    }
}

#[test]
fn strips_are_written_enlarged_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height, size) in [(1024, 16, (3072, 48)), (2048, 16, (2048, 16)), (16, 1280, (48, 3840))] {
        let path = folder.path().join(format!("{width}x{height}.mp4"));
        write(&Target::Mp4(path.clone()), info(width, height, 1), false).unwrap();
        assert_eq!(decode_h264(&path).1, size);
    }
}

#[test]
fn sizes_beyond_h264_are_refused() {
    let target = Target::Mp4("unused.mp4".into());
    for (width, height) in [(3856, 16), (16, 4000), (2176, 2176), (8, 300)] {
        let failure = open(&target, info(width, height, 1), true).map(drop).unwrap_err();
        let text = failure.to_string();
        let limit = if width == 8 { "from 16 pixels" } else { "up to 3840x2160" };
        assert!(text.contains(&format!("{width}x{height}")) && text.contains(limit), "{text}");
        assert!(failure.hint_text().unwrap().contains(".png"));
    }
}

#[test]
fn numbered_pngs_are_exact_and_carry_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::PngSequence(folder.path().join("f.png"));
    let written = write(&target, info(48, 32, 3), false).unwrap();
    assert!(written.name.unwrap().ends_with("f-%04d.png"));
    assert_eq!(names(folder.path()), ["f-0001.png", "f-0002.png", "f-0003.png"]);
    for index in 0..3 {
        let path = folder.path().join(format!("f-{:04}.png", index + 1));
        assert_settings(&path);
        let want = enlarge::enlarge(&frame(48, 32, index), 8);
        assert_eq!(decode_png(&path), [want.rgb]);
    }
    // A shorter video of the same name leaves the rest of the longer one, and says so.
    let written = write(&target, info(48, 32, 1), false).unwrap();
    assert!(written.notices[0].contains("f-0002.png"));
}

fn decode_png(path: &Path) -> Vec<Vec<u8>> {
    let decoder = ::png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let frames = reader.info().animation_control().map_or(1, |control| control.num_frames);
    (0..frames)
        .map(|_| {
            let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut rgb).unwrap();
            rgb
        })
        .collect()
}

#[test]
fn an_apng_is_exact_and_plays_at_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.apng");
    write(&Target::Apng(path.clone()), info(48, 32, 5), true).unwrap();
    assert_settings(&path);
    let want: Vec<Vec<u8>> = (0..5).map(|index| frame(48, 32, index).rgb).collect();
    assert_eq!(decode_png(&path), want);
    let decoder = ::png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()));
    let reader = decoder.read_info().unwrap();
    let control = reader.info().frame_control().unwrap();
    assert_eq!((control.delay_num, control.delay_den), (1, 16));
    assert_eq!(reader.info().animation_control().unwrap().num_plays, 0);
}

#[test]
fn a_y4m_has_its_header_and_three_planes_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.y4m");
    write(&Target::Y4m(path.clone()), info(48, 32, 2), true).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let header = b"YUV4MPEG2 W48 H32 F16:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\nFRAME\n";
    assert!(bytes.starts_with(header));
    assert_eq!(bytes.len(), header.len() + 6 + 2 * 3 * 48 * 32);
    let planes = color::Planes::full(color::Matrix::Bt601, 48, 32, &frame(48, 32, 0).rgb);
    assert_eq!(bytes[header.len()..][..48 * 32], planes.y);
}

/// What ffmpeg and players make of a pixel when nobody names the matrix.
fn read_as_bt601([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let y = (f64::from(y) - 16.0) * 255.0 / 219.0;
    let [cb, cr] = [cb, cr].map(|v| (f64::from(v) - 128.0) * 255.0 / 224.0);
    let rgb = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    rgb.map(|v| v.clamp(0.0, 255.0).round() as u8)
}

#[test]
fn a_y4m_looks_like_the_frames_to_its_readers() {
    let folder = tempfile::tempdir().unwrap();
    // Players would take BT.709 for the second; ffmpeg takes BT.601 for both.
    for (width, height) in [(256, 160), (1280, 720)] {
        let path = folder.path().join("a.y4m");
        write(&Target::Y4m(path.clone()), info(width, height, 1), true).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let size = (width * height) as usize;
        let planes = &bytes[bytes.len() - 3 * size..];
        let pixel = |i: usize| read_as_bt601([planes[i], planes[size + i], planes[2 * size + i]]);
        let got: Vec<u8> = (0..size).flat_map(pixel).collect();
        let psnr = psnr(&got, &frame(width, height, 0).rgb);
        assert!(psnr >= 50.0, "{width}x{height}: {psnr:.1} dB");
    }
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
fn rates_of_television_are_exact_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let info = VideoInfo { rate: Rate::from_fps(23.976), ..info(48, 32, 2) };
    let path = |extension: &str| folder.path().join(format!("a.{extension}"));
    for extension in ["mp4", "apng", "y4m"] {
        write(&Target::parse(path(extension).as_os_str()).unwrap(), info.clone(), true).unwrap();
    }
    assert!(std::fs::read(path("y4m")).unwrap().starts_with(b"YUV4MPEG2 W48 H32 F24000:1001 "));
    let decoder = ::png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path("apng")).unwrap()));
    let reader = decoder.read_info().unwrap();
    let control = reader.info().frame_control().unwrap();
    assert_eq!((control.delay_num, control.delay_den), (1001, 24000));
    let bytes = std::fs::read(path("mp4")).unwrap();
    let media = bytes.windows(4).position(|kind| kind == b"mdhd").unwrap();
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    // Version and flags, two dates, the timescale, the duration.
    assert_eq!((word(media + 16), word(media + 20)), (24000, 2 * 1001));
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
    let error = std::io::Write::write(&mut full, b"x").unwrap_err();
    let failure = staging::cannot_write(Path::new("a.mp4"), &error);
    assert_eq!(failure.to_string(), "cannot write `a.mp4`: No space left on device");
    assert_eq!(failure.exit_code(), 2);
    assert!(failure.hint_text().unwrap().contains("untouched"));
}

#[test]
fn settings_are_read_from_no_broken_file_and_nothing_panics() {
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| settings_in(std::io::Cursor::new(bytes));
    for extension in ["mp4", "apng"] {
        let path = folder.path().join(format!("a.{extension}"));
        write(&Target::parse(path.as_os_str()).unwrap(), info(16, 16, 2), true).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = read(&bytes).unwrap();
        assert!(matches!(whole, Content::Settings(Some(_))));
        for length in 0..bytes.len() {
            // Cut short, it gives an error or the whole truth.
            if let Ok(Content::Settings(Some(settings))) = read(&bytes[..length]) {
                assert_eq!(Content::Settings(Some(settings)), whole);
            }
        }
        for place in 0..bytes.len() {
            let old = bytes[place];
            for value in [0x00, 0x01, 0x7f, 0xff, old ^ 0x20] {
                bytes[place] = value;
                let _ = read(&bytes);
            }
            bytes[place] = old;
        }
    }
    let path = folder.path().join("text");
    for text in ["", "words", "\0\0\0\u{20}ftyp", "\u{89}PNG"] {
        std::fs::write(&path, text).unwrap();
        let failure = read_settings(&path).unwrap_err();
        assert_eq!((failure.exit_code(), failure.to_string().contains("text")), (1, true), "{failure}");
    }
    assert_eq!(read_settings(&folder.path().join("none")).unwrap_err().exit_code(), 1);
}

#[test]
fn boxes_that_lie_about_their_size_do_not_cost_memory_or_time() {
    let read = |bytes: &[u8]| settings_in(std::io::Cursor::new(bytes));
    let head = b"\0\0\0\x10ftypisom\0\0\0\0";
    let huge = [head.as_slice(), b"\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff"].concat();
    assert!(read(&huge).is_err());
    let empty = [head.as_slice(), &b"\0\0\0\0".repeat(4)].concat();
    assert!(matches!(read(&empty), Ok(Content::Settings(None))));
    let nested = [head.as_slice(), b"\0\0\0\x18moov\0\0\0\x10udta\xff\xff\xff\xffmeta"].concat();
    assert!(matches!(read(&nested), Ok(Content::Settings(None))));
}
