//! What this process publishes: the records of every node, by name, by service and by place on the
//! ring.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::exchange::{position, Range, Sum, Tag};
use super::message::{rtype, Data, Record, IN};
use super::name::Name;
use super::zone::ZONE;
use crate::error::Result;
use crate::record::{self, Key, Owner, Question, Time};
use crate::tally::give_back;
use crate::wire::{address, dnssd};

/// What of an answer to other software is by unicast to a one-shot question lives so long, seconds
/// (RFC 6762 §6.7).
pub const LEGACY_TTL: u32 = 10;

/// A record is multicast once within so long, milliseconds (RFC 6762 §6).
pub const ONCE_IN_MS: u64 = 1_000;

/// The records of one instance that a question can be about.
pub mod part {
    /// PTR from the service type.
    pub const TYPE: u8 = 1;
    /// PTR from the subtype.
    pub const SUBTYPE: u8 = 2;
    /// SRV.
    pub const SRV: u8 = 4;
    /// TXT.
    pub const TXT: u8 = 8;
    /// NSEC: there is nothing else (RFC 6762 §6.1).
    pub const NSEC: u8 = 16;
    /// What an announcement holds.
    pub const ALL: u8 = POINTERS | SRV | TXT;
    /// What others have records of the same name of.
    pub const POINTERS: u8 = TYPE | SUBTYPE;

    /// What goes along with these as additional records (RFC 6763 §12).
    pub fn beside(parts: u8) -> u8 {
        if parts == NSEC {
            0
        } else {
            (SRV | TXT) & !parts
        }
    }
}

/// A published node.
#[derive(Debug)]
pub struct Node {
    /// As registered.
    pub record: Arc<record::Record>,
    /// The subtype of its service.
    subtype: Name,
    /// The SRV target.
    pub host: Name,
    /// The TXT rdata.
    pub txt: Arc<[u8]>,
    /// Its place on the ring.
    pub position: u64,
    /// When which parts were last multicast on which interface.
    pub said: Vec<(u32, u8, Time)>,
}

impl Node {
    /// The records of these parts.
    pub fn records(&self, parts: u8) -> Vec<Record> {
        let ttl = self.record.lease;
        let Some(instance) = ZONE.instance(&self.record.key) else { return Vec::new() };
        let shared = |name: Name| Record { name, class: IN, flush: false, ttl, data: Data::Ptr(instance.clone()) };
        let unique = |data: Data| Record { name: instance.clone(), class: IN, flush: true, ttl, data };
        let mut records = Vec::with_capacity(5);
        if parts & part::TYPE != 0 {
            records.push(shared(ZONE.service_type.clone()));
        }
        if parts & part::SUBTYPE != 0 {
            records.push(shared(self.subtype.clone()));
        }
        if parts & part::SRV != 0 {
            records.push(unique(Data::Srv { port: self.record.node.port(), target: self.host.clone() }));
        }
        if parts & part::TXT != 0 {
            records.push(unique(Data::Txt(self.txt.clone())));
        }
        if parts & part::NSEC != 0 {
            records.push(unique(Data::Nsec { next: instance.clone(), types: vec![rtype::TXT, rtype::SRV] }));
        }
        records
    }

    /// The addresses of its host on an interface with these, also when it is not published any more.
    pub fn addresses(&self, of_interface: &[IpAddr]) -> Vec<Record> {
        addresses(&self.host, fixed_address(&self.record), of_interface, self.record.lease)
    }

    /// Which parts were multicast on the interface within the last `ms`.
    pub fn said_within(&self, ms: u64, interface: u32, now: Time) -> u8 {
        let said = self.said.iter().filter(|(on, _, at)| *on == interface && now.0 < at.0 + ms);
        said.fold(0, |said, (_, parts, _)| said | parts)
    }

    /// Whether caches there hold the parts for three quarters of their time yet (RFC 6762 §5.4).
    pub fn is_fresh(&self, interface: u32, parts: u8, now: Time) -> bool {
        self.said_within(self.quarter_ms(), interface, now) & parts == parts
    }

    fn quarter_ms(&self) -> u64 {
        u64::from(self.record.lease) * 250
    }

    /// Notes that the parts are multicast on the interface.
    pub fn say(&mut self, interface: u32, parts: u8, now: Time) {
        let kept = self.quarter_ms().max(ONCE_IN_MS);
        self.said.retain_mut(|(on, what, at)| {
            if *on == interface {
                *what &= !parts;
            }
            *what != 0 && now.0 < at.0 + kept
        });
        // Most nodes are said in one place or two.
        self.said.reserve_exact(1);
        self.said.push((interface, parts, now));
    }
}

/// One registry of this process.
#[derive(Debug)]
struct Publisher {
    tag: Tag,
    /// Its host name, where a node has no address of its own.
    host: Name,
    services: BTreeMap<Arc<str>, Group>,
    /// How many nodes have each lease.
    leases: BTreeMap<u32, usize>,
}

/// The nodes of a registry's service.
#[derive(Debug)]
struct Group {
    subtype: Name,
    /// By place on the ring.
    places: BTreeMap<u64, Key>,
}

/// Everything published.
#[derive(Debug, Default)]
pub struct Publications {
    nodes: HashMap<Key, Node>,
    publishers: BTreeMap<Owner, Publisher>,
    /// How many nodes stand behind a host name, and its one address if it has but one.
    hosts: BTreeMap<Name, Host>,
    subtypes: BTreeMap<Name, Arc<str>>,
}

/// A host name of ours.
#[derive(Debug)]
pub struct Host {
    /// Whose.
    pub owner: Owner,
    /// The one address; `None` = those of the interface it is asked for on.
    pub fixed: Option<IpAddr>,
    /// Lives as long as the longest lease behind it, seconds.
    pub ttl: u32,
    nodes: usize,
}

impl Publications {
    /// Publishes a record in place of an earlier one with its key.
    ///
    /// # Errors
    /// `TOO_LARGE` for one that does not fit its wire, which a registry has checked before.
    pub fn put(&mut self, record: Arc<record::Record>) -> Result<()> {
        let strings = dnssd::encode(&record)?;
        if ZONE.instance(&record.key).is_none() {
            return Ok(());
        }
        self.remove(&record.key);
        let fixed = fixed_address(&record);
        let publisher = self.publishers.entry(record.owner.clone()).or_insert_with(|| Publisher::new(&record.owner));
        let host = fixed.map_or(publisher.host.clone(), |ip| ZONE.host(&record.owner, &ip.to_string()));
        let known =
            self.hosts.entry(host.clone()).or_insert(Host { owner: record.owner.clone(), fixed, ttl: 0, nodes: 0 });
        (known.nodes, known.ttl) = (known.nodes + 1, known.ttl.max(record.lease));
        let position = position(&record.key).unwrap_or_default();
        if !publisher.services.contains_key(record.service.name.as_str()) {
            let (service, subtype) = (Arc::<str>::from(&*record.service.name), ZONE.subtype(&record.service.name));
            self.subtypes.insert(subtype.clone(), service.clone());
            publisher.services.insert(service, Group { subtype, places: BTreeMap::new() });
        }
        let Some(group) = publisher.services.get_mut(record.service.name.as_str()) else { return Ok(()) };
        group.places.insert(position, record.key.clone());
        *publisher.leases.entry(record.lease).or_default() += 1;
        let (subtype, txt) = (group.subtype.clone(), rdata(&strings));
        let node = Node { subtype, host, txt, position, said: Vec::new(), record };
        self.nodes.insert(node.record.key.clone(), node);
        Ok(())
    }

    /// Takes a node out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let node = self.nodes.remove(key)?;
        give_back(&mut self.nodes);
        let name = node.record.service.name.as_str();
        if let Some(publisher) = self.publishers.get_mut(&node.record.owner) {
            match publisher.leases.get_mut(&node.record.lease) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(publisher.leases.remove(&node.record.lease)),
            }
            if let Some(group) = publisher.services.get_mut(name) {
                group.places.remove(&node.position);
                if group.places.is_empty() {
                    publisher.services.remove(name);
                }
            }
            if publisher.services.is_empty() {
                self.publishers.remove(&node.record.owner);
            }
        }
        if !self.publishers.values().any(|publisher| publisher.services.contains_key(name)) {
            self.subtypes.remove(&node.subtype);
        }
        if let Some(host) = self.hosts.get_mut(&node.host) {
            host.nodes -= 1;
            if host.nodes == 0 {
                self.hosts.remove(&node.host);
            }
        }
        Some(node)
    }

    /// A node.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.nodes.get(key)
    }

    /// The same, to note what was said of it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.nodes.get_mut(key)
    }

    /// The node of an instance name.
    pub fn named(&self, name: &Name) -> Option<&Node> {
        self.nodes.get(ZONE.key(name)?)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The service whose subtype this is.
    pub fn of_subtype(&self, name: &Name) -> Option<&Arc<str>> {
        self.subtypes.get(name)
    }

    /// A host name of ours.
    pub fn host(&self, name: &Name) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// The address records of a host name on an interface with these addresses.
    pub fn addresses(&self, host: &Name, of_interface: &[IpAddr]) -> Vec<Record> {
        let Some(known) = self.hosts.get(host) else { return Vec::new() };
        addresses(host, known.fixed, of_interface, known.ttl)
    }

    /// The hosts that are at whatever addresses this one has, and whose they are.
    pub fn hosts_here(&self) -> impl Iterator<Item = (&Name, &Owner)> {
        self.hosts.iter().filter(|(_, host)| host.fixed.is_none()).map(|(name, host)| (name, &host.owner))
    }

    /// A node of these owners.
    pub fn first_of<'a>(&self, owners: impl IntoIterator<Item = &'a Owner>) -> Option<&Node> {
        let first = |owner: &Owner| self.publishers.get(owner)?.services.values().next()?.places.values().next();
        owners.into_iter().find_map(first).and_then(|key| self.nodes.get(key))
    }

    /// Every registry with something published.
    pub fn owners(&self) -> impl Iterator<Item = (&Owner, Tag)> {
        self.publishers.iter().map(|(owner, publisher)| (owner, publisher.tag))
    }

    /// The names of an owner's services, in order.
    pub fn services_of(&self, owner: &str) -> impl Iterator<Item = &Arc<str>> {
        self.publishers.get(owner).into_iter().flat_map(|publisher| publisher.services.keys())
    }

    /// Whether an owner has any node that the question asks for.
    pub fn has(&self, owner: &str, question: &Question) -> bool {
        let publisher = self.publishers.get(owner);
        publisher.is_some_and(|publisher| match question {
            Question::Service(name) => publisher.services.contains_key(name),
            _ => true,
        })
    }

    /// The keys of an owner's nodes that the question asks for, with places in `range`, in order of
    /// service and place.
    pub fn keys<'a>(&'a self, owner: &str, question: &'a Question, range: &Range) -> Vec<&'a Key> {
        let Some(publisher) = self.publishers.get(owner) else { return Vec::new() };
        let (first, last) = (*range.start(), *range.end());
        let mut places: Vec<(u64, &Key)> = Vec::new();
        let mut take = |group: &'a Group| places.extend(group.places.range(first..=last).map(|(p, k)| (*p, k)));
        match question {
            Question::Service(name) => publisher.services.get(name).into_iter().for_each(&mut take),
            Question::Everything => {
                publisher.services.values().for_each(&mut take);
                places.sort_unstable();
            }
            Question::Names => {}
        }
        places.into_iter().map(|(_, key)| key).collect()
    }

    /// What an owner's nodes that the question asks for come to, within a range and of one lease.
    pub fn sum(&self, owner: &str, question: &Question, range: &Range, lease: Option<u32>) -> Sum {
        let nodes = self.keys(owner, question, range).into_iter().filter_map(|key| self.nodes.get(key));
        let wanted = nodes.filter(|node| lease.is_none_or(|lease| node.record.lease == lease));
        Sum::of(wanted.map(|node| (node.position, node.record.revision)))
    }

    /// The leases that an owner's nodes have, seconds.
    pub fn leases_of(&self, owner: &str) -> impl Iterator<Item = u32> + '_ {
        self.publishers.get(owner).into_iter().flat_map(|publisher| publisher.leases.keys().copied())
    }
}

impl Publisher {
    fn new(owner: &str) -> Publisher {
        // An owner of another form is a test's own.
        let tag = Tag::of(owner).unwrap_or_else(|| {
            let mut bits = [0; 16];
            owner.bytes().zip(&mut bits).for_each(|(from, to)| *to = from);
            Tag(bits)
        });
        Publisher { tag, host: ZONE.host(owner, ""), services: BTreeMap::new(), leases: BTreeMap::new() }
    }
}

/// The one address of a registered node; `None` = those of each interface.
fn fixed_address(record: &record::Record) -> Option<IpAddr> {
    let address = record.node.address();
    address.parse::<IpAddr>().ok().filter(|_| !address::is_this_host(address))
}

fn addresses(host: &Name, fixed: Option<IpAddr>, of_interface: &[IpAddr], ttl: u32) -> Vec<Record> {
    let fixed = fixed.map(|ip| [ip]);
    let record = |ip: &IpAddr| {
        let data = match ip {
            IpAddr::V4(v4) => Data::A(*v4),
            IpAddr::V6(v6) => Data::Aaaa(*v6),
        };
        Record { name: host.clone(), class: IN, flush: true, ttl, data }
    };
    fixed.as_ref().map_or(of_interface, |one| one.as_slice()).iter().map(record).collect()
}

/// Strings as TXT rdata.
pub fn rdata(strings: &[Vec<u8>]) -> Arc<[u8]> {
    let mut bytes = Vec::with_capacity(strings.iter().map(|string| 1 + string.len()).sum::<usize>().max(1));
    for string in strings {
        bytes.push(u8::try_from(string.len()).unwrap_or(u8::MAX));
        bytes.extend(&string[..string.len().min(255)]);
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
    bytes.into()
}

/// TXT rdata as strings; one without any is one empty string on the wire (RFC 6763 §6.1).
pub fn strings(rdata: &[u8]) -> Vec<&[u8]> {
    let mut strings = Vec::new();
    let mut rest = rdata;
    while let Some((length, tail)) = rest.split_first() {
        let (string, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        if !string.is_empty() {
            strings.push(string);
        }
        rest = tail;
    }
    strings
}
