//! The picture type that the engine hands over and the encoders take.

pub(crate) use engine::Frame;
