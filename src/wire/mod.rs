//! Records as they are said on the network: pure and total. Decoding never panics and never
//! allocates more than its bounds in [`crate::limits`].

pub mod address;
pub mod dnssd;
pub mod gomicro;
pub(crate) mod txt;

pub use crate::refused::Refused;
pub use address::choose_address;
