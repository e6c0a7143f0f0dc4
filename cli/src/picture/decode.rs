//! One decoder per format, each behind the same checks.

use super::jpeg::{self, Extent};
use super::{MOST_PIXELS, Refusal};
use engine::Frame;
use image_webp::WebPDecoder;
use png::{ColorType, Transformations};
use std::fmt::Display;
use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The pixels, and what a camera wrote about them.
pub(super) type Decoded = Result<(Frame, Option<Vec<u8>>), Refusal>;

pub(super) fn png(bytes: &[u8]) -> Decoded {
    let damaged = |error: png::DecodingError| damaged("PNG", error);
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = reader.info().size();
    check(width.into(), height.into())?;
    let mut pixels = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut pixels).map_err(damaged)?;
    pixels.truncate(frame.buffer_size());
    let rgb = match frame.color_type {
        ColorType::Grayscale => pixels.iter().flat_map(|gray| [*gray; 3]).collect(),
        ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
        ColorType::Rgba => without_alpha(&pixels),
        ColorType::Rgb | ColorType::Indexed => pixels,
    };
    let exif = reader.info().exif_metadata.as_ref().map(|exif| exif.to_vec());
    Ok((Frame { width, height, rgb }, exif))
}

pub(super) fn jpeg(bytes: &[u8]) -> Decoded {
    match jpeg::extent(bytes) {
        // Other pictures, a film or anything else may follow; the decoder is not shown it.
        Some(Extent::Whole { end }) => decode_jpeg(&bytes[..end]),
        Some(Extent::Cut { is_sequential: true }) => unended(bytes),
        _ => {
            // The decoder may know better what is wrong; it would fill what is missing with grey.
            decode_jpeg(bytes)?;
            Err(cut_off())
        }
    }
}

/// Decodes a JPEG without an end marker twice, with two ends that differ: if nothing of them shows, nothing is missing.
fn unended(bytes: &[u8]) -> Decoded {
    let decode = |filler: u8| {
        let end = [&[filler; 64][..], &[0xFF, jpeg::END]].concat();
        // Half an end marker is no data.
        let data = bytes.strip_suffix(&[0xFF]).unwrap_or(bytes);
        decode_jpeg(&[data, &end].concat())
    };
    let (one, other) = (decode(0x00)?, decode(0xAA)?);
    if one == other { Ok(one) } else { Err(cut_off()) }
}

fn cut_off() -> Refusal {
    damaged("JPEG", "it ends in the middle of the picture")
}

fn decode_jpeg(bytes: &[u8]) -> Decoded {
    const FORMAT: &str = "JPEG";
    // The size is checked here; the format itself allows up to 65535.
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| damaged(FORMAT, error))?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check(width as u64, height as u64)?;
    let rgb = decoder.decode().map_err(|error| damaged(FORMAT, error))?;
    let exif = decoder.exif().cloned();
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(columns), Ok(rows)) if rgb.len() == 3 * width * height => {
            Ok((Frame { width: columns, height: rows, rgb }, exif))
        }
        _ => Err(damaged(FORMAT, "it has another number of pixels than it says")),
    }
}

pub(super) fn webp(bytes: &[u8]) -> Decoded {
    let damaged = |error: image_webp::DecodingError| damaged("WebP", error);
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check(width.into(), height.into())?;
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap_or(0)];
    decoder.read_image(&mut pixels).map_err(damaged)?;
    let rgb = if decoder.has_alpha() { without_alpha(&pixels) } else { pixels };
    let exif = decoder.exif_metadata().map_err(damaged)?;
    Ok((Frame { width, height, rgb }, exif))
}

fn without_alpha(pixels: &[u8]) -> Vec<u8> {
    pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn check(width: u64, height: u64) -> Result<(), Refusal> {
    let pixels = width.saturating_mul(height);
    if pixels > MOST_PIXELS { Err(Refusal::Gigantic { width, height }) } else { Ok(()) }
}

fn damaged(format: &'static str, error: impl Display) -> Refusal {
    let reason = error.to_string();
    Refusal::Damaged { format, reason: reason.trim().trim_end_matches('.').to_owned() }
}
