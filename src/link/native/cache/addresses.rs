//! Where the hosts of instances are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Cache, Heard, Instance, Source};
use crate::link::native::message::{Data, Record, IN};
use crate::link::native::name::Name;
use crate::record::{Key, Time};
use crate::refused::Refused;

/// Addresses of one host on one interface, at most.
const ADDRESSES: usize = 16;
/// What was heard so recently the cache-flush bit spares, milliseconds.
const FLUSH_MS: u64 = 1_000;

impl Cache {
    /// Takes the address records of hosts in use; gives the instances whose addresses differ now.
    pub(super) fn take_addresses(&mut self, source: Source, records: &[&Record], heard: &mut Vec<Heard>) -> Vec<Key> {
        let ip = |record: &Record| match record.data {
            Data::A(v4) => Some(IpAddr::V4(v4)),
            Data::Aaaa(v6) => Some(IpAddr::V6(v6)),
            _ => None,
        };
        let mut by_host: BTreeMap<&Name, Vec<(IpAddr, &Record)>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.class == IN) {
            if let Some(ip) = ip(record).filter(|_| self.users.contains_key(&record.name)) {
                by_host.entry(&record.name).or_default().push((ip, record));
            }
        }
        let (mut moved, mut changed) = (Vec::new(), Vec::new());
        for (host, said) in by_host {
            let known = self.hosts.entry(host.clone()).or_default();
            let before: Vec<(u32, IpAddr)> = known.keys().copied().collect();
            for v4 in [true, false] {
                let of_family: Vec<_> = said.iter().filter(|(ip, _)| ip.is_ipv4() == v4).collect();
                // Cache flush (RFC 6762 §10.2): what is older than a second is out of date; an answer has them all.
                if of_family.iter().any(|(_, record)| record.flush && record.ttl > 0) {
                    let fresh = |at: Time| source.now.0 < at.0 + FLUSH_MS && !source.authoritative;
                    known.retain(|(on, ip), at| *on != source.interface || ip.is_ipv4() != v4 || fresh(*at));
                }
                for (ip, record) in of_family {
                    let on = |entry: &&(u32, IpAddr)| entry.0 == source.interface;
                    let place = (source.interface, *ip);
                    if record.ttl == 0 {
                        known.remove(&place);
                    } else if known.contains_key(&place) || known.keys().filter(on).count() < ADDRESSES {
                        known.insert(place, source.now);
                    } else {
                        heard.push(Heard::Dropped(Refused::TooManyAddresses));
                    }
                }
            }
            if !known.keys().eq(&before) {
                moved.extend(self.users.get(host).into_iter().flatten().cloned());
                changed.extend((!before.is_empty()).then(|| host.clone()));
            }
        }
        for key in &moved {
            self.instances.get_mut(key).into_iter().for_each(|instance| instance.told = false);
        }
        // One of the nodes brings the addresses of all.
        let doubted: Vec<Key> = changed.iter().filter_map(|host| self.user_of(host).cloned()).collect();
        doubted.iter().for_each(|key| self.doubt(source, key, heard));
        moved
    }

    pub(super) fn let_go(&mut self, host: &Name, key: &Key) {
        if let Some(users) = self.users.get_mut(host) {
            users.remove(key);
            if users.is_empty() {
                self.users.remove(host);
                self.hosts.remove(host);
            }
        }
    }

    /// Forgets addresses heard on interfaces that are gone.
    pub fn forget_interfaces(&mut self, there: &BTreeSet<u32>) {
        self.hosts.values_mut().for_each(|known| known.retain(|(on, _), _| there.contains(on)));
        let hosts = &self.hosts;
        let unreachable =
            |i: &Instance| i.host.as_ref().is_some_and(|host| hosts.get(host).is_some_and(BTreeMap::is_empty));
        let gone: Vec<Key> =
            self.instances.iter().filter(|(_, i)| unreachable(i)).map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.remove(key));
    }
}
