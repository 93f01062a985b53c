//! A service registry with no server: processes on one network register services and find each
//! other through multicast DNS.
//!
//! The interface is go-micro's `registry.Registry`; the wire is DNS-SD (RFC 6762, RFC 6763).

pub mod clock;
pub mod error;
pub mod event;
pub mod fork;
pub mod interfaces;
pub mod limits;
pub mod link;
pub mod model;
pub mod options;
pub mod record;
pub mod wire;

pub use error::{Error, Result, Status};
pub use event::{Action, Change, Event, Reason};
pub use model::{Endpoint, Metadata, Node, Selection, Service, Value};
pub use options::{Domain, LinkKind, Options, RegisterOptions, WatchOptions, Wire};
