//! MP4 with H.264 by OpenH264, decoded again.

use super::*;

fn mp4(info: &VideoInfo) -> Vec<u8> {
    encoded(Mp4::new(Cursor::new(Vec::new()), info), info).unwrap().into_inner()
}

/// A decoder of our own choosing reads what a player would.
fn decode_h264(bytes: &[u8]) -> (Vec<Vec<u8>>, (usize, usize)) {
    use openh264::formats::YUVSource;
    use shiguredo_mp4::boxes::SampleEntry;
    use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: bytes });
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

#[test]
fn an_mp4_holds_every_frame_at_good_quality() {
    let info = info(384, 256, 33);
    let bytes = mp4(&info);
    assert_settings(&bytes);
    let (frames, size) = decode_h264(&bytes);
    assert_eq!((frames.len(), size), (33, (384, 256)));
    for (index, luma) in frames.iter().enumerate() {
        let source = frame(384, 256, u32::try_from(index).unwrap());
        let want = color::Planes::halved(color::Matrix::Bt709, &source).unwrap();
        let psnr = psnr(luma, &want.y);
        assert!(psnr >= 38.0, "frame {index}: {psnr:.1} dB");
    }
    // The index comes before the pictures.
    let at = |kind: &[u8]| bytes.windows(4).position(|w| w == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
    assert!(at(b"colr") < at(b"mdat"));
    assert_eq!(bytes, mp4(&info));
}

#[test]
fn odd_sizes_and_single_frames_are_fine() {
    for (width, height, frames) in [(17, 31, 3), (16, 16, 1), (250, 16, 2)] {
        let (frames_read, size) = decode_h264(&mp4(&info(width, height, frames)));
        assert_eq!(frames_read.len(), frames as usize);
        assert_eq!(size, (width.next_multiple_of(2) as usize, height.next_multiple_of(2) as usize));
    }
}

#[test]
fn sizes_up_to_the_limit_of_h264_are_written() {
    for (width, height) in [(3840, 16), (16, 3840), (2160, 16), (16, 2160), (3840, 2160), (18, 3838)] {
        let (frames, size) = decode_h264(&mp4(&info(width, height, 1)));
        assert_eq!((frames.len(), size), (1, (width as usize, height as usize)));
        let want = color::Planes::halved(color::Matrix::Bt709, &frame(width, height, 0)).unwrap();
        let psnr = psnr(&frames[0], &want.y);
        assert!(psnr >= 38.0, "{width}x{height}: {psnr:.1} dB");
    }
}

#[test]
fn small_frames_and_strips_are_written_enlarged() {
    for (width, height, size) in
        [(96, 64, (384, 256)), (1024, 16, (3072, 48)), (2048, 16, (2048, 16)), (16, 1280, (48, 3840))]
    {
        let factor = factor(width, height);
        let large = enlarge(&frame(width, height, 0), factor);
        let info = info(large.width, large.height, 1);
        let mut mp4 = Mp4::new(Cursor::new(Vec::new()), &info).unwrap();
        mp4.frame(&large).unwrap();
        assert_eq!(decode_h264(&mp4.finish().unwrap().into_inner()).1, size);
    }
}

#[test]
fn sizes_beyond_h264_are_refused() {
    for (width, height) in [(3856, 16), (16, 4000), (2176, 2176), (8, 300), (0, 0), (u32::MAX, u32::MAX)] {
        let error = Mp4::new(Cursor::new(Vec::new()), &info(width, height, 1)).err().unwrap();
        let limit = if width <= 8 { "from 16 pixels" } else { "up to 3840x2160" };
        let text = error.to_string();
        assert!(
            error.is_users() && text.contains(&format!("{width}x{height}")) && text.contains(limit),
            "{text}"
        );
    }
}

#[test]
fn rates_of_television_are_exact() {
    let bytes = mp4(&VideoInfo { rate: Rate::from_fps(23.976), ..info(48, 32, 2) });
    let media = bytes.windows(4).position(|kind| kind == b"mdhd").unwrap();
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    // Version and flags, two dates, the timescale, the duration.
    assert_eq!((word(media + 16), word(media + 20)), (24000, 2 * 1001));
}

#[test]
fn settings_are_read_from_no_broken_file_and_nothing_panics() {
    break_everywhere(mp4(&info(16, 16, 2)));
}
