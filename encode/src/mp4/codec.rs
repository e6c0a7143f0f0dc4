//! What a decoder has to know before the first picture, as an MP4 says it.

use super::{av1, tags};
use crate::EncodeError;
use shiguredo_mp4::boxes::{
    Av01Box, Av1cBox, Avc1Box, AvccBox, SampleEntry, VisualSampleEntryFields, Vp09Box, VpccBox,
};
use shiguredo_mp4::{Decode, Uint};

/// How the pictures of a track are coded: H.264, VP9 or AV1, in 8 bits and 4:2:0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    H264(AvccBox),
    Vp9(VpccBox),
    Av1(Av1cBox),
}

impl Codec {
    /// The codec that a string of RFC 6381 names, as WebCodecs has it: `avc1.640028`, `vp09.00.10.08`, `av01.0.04M.08`.
    /// `description` is the encoder's: the `avcC` record for H.264, which needs it; the `av1C` record for AV1, whose first
    /// picture says the same.
    ///
    /// # Errors
    /// If the string names another codec, or more than 8 bits, or the description cannot be read.
    pub fn new(name: &str, description: Option<&[u8]>) -> Result<Self, EncodeError> {
        let refused = |reason: &str| EncodeError::codec(name, reason);
        let record = |kind: [u8; 4]| description.map(|bytes| tags::boxed(kind, &[bytes]));
        let fields: Vec<&str> = name.split('.').collect();
        let kind = match fields[0] {
            "avc1" | "avc3" => {
                let record = record(*b"avcC").ok_or_else(|| refused("the encoder gave no parameter sets"))?;
                Kind::H264(decoded::<AvccBox>(name, &record).and_then(|avcc| with_depth(name, avcc))?)
            }
            "vp09" => Kind::Vp9(vp9(&fields).ok_or_else(|| refused("not a name of VP9 in 8 bits"))?),
            "av01" => Kind::Av1(match record(*b"av1C") {
                Some(record) => decoded(name, &record)?,
                None => av1::named(&fields).ok_or_else(|| refused("not a name of AV1 in 8 bits"))?,
            }),
            _ => return Err(refused("no codec that an MP4 is written with")),
        };
        Ok(Self(kind))
    }

    /// H.264 with these parameter sets.
    #[cfg(feature = "openh264")]
    pub(super) fn h264(sps: &[u8], pps: &[u8]) -> Result<Self, EncodeError> {
        let Some(&[_, profile, compatibility, level]) = sps.first_chunk() else {
            return Err(EncodeError::codec("H.264", "the parameter set is too short"));
        };
        let avcc = AvccBox {
            avc_profile_indication: profile,
            profile_compatibility: compatibility,
            avc_level_indication: level,
            length_size_minus_one: Uint::new(3),
            sps_list: vec![sps.to_vec()],
            pps_list: vec![pps.to_vec()],
            chroma_format: None,
            bit_depth_luma_minus8: None,
            bit_depth_chroma_minus8: None,
            sps_ext_list: Vec::new(),
        };
        with_depth("H.264", avcc).map(|avcc| Self(Kind::H264(avcc)))
    }

    pub(super) fn is_av1(&self) -> bool {
        matches!(self.0, Kind::Av1(_))
    }

    /// The track's description for pictures of this size. Of AV1, `first` tells the sequence header.
    pub(super) fn entry(&self, size: (u16, u16), first: &[u8]) -> Result<SampleEntry, EncodeError> {
        let (visual, unknown_boxes) = (visual(size), vec![tags::bt709()]);
        Ok(match &self.0 {
            Kind::H264(avcc) => SampleEntry::Avc1(Avc1Box { visual, avcc_box: avcc.clone(), unknown_boxes }),
            Kind::Vp9(vpcc) => SampleEntry::Vp09(Vp09Box { visual, vpcc_box: vpcc.clone(), unknown_boxes }),
            Kind::Av1(av1c) => {
                let mut av1c_box = av1c.clone();
                if av1c_box.config_obus.is_empty() {
                    let header = av1::sequence_header(first);
                    av1c_box.config_obus = header
                        .ok_or_else(|| EncodeError::codec("AV1", "the first picture has no sequence header"))?
                        .to_vec();
                }
                SampleEntry::Av01(Av01Box { visual, av1c_box, unknown_boxes })
            }
        })
    }
}

fn visual((width, height): (u16, u16)) -> VisualSampleEntryFields {
    VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        width,
        height,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    }
}

fn decoded<T: Decode>(name: &str, record: &[u8]) -> Result<T, EncodeError> {
    let (decoded, _) = T::decode(record).map_err(|error| EncodeError::codec(name, error.to_string()))?;
    Ok(decoded)
}

/// Profiles from High on say their chroma and depth, which some encoders leave out: 4:2:0 and 8 bits is what they are
/// fed with.
fn with_depth(name: &str, mut avcc: AvccBox) -> Result<AvccBox, EncodeError> {
    if avcc.sps_list.is_empty() || avcc.pps_list.is_empty() {
        return Err(EncodeError::codec(name, "a parameter set is missing"));
    }
    if !matches!(avcc.avc_profile_indication, 66 | 77 | 88) {
        avcc.chroma_format.get_or_insert(Uint::new(1));
        avcc.bit_depth_luma_minus8.get_or_insert(Uint::new(0));
        avcc.bit_depth_chroma_minus8.get_or_insert(Uint::new(0));
    }
    Ok(avcc)
}

/// `vp09.<profile>.<level>.<depth>`; what may follow tells colours, which are ours.
fn vp9(fields: &[&str]) -> Option<VpccBox> {
    let number = |at: usize| fields.get(at)?.parse::<u8>().ok();
    let (profile, level, depth) = (number(1)?, number(2)?, number(3)?);
    (profile == 0 && depth == 8).then(|| VpccBox {
        profile,
        level,
        bit_depth: Uint::new(8),
        // 4:2:0; there is no number for chroma in the middle of four pixels.
        chroma_subsampling: Uint::new(0),
        video_full_range_flag: Uint::new(0),
        colour_primaries: 1,
        transfer_characteristics: 1,
        matrix_coefficients: 1,
        codec_initialization_data: Vec::new(),
    })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
