//! H.264 pictures from OpenH264, in the length-prefixed form that MP4 wants.

use crate::encode::VideoInfo;
use crate::encode::color::Planes;
use crate::error::{Failure, Result};
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, QpRange,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;

/// Quantizer of every picture: small enough that flat areas stay flat, where a rate target would starve them.
const QUANTIZER: u8 = 18;
/// OpenH264 encodes up to this size, either way round.
pub(crate) const LARGEST: (u32, u32) = (3840, 2160);
const SMALLEST_SIDE: u32 = 16;

/// A picture as it goes into the file.
pub(super) struct Picture {
    /// Width and height.
    pub(super) size: (u16, u16),
    /// The data, each unit preceded by its length in four bytes.
    pub(super) data: Vec<u8>,
    /// Whether decoding can start here.
    pub(super) keyframe: bool,
    /// The parameter sets, where the encoder repeats them.
    pub(super) parameters: Option<Parameters>,
}

/// What a decoder needs before the first picture.
pub(super) struct Parameters {
    /// Sequence parameter set; at least four bytes.
    pub(super) sps: Vec<u8>,
    /// Picture parameter set.
    pub(super) pps: Vec<u8>,
}

/// The encoder.
pub(super) struct H264(Encoder);

impl H264 {
    /// An encoder of constant quality for videos of this size and rate.
    pub(super) fn new(info: &VideoInfo) -> Result<Self> {
        let (long, short) = (info.width.max(info.height), info.width.min(info.height));
        if long > LARGEST.0 || short > LARGEST.1 {
            return Err(Failure::user(format!(
                "{}x{} is too large for an MP4, which takes up to {long}x{short}, either way round",
                info.width,
                info.height,
                long = LARGEST.0,
                short = LARGEST.1
            ))
            .hint("write an .apng, numbered .png files or a .y4m"));
        }
        if short < SMALLEST_SIDE {
            return Err(Failure::user(format!(
                "{}x{} is too small for an MP4, which takes sides from {SMALLEST_SIDE} pixels",
                info.width, info.height
            ))
            .hint("write an .apng, numbered .png files or a .y4m"));
        }
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
    pub(super) fn encode(&mut self, planes: &Planes) -> Result<Picture> {
        let (width, height) = planes.size;
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
                    Some(7) if unit.len() >= 4 => sps = Some(unit.to_vec()),
                    Some(8) => pps = Some(unit.to_vec()),
                    Some(_) => {
                        let length =
                            u32::try_from(unit.len()).map_err(|_| Failure::system("H.264: a huge unit"))?;
                        data.extend_from_slice(&length.to_be_bytes());
                        data.extend_from_slice(unit);
                    }
                    None => {}
                }
            }
        }
        if data.is_empty() {
            return Err(Failure::system("H.264: the encoder left a picture out"));
        }
        let side = |side: usize| u16::try_from(side).map_err(|_| Failure::system("H.264: a huge picture"));
        Ok(Picture {
            size: (side(width)?, side(height)?),
            data,
            keyframe,
            parameters: sps.zip(pps).map(|(sps, pps)| Parameters { sps, pps }),
        })
    }
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

fn failure(error: openh264::Error) -> Failure {
    Failure::system(format!("H.264: {error}"))
}
