//! What this registry registered, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::{Node, Selection, Service};
use crate::record::{Key, Owner, Record, Time};
use crate::wire::dnssd;

#[derive(Debug)]
struct Lease {
    record: Arc<Record>,
    /// When it ends unless the application registers again; `None` = renewed by the library.
    ends: Option<Time>,
}

/// A service name and a node id: what names a node within one registry.
type Place = (String, String);

/// The nodes registered here, by service name and id.
#[derive(Debug)]
pub struct Leases {
    owner: Owner,
    held: BTreeMap<Place, Lease>,
    ending: BTreeSet<(Time, Place)>,
    revision: u64,
}

impl Leases {
    /// No leases yet.
    pub fn new(owner: Owner) -> Leases {
        Leases { owner, held: BTreeMap::new(), ending: BTreeSet::new(), revision: 0 }
    }

    /// How many nodes are registered.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Builds the records of a call and checks that each fits its wire; keeps nothing yet.
    /// `None` for a node registered already with the same data and lease.
    pub fn prepare(&self, service: &Service, lease: u32) -> Result<Vec<Option<Arc<Record>>>> {
        let heading = Arc::new(Service { nodes: Vec::new(), ..service.clone() });
        let mut records = Vec::with_capacity(service.nodes.len());
        for (i, node) in service.nodes.iter().enumerate() {
            let record = Record {
                key: Key::from(dnssd::instance_label(&self.owner, &service.name, &node.id)),
                owner: self.owner.clone(),
                revision: self.revision + 1 + i as u64,
                lease,
                service: heading.clone(),
                node: Node { address: bare(&node.address), ..node.clone() },
            };
            let held = self.held.get(&(service.name.clone(), node.id.clone()));
            if held.is_some_and(|held| held.record.lease == lease && held.record.same_data(&record)) {
                records.push(None);
                continue;
            }
            dnssd::encode(&record).map_err(|error| at_node(error, i))?;
            records.push(Some(Arc::new(record)));
        }
        Ok(records)
    }

    /// Takes the prepared records in force; gives those that must be published.
    pub fn commit(
        &mut self,
        now: Time,
        service: &Service,
        prepared: Vec<Option<Arc<Record>>>,
        ends_after: Option<Duration>,
    ) -> Vec<Arc<Record>> {
        self.revision += prepared.len() as u64;
        let ends = ends_after.map(|ttl| now + ttl);
        let mut changed = Vec::new();
        for (node, record) in service.nodes.iter().zip(prepared) {
            let place = (service.name.clone(), node.id.clone());
            let held = self.held.remove(&place);
            if let Some(ends) = held.as_ref().and_then(|held| held.ends) {
                self.ending.remove(&(ends, place.clone()));
            }
            changed.extend(record.clone());
            let Some(record) = record.or(held.map(|held| held.record)) else { continue };
            self.ending.extend(ends.map(|ends| (ends, place.clone())));
            self.held.insert(place, Lease { record, ends });
        }
        changed
    }

    /// Takes the selected nodes out.
    pub fn withdraw(&mut self, selection: &Selection) -> Vec<Key> {
        let selected = |lease: &Lease| {
            let record = &lease.record;
            selection.selects(&record.service.name, &record.service.version, &record.node.id)
        };
        let places = self.held.iter().filter(|(_, lease)| selected(lease)).map(|(place, _)| place.clone()).collect();
        self.take(places)
    }

    /// Takes every node out.
    pub fn withdraw_all(&mut self) -> Vec<Key> {
        self.take(self.held.keys().cloned().collect())
    }

    /// Takes the nodes out whose application did not register again in time.
    pub fn lapse(&mut self, now: Time) -> Vec<Key> {
        self.take(self.ending.iter().take_while(|(ends, _)| *ends <= now).map(|(_, place)| place.clone()).collect())
    }

    fn take(&mut self, places: Vec<Place>) -> Vec<Key> {
        let mut keys = Vec::with_capacity(places.len());
        for place in places {
            let Some(lease) = self.held.remove(&place) else { continue };
            if let Some(ends) = lease.ends {
                self.ending.remove(&(ends, place));
            }
            keys.push(lease.record.key.clone());
        }
        keys
    }

    /// When the next lease lapses.
    pub fn next_due(&self) -> Option<Time> {
        self.ending.first().map(|(ends, _)| *ends)
    }
}

/// Empty for "this host".
fn bare(address: &str) -> String {
    match address {
        "0.0.0.0" | "::" => String::new(),
        other => other.to_owned(),
    }
}

fn at_node(error: Error, i: usize) -> Error {
    match error {
        Error::TooLarge { field, limit, size, unit } => {
            Error::TooLarge { field: format!("nodes[{i}] on the dns-sd wire ({field})"), limit, size, unit }
        }
        other => other,
    }
}
