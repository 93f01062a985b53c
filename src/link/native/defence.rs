//! What others say about the nodes of this process.

use std::collections::HashSet;
use std::net::IpAddr;

use super::endpoint::Endpoint;
use super::message::{Data, Message, Record, IN};
use super::name::Name;
use super::publication::{part, strings};
use super::zone::ZONE;
use crate::record::{Key, Time};
use crate::refused::Refused;

/// A conflict over one of our names is answered so often at most, milliseconds.
const DEFEND_MS: u64 = 1_000;

impl Endpoint {
    /// The records of a message that are not about us.
    pub(super) fn foreign<'a>(&self, message: &'a Message, from: IpAddr) -> Vec<&'a Record> {
        let all = || message.answers.iter().chain(&message.additionals);
        let own_txt = |record: &&Record| match &record.data {
            Data::Txt(data) => owner_of(data).is_some_and(|owner| self.site.is_of_this_process(owner)),
            _ => false,
        };
        // What we have said comes back, and may have been withdrawn since.
        let withdrawn: HashSet<&Name> = match self.site.has_address(from) {
            true => all().filter(own_txt).map(|record| &record.name).collect(),
            false => HashSet::new(),
        };
        let node = |name: &Name| self.known.named(name).is_some() || withdrawn.contains(name);
        let ours = |record: &Record| match &record.data {
            Data::Ptr(instance) => node(instance),
            Data::A(_) | Data::Aaaa(_) => self.known.host(&record.name).is_some(),
            _ => match ZONE.alive_of(&record.name) {
                Some((owner, _)) => self.site.is_of_this_process(owner),
                None => node(&record.name),
            },
        };
        let (own, foreign): (Vec<_>, Vec<_>) =
            all().filter(|record| record.class == IN).partition(|record| ours(record));
        if !own.is_empty() && !self.site.has_address(from) {
            self.refused.add(Refused::OwnNodeFromElsewhere, own.len() as u64);
        }
        foreign
    }

    /// Says again what somebody else has said otherwise or taken back (RFC 6762 §9, §10.1).
    pub(super) fn defend(&mut self, now: Time, records: &[Record]) {
        let mut attacked: Vec<Key> = Vec::new();
        for record in records.iter().filter(|record| record.class == IN) {
            let key = match &record.data {
                Data::Ptr(instance) if record.ttl == 0 => ZONE.key(instance),
                Data::Ptr(_) => None,
                _ => ZONE.key(&record.name),
            };
            if let (Some(host), None) = (self.known.host(&record.name), key) {
                let addrs = self.site.attached.iter().flat_map(|attached| attached.interface.addrs.iter().copied());
                let addrs: Vec<IpAddr> = addrs.collect();
                let own = self.known.addresses(&record.name, &addrs);
                let address = matches!(record.data, Data::A(_) | Data::Aaaa(_));
                if address && (record.ttl == 0 || !own.iter().any(|own| own.data == record.data)) {
                    attacked.extend(self.keys_of(&host.owner).into_iter().next());
                }
                continue;
            }
            let Some(node) = key.and_then(|key| self.known.get(key)) else { continue };
            let own = node.records(part::ALL);
            let ours = |own: &Record| own.name == record.name && own.data == record.data;
            if record.ttl == 0 || (!own.iter().any(ours) && !matches!(record.data, Data::Nsec { .. })) {
                attacked.push(node.record.key.clone());
            }
        }
        attacked.sort_unstable();
        attacked.dedup();
        attacked.retain(|key| self.defended.get(key).is_none_or(|at| now.0 >= at.0 + DEFEND_MS));
        if attacked.is_empty() {
            return;
        }
        self.count("defended");
        self.defended.retain(|_, at| now.0 < at.0 + DEFEND_MS);
        self.defended.extend(attacked.iter().map(|key| (key.clone(), now)));
        self.announce(now, &attacked, None);
    }
}

/// The owner that TXT data name.
pub(super) fn owner_of(data: &[u8]) -> Option<&str> {
    strings(data).into_iter().find_map(|text| std::str::from_utf8(text.strip_prefix(b"owner=")?).ok())
}
