//! MP4 with H.264 video that players and browsers open: the index in front of the pictures, BT.709 in limited range,
//! the settings as iTunes-style metadata.
//!
//! Pictures go to the disk as they come; room for the index is kept in front of them.

mod h264;
mod tags;

pub(super) use h264::LARGEST;

use super::color::{Matrix, Planes};
use super::staging::{Existing, StagedFile};
use super::{VideoInfo, VideoWriter, Written};
use crate::error::{Failure, Result};
use crate::video::Frame;
use h264::{H264, Picture};
use shiguredo_mp4::boxes::{
    Avc1Box, AvccBox, FreeBox, FtypBox, MoovBox, SampleEntry, UnknownBox, VisualSampleEntryFields,
};
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use shiguredo_mp4::{BoxSize, BoxType, Decode, Encode, Mp4FileTime, TrackKind, Uint};
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::path::Path;

/// An MP4 file being written.
pub(crate) struct Mp4 {
    staged: StagedFile,
    encoder: H264,
    muxer: Mp4FileMuxer,
    position: u64,
    head: usize,
    timescale: NonZeroU32,
    duration: u32,
    tags: Vec<u8>,
}

impl Mp4 {
    /// Starts a file.
    pub(crate) fn create(target: &Path, existing: Existing, info: &VideoInfo) -> Result<Self> {
        let encoder = H264::new(info)?;
        let tags = tags::udta(&info.metadata);
        let options = Mp4FileMuxerOptions {
            // The estimate leaves out our own boxes.
            reserved_moov_box_size: estimate_maximum_moov_box_size(&[info.frames as usize]) + tags.len() + 64,
            ..Default::default()
        };
        let muxer = Mp4FileMuxer::with_options(options).map_err(|e| Failure::system(format!("MP4: {e}")))?;
        let staged = StagedFile::create(target, existing)?;
        let start = muxer.initial_boxes_bytes();
        staged.file().write_all(start).map_err(|e| staged.failure(&e))?;
        let (timescale, duration) = info.rate.ticks();
        Ok(Self {
            position: start.len() as u64,
            // The header of the pictures' box is 16 bytes, its size being in 64 bits.
            head: start.len() - 16,
            staged,
            encoder,
            muxer,
            timescale: NonZeroU32::new(timescale).unwrap_or(NonZeroU32::MIN),
            duration,
            tags,
        })
    }

    fn append(&mut self, picture: &Picture) -> Result<()> {
        let sample_entry = picture.parameters.as_ref().map(|parameters| {
            SampleEntry::Avc1(Avc1Box {
                visual: VisualSampleEntryFields {
                    data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
                    width: picture.size.0,
                    height: picture.size.1,
                    horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
                    vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
                    frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
                    compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
                    depth: VisualSampleEntryFields::DEFAULT_DEPTH,
                },
                avcc_box: AvccBox {
                    avc_profile_indication: parameters.sps[1],
                    profile_compatibility: parameters.sps[2],
                    avc_level_indication: parameters.sps[3],
                    length_size_minus_one: Uint::new(3),
                    sps_list: vec![parameters.sps.clone()],
                    pps_list: vec![parameters.pps.clone()],
                    chroma_format: None,
                    bit_depth_luma_minus8: None,
                    bit_depth_chroma_minus8: None,
                    sps_ext_list: Vec::new(),
                },
                unknown_boxes: vec![tags::bt709()],
            })
        });
        self.staged.file().write_all(&picture.data).map_err(|e| self.staged.failure(&e))?;
        let sample = Sample {
            track_kind: TrackKind::Video,
            sample_entry,
            keyframe: picture.keyframe,
            timescale: self.timescale,
            duration: self.duration,
            composition_time_offset: None,
            data_offset: self.position,
            data_size: picture.data.len(),
        };
        self.muxer.append_sample(&sample).map_err(|e| Failure::system(format!("MP4: {e}")))?;
        self.position += picture.data.len() as u64;
        Ok(())
    }

    /// The boxes in front of the pictures (type, index, what is left of the reserved room) and the header that gives
    /// the pictures' box its size.
    fn head(&mut self) -> std::result::Result<(Vec<u8>, Vec<u8>), String> {
        let finalized = self.muxer.finalize().map_err(|e| e.to_string())?;
        let pairs: Vec<(u64, &[u8])> = finalized.offset_and_bytes_pairs().collect();
        let (Some((0, front)), Some((_, data_header))) = (pairs.first(), pairs.last()) else {
            return Err("the muxer gave no head".into());
        };
        let (_, length) = FtypBox::decode(front).map_err(|e| e.to_string())?;
        let mut bytes = front[..length].to_vec();
        let moov = with_tags(finalized.moov_box().clone(), &self.tags);
        bytes.extend(moov.encode_to_vec().map_err(|e| e.to_string())?);
        // A box takes eight bytes at least.
        let left =
            self.head.checked_sub(bytes.len() + 8).ok_or("the index is larger than the room kept for it")?;
        bytes.extend(FreeBox { payload: vec![0; left] }.encode_to_vec().map_err(|e| e.to_string())?);
        Ok((bytes, data_header.to_vec()))
    }

    fn complete(&mut self, head: &[u8], data_header: &[u8]) -> io::Result<()> {
        let mut file = self.staged.file();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(head)?;
        file.write_all(data_header)
    }
}

impl VideoWriter for Mp4 {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        let planes = Planes::halved(Matrix::Bt709, frame.width as usize, frame.height as usize, &frame.rgb);
        let picture = self.encoder.encode(&planes)?;
        self.append(&picture)
    }

    fn finish(mut self: Box<Self>) -> Result<Written> {
        let (head, data_header) = self.head().map_err(|e| Failure::system(format!("MP4: {e}")))?;
        self.complete(&head, &data_header).map_err(|e| self.staged.failure(&e))?;
        self.staged.commit().map(Written::from)
    }
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
