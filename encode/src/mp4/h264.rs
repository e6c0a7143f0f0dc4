//! H.264 pictures from OpenH264, in the length-prefixed form that MP4 wants.

use super::{Codec, LARGEST, Muxer, Sample};
use crate::color::{Matrix, Planes};
use crate::{EncodeError, VideoEncoder, VideoInfo};
use engine::Frame;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, QpRange,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use std::fmt::Display;
use std::io::{Seek, Write};

/// Quantizer of every picture: small enough that flat areas stay flat, where a rate target would starve them.
const QUANTIZER: u8 = 18;
const SMALLEST_SIDE: u32 = 16;

/// An MP4 file of H.264 pictures that OpenH264 makes, of constant quality.
pub struct Mp4<W> {
    encoder: H264,
    muxer: Muxer<W>,
    info: VideoInfo,
}

impl<W: Write + Seek> Mp4<W> {
    /// Starts a file at the beginning of `to`.
    ///
    /// # Errors
    /// If a side is shorter than 16 pixels or the picture is larger than [`LARGEST`], or it cannot be written.
    pub fn new(to: W, info: &VideoInfo) -> Result<Self, EncodeError> {
        Ok(Self { encoder: H264::new(info)?, muxer: Muxer::new(to, info)?, info: info.clone() })
    }
}

impl<W: Write + Seek> VideoEncoder for Mp4<W> {
    type To = W;

    fn frame(&mut self, frame: &Frame) -> Result<(), EncodeError> {
        self.info.check(frame)?;
        let picture = self.encoder.encode(&Planes::halved(Matrix::Bt709, frame)?)?;
        self.muxer.sample(Sample {
            data: &picture.data,
            keyframe: picture.keyframe,
            codec: picture.codec.as_ref(),
        })
    }

    fn finish(self) -> Result<W, EncodeError> {
        self.muxer.finish()
    }
}

/// A picture as it goes into the file.
struct Picture {
    /// The data, each unit preceded by its length in four bytes.
    data: Vec<u8>,
    /// Whether decoding can start here.
    keyframe: bool,
    /// The parameter sets, where the encoder repeats them.
    codec: Option<Codec>,
}

/// The encoder.
struct H264(Encoder);

impl H264 {
    /// An encoder of constant quality for videos of this size and rate.
    fn new(info: &VideoInfo) -> Result<Self, EncodeError> {
        check_size(info.width, info.height)?;
        #[expect(clippy::cast_possible_truncation, reason = "a frame rate needs no 53 bits")]
        let fps = (f64::from(info.rate.numerator) / f64::from(info.rate.denominator)) as f32;
        let per_second = info.rate.numerator.div_ceil(info.rate.denominator);
        let config = EncoderConfig::new()
            .max_frame_rate(FrameRate::from_hz(fps))
            // The mode that holds the quantizer within its range whatever the bit rate, without a word of warning.
            .rate_control_mode(RateControlMode::Bufferbased)
            .qp(QpRange::new(QUANTIZER, QUANTIZER))
            .scene_change_detect(false)
            // Not a target: it only picks the level that the file announces.
            .bitrate(BitRate::from_bps(bit_rate(info)))
            .skip_frames(false)
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::High)
            .adaptive_quantization(false)
            .background_detection(false)
            // One can seek to every second second.
            .intra_frame_period(IntraFramePeriod::from_num_frames(per_second.saturating_mul(2)))
            // With several threads the bytes depend on the machine.
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failure)?;
        Ok(Self(encoder))
    }

    /// Encodes the next picture.
    fn encode(&mut self, planes: &Planes) -> Result<Picture, EncodeError> {
        let width = planes.size.0;
        let chroma = planes.chroma_size.0;
        let source =
            YUVSlices::new((&planes.y, &planes.cb, &planes.cr), planes.size, (width, chroma, chroma));
        let stream = self.0.encode(&source).map_err(failure)?;
        let keyframe = matches!(stream.frame_type(), FrameType::IDR);
        let (mut data, mut sps, mut pps) = (Vec::new(), None, None);
        for layer in (0..stream.num_layers()).filter_map(|index| stream.layer(index)) {
            for unit in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
                let unit = without_start_code(unit);
                match unit.first().map(|byte| byte & 0x1f) {
                    Some(7) => sps = Some(unit.to_vec()),
                    Some(8) => pps = Some(unit.to_vec()),
                    Some(_) => {
                        let length = u32::try_from(unit.len()).map_err(|_| failure("a huge unit"))?;
                        data.extend_from_slice(&length.to_be_bytes());
                        data.extend_from_slice(unit);
                    }
                    None => {}
                }
            }
        }
        if data.is_empty() {
            return Err(failure("the encoder left a picture out"));
        }
        let codec = sps.zip(pps).map(|(sps, pps)| Codec::h264(&sps, &pps)).transpose()?;
        Ok(Picture { data, keyframe, codec })
    }
}

/// Fails unless OpenH264 encodes pictures of this size and players decode them.
///
/// # Errors
/// If a side is shorter than 16 pixels, or the picture is larger than [`LARGEST`] either way round.
pub fn check_size(width: u32, height: u32) -> Result<(), EncodeError> {
    let (long, short) = (width.max(height), width.min(height));
    if long > LARGEST.0 || short > LARGEST.1 {
        return Err(EncodeError::TooLarge { width, height });
    }
    if short < SMALLEST_SIDE {
        return Err(EncodeError::TooSmall { width, height, smallest: SMALLEST_SIDE });
    }
    Ok(())
}

/// Half a bit to each pixel: about what the quantizer comes to.
fn bit_rate(info: &VideoInfo) -> u32 {
    let pixels = u64::from(info.width) * u64::from(info.height) * u64::from(info.rate.numerator);
    u32::try_from(pixels / u64::from(info.rate.denominator) / 2)
        .unwrap_or(u32::MAX)
        .clamp(500_000, 200_000_000)
}

fn without_start_code(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0, 0, 0, 1]).or_else(|| unit.strip_prefix(&[0, 0, 1])).unwrap_or(unit)
}

fn failure(error: impl Display) -> EncodeError {
    EncodeError::H264(error.to_string())
}
