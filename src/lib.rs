//! A service registry with no server: processes on one network register services and find each
//! other through multicast DNS.
//!
//! The interface is go-micro's `registry.Registry`; the wire is DNS-SD (RFC 6762, RFC 6763).

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod clock;
mod core;
#[cfg(test)]
mod drill;
mod driver;
pub mod engine;
pub mod error;
pub mod event;
#[cfg(feature = "capi")]
pub mod ffi;
pub mod fork;
pub mod interfaces;
pub mod limits;
pub mod link;
pub mod log;
pub mod model;
pub mod options;
pub mod panics;
mod pending;
pub mod record;
pub mod refused;
mod registry;
mod runtime;
mod signal;
mod sync;
mod system;
mod tally;
mod watcher;
pub mod wire;

pub use error::{Error, Result, Status};
pub use event::{Action, Change, Event, Reason};
pub use model::{Endpoint, Metadata, Node, Selection, Service, Value};
pub use options::{Domain, LinkKind, Options, RegisterOptions, WatchOptions, Wire};
pub use pending::Pending;
pub use registry::Registry;
pub use watcher::{Next, Watcher};

/// The Rust of README.md, run as it is shown.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The same of docs/rust.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/rust.md")]
struct Page;
