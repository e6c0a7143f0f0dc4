//! The T5 family's encoder, which all video models read their prompts with: T5 v1.1 and UMT5.
mod buckets;
mod encoder;

pub use buckets::relative_buckets;
pub use encoder::T5Encoder;
