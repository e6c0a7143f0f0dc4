//! The encoders of the T5 family: T5 v1.1 and UMT5.
mod buckets;
mod encoder;
mod model;

pub use buckets::relative_buckets;
pub use encoder::T5Encoder;
pub use model::open;
