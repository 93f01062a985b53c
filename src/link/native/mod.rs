//! Our own multicast DNS.

pub mod message;
pub mod name;
