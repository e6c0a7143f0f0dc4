//! MP4 that players and browsers open: the index in front of the pictures, BT.709 in limited range, the settings as
//! iTunes-style metadata.
//!
//! Pictures are written as they come; room for the index is kept in front of them.

mod av1;
mod codec;
#[cfg(feature = "openh264")]
mod h264;
mod tags;

pub use codec::Codec;
#[cfg(feature = "openh264")]
pub use h264::{Mp4, check_size};

use crate::{EncodeError, VideoInfo};
use shiguredo_mp4::boxes::{FreeBox, FtypBox, MoovBox, UnknownBox};
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, estimate_maximum_moov_box_size};
use shiguredo_mp4::{BoxSize, BoxType, Decode, Encode, Mp4FileTime, TrackKind};
use std::fmt::Display;
use std::io::{Seek, SeekFrom, Write};
use std::num::NonZeroU32;

/// The largest video that is written as MP4, either way round: what OpenH264 encodes and players decode.
pub const LARGEST: (u32, u32) = (3840, 2160);

/// Room in the index for what describes the codec, in bytes; parameter sets have a few dozen.
const CODEC_ROOM: usize = 512;

/// One coded picture. They come in the order in which they are shown, each for as long as the rate says.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The picture. Of H.264 each unit is preceded by its length, as many bytes as the `avcC` record says; of VP9 a frame
    /// or superframe; of AV1 a temporal unit.
    pub data: &'a [u8],
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// How it is coded: given with the first picture, and where it changes.
    pub codec: Option<&'a Codec>,
}

/// An MP4 file of one video track, of pictures that some encoder made.
pub struct Muxer<W> {
    to: W,
    muxer: Mp4FileMuxer,
    size: (u16, u16),
    is_av1: bool,
    position: u64,
    head: usize,
    timescale: NonZeroU32,
    duration: u32,
    tags: Vec<u8>,
}

impl<W: Write + Seek> Muxer<W> {
    /// Starts a file at the beginning of `to`. Odd sides are announced one larger, as encoders pad them.
    ///
    /// # Errors
    /// If the size is beyond what the format can say, or it cannot be written.
    pub fn new(mut to: W, info: &VideoInfo) -> Result<Self, EncodeError> {
        let (width, height) = (info.width, info.height);
        let side = |side: u32| {
            u16::try_from(side.saturating_add(side % 2)).map_err(|_| EncodeError::TooLarge { width, height })
        };
        let size = (side(width)?, side(height)?);
        let tags = tags::udta(&info.metadata);
        let options = Mp4FileMuxerOptions {
            // The estimate leaves out our own boxes.
            reserved_moov_box_size: estimate_maximum_moov_box_size(&[info.frames as usize])
                + tags.len()
                + CODEC_ROOM,
            ..Default::default()
        };
        let muxer = Mp4FileMuxer::with_options(options).map_err(failure)?;
        let start = muxer.initial_boxes_bytes();
        to.write_all(start)?;
        let (timescale, duration) = info.rate.ticks();
        Ok(Self {
            position: start.len() as u64,
            // The header of the pictures' box is 16 bytes, its size being in 64 bits.
            head: start.len() - 16,
            to,
            muxer,
            size,
            is_av1: false,
            timescale: NonZeroU32::new(timescale).unwrap_or(NonZeroU32::MIN),
            duration,
            tags,
        })
    }

    /// Adds the next picture.
    ///
    /// # Errors
    /// If the first has no codec, or it cannot be written.
    pub fn sample(&mut self, sample: Sample<'_>) -> Result<(), EncodeError> {
        let sample_entry = sample.codec.map(|codec| codec.entry(self.size, sample.data)).transpose()?;
        if let Some(codec) = sample.codec {
            self.is_av1 = codec.is_av1();
        }
        let data = if self.is_av1 { av1::without_delimiter(sample.data) } else { sample.data };
        self.to.write_all(data)?;
        let added = self.muxer.append_sample(&shiguredo_mp4::mux::Sample {
            track_kind: TrackKind::Video,
            sample_entry,
            keyframe: sample.keyframe,
            timescale: self.timescale,
            duration: self.duration,
            composition_time_offset: None,
            data_offset: self.position,
            data_size: data.len(),
        });
        added.map_err(failure)?;
        self.position += data.len() as u64;
        Ok(())
    }

    /// Completes the file and gives back where it was written to, flushed.
    ///
    /// # Errors
    /// If there are more pictures than announced, or it cannot be written.
    pub fn finish(mut self) -> Result<W, EncodeError> {
        let (head, data_header) = self.head()?;
        self.to.seek(SeekFrom::Start(0))?;
        self.to.write_all(&head)?;
        self.to.write_all(&data_header)?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// The boxes in front of the pictures (type, index, what is left of the reserved room) and the header that gives
    /// the pictures' box its size.
    fn head(&mut self) -> Result<(Vec<u8>, Vec<u8>), EncodeError> {
        let finalized = self.muxer.finalize().map_err(failure)?;
        let pairs: Vec<(u64, &[u8])> = finalized.offset_and_bytes_pairs().collect();
        let (Some((0, front)), Some((_, data_header))) = (pairs.first(), pairs.last()) else {
            return Err(failure("the muxer gave no head"));
        };
        let (_, length) = FtypBox::decode(front).map_err(failure)?;
        let mut bytes = front[..length].to_vec();
        let moov = with_tags(finalized.moov_box().clone(), &self.tags);
        bytes.extend(moov.encode_to_vec().map_err(failure)?);
        // A box takes eight bytes at least.
        let left = self
            .head
            .checked_sub(bytes.len() + 8)
            .ok_or_else(|| failure("the index is larger than the room kept for it"))?;
        bytes.extend(FreeBox { payload: vec![0; left] }.encode_to_vec().map_err(failure)?);
        Ok((bytes, data_header.to_vec()))
    }
}

fn failure(error: impl Display) -> EncodeError {
    EncodeError::Mp4(error.to_string())
}

/// Adds the metadata, and takes the dates out: the same settings make the same file.
fn with_tags(mut moov: MoovBox, tags: &[u8]) -> MoovBox {
    let unset = Mp4FileTime::default();
    (moov.mvhd_box.creation_time, moov.mvhd_box.modification_time) = (unset, unset);
    for track in &mut moov.trak_boxes {
        (track.tkhd_box.creation_time, track.tkhd_box.modification_time) = (unset, unset);
        let media = &mut track.mdia_box.mdhd_box;
        (media.creation_time, media.modification_time) = (unset, unset);
    }
    if !tags.is_empty() {
        moov.unknown_boxes.push(tags::unknown(*b"udta", tags.to_vec()));
    }
    moov
}
