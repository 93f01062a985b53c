//! A node on both wires is listed once: go-micro's entry is hidden while DNS-SD lists the same.
//!
//! The same is: of this service, version, id and port, at this address. A registry of our own kind names itself on either
//! wire, so its nodes have one key; this is about software that says a node on each by itself.

use std::sync::Arc;

use super::view::{Delta, Entry, Listed, View};
use crate::event::Reason;
use crate::options::Domain;
use crate::record::{Key, Record};
use crate::wire::gomicro;

impl View {
    /// Whether DNS-SD lists what go-micro's wire says here.
    pub(super) fn is_said_better(&self, listed: &Listed) -> bool {
        let (record, address) = (&listed.record, &listed.address);
        if record.go_micro.is_none() {
            return false;
        }
        let Some(group) = self.groups.get(record.service.name.as_str()) else { return false };
        let own = u32::from(group.keys.contains(&record.key));
        if group.ids.get(&self.hash(record.node.id())).is_none_or(|count| *count <= own) {
            return false;
        }
        let same = |other: &Listed| {
            let (one, two) = (&record.node, &other.record.node);
            let same_node = (one.id(), one.port(), address) == (two.id(), two.port(), &other.address);
            same_node && other.record.go_micro.is_none() && record.service.version == other.record.service.version
        };
        group.keys.iter().filter_map(|key| self.listed(key)).any(|other| same(other))
    }

    /// Lists a node no more that is held and not listed yet, or was taken out of the list.
    pub(super) fn hide(&mut self, key: &Key) {
        let Some(entry) = self.entries.get(key) else { return };
        let name = entry.record().service.name.as_str();
        if let Some(group) = self.groups.get_mut(name) {
            group.hidden.insert(key.clone());
        }
    }

    /// Whether a node is held and not listed.
    pub(super) fn is_hidden(&self, entry: &Entry) -> bool {
        let Record { go_micro, service, key, .. } = &**entry.record();
        go_micro.is_some() && self.groups.get(service.name.as_str()).is_some_and(|group| group.hidden.contains(key))
    }

    /// What a change of one node does to the listing of others.
    pub fn settle_twins(&mut self, delta: &Delta) -> Vec<Delta> {
        let Some(listed) = delta.now.as_ref().or(delta.had.as_ref()) else {
            return self.relist(&delta.key).into_iter().collect();
        };
        let record = listed.record.clone();
        if record.go_micro.is_some() {
            return self.relist(&delta.key).into_iter().collect();
        }
        if self.groups.get(record.service.name.as_str()).is_none_or(|group| group.of_go_micro == 0) {
            return Vec::new();
        }
        let twin = |domain| gomicro::key(record.node.id(), &record.service.name, domain);
        Domain::ALL.map(twin).iter().filter_map(|key| self.relist(key)).collect()
    }

    /// Hides a node of go-micro's wire, or lists it again, if that is due.
    fn relist(&mut self, key: &Key) -> Option<Delta> {
        let listed = self.entries.get(key)?.listed.clone();
        let hidden = self.is_hidden(self.entries.get(key)?);
        match (self.is_said_better(&listed), hidden) {
            (true, false) => {
                self.unindex(&listed);
                self.hide(key);
                Some(Delta { key: key.clone(), had: Some(listed), now: None, reason: Reason::Duplicate })
            }
            (false, true) => {
                let group = self.groups.get_mut(listed.record.service.name.as_str())?;
                group.hidden.remove(key);
                self.index(&listed);
                let listed: Arc<Listed> = listed;
                Some(Delta { key: key.clone(), had: None, now: Some(listed), reason: Reason::Announced })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "twins_tests.rs"]
mod tests;
