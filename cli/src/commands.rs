//! One module to each subcommand.

pub(crate) mod bench;
pub(crate) mod cache;
pub(crate) mod convert;
pub(crate) mod devices;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod pull;
