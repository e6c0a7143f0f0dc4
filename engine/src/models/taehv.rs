//! TAEHV, the tiny decoder: convolutions and nothing else, for previews and for weak machines. Latents go in as the
//! transformer leaves them, without any scaling.
mod block;
mod decoder;

pub use decoder::{TinyDecoder, TinyDetail};
