//! Pictures that another encoder made, in an MP4.

use super::*;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

const AVCC: [u8; 19] =
    [1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80];

/// A file of these pictures; the first has the codec and is the only key frame.
fn muxed(info: &VideoInfo, codec: &Codec, pictures: &[&[u8]]) -> Result<Vec<u8>, EncodeError> {
    let mut muxer = Muxer::new(Cursor::new(Vec::new()), info)?;
    for (index, data) in pictures.iter().enumerate() {
        let keyframe = index == 0;
        muxer.sample(Sample { data, keyframe, codec: keyframe.then_some(codec) })?;
    }
    muxer.finish().map(Cursor::into_inner)
}

/// The description of the track and the pictures with their durations, as a player finds them.
fn demuxed(bytes: &[u8]) -> (SampleEntry, Vec<(Vec<u8>, bool, u32)>) {
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: bytes });
    let (mut entry, mut pictures) = (None, Vec::new());
    while let Some(sample) = demuxer.next_sample().unwrap() {
        entry = sample.sample_entry.cloned().or(entry);
        let start = usize::try_from(sample.data_offset).unwrap();
        let data = bytes[start..start + sample.data_size].to_vec();
        pictures.push((data, sample.keyframe, sample.duration));
    }
    (entry.unwrap(), pictures)
}

#[test]
fn pictures_of_a_browser_become_a_file() {
    for (name, description) in
        [("avc1.42C01E", Some(AVCC.as_slice())), ("vp09.00.10.08", None), ("av01.0.04M.08", None)]
    {
        let info = VideoInfo { rate: Rate::from_fps(23.976), ..info(64, 47, 3) };
        let codec = Codec::new(name, description).unwrap();
        let pictures: [&[u8]; 3] = [&[0x0a, 1, 7, 0x32, 2, 5, 6], &[0x32, 0], &[0x32, 1, 9]];
        let bytes = muxed(&info, &codec, &pictures).unwrap();
        assert_settings(&bytes);
        let (entry, found) = demuxed(&bytes);
        assert_eq!(entry.video_resolution(), Some((64, 48)), "{name}");
        let unknown = match entry {
            SampleEntry::Avc1(entry) if name.starts_with("avc1") => entry.unknown_boxes,
            SampleEntry::Vp09(entry) if name.starts_with("vp09") => entry.unknown_boxes,
            SampleEntry::Av01(entry) if name.starts_with("av01") => entry.unknown_boxes,
            other => panic!("{other:?} for {name}"),
        };
        // BT.709 in limited range.
        assert_eq!(unknown[0].payload, [b"nclx".as_slice(), &[0, 1, 0, 1, 0, 1, 0]].concat());
        let want: Vec<_> =
            pictures.iter().enumerate().map(|(i, data)| (data.to_vec(), i == 0, 1001)).collect();
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn delimiters_of_av1_stay_out_of_the_file() {
    let codec = Codec::new("av01.0.04M.08", None).unwrap();
    let bytes = muxed(&info(64, 48, 2), &codec, &[&[0x12, 0, 0x0a, 1, 7], &[0x12, 0, 0x32, 1, 9]]).unwrap();
    let (_, pictures) = demuxed(&bytes);
    assert_eq!(
        (pictures[0].0.as_slice(), pictures[1].0.as_slice()),
        ([0x0a, 1, 7].as_slice(), [0x32, 1, 9].as_slice())
    );
}

#[test]
fn a_file_without_a_codec_or_with_too_many_pictures_is_refused() {
    let mut muxer = Muxer::new(Cursor::new(Vec::new()), &info(64, 48, 1)).unwrap();
    let bare = Sample { data: &[1], keyframe: true, codec: None };
    assert!(matches!(muxer.sample(bare), Err(EncodeError::Mp4(_))));
    let codec = Codec::new("vp09.00.10.08", None).unwrap();
    let error = muxed(&info(64, 48, 1), &codec, &[&[1_u8]; 1000].map(|data| data.as_slice())).unwrap_err();
    assert_eq!(error.to_string(), "MP4: the index is larger than the room kept for it");
}

#[test]
fn sides_beyond_16_bits_are_refused() {
    for (width, height) in [(65_536, 16), (16, u32::MAX), (65_535, 2)] {
        let error = Muxer::new(Cursor::new(Vec::new()), &info(width, height, 1)).err().unwrap();
        assert!(matches!(error, EncodeError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn settings_are_read_from_no_broken_file_and_nothing_panics() {
    let codec = Codec::new("avc1.42C01E", Some(&AVCC)).unwrap();
    break_everywhere(muxed(&info(16, 16, 2), &codec, &[&[1, 2, 3], &[4]]).unwrap());
}
