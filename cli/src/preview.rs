//! The file that shows how a video looks so far, written anew for each preview.

use crate::error::Result;
use crate::files;
use crate::output::Target;
use encode::{Rate, VideoInfo};
use engine::Frame;

/// Where previews go.
pub(crate) struct Previews {
    target: Target,
    rate: Rate,
    native_size: bool,
    is_told: bool,
}

impl Previews {
    /// Previews of a video whose frames are `frame_step` for each one of theirs.
    pub(crate) fn new(target: Target, fps: f64, frame_step: usize, native_size: bool) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a few frames")]
        let rate = Rate::from_fps(fps / frame_step.max(1) as f64);
        Self { target, rate, native_size, is_told: false }
    }

    /// Writes one in place of the one before; gives the file's name the first time.
    pub(crate) fn write(&mut self, frames: &[Frame]) -> Result<Option<String>> {
        let Some(first) = frames.first() else { return Ok(None) };
        let info = VideoInfo {
            width: first.width,
            height: first.height,
            rate: self.rate,
            frames: u32::try_from(frames.len()).unwrap_or(u32::MAX),
            metadata: Vec::new(),
        };
        let mut writer = files::open(&self.target, info, self.native_size)?;
        for frame in frames {
            writer.frame(frame)?;
        }
        let written = writer.finish()?;
        let is_news = !std::mem::replace(&mut self.is_told, true);
        Ok(written.name.filter(|_| is_news))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_preview_is_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.apng");
        let mut previews = Previews::new(Target::Apng(path.clone()), 16.0, 4, true);
        let frame = |value: u8| Frame { width: 8, height: 8, rgb: vec![value; 192] };
        let name = previews.write(&[frame(1), frame(2)]).unwrap();
        assert!(name.unwrap().ends_with("p.apng"));
        let first = std::fs::read(&path).unwrap();
        assert_eq!(previews.write(&[frame(3), frame(4)]).unwrap(), None);
        assert_ne!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(previews.write(&[]).unwrap(), None);
    }
}
