//! The nodes that others publish on go-micro's wire, as far as anybody here wants them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use crate::limits;
use crate::link::native::cache::Source;
use crate::link::native::message::{Data, Message, Record as Dns, IN};
use crate::link::native::name::Name;
use crate::link::native::publication::strings;
use crate::link::native::reading::Reading;
use crate::link::native::room::Room;
use crate::options::Domain;
use crate::record::{Key, Owner, Question, Record, Time};
use crate::refused::{Refusals, Refused};
use crate::wire::gomicro as wire;

/// Entries taken of one message; go-micro says one.
const ENTRIES: usize = 16;
/// How often is looked for what need not be kept, milliseconds.
const SWEEP_MS: u64 = 60_000;

/// What one name of a message says.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Of the node.
    pub name: &'a Name,
    /// 0 = goodbye.
    pub ttl: u32,
    port: u16,
    address: Option<IpAddr>,
    txt: &'a [u8],
}

/// The entries of a message: an SRV record with its TXT and the address of its target.
pub fn entries<'a>(message: &'a Message, refused: &Refusals) -> Vec<Entry<'a>> {
    let all = || message.answers.iter().chain(&message.additionals).filter(|record| record.class == IN);
    let (mut texts, mut addresses) = (HashMap::<&Name, &[u8]>::new(), HashMap::<&Name, IpAddr>::new());
    for record in all() {
        match &record.data {
            Data::Txt(data) => drop(texts.entry(&record.name).or_insert(data)),
            Data::A(v4) => drop(addresses.entry(&record.name).or_insert(IpAddr::V4(*v4))),
            Data::Aaaa(v6) => drop(addresses.entry(&record.name).or_insert(IpAddr::V6(*v6))),
            _ => {}
        }
    }
    let entry = |record: &'a Dns| {
        let Data::Srv { port, target } = &record.data else { return None };
        let (txt, address) = (*texts.get(&record.name)?, addresses.get(target).copied());
        Some(Entry { name: &record.name, ttl: record.ttl, port: *port, address, txt })
    };
    let mut whole = all().filter_map(entry);
    let entries = whole.by_ref().take(ENTRIES).collect();
    refused.add(Refused::GoMicroTooManyEntries, whole.count() as u64);
    entries
}

/// What an entry came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// New, or with other data than before.
    Changed(Key),
    /// As it was.
    Repeated(Key),
    /// It is to be gone.
    Goodbye(Key),
    /// Another host says otherwise.
    Doubted(Key),
    /// Not kept, for this reason.
    Dropped(Refused),
    /// Not wanted, or known by other means.
    Nothing,
}

#[derive(Debug)]
struct Node {
    record: Arc<Record>,
    domain: Domain,
    digest: u64,
    /// The host that said it first, whom other data are believed of, and the interface it is heard on.
    reach: (u32, IpAddr),
    /// When it was heard last.
    heard: Time,
}

/// Everything held.
#[derive(Debug, Default)]
pub struct Heard {
    nodes: BTreeMap<Key, Node>,
    /// By the digest of what is said.
    digests: HashMap<u64, Key>,
    /// Digests of what this process, or DNS-SD, says too.
    twins: HashSet<u64>,
    swept: Time,
    room: Room,
    reading: Reading,
    hasher: RandomState,
}

impl Heard {
    /// How many nodes are held.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The record of a node.
    pub fn record(&self, key: &str) -> Option<&Arc<Record>> {
        self.nodes.get(key).map(|node| &node.record)
    }

    /// The domain of a node.
    pub fn domain(&self, key: &str) -> Option<Domain> {
        self.nodes.get(key).map(|node| node.domain)
    }

    /// Where a node was heard, and from whom.
    pub fn reach(&self, key: &str) -> Option<(u32, IpAddr)> {
        self.nodes.get(key).map(|node| node.reach)
    }

    /// When a node was heard last.
    pub fn at(&self, key: &str) -> Option<Time> {
        self.nodes.get(key).map(|node| node.heard)
    }

    /// The keys of what is asked for.
    pub fn keys(&self, domain: Domain, question: &Question) -> Vec<Key> {
        let asked = |node: &Node| node.domain == domain && question.asks_for(&node.record.service.name);
        self.nodes.iter().filter(|(_, node)| asked(node)).map(|(key, _)| key.clone()).collect()
    }

    /// Takes an entry. Those of services that are not `wanted`, and of nodes that are known as a `twin`, are not kept.
    pub fn take(
        &mut self,
        source: Source,
        (domain, entry): (Domain, &Entry<'_>),
        wanted: impl Fn(&str) -> bool,
        twin: impl Fn(&Owner, &str) -> bool,
    ) -> Outcome {
        let digest = self.hasher.hash_one((entry.name, entry.port, entry.address, entry.txt));
        if self.twins.contains(&digest) {
            return Outcome::Nothing;
        }
        if let Some(key) = self.digests.get(&digest).cloned() {
            let Some(node) = self.nodes.get_mut(&key) else { return Outcome::Nothing };
            if twin(&node.record.owner, &key) {
                self.pass_over(&key);
                return Outcome::Nothing;
            }
            if entry.ttl == 0 {
                return Outcome::Goodbye(key);
            }
            node.heard = source.now;
            return Outcome::Repeated(key);
        }
        let labels: Vec<&[u8]> = entry.name.labels().collect();
        let texts = strings(entry.txt);
        let decode = |inflated: &mut usize| wire::decode_counted(&labels, &texts, entry.port, entry.address, inflated);
        let record = match self.reading.read(source.now, source.from, decode) {
            Ok(record) if !wanted(&record.service.name) => return Outcome::Nothing,
            Ok(record) => record,
            Err(reason) => return Outcome::Dropped(reason),
        };
        if twin(&record.owner, &record.key) {
            self.remember_twin(digest);
            return Outcome::Nothing;
        }
        match (entry.ttl, self.nodes.contains_key(&record.key)) {
            (0, true) => Outcome::Goodbye(record.key),
            (0, false) => Outcome::Nothing,
            _ => self.put(source, domain, record, digest),
        }
    }

    /// DNS-SD has heard of a node: what is still under way about it is passed over.
    pub fn pass_over(&mut self, key: &str) {
        if let Some(digest) = self.nodes.get(key).map(|node| node.digest) {
            self.remove(key);
            self.remember_twin(digest);
        }
    }

    /// What was passed over is taken when it is heard again.
    pub fn forget_twins(&mut self) {
        self.twins = HashSet::new();
    }

    fn remember_twin(&mut self, digest: u64) {
        if self.twins.len() < limits::VIEW_NODES {
            self.twins.insert(digest);
        }
    }

    fn put(&mut self, source: Source, domain: Domain, record: Record, digest: u64) -> Outcome {
        let key = record.key.clone();
        let (bytes, mut had) = (record.heap_bytes(), 0);
        if let Some(known) = self.nodes.get(&key) {
            if known.reach.1 != source.from {
                return Outcome::Doubted(key);
            }
            if known.record.revision > record.revision {
                return Outcome::Dropped(Refused::OlderRevision);
            }
            had = known.record.heap_bytes();
        }
        if let Err(full) = self.room.admits(source.from, had, bytes) {
            return Outcome::Dropped(full);
        }
        self.remove(&key);
        if let Err(full) = self.room.open(source.from) {
            return Outcome::Dropped(full);
        }
        self.room.change(source.from, 0, bytes);
        self.digests.insert(digest, key.clone());
        let (record, reach) = (Arc::new(record), (source.interface, source.from));
        self.nodes.insert(key.clone(), Node { record, domain, digest, reach, heard: source.now });
        Outcome::Changed(key)
    }

    /// Forgets a node.
    pub fn remove(&mut self, key: &str) {
        let Some(node) = self.nodes.remove(key) else { return };
        self.digests.remove(&node.digest);
        self.room.close(node.reach.1, node.record.heap_bytes());
    }

    /// Forgets the services that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(Domain, &str) -> bool) {
        self.forget(|node| !keep(node.domain, &node.record.service.name));
    }

    /// Forgets what was heard on interfaces that are gone.
    pub fn retain_interfaces(&mut self, there: impl Fn(u32) -> bool) {
        self.forget(|node| !there(node.reach.0));
    }

    fn forget(&mut self, gone: impl Fn(&Node) -> bool) {
        let gone: Vec<Key> = self.nodes.iter().filter(|(_, node)| gone(node)).map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    /// Forgets now and then what no registry has kept, and what is known by other means.
    pub fn handle_timeout(&mut self, now: Time) {
        if now.0 >= self.swept.0 + SWEEP_MS {
            self.swept = now;
            self.forget_twins();
            // Who keeps it asks whether it lives, and says when it does not.
            self.forget(|node| now.0 >= node.heard.0 + u64::from(node.record.lease) * 1_000 + SWEEP_MS);
        }
    }
}
