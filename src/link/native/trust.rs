//! Which registries are alive, by their alive records, and who is believed to speak for them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::alive::Alive;
use super::asker::{Asker, GIVE_UP_MS};
use super::errand::Errand;
use super::exchange::{Sum, Tag, ALL};
use super::herald::service_hash;
use super::message::{Data, Record};
use super::outbox::{Outbox, Place};
use super::zone::ZONE;
use crate::limits;
use crate::record::{Key, Question, Sighting, Time};
use crate::refused::Refused;

/// Leases that the alive records of one registry are remembered for, at most.
const LEASES: usize = 16;

impl Asker {
    /// Takes an alive record: what is held of its owner is right, or is asked for.
    pub(super) fn handle_alive(
        &mut self,
        now: Time,
        from: SocketAddr,
        place: Place,
        who: (&str, u32),
        alive: &Alive,
        out: &mut Outbox,
    ) {
        let (owner, lease) = who;
        let Some(tag) = Tag::of(owner) else { return self.refuse(Refused::Alive, out) };
        let direct = SocketAddr::new(from.ip(), alive.port);
        let milliseconds = u64::from(lease) * 1_000;
        if !limits::TTL_MS.contains(&milliseconds) {
            return self.refuse(Refused::Alive, out);
        }
        if let Some(other) = self.doubts(tag, place, direct) {
            self.refuse(Refused::AliveFromElsewhere, out);
            return self.doubt_address(now, tag, (place, direct), other, owner);
        }
        let known = self.peers.get(tag);
        let at = known.and_then(|peer| peer.addrs.get(&place)).copied();
        // Over the other address family, or another interface.
        if at.is_some() && known.and_then(|peer| peer.sequences.get(&lease)) == Some(&alive.sequence) {
            return;
        }
        let (mut live, mut wanted): (Vec<Key>, Vec<_>) = (Vec::new(), Vec::new());
        for (question, said) in self.questions_for(owner, alive) {
            let held = self.cache.sum(owner, &question, &ALL, Some(lease));
            let verified = known.and_then(|peer| peer.verified.get(&(question.clone(), lease))).copied();
            let holds = said == Some(held) || verified == Some((said.unwrap_or(alive.total), held));
            if holds {
                let keys = self.cache.keys(owner, &question, &ALL);
                let of_lease = |key: &Key| self.cache.record(key).is_some_and(|record| record.lease == lease);
                live.extend(keys.into_iter().filter(of_lease));
            } else {
                let trigger = Some((lease, said.unwrap_or(alive.total)));
                wanted.push(((tag, place, question), direct, trigger));
            }
        }
        let (held, proven) = (at.is_some() || !live.is_empty(), known.is_some_and(|peer| peer.token != 0));
        let asked = |(errand, ..): &(Errand, _, _)| self.fetches.contains_key(errand);
        if wanted.is_empty() || proven || wanted.iter().any(asked) || self.strangers.take(now, 1) {
            for (errand, addr, trigger) in wanted {
                self.fetch(now, errand, addr, trigger, GIVE_UP_MS);
            }
        } else {
            self.refuse(Refused::TooManyStrangers, out);
        }
        if held {
            match self.peers.entry(tag) {
                Some(peer) => {
                    peer.addrs.insert(place, direct);
                    if peer.sequences.len() < LEASES || peer.sequences.contains_key(&lease) {
                        peer.sequences.insert(lease, alive.sequence);
                    }
                }
                None => self.refuse(Refused::RegistriesFull, out),
            }
        }
        self.found(now, tag);
        // It may have been said before a goodbye that came first.
        self.cache.live(now, live.iter().filter(|key| !self.goodbyes.contains_key(*key)));
        if !live.is_empty() {
            out.tell(Sighting::Alive { keys: live, at: now });
        }
    }

    /// The questions that an alive record concerns, and what it says the answer comes to.
    fn questions_for(&self, owner: &str, alive: &Alive) -> Vec<(Question, Option<Sum>)> {
        if self.interests.contains_key(&Question::Everything) {
            return vec![(Question::Everything, Some(alive.total))];
        }
        let held = self.cache.services_of(owner).map(|service| Question::Service(service.clone()));
        match &alive.services {
            Some(services) => {
                let listed = services.keys().filter_map(|hash| self.by_hash.get(hash).cloned());
                let all: BTreeSet<Question> = held.chain(listed).collect();
                let sum = |question: &Question| match question {
                    Question::Service(service) => services.get(&service_hash(service)).copied().unwrap_or_default(),
                    _ => alive.total,
                };
                all.into_iter().map(|question| (question.clone(), Some(sum(&question)))).collect()
            }
            None => self.interests.keys().map(|question| (question.clone(), None)).collect(),
        }
    }

    /// An alive record came from another address than the registry's: it moved, or somebody lies. It is
    /// asked where it was, and believed elsewhere only when nobody answers there.
    fn doubt_address(
        &mut self,
        now: Time,
        tag: Tag,
        claimed: (Place, SocketAddr),
        known: (Place, SocketAddr),
        owner: &str,
    ) {
        let Some(service) = self.cache.services_of(owner).next().cloned() else {
            // Nothing is held of it that could be lost.
            self.peers.entry(tag).into_iter().for_each(|peer| peer.addrs.clear());
            return;
        };
        self.peers.entry(tag).into_iter().for_each(|peer| {
            peer.rivals.insert(known.0, claimed);
        });
        let question = self.question_of(&service);
        self.fetch(now, (tag, known.0, question), known.1, None, GIVE_UP_MS);
    }

    /// Where a registry is known to be instead, if it is known and `claimed` is none of its addresses: at
    /// that place it was heard from another, and the host of its nodes does not have it.
    pub(super) fn doubts(&self, tag: Tag, place: Place, claimed: SocketAddr) -> Option<(Place, SocketAddr)> {
        let route = self.peers.route(tag)?;
        let at = self.peers.get(tag).and_then(|peer| peer.addrs.get(&place));
        let known = match at {
            // A registry keeps its port for as long as it is open.
            Some(at) => *at == claimed || (at.ip() != claimed.ip() && self.has_address(tag, place, claimed)),
            None => self.has_address(tag, place, claimed),
        };
        (!known).then(|| at.map_or(route, |at| (place, *at)))
    }

    /// Whether the host of a registry's nodes says that it has an address.
    fn has_address(&self, tag: Tag, place: Place, claimed: SocketAddr) -> bool {
        let Some(key) = self.cache.node_of(&tag.owner()) else { return true };
        self.cache.reach(key).any(|(on, ip)| *on == place.interface && *ip == claimed.ip())
    }

    /// Whether a record about a node of our kind comes from where its registry is known to be; if not,
    /// the registry is asked instead.
    pub(super) fn comes_from_its_owner(&mut self, now: Time, from: SocketAddr, place: Place, record: &Record) -> bool {
        let key = match &record.data {
            Data::Ptr(instance) => ZONE.key(instance),
            Data::A(_) | Data::Aaaa(_) => self.cache.user_of(&record.name).map(|key| &**key),
            _ => ZONE.key(&record.name),
        };
        let Some(known) = key.and_then(|key| self.cache.record(key)) else { return true };
        let known = known.clone();
        let Some(tag) = Tag::of(&known.owner) else { return true };
        // Of a record only the address can be told; it is multicast from another port.
        let at = self.peers.get(tag).and_then(|peer| peer.addrs.get(&place));
        let port = at.map_or(0, SocketAddr::port);
        let Some((place, addr)) = self.doubts(tag, place, SocketAddr::new(from.ip(), port)) else { return true };
        let question = self.question_of(&known.service.name);
        self.fetch(now, (tag, place, question), addr, None, GIVE_UP_MS);
        false
    }
}
