//! Messages of multicast DNS, read and built.
//!
//! Over the crate `domain`, which reads record by record: one whose data are bad is skipped by its length and costs no
//! other. simple-dns gives up the whole message at its first bad record; hickory-proto reads record by record, too, but
//! brings 67 crates (`domain` 13) and parses more than names and bytes. Compression, with its bounds, is the crate's.

mod build;
mod read;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use domain::base::rdata::ComposeRecordData;

pub use self::build::Builder;
pub use self::read::{parse, parse_as};
use super::name::Name;

/// The one class that multicast DNS uses.
pub const IN: u16 = 1;
/// In a record's class: others of its name and type are out of date (RFC 6762 §10.2). In a question's: an answer by
/// unicast is welcome (§5.4).
pub const FLUSH: u16 = 0x8000;
/// The option of our own in an OPT record, from the range for local use (RFC 6891 §9).
pub const OPTION_CODE: u16 = 65_283;
/// The largest message read, bytes (RFC 6762 §17).
pub const LARGEST: usize = 9_000;
/// The largest message built, bytes: with the headers of IPv6 and UDP it is as large as the largest read.
pub const LARGEST_BUILT: usize = 8_952;
/// Types of the first window of an NSEC record, the only one that multicast DNS uses.
const WINDOW: u16 = 256;

/// Record types.
#[allow(missing_docs)]
pub mod rtype {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const PTR: u16 = 12;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const NSEC: u16 = 47;
    /// Our alive record's: for private use (RFC 6895 §3.1), so that other software passes over it.
    pub const ALIVE: u16 = 65_283;
    pub const ANY: u16 = 255;
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// About which name.
    pub name: Name,
    /// See [`rtype`].
    pub rtype: u16,
    /// Without the bit of `unicast`.
    pub class: u16,
    /// An answer by unicast is welcome.
    pub unicast: bool,
}

/// The data of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// An instance, or a service type.
    Ptr(Name),
    /// Where an instance runs. Priority and weight are 0 when built and not read.
    Srv {
        /// UDP or TCP, by the type.
        port: u16,
        /// The host.
        target: Name,
    },
    /// Strings, each behind its length; at least one.
    Txt(Arc<[u8]>),
    /// The types below 256 that the name has, in order: no other exists (RFC 6762 §6.1).
    Nsec {
        /// The record's own name.
        next: Name,
        /// See [`rtype`].
        types: Vec<u16>,
    },
    /// Another type and its data as they came: names in it may be compressed.
    Other(u16, Arc<[u8]>),
}

impl Data {
    /// See [`rtype`].
    pub fn rtype(&self) -> u16 {
        match self {
            Data::A(_) => rtype::A,
            Data::Aaaa(_) => rtype::AAAA,
            Data::Ptr(_) => rtype::PTR,
            Data::Srv { .. } => rtype::SRV,
            Data::Txt(_) => rtype::TXT,
            Data::Nsec { .. } => rtype::NSEC,
            Data::Other(rtype, _) => *rtype,
        }
    }

    /// The data with names uncompressed, as conflicting records are compared (RFC 6762 §8.2).
    pub fn rdata(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Ok(()) = self.compose_rdata(&mut out);
        out
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whose it is.
    pub name: Name,
    /// Without the bit of `flush`.
    pub class: u16,
    /// See [`FLUSH`].
    pub flush: bool,
    /// Seconds; 0 is a goodbye.
    pub ttl: u32,
    /// Type and content.
    pub data: Data,
}

/// A message as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Message {
    pub id: u16,
    pub response: bool,
    pub authoritative: bool,
    /// More known answers follow in another message (RFC 6762 §7.2).
    pub truncated: bool,
    pub opcode: u8,
    pub rcode: u8,
    pub questions: Vec<Question>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
    /// The data of the option [`OPTION_CODE`].
    pub option: Option<Vec<u8>>,
    /// Questions and records that were skipped, as they made no sense or there were too many; what follows a record
    /// whose end cannot be found counts as one.
    pub malformed: u32,
}

impl Message {
    /// How many questions and records are of another class than IN; a question may be of ANY.
    pub(super) fn of_other_class(&self) -> u64 {
        let questions = self.questions.iter().filter(|question| ![IN, rtype::ANY].contains(&question.class)).count();
        let records = self.answers.iter().chain(&self.additionals).filter(|record| record.class != IN).count();
        (questions + records) as u64
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
