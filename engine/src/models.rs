//! The model families: each a folder of small files over shared layers and ops.
pub mod wan;
