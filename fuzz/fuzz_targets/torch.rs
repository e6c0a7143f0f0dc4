//! The pickle of a torch file, in a sound archive.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kinora_fuzz::read_weights(&kinora_fuzz::archive(data)));
