//! Our own multicast DNS.

mod alive;
mod asker;
mod cache;
mod endpoint;
mod exchange;
mod fetch;
mod herald;
mod io;
mod lookup;
pub mod message;
pub mod name;
mod outbox;
mod pace;
mod pack;
mod peers;
mod publication;
mod querier;
mod responder;
mod serve;
mod trust;
mod zone;

pub use endpoint::Endpoint;
pub use io::{Attached, Config, Datagram, Output, To, Transmit, Via};
