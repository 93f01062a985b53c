//! A node on both wires is listed once: go-micro's entry is hidden while DNS-SD lists the same.
//!
//! The same is: of this service, version, id and port, at this address. A registry of our own kind names itself on either
//! wire, so its nodes have one key; this is about software that says a node on each by itself.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use super::view::{Delta, Entry, Listed, View};
use crate::event::Reason;
use crate::record::Key;
use crate::tally::Tally;

/// What of a service is said on both wires, by the hash of what makes two entries one node.
#[derive(Debug, Default)]
pub struct Twins {
    /// The entries of DNS-SD.
    dns_sd: Tally<u64>,
    go_micro: BTreeSet<(u64, Key)>,
    /// Entries of go-micro's wire that are not listed.
    pub(super) hidden: BTreeSet<Key>,
}

/// Of 64 bits and keyed, as the ids of a view are.
fn hash(hasher: &RandomState, listed: &Listed) -> u64 {
    let node = &listed.record.node;
    hasher.hash_one((&listed.record.service.version, node.id(), node.port(), &*listed.address))
}

impl View {
    fn twins(&mut self, listed: &Listed) -> Option<&mut Twins> {
        self.groups.get_mut(listed.record.service.name.as_str())?.twins.as_deref_mut()
    }

    /// Notes a node that is held from now on; whether it is not to be listed.
    pub(super) fn note_twin(&mut self, listed: &Listed) -> bool {
        let is_of_go_micro = listed.record.go_micro.is_some();
        if is_of_go_micro && self.twins(listed).is_none() {
            self.begin_twins(&listed.record.service.name);
        }
        let hasher = self.hasher.clone();
        let Some(twins) = self.twins(listed) else { return false };
        let node = hash(&hasher, listed);
        if !is_of_go_micro {
            twins.dns_sd.add(node);
            return false;
        }
        twins.go_micro.insert((node, listed.record.key.clone()));
        let hides = twins.dns_sd.of(&node) > 0;
        if hides {
            twins.hidden.insert(listed.record.key.clone());
        }
        hides
    }

    /// Of a service of which go-micro's wire has said nothing yet.
    fn begin_twins(&mut self, service: &str) {
        let Some(group) = self.groups.get_mut(service) else { return };
        let mut twins = Twins::default();
        let listed = group.keys.iter().filter_map(|key| self.entries.get(key)).map(|entry| &entry.listed);
        listed.for_each(|listed| twins.dns_sd.add(hash(&self.hasher, listed)));
        group.twins = Some(Box::new(twins));
    }

    /// Forgets a node that is not held any more, or not so; whether it was not listed.
    pub(super) fn forget_twin(&mut self, listed: &Listed) -> bool {
        let hasher = self.hasher.clone();
        let Some(twins) = self.twins(listed) else { return false };
        let node = hash(&hasher, listed);
        if listed.record.go_micro.is_none() {
            twins.dns_sd.take(&node);
            return false;
        }
        let of_go_micro = (node, listed.record.key.clone());
        twins.go_micro.remove(&of_go_micro);
        twins.hidden.remove(&of_go_micro.1)
    }

    /// Whether a node is held and not listed.
    pub(super) fn is_hidden(&self, entry: &Entry) -> bool {
        let record = entry.record();
        let twins = || self.groups.get(record.service.name.as_str())?.twins.as_ref();
        record.go_micro.is_some() && twins().is_some_and(|twins| twins.hidden.contains(&record.key))
    }

    /// What a change of one node does to the listing of others.
    pub fn settle_twins(&mut self, delta: &Delta) -> Vec<Delta> {
        let mut changed = Vec::new();
        for listed in [&delta.had, &delta.now].into_iter().flatten().filter(|listed| listed.record.go_micro.is_none()) {
            let hasher = self.hasher.clone();
            let Some(twins) = self.twins(listed) else { continue };
            let node = hash(&hasher, listed);
            let same = twins.go_micro.range((node, Key::from(""))..).take_while(|(of, _)| *of == node);
            let keys: Vec<Key> = same.map(|(_, key)| key.clone()).collect();
            changed.extend(keys.iter().filter_map(|key| self.relist(key, node)));
        }
        changed
    }

    /// Hides a node of go-micro's wire, or lists it again, if that is due.
    fn relist(&mut self, key: &Key, node: u64) -> Option<Delta> {
        let listed = self.entries.get(key)?.listed.clone();
        let twins = self.twins(&listed)?;
        match (twins.dns_sd.of(&node) > 0, twins.hidden.contains(key)) {
            (true, false) => {
                twins.hidden.insert(key.clone());
                self.unindex(&listed);
                Some(Delta { key: key.clone(), had: Some(listed), now: None, reason: Reason::Duplicate })
            }
            (false, true) => {
                twins.hidden.remove(key);
                self.index(&listed);
                Some(Delta { key: key.clone(), had: None, now: Some(listed), reason: Reason::Announced })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "twins_tests.rs"]
mod tests;
