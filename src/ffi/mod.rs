//! The C ABI: what `include/mdns_registry.h` declares and `libmdns_registry.so` exports.
//!
//! The comment of each export is its contract and goes into the header; so do the names, which are
//! C's. The conventions and the seven rules of watches stand in `cbindgen.toml`. No export does
//! anything outside [`guard`].
#![allow(unsafe_code)]
// What a C caller must keep to is in each export's comment, in the words of the header.
#![allow(clippy::missing_safety_doc)]

mod callback;
#[cfg(test)]
mod drill_tests;
mod error;
mod event;
mod gate;
mod guard;
mod handle;
mod json;
mod log;
mod queue;
mod registry;
mod table;
mod text;
mod version;
mod watch;

use crate::sync;

pub use callback::mdnsreg_free_fn;
pub use error::*;
pub use event::*;
pub use json::*;
pub use log::*;
pub use registry::*;
pub use text::mdnsreg_string_free;
pub use version::*;
pub use watch::*;
