//! A whole MP4, PNG or APNG whose settings are asked for.

#![no_main]

use kinora_encode::metadata::settings_in;
use std::io::Cursor;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(error) = settings_in(Cursor::new(data)) {
        assert!(!error.to_string().is_empty());
    }
});
