//! What a caller should know of a request that is carried out all the same.
use std::fmt;

/// Something that a person should know. Its text names no flag of any program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Another number of frames is made.
    FramesRounded {
        /// What was asked for.
        asked: usize,
        /// What is made.
        made: usize,
        /// The model makes a multiple of this plus one.
        step: usize,
    },
    /// The model was made for other sizes.
    PoorSize {
        /// Columns and rows asked for.
        asked: [usize; 2],
        /// What it was made for.
        made_for: String,
    },
    /// The model was made for shorter videos.
    PoorLength {
        /// Frames asked for.
        asked: usize,
        /// Frames that it was made for.
        made_for: usize,
    },
    /// Without guidance the negative prompt is not read.
    NegativePromptUnused,
    /// The picture's shape changes.
    PictureStretched {
        /// Its columns and rows.
        from: [usize; 2],
        /// Those of the video.
        to: [usize; 2],
    },
    /// Of the model's files.
    Files(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FramesRounded { asked, made, step } => {
                write!(f, "making {made} frames instead of {asked}: the model makes {step}k + 1")
            }
            Self::PoorSize { asked: [width, height], made_for } => write!(
                f,
                "the model was made for {made_for}; at {width}x{height} expect repeated or blurred parts"
            ),
            Self::PoorLength { asked, made_for } => {
                write!(f, "the model was made for {made_for} frames; with {asked} expect repetition or decay")
            }
            Self::NegativePromptUnused => {
                f.write_str("the negative prompt is not used: guidance of 1 or less reads the prompt alone")
            }
            Self::PictureStretched { from: [width, height], to: [columns, rows] } => {
                write!(f, "the picture is stretched from {width}x{height} to {columns}x{rows}")
            }
            Self::Files(text) => f.write_str(text),
        }
    }
}
