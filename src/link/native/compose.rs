//! Messages that answer: what belongs to the records that were asked for.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::message::{Builder, Data, Question, Record, IN, LARGEST_BUILT};
use super::name::Name;
use super::publication::{part, rdata, Node, Publications, LEGACY_TTL};
use super::serve::MESSAGE;
use super::zone::ZONE;
use crate::record::{Key, Owner};
use crate::wire::dnssd;

/// What can be answered beside nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Other {
    /// That our service type is here (RFC 6763 §9).
    Type,
    /// The name of a service.
    Service(Arc<str>),
    /// Addresses of a host.
    Host(Name),
}

impl Other {
    /// About what it takes in a message, bytes.
    pub fn estimate(&self) -> usize {
        match self {
            Other::Type => 60,
            Other::Service(name) => 2 * name.len() + 60,
            Other::Host(_) => 200,
        }
    }
}

/// About what a node takes in a message, bytes.
pub fn estimate(node: &Node) -> usize {
    node.txt.len() + node.record.key.len() + 80
}

/// A message.
pub struct Composed {
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// Which parts of which nodes it says.
    pub said: Vec<(Key, u8)>,
}

/// One message with these answers, and what belongs to them as additional records (RFC 6763 §12).
///
/// It tells of each instance all there is, the addresses last, and of one in any case: what a go-micro watcher finds
/// incomplete at the end of a message it asks everybody for.
pub fn compose(
    known: &Publications,
    (addrs, owners): (&[IpAddr], &BTreeSet<Owner>),
    nodes: &[(Key, u8)],
    others: &[Other],
    legacy: Option<(u16, &[Question])>,
) -> Option<Composed> {
    let (mut answers, mut additionals, mut hosts) = (Vec::new(), Vec::new(), BTreeSet::new());
    for other in others {
        match other {
            Other::Type => answers.push(pointer(&ZONE.types, &ZONE.service_type)),
            Other::Service(service) => {
                let name = ZONE.service_name(service);
                answers.push(pointer(&ZONE.names, &name));
                let data = Data::Txt(rdata(&dnssd::encode_name(service)));
                additionals.push(Record { name, class: IN, flush: false, ttl: NAMES_TTL, data });
            }
            Other::Host(host) => {
                answers.extend(known.addresses(host, addrs));
                answers.push(absent(known, host, addrs));
            }
        }
    }
    for (key, parts) in nodes {
        let Some(node) = known.get(key) else { continue };
        answers.extend(node.records(*parts));
        if *parts != part::NSEC {
            additionals.extend(node.records(part::beside(*parts)));
            hosts.insert(node.host.clone());
        }
    }
    let mut last = Vec::new();
    let is_bare = hosts.is_empty() && !others.is_empty() && legacy.is_none();
    let beside = known.first_of(owners).filter(|_| is_bare);
    if let Some(node) = beside {
        last.extend(node.records(part::SRV | part::TXT));
        hosts.insert(node.host.clone());
    }
    // Of a message that tells of instances there is room for the addresses.
    let kept = if last.is_empty() { 0 } else { last.iter().map(|record| record.data.rdata().len() + 100).sum() };
    last.extend(hosts.iter().flat_map(|host| known.addresses(host, addrs)));
    let mut message = match legacy {
        Some((id, questions)) => {
            let mut message = Builder::response(id, MESSAGE);
            questions.iter().for_each(|question| {
                message.question(question);
            });
            for record in answers.iter_mut().chain(&mut additionals).chain(&mut last) {
                (record.ttl, record.flush) = (record.ttl.min(LEGACY_TTL), false);
            }
            message
        }
        // One that is larger than a frame goes alone.
        None => Builder::response(0, if nodes.len() > 1 { MESSAGE } else { LARGEST_BUILT }),
    };
    message.reserve(kept);
    let answered = answers.iter().filter(|record| message.answer(record)).count();
    let fitting = additionals.iter().filter(|record| message.additional(record)).count();
    message.reserve(0);
    let ends_whole = match legacy {
        Some(_) => last.iter().all(|record| message.additional(record)),
        None => message.kept_additionals(&last.iter().collect::<Vec<_>>()),
    };
    let more = |parts| if fitting == additionals.len() { part::beside(parts) } else { 0 };
    let of_nodes = nodes.iter().map(|(key, parts)| (key.clone(), parts | more(*parts)));
    let beside = beside.filter(|_| ends_whole).map(|node| (node.record.key.clone(), part::SRV | part::TXT));
    (answered > 0).then(|| Composed { said: of_nodes.chain(beside).collect(), bytes: message.finish() })
}

/// How long an enumerated name holds, seconds (RFC 6762 §10).
const NAMES_TTL: u32 = 4_500;

/// One of the records that enumerate.
pub fn pointer(from: &Name, to: &Name) -> Record {
    Record { name: from.clone(), class: IN, flush: false, ttl: NAMES_TTL, data: Data::Ptr(to.clone()) }
}

/// That a host has no other address records (RFC 6762 §6.1).
fn absent(known: &Publications, host: &Name, addrs: &[IpAddr]) -> Record {
    let there = known.addresses(host, addrs);
    let mut types: Vec<u16> = there.iter().map(|record| record.data.rtype()).collect();
    types.sort_unstable();
    types.dedup();
    let ttl = there.first().map_or(120, |record| record.ttl);
    Record { name: host.clone(), class: IN, flush: true, ttl, data: Data::Nsec { next: host.clone(), types } }
}
