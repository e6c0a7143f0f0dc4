//! The engine for a browser's worker. `package/src/worker` is its only caller; natively there is nothing here but the
//! parts that need no browser, and their tests.
#![cfg_attr(target_arch = "wasm32", expect(unreachable_pub, reason = "JavaScript reaches what is public"))]

mod request;

#[cfg(target_arch = "wasm32")]
mod device;
#[cfg(target_arch = "wasm32")]
mod encode;
#[cfg(target_arch = "wasm32")]
mod errors;
#[cfg(target_arch = "wasm32")]
mod events;
#[cfg(target_arch = "wasm32")]
mod files;
#[cfg(target_arch = "wasm32")]
mod hasher;
#[cfg(target_arch = "wasm32")]
mod model;
#[cfg(target_arch = "wasm32")]
mod object;
#[cfg(target_arch = "wasm32")]
mod panics;
