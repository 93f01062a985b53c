//! Records as they are said on the network: pure and total. Decoding never panics and never
//! allocates more than its bounds in [`crate::limits`].

pub mod address;
pub mod dnssd;
pub mod gomicro;
pub(crate) mod txt;

pub use address::choose_address;

/// Why something heard was not believed; counted under this name in `stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);
