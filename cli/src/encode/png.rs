//! Still pictures: one numbered PNG to each frame, each with the settings in it.

use super::numbered::Numbered;
use super::staging::{StagedFolder, cannot_write, moved};
use super::{VideoInfo, VideoWriter, Written};
use crate::error::Result;
use crate::video::Frame;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Numbered PNG files being written.
pub(crate) struct PngSequence {
    folder: StagedFolder,
    names: Numbered,
    count: u32,
    info: VideoInfo,
}

impl PngSequence {
    /// Starts a sequence: `a/b.png` makes `a/b-0001.png`, `a/b-0002.png`, ..., and so does `a/b-%04d.png`.
    pub(crate) fn create(target: &Path, info: VideoInfo) -> Result<Self> {
        let names = Numbered::parse(target, info.frames)?;
        let folder = StagedFolder::create(target, (1..=info.frames).map(|number| names.name(number)))?;
        Ok(Self { folder, names, count: 0, info })
    }
}

impl VideoWriter for PngSequence {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        self.count += 1;
        let (file, path) = self.folder.create_file()?;
        write(file, frame, &self.info.metadata).map_err(|e| cannot_write(path, &e))
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let Self { folder, names, count, .. } = *self;
        let path = |name: &str| folder.path(name);
        let (wanted, next) = (path(&names.pattern()), path(&names.name(count + 1)));
        let parent = wanted.with_file_name("");
        let earlier = next
            .exists()
            .then(|| format!("`{}` and what follows it are from an earlier run", next.display()));
        let attempt = folder.commit(|attempt| {
            let names = names.other(attempt);
            (1..=count).map(|number| names.name(number)).collect()
        })?;
        let written = parent.join(names.other(attempt).pattern());
        let notice = if attempt == 1 { earlier } else { Some(moved(&wanted, &written)) };
        Ok(Written { name: Some(written.display().to_string()), notices: notice.into_iter().collect() })
    }
}

/// Writes one picture.
fn write(file: File, frame: &Frame, metadata: &[(String, String)]) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    let encoder = encoder(&mut file, frame.width, frame.height, metadata)?;
    let mut writer = encoder.write_header().map_err(io_error)?;
    writer.write_image_data(&frame.rgb).map_err(io_error)?;
    writer.finish().map_err(io_error)?;
    file.flush()
}

/// A PNG encoder for sRGB pictures with text in the header: tEXt where Latin-1 suffices, else iTXt.
pub(crate) fn encoder<'a, W: Write>(
    to: W,
    width: u32,
    height: u32,
    metadata: &[(String, String)],
) -> io::Result<png::Encoder<'a, W>> {
    let mut encoder = png::Encoder::new(to, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    for (keyword, text) in metadata {
        if text.is_ascii() {
            encoder.add_text_chunk(keyword.clone(), text.clone()).map_err(io_error)?;
        } else {
            encoder.add_itxt_chunk(keyword.clone(), text.clone()).map_err(io_error)?;
        }
    }
    Ok(encoder)
}

/// What the system said, where it was the system that failed: a full disk stays one.
pub(crate) fn io_error(error: png::EncodingError) -> io::Error {
    match error {
        png::EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
