//! The downloads against a hub of our own on this machine, which can misbehave in all the ways that networks do.

mod cache_only;
mod environment;
mod integrity;
mod layout;
mod names;
mod plans;
mod redirects;
mod refusals;
mod resume;
mod retries;
mod support;
