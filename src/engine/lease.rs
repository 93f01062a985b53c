//! What this registry registered, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::{Compact, Node, Selection, Service};
use crate::options::{Wire, Wires};
use crate::record::{Key, Owner, Record, Time};
use crate::wire::dnssd;
use crate::wire::gomicro::{self, Unfit};

#[derive(Debug)]
struct Lease {
    record: Arc<Record>,
    /// When it ends unless the application registers again; `None` = renewed by the library.
    ends: Option<Time>,
}

/// A node of a call, checked.
#[derive(Debug)]
pub struct Prepared {
    key: Key,
    /// `None` for one registered already with the same data and lease.
    record: Option<Arc<Record>>,
}

/// The nodes registered here. Within one registry a key stands for a service name and a node id.
#[derive(Debug)]
pub struct Leases {
    owner: Owner,
    wires: Wires,
    held: BTreeMap<Key, Lease>,
    ending: BTreeSet<(Time, Key)>,
    revision: u64,
}

impl Leases {
    /// No leases yet.
    pub fn new(owner: Owner, wires: Wires) -> Leases {
        Leases { owner, wires, held: BTreeMap::new(), ending: BTreeSet::new(), revision: 0 }
    }

    /// How many nodes are registered.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Builds the records of a call and checks that each fits its wire; keeps nothing yet.
    pub fn prepare(&self, service: &Service, lease: u32) -> Result<Vec<Prepared>> {
        let heading = Arc::new(Service {
            name: service.name.clone(),
            version: service.version.clone(),
            metadata: service.metadata.clone(),
            endpoints: service.endpoints.clone(),
            nodes: Vec::new(),
        });
        let mut prepared = Vec::with_capacity(service.nodes.len());
        for (i, node) in service.nodes.iter().enumerate() {
            let key = Key::from(dnssd::instance_label(&self.owner, &service.name, &node.id));
            let record = Record {
                key: key.clone(),
                owner: self.owner.clone(),
                revision: self.revision + 1 + i as u64,
                lease,
                go_micro: self.wires.go_micro.filter(|_| !self.wires.dns_sd),
                service: heading.clone(),
                node: compact(node),
            };
            let held = self.held.get(&key);
            if held.is_some_and(|held| held.record.lease == lease && held.record.same_data(&record)) {
                prepared.push(Prepared { key, record: None });
                continue;
            }
            self.check(&record).map_err(|(wire, error)| at_node(error, wire, i))?;
            prepared.push(Prepared { key, record: Some(Arc::new(record)) });
        }
        Ok(prepared)
    }

    /// Checks that every wire that must carry the record can.
    fn check(&self, record: &Record) -> std::result::Result<(), (Wire, Error)> {
        if self.wires.dns_sd {
            dnssd::encode(record).map_err(|error| (Wire::DnsSd, error))?;
        }
        match self.wires.go_micro.filter(|_| self.wires.named) {
            Some(domain) => gomicro::check(record, domain).map_err(|error| (Wire::GoMicro, error)),
            None => Ok(()),
        }
    }

    /// Why go-micro's wire does not carry nodes, and how many.
    pub fn left_out(&self) -> BTreeMap<Unfit, usize> {
        let mut reasons = BTreeMap::new();
        let Some(domain) = self.wires.go_micro else { return reasons };
        for lease in self.held.values() {
            let why = gomicro::unfit(&lease.record, domain);
            why.into_iter().for_each(|why| *reasons.entry(why).or_default() += 1);
        }
        reasons
    }

    /// Takes the prepared records in force; gives those that must be published.
    pub fn commit(&mut self, now: Time, prepared: Vec<Prepared>, ends_after: Option<Duration>) -> Vec<Arc<Record>> {
        self.revision += prepared.len() as u64;
        let ends = ends_after.map(|ttl| now + ttl);
        let mut changed = Vec::new();
        for Prepared { key, record } in prepared {
            let held = self.held.remove(&key);
            if let Some(ends) = held.as_ref().and_then(|held| held.ends) {
                self.ending.remove(&(ends, key.clone()));
            }
            changed.extend(record.clone());
            let Some(record) = record.or(held.map(|held| held.record)) else { continue };
            let key = record.key.clone();
            self.ending.extend(ends.map(|ends| (ends, key.clone())));
            self.held.insert(key, Lease { record, ends });
        }
        changed
    }

    /// Takes the selected nodes out.
    pub fn withdraw(&mut self, selection: &Selection) -> Vec<Key> {
        let selected = |lease: &Lease| {
            let record = &lease.record;
            selection.selects(&record.service.name, &record.service.version, record.node.id())
        };
        let keys = self.held.iter().filter(|(_, lease)| selected(lease)).map(|(key, _)| key.clone()).collect();
        self.take(keys)
    }

    /// Takes every node out.
    pub fn withdraw_all(&mut self) -> Vec<Key> {
        self.take(self.held.keys().cloned().collect())
    }

    /// Takes the nodes out whose application did not register again in time.
    pub fn lapse(&mut self, now: Time) -> Vec<Key> {
        self.take(self.ending.iter().take_while(|(ends, _)| *ends <= now).map(|(_, key)| key.clone()).collect())
    }

    fn take(&mut self, keys: Vec<Key>) -> Vec<Key> {
        for key in &keys {
            if let Some(ends) = self.held.remove(key).and_then(|lease| lease.ends) {
                self.ending.remove(&(ends, key.clone()));
            }
        }
        keys
    }

    /// When the next lease lapses.
    pub fn next_due(&self) -> Option<Time> {
        self.ending.first().map(|(ends, _)| *ends)
    }
}

/// The node, its address empty for "this host".
fn compact(node: &Node) -> Compact {
    match node.address.as_str() {
        "0.0.0.0" | "::" => (&Node { address: String::new(), ..node.clone() }).into(),
        _ => node.into(),
    }
}

fn at_node(error: Error, wire: Wire, i: usize) -> Error {
    let at = |field: String| format!("nodes[{i}] on the {} wire ({field})", wire.as_str());
    match error {
        Error::TooLarge { field, limit, size, unit } => Error::TooLarge { field: at(field), limit, size, unit },
        Error::Unsupported { what, why } => Error::Unsupported { what: at(what), why },
        other => other,
    }
}
