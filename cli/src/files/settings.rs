//! The settings in a video's file.

use crate::error::{Failure, Result};
use encode::metadata::{Content, settings_in};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// The settings that `kinora generate` put into an MP4, PNG or APNG; nothing if the file has none.
pub(crate) fn read_settings(path: &Path) -> Result<Option<Map<String, Value>>> {
    let settings = File::open(path).and_then(|file| settings_in(BufReader::new(file)));
    match settings.map_err(|error| Failure::io("read", path, &error))? {
        Content::Settings(settings) => Ok(settings),
        Content::Unknown => {
            Err(Failure::user(format!("cannot read `{}`: neither MP4 nor PNG", path.display()))
                .hint("settings are kept in .mp4, .png and .apng files"))
        }
    }
}
