//! A node on both wires is listed once: go-micro's entry is hidden while DNS-SD lists the same.
//!
//! The same is: of this service, version, id and port, at this address. A registry of our own kind names itself on either
//! wire, so its nodes have one key; this is about software that says a node on each by itself.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;

use super::view::{Delta, Entry, Listed, View};
use crate::event::Reason;
use crate::record::Key;

/// What of a service is said on both wires, by the hash of what makes two entries one node.
#[derive(Debug, Default)]
pub struct Twins {
    /// How many entries of DNS-SD there are of each.
    dns_sd: HashMap<u64, u32>,
    go_micro: BTreeSet<(u64, Key)>,
    /// Entries of go-micro's wire that are not listed.
    pub(super) hidden: BTreeSet<Key>,
}

impl Twins {
    fn count(&mut self, node: u64) {
        *self.dns_sd.entry(node).or_default() += 1;
    }

    fn discount(&mut self, node: u64) {
        match self.dns_sd.get_mut(&node) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.dns_sd.remove(&node)),
        }
    }
}

impl View {
    /// Of 64 bits and keyed, as [`View::hash`].
    fn node_hash(&self, listed: &Listed) -> u64 {
        let (record, node) = (&listed.record, &listed.record.node);
        self.hasher.hash_one((&record.service.version, node.id(), node.port(), &*listed.address))
    }

    /// Notes a node that is held from now on; whether it is not to be listed.
    pub(super) fn note_twin(&mut self, listed: &Listed) -> bool {
        let (name, node) = (listed.record.service.name.as_str(), self.node_hash(listed));
        let is_first =
            listed.record.go_micro.is_some() && self.groups.get(name).is_some_and(|group| group.twins.is_none());
        if is_first {
            let keys = self.groups.get(name).map(|group| &group.keys);
            let of_dns_sd = keys.into_iter().flatten().filter_map(|key| self.listed(key));
            let mut twins = Twins::default();
            of_dns_sd.map(|listed| self.node_hash(listed)).for_each(|node| twins.count(node));
            self.groups
                .get_mut(name)
                .into_iter()
                .for_each(|group| group.twins = Some(Box::new(std::mem::take(&mut twins))));
        }
        let Some(twins) = self.groups.get_mut(name).and_then(|group| group.twins.as_mut()) else { return false };
        if listed.record.go_micro.is_none() {
            twins.count(node);
            return false;
        }
        twins.go_micro.insert((node, listed.record.key.clone()));
        let hides = twins.dns_sd.contains_key(&node);
        if hides {
            twins.hidden.insert(listed.record.key.clone());
        }
        hides
    }

    /// Forgets a node that is not held any more, or not so; whether it was not listed.
    pub(super) fn forget_twin(&mut self, listed: &Listed) -> bool {
        let (name, node) = (listed.record.service.name.as_str(), self.node_hash(listed));
        let Some(twins) = self.groups.get_mut(name).and_then(|group| group.twins.as_mut()) else { return false };
        if listed.record.go_micro.is_none() {
            twins.discount(node);
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
        let listed = [&delta.had, &delta.now].map(Clone::clone).into_iter().flatten();
        for listed in listed.filter(|listed| listed.record.go_micro.is_none()) {
            let (name, node) = (listed.record.service.name.as_str(), self.node_hash(&listed));
            let Some(twins) = self.groups.get(name).and_then(|group| group.twins.as_ref()) else { continue };
            let same = twins.go_micro.range((node, Key::from(""))..).take_while(|(of, _)| *of == node);
            let keys: Vec<Key> = same.map(|(_, key)| key.clone()).collect();
            changed.extend(keys.iter().filter_map(|key| self.relist(key, node)));
        }
        changed
    }

    /// Hides a node of go-micro's wire, or lists it again, if that is due.
    fn relist(&mut self, key: &Key, node: u64) -> Option<Delta> {
        let listed = self.entries.get(key)?.listed.clone();
        let group = self.groups.get_mut(listed.record.service.name.as_str())?;
        let twins = group.twins.as_mut()?;
        match (twins.dns_sd.contains_key(&node), twins.hidden.contains(key)) {
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
