//! Every format, written and read back.

#[cfg(feature = "openh264")]
mod h264;
mod muxer;

use super::metadata::{Content, settings_in};
use super::*;
use std::io::Cursor;

const SETTINGS: &str = r#"{"kinora":"0.1.0","prompt":"a \"red\" balloon, über dem Meer 日本","seed":42}"#;

pub(super) fn info(width: u32, height: u32, frames: u32) -> VideoInfo {
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
fn frame(width: u32, height: u32, index: u32) -> Frame {
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

fn encoded<E: VideoEncoder>(encoder: Result<E, EncodeError>, info: &VideoInfo) -> Result<E::To, EncodeError> {
    let mut encoder = encoder?;
    for index in 0..info.frames {
        encoder.frame(&frame(info.width, info.height, index))?;
    }
    encoder.finish()
}

fn apng(info: &VideoInfo) -> Vec<u8> {
    encoded(Apng::new(Vec::new(), info), info).unwrap()
}

fn y4m(info: &VideoInfo) -> Vec<u8> {
    encoded(Y4m::new(Vec::new(), info), info).unwrap()
}

fn read(bytes: &[u8]) -> std::io::Result<Content> {
    settings_in(Cursor::new(bytes))
}

fn assert_settings(bytes: &[u8]) {
    let want = serde_json::from_str(SETTINGS).unwrap();
    assert_eq!(read(bytes).unwrap(), Content::Settings(Some(want)));
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let count = f64::from(u32::try_from(a.len()).unwrap());
    10.0 * (255.0 * 255.0 * count / squares.max(1e-9)).log10()
}

#[test]
fn the_same_frames_make_the_same_bytes() {
    let info = info(48, 32, 5);
    assert_eq!(apng(&info), apng(&info));
    assert_eq!(y4m(&info), y4m(&info));
}

#[test]
fn a_png_is_exact_and_carries_the_settings() {
    for (width, height) in [(48, 32), (17, 31), (1, 1)] {
        let frame = frame(width, height, 3);
        let bytes = png::write(Vec::new(), &frame, &info(width, height, 1).metadata).unwrap();
        assert_settings(&bytes);
        assert_eq!(decode_png(&bytes), [frame.rgb]);
    }
}

fn decode_png(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = ::png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
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
    let bytes = apng(&info(48, 32, 5));
    assert_settings(&bytes);
    let want: Vec<Vec<u8>> = (0..5).map(|index| frame(48, 32, index).rgb).collect();
    assert_eq!(decode_png(&bytes), want);
    let reader = ::png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
    let control = reader.info().frame_control().unwrap();
    assert_eq!((control.delay_num, control.delay_den), (1, 16));
    assert_eq!(reader.info().animation_control().unwrap().num_plays, 0);
}

#[test]
fn a_y4m_has_its_header_and_three_planes_a_frame() {
    let bytes = y4m(&info(48, 32, 2));
    let header = b"YUV4MPEG2 W48 H32 F16:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\nFRAME\n";
    assert!(bytes.starts_with(header));
    assert_eq!(bytes.len(), header.len() + 6 + 2 * 3 * 48 * 32);
    let planes = color::Planes::full(color::Matrix::Bt601, &frame(48, 32, 0)).unwrap();
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
    // Players would take BT.709 for the second; ffmpeg takes BT.601 for both.
    for (width, height) in [(256, 160), (1280, 720)] {
        let bytes = y4m(&info(width, height, 1));
        let size = (width * height) as usize;
        let planes = &bytes[bytes.len() - 3 * size..];
        let pixel = |i: usize| read_as_bt601([planes[i], planes[size + i], planes[2 * size + i]]);
        let got: Vec<u8> = (0..size).flat_map(pixel).collect();
        let psnr = psnr(&got, &frame(width, height, 0).rgb);
        assert!(psnr >= 50.0, "{width}x{height}: {psnr:.1} dB");
    }
}

#[test]
fn rates_of_television_are_exact() {
    let info = VideoInfo { rate: Rate::from_fps(23.976), ..info(48, 32, 2) };
    assert!(y4m(&info).starts_with(b"YUV4MPEG2 W48 H32 F24000:1001 "));
    let bytes = apng(&info);
    let reader = ::png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
    let control = reader.info().frame_control().unwrap();
    assert_eq!((control.delay_num, control.delay_den), (1001, 24000));
}

#[test]
fn a_wrong_frame_is_refused() {
    let info = info(48, 32, 1);
    let short = Frame { width: 48, height: 32, rgb: vec![0; 7] };
    for wrong in [frame(32, 48, 0), short] {
        let (mut apng, mut y4m) =
            (Apng::new(Vec::new(), &info).unwrap(), Y4m::new(Vec::new(), &info).unwrap());
        for error in [apng.frame(&wrong).unwrap_err(), y4m.frame(&wrong).unwrap_err()] {
            assert!(matches!(error, EncodeError::Frame { .. }), "{error}");
        }
        assert!(png::write(Vec::new(), &wrong, &[]).is_ok() == (wrong.width == 32));
        // The file is not complete without its frame.
        assert!(apng.finish().is_err());
    }
    let mut apng = Apng::new(Vec::new(), &info).unwrap();
    apng.frame(&frame(48, 32, 0)).unwrap();
    assert!(apng.frame(&frame(48, 32, 0)).is_err());
}

/// Takes some bytes and then no more.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(left) = self.0.checked_sub(bytes.len()) else {
            return Err(std::io::ErrorKind::StorageFull.into());
        };
        self.0 = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_stays_one() {
    let info = info(48, 32, 2);
    let is_full = |error: EncodeError| {
        let EncodeError::Io(error) = error else { panic!("{error}") };
        error.kind() == std::io::ErrorKind::StorageFull
    };
    let length = apng(&info).len();
    for room in [0, 40, length / 2, length - 1] {
        assert!(encoded(Apng::new(Full(room), &info), &info).err().is_some_and(is_full), "{room}");
    }
    assert!(encoded(Apng::new(Full(length), &info), &info).is_ok());
    let length = y4m(&info).len();
    for room in [0, 40, length / 2, length - 1] {
        assert!(encoded(Y4m::new(Full(room), &info), &info).err().is_some_and(is_full), "{room}");
    }
    assert!(encoded(Y4m::new(Full(length), &info), &info).is_ok());
}

/// Reads `bytes` cut anywhere and with any byte changed.
fn break_everywhere(mut bytes: Vec<u8>) {
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

#[test]
fn settings_are_read_from_no_broken_file_and_nothing_panics() {
    break_everywhere(apng(&info(16, 16, 2)));
    for text in ["", "words", "\0\0\0\u{20}ftyp", "\u{89}PNG"] {
        assert_eq!(read(text.as_bytes()).unwrap(), Content::Unknown, "{text}");
    }
}

#[test]
fn boxes_that_lie_about_their_size_do_not_cost_memory_or_time() {
    let head = b"\0\0\0\x10ftypisom\0\0\0\0";
    let huge = [head.as_slice(), b"\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff"].concat();
    assert!(read(&huge).is_err());
    let empty = [head.as_slice(), &b"\0\0\0\0".repeat(4)].concat();
    assert!(matches!(read(&empty), Ok(Content::Settings(None))));
    let nested = [head.as_slice(), b"\0\0\0\x18moov\0\0\0\x10udta\xff\xff\xff\xffmeta"].concat();
    assert!(matches!(read(&nested), Ok(Content::Settings(None))));
}
