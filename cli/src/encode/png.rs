//! Still pictures: one numbered PNG to each frame, each with the settings in it.

use super::staging::{StagedFolder, cannot_write};
use super::{VideoInfo, VideoWriter, Written};
use crate::error::{Failure, Result};
use crate::video::Frame;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Numbered PNG files being written.
pub(crate) struct PngSequence {
    folder: StagedFolder,
    stem: String,
    digits: usize,
    count: u32,
    info: VideoInfo,
}

impl PngSequence {
    /// Starts a sequence: `a/b.png` makes `a/b-0001.png`, `a/b-0002.png`, ...
    pub(crate) fn create(target: &Path, info: VideoInfo) -> Result<Self> {
        let stem = target
            .file_stem()
            .and_then(|stem| stem.to_str())
            .ok_or_else(|| Failure::user(format!("cannot number files like `{}`", target.display())))?
            .to_owned();
        let digits = info.frames.to_string().len().max(4);
        Ok(Self { folder: StagedFolder::create(target)?, stem, digits, count: 0, info })
    }

    fn name(&self, number: u32) -> String {
        format!("{}-{number:0digits$}.png", self.stem, digits = self.digits)
    }
}

impl VideoWriter for PngSequence {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        self.count += 1;
        let name = self.name(self.count);
        let file = self.folder.create_file(&name)?;
        write(file, frame, &self.info.metadata).map_err(|e| cannot_write(&self.folder.target(&name), &e))
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let next = self.folder.target(&self.name(self.count + 1));
        let pattern = format!("{}-%0{}d.png", self.stem, self.digits);
        let name = self.folder.target(&pattern).display().to_string();
        let notice = next
            .exists()
            .then(|| format!("`{}` and what follows it are from an earlier run", next.display()));
        self.folder.commit()?;
        Ok(Written { name: Some(name), notice })
    }
}

/// Writes one picture.
fn write(file: File, frame: &Frame, metadata: &[(String, String)]) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    let mut writer = encoder(&mut file, frame.width, frame.height, metadata)?.write_header()?;
    writer.write_image_data(&frame.rgb)?;
    writer.finish()?;
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
            encoder.add_text_chunk(keyword.clone(), text.clone())?;
        } else {
            encoder.add_itxt_chunk(keyword.clone(), text.clone())?;
        }
    }
    Ok(encoder)
}
