//! The alive record: one small record that renews every node of a registry with one lease. It is of a type of our own: a
//! lone TXT would make each go-micro watcher ask for the rest of it.
//!
//! `<owner>-<lease>._alive._mdns-registry._tcp.local.`, TTL = lease, says a sequence number, the
//! [`Sum`] of the nodes, the port for direct questions and, where they are few, the sum of each
//! service, so that who holds one service need not ask when another changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exchange::Sum;
use super::publication::{rdata, strings};
use crate::wire::txt;

/// Services that one record lists; a registry with more lists none.
pub const SERVICES: usize = 32;
/// A service by the first 8 bytes of the hash in its subtype.
pub type ServiceHash = u64;
const ENTRY: usize = 20;

/// What an alive record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Grows with each one sent.
    pub sequence: u64,
    /// All nodes of the owner with this lease.
    pub total: Sum,
    /// Where the owner takes direct questions.
    pub port: u16,
    /// By service; `None` = too many to say.
    pub services: Option<BTreeMap<ServiceHash, Sum>>,
}

impl Alive {
    /// The data, strings as in TXT.
    pub fn encode(&self) -> Arc<[u8]> {
        let mut strings: Vec<Vec<u8>> = [
            format!("seq={}", self.sequence),
            format!("n={}", self.total.count),
            format!("h={:016x}", self.total.hash),
            format!("p={}", self.port),
        ]
        .map(String::into_bytes)
        .into();
        if let Some(services) = self.services.as_ref().filter(|services| services.len() <= SERVICES) {
            let entry = |(hash, sum): (&ServiceHash, &Sum)| {
                [&hash.to_be_bytes()[..], &sum.count.to_be_bytes(), &sum.hash.to_be_bytes()].concat()
            };
            let entries: Vec<u8> = services.iter().flat_map(entry).collect();
            // The list may be empty, and is then said as such.
            let mut chunks: Vec<&[u8]> = entries.chunks(12 * ENTRY).collect();
            if chunks.is_empty() {
                chunks.push(&[]);
            }
            let numbered = |(i, chunk): (usize, &&[u8])| [format!("s{i}=").as_bytes(), chunk].concat();
            strings.extend(chunks.iter().enumerate().map(numbered));
        }
        rdata(&strings)
    }

    /// Reads them; `None` if it is no alive record.
    pub fn decode(data: &[u8]) -> Option<Alive> {
        let strings = strings(data);
        let text = |key: &str| txt::find(&strings, key).and_then(|value| std::str::from_utf8(value).ok());
        let total = Sum { count: text("n")?.parse().ok()?, hash: u64::from_str_radix(text("h")?, 16).ok()? };
        let (sequence, port) = (text("seq")?.parse().ok()?, text("p")?.parse().ok()?);
        let chunks = (0..).map_while(|i| txt::find(&strings, &format!("s{i}")));
        let entries: Vec<u8> = chunks.flatten().copied().collect();
        let listed = txt::find(&strings, "s0").is_some() && entries.len().is_multiple_of(ENTRY);
        let entry = |entry: &[u8]| {
            let (service, rest) = entry.split_first_chunk::<8>()?;
            let (count, hash) = rest.split_first_chunk::<4>()?;
            let sum = Sum { count: u32::from_be_bytes(*count), hash: u64::from_be_bytes(hash.try_into().ok()?) };
            Some((u64::from_be_bytes(*service), sum))
        };
        let services: BTreeMap<_, _> = entries.chunks_exact(ENTRY).filter_map(entry).collect();
        Some(Alive { sequence, total, port, services: (listed && services.len() <= SERVICES).then_some(services) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(services: u64) -> Alive {
        let sum = |i: u64| (i.wrapping_mul(77), Sum { count: i as u32, hash: !i });
        let services = Some((0..services).map(sum).collect());
        Alive { sequence: 7, total: Sum { count: 3, hash: 0xabc }, port: 40_001, services }
    }

    #[test]
    fn it_is_read_back_with_no_service_and_with_as_many_as_it_lists() {
        for services in [0, 1, 12, 13, SERVICES as u64] {
            let said = alive(services);
            assert_eq!(Alive::decode(&said.encode()), Some(said), "{services}");
        }
    }

    #[test]
    fn one_with_too_many_services_lists_none() {
        let said = alive(SERVICES as u64 + 1);
        assert_eq!(Alive::decode(&said.encode()), Some(Alive { services: None, ..said }));
    }

    #[test]
    fn garbled_ones_are_refused_or_read_without_a_panic() {
        let whole = alive(3).encode();
        for at in 0..whole.len() {
            let mut garbled = whole.to_vec();
            garbled[at] ^= 0x80;
            let _ = Alive::decode(&garbled);
            let _ = Alive::decode(&whole[..at]);
        }
        assert_eq!(Alive::decode(b"\x05seq=1"), None);
    }
}
