//! Downloads model repositories from the Hugging Face hub into the cache that Python's `huggingface_hub` shares.
//!
//! A [`Plan`] says which files are needed and how large they are; [`Hub::fetch`] then brings what is missing. Files are
//! taken up where an earlier run stopped, checked against the hash that the hub tells, and named only when they are whole.
//!
//! ```no_run
//! use hub::{Cancel, Event, Hub, RepoId, Settings, Wanted};
//!
//! # fn main() -> Result<(), hub::HubError> {
//! let hub = Hub::new(Settings::from_env()?);
//! let repo = RepoId::parse("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")?;
//! let mut progress = |event: Event<'_>| {
//!     if let Event::Bytes { file, position, size } = event { /* draw a bar */ }
//! };
//! let cancel = Cancel::never();
//! let plan = hub.plan(&repo, &Wanted::model(), &mut progress, &cancel)?;
//! let folder = hub.fetch(&plan, &mut progress, &cancel)?;
//! # Ok(())
//! # }
//! ```

mod cache;
mod checksum;
mod choose;
mod error;
mod http;
mod hub;
mod listing;
mod local;
mod names;
mod part;
mod pattern;
mod plan;
mod progress;
mod repo;
mod retry;
mod settings;
mod transfer;
mod weights;

pub use choose::Wanted;
pub use error::HubError;
pub use hub::Hub;
pub use plan::{Plan, PlannedFile};
pub use progress::{Cancel, Event, Progress};
pub use repo::RepoId;
pub use settings::{Links, Settings, Token};

/// What fallible functions of this crate return.
pub type Result<T, E = HubError> = std::result::Result<T, E>;
