//! A whole file of weights of ggml.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kinora_fuzz::read_weights(data));
