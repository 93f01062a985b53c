//! What is said unasked: announcements (RFC 6762 §8.3), goodbyes (§10.1) and alive records.
//!
//! Announcements wait as keys, and become messages when the pace of [`Outbox`] has room for one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::alive::{Alive, SERVICES};
use super::exchange::{position, Sum, ALL};
use super::message::{rtype, Data, Record, IN};
use super::name::Name;
use super::outbox::{Outbox, Place};
use super::pack::Packer;
use super::publication::{part, Node, Publications, ONCE_IN_MS};
use super::responder::place_id;
use super::unsaid::Unsaid;
use super::zone::ZONE;
use crate::record::{Key, Owner, Question, Time};

/// Between a goodbye and its repetition, milliseconds.
const GOODBYE_AGAIN_MS: u64 = 25;
/// An alive record is sent so often in a lease, but not more and not less often than this, milliseconds.
const BEATS: u64 = 6;
const BEAT_MS: std::ops::RangeInclusive<u64> = 1_000..=10_000;
/// How long after a change the sums are said, milliseconds.
const SETTLED_MS: u64 = 200;
/// And so long once a second: of ten hosts whose packets are lost half the time each then knows all of each other
/// within 15 s, which two announcements and one alive record do not achieve.
const RESTLESS_MS: u64 = 10_000;
/// Then as often as this in the time since the change: who was cut off when something changed hears of it soon after it
/// hears again, 3 s after half a minute.
const CALMING: u64 = 10;

/// Where a registry speaks, and the addresses there.
pub trait Ground {
    /// The places where an owner speaks.
    fn places(&self, owner: &str) -> Vec<Place>;
    /// The addresses of this host at a place.
    fn addrs(&self, place: Place) -> &[IpAddr];
    /// Where direct questions are taken.
    fn direct_port(&self, place: Place) -> u16;
}

#[derive(Debug)]
struct Beat {
    due: Time,
    sequence: u64,
    said: Time,
    /// See [`RESTLESS_MS`].
    restless: Time,
    /// Until when it is said that nothing is left: then whoever was cut off has it no more.
    ends: Option<Time>,
}

/// Nodes of one owner that were taken out.
#[derive(Debug)]
struct Goodbye {
    again: Time,
    /// Where the owner spoke.
    places: Vec<Place>,
    nodes: Vec<Node>,
}

impl Goodbye {
    fn say(&self, wanted: impl Fn(&Node) -> bool, known: &Publications, ground: &impl Ground, out: &mut Outbox) {
        for place in &self.places {
            // Of the hosts, which are still there.
            let hosts: BTreeMap<&Name, &Node> = self.nodes.iter().map(|node| (&node.host, node)).collect();
            let addresses = |host: &Name| match known.addresses(host, ground.addrs(*place)) {
                // Nothing else runs on it.
                none if none.is_empty() => hosts.get(host).map_or(none, |node| node.addresses(ground.addrs(*place))),
                published => published,
            };
            let mut packer = Packer::new(addresses, ground.direct_port(*place));
            for node in self.nodes.iter().filter(|node| wanted(node)) {
                let mut records = node.records(part::ALL);
                records.iter_mut().for_each(|record| record.ttl = 0);
                packer.push(&records, Some(&node.host));
            }
            packer.finish().into_iter().for_each(|message| out.multicast(*place, message));
        }
    }
}

/// The state of what is said unasked.
#[derive(Debug, Default)]
pub struct Herald {
    unsaid: Unsaid,
    goodbyes: Vec<Goodbye>,
    /// What is said once more of addresses that are gone, and when.
    addresses_gone: Vec<(Time, Place, Vec<u8>)>,
    beats: BTreeMap<(Owner, u32), Beat>,
}

impl Herald {
    /// Announces nodes where their owners speak, now and once more in a second, as
    /// [`Herald::next_announcement`] is called.
    pub fn announce(&mut self, now: Time, keys: &[Key], known: &Publications, places_of: impl Fn(&str) -> Vec<Place>) {
        let mut places: BTreeMap<&Owner, Vec<Place>> = BTreeMap::new();
        for node in keys.iter().filter_map(|key| known.get(key)) {
            let (key, owner) = (&node.record.key, &node.record.owner);
            let places = places.entry(owner).or_insert_with(|| places_of(owner));
            self.unsaid.push(places.iter().copied(), key);
        }
        let owners: Vec<Owner> = places.into_keys().cloned().collect();
        owners.iter().for_each(|owner| self.changed(now, owner, known));
    }

    /// Whether anything waits to be announced.
    pub fn has_announcements(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// The next message of announcements, and where it is to be multicast.
    pub fn next_announcement(
        &mut self,
        now: Time,
        known: &mut Publications,
        ground: &impl Ground,
    ) -> Option<(Place, Vec<u8>)> {
        loop {
            let (place, _) = self.unsaid.first()?;
            let message = self.announcements_at(place, now, known, ground);
            if message.is_some() {
                return message.map(|message| (place, message));
            }
        }
    }

    /// The next message for a place, or none if none of those that wait there is to be said now.
    fn announcements_at(
        &mut self,
        place: Place,
        now: Time,
        known: &mut Publications,
        ground: &impl Ground,
    ) -> Option<Vec<u8>> {
        let (mut said, mut answered, mut speaks) = (Vec::new(), Vec::new(), BTreeMap::<Owner, bool>::new());
        let mut packer = Packer::new(|host: &_| known.addresses(host, ground.addrs(place)), ground.direct_port(place));
        for announcement in self.unsaid.at(place) {
            // The owner may speak there no more.
            let node = known.get(&announcement.1).filter(|node| {
                let owner = &node.record.owner;
                *speaks.entry(owner.clone()).or_insert_with(|| ground.places(owner).contains(&place))
            });
            let said_lately = |node: &Node| node.said_within(ONCE_IN_MS, place_id(place), now) & part::ALL != 0;
            if self.unsaid.is_repetition(announcement) && node.is_some_and(said_lately) {
                answered.push(announcement.clone());
                continue;
            }
            if node
                .is_some_and(|node| !packer.try_push(&node.records(part::ALL), Some(&node.host)) && !packer.is_empty())
            {
                break;
            }
            said.push((announcement.clone(), node.is_some()));
        }
        let message = packer.finish().pop();
        answered.into_iter().for_each(|announcement| self.unsaid.put_off(now, announcement));
        for (announcement, there) in said {
            match known.get_mut(&announcement.1).filter(|_| there) {
                Some(node) => {
                    node.say(place_id(place), part::ALL, now);
                    self.unsaid.said(now, announcement);
                }
                None => self.unsaid.forget(&announcement),
            }
        }
        message
    }

    /// Says goodbye for nodes that were taken out, and once more a little later.
    pub fn goodbye(
        &mut self,
        now: Time,
        nodes: Vec<Node>,
        known: &Publications,
        ground: &impl Ground,
        out: &mut Outbox,
    ) {
        let mut by_owner: BTreeMap<Owner, Vec<Node>> = BTreeMap::new();
        for node in nodes {
            by_owner.entry(node.record.owner.clone()).or_default().push(node);
        }
        for (owner, nodes) in by_owner {
            let goodbye = Goodbye { again: Time(now.0 + GOODBYE_AGAIN_MS), places: ground.places(&owner), nodes };
            goodbye.say(|_| true, known, ground, out);
            self.goodbyes.push(goodbye);
            self.changed(now, &owner, known);
        }
    }

    /// Says at places of an interface that it has these addresses no more (RFC 6762 §10.1), and once more a little later:
    /// where none of their family is left, no announcement takes their place.
    pub fn addresses_gone(
        &mut self,
        now: Time,
        gone: &[IpAddr],
        places: impl Iterator<Item = Place>,
        known: &Publications,
        ground: &impl Ground,
        out: &mut Outbox,
    ) {
        for place in places {
            let mut packer = Packer::new(|_: &_| Vec::new(), ground.direct_port(place));
            let here = known.hosts_here().filter(|(_, owner)| ground.places(owner).contains(&place));
            for (host, _) in here {
                let mut records = known.addresses(host, gone);
                records.iter_mut().for_each(|record| record.ttl = 0);
                packer.push(&records, None);
            }
            for message in packer.finish() {
                self.addresses_gone.push((Time(now.0 + GOODBYE_AGAIN_MS), place, message.clone()));
                out.multicast(place, message);
            }
        }
    }

    /// The addresses are others: of none it is said once more that it is gone.
    pub fn addresses_differ(&mut self) {
        self.addresses_gone.clear();
    }

    /// An owner's nodes are others than before: says so soon.
    fn changed(&mut self, now: Time, owner: &Owner, known: &Publications) {
        let soon = Time(now.0 + SETTLED_MS);
        for lease in known.leases_of(owner) {
            let beat = self.beats.entry((owner.clone(), lease));
            beat.or_insert(Beat { due: soon, sequence: now.0, said: Time(0), restless: now, ends: None });
        }
        let own = self.beats.iter_mut().filter(|((of, _), _)| of == owner);
        own.for_each(|(_, beat)| {
            beat.restless = Time(now.0 + RESTLESS_MS);
            // Once a second at most (RFC 6762 §6).
            beat.due = beat.due.min(soon.max(Time(beat.said.0 + BEAT_MS.start())));
        });
    }

    /// Somebody asks for an alive record.
    pub fn asked(&mut self, now: Time, owner: &Owner, lease: u32) {
        if let Some(beat) = self.beats.get_mut(&(owner.clone(), lease)) {
            // Once a second at most (RFC 6762 §6).
            beat.due = beat.due.min(Time((now.0 + 20).max(beat.said.0 + BEAT_MS.start())));
        }
    }

    /// A registry is closed: no more of it but the repetition of its goodbyes.
    pub fn leave(&mut self, owner: &Owner) {
        self.beats.retain(|(of, _), _| of != owner);
    }

    /// Says what is due.
    pub fn handle_timeout(
        &mut self,
        now: Time,
        known: &Publications,
        ground: &impl Ground,
        out: &mut Outbox,
        rng: &mut fastrand::Rng,
    ) {
        self.unsaid.handle_timeout(now);
        for goodbye in self.goodbyes.extract_if(.., |goodbye| goodbye.again <= now) {
            // What was published again meanwhile lives.
            goodbye.say(|node| known.get(&node.record.key).is_none(), known, ground, out);
        }
        for (_, place, message) in self.addresses_gone.extract_if(.., |(again, ..)| *again <= now) {
            out.multicast(place, message);
        }
        self.beat(now, known, ground, out, rng);
    }

    fn beat(
        &mut self,
        now: Time,
        known: &Publications,
        ground: &impl Ground,
        out: &mut Outbox,
        rng: &mut fastrand::Rng,
    ) {
        let mut by_place: BTreeMap<Place, Vec<Record>> = BTreeMap::new();
        for ((owner, lease), beat) in self.beats.iter_mut().filter(|(_, beat)| beat.due <= now) {
            let steady = (u64::from(*lease) * 1_000 / BEATS).min(*BEAT_MS.end());
            let unchanged = (now.0 + RESTLESS_MS).saturating_sub(beat.restless.0);
            let interval = steady.min(unchanged / CALMING).max(*BEAT_MS.start() * 10 / 9);
            // With jitter, so that many hosts that start together do not speak together for ever.
            beat.due = Time(now.0 + interval - rng.u64(0..=interval / 10));
            beat.sequence += 1;
            beat.said = now;
            let (total, services) = sums(known, owner, *lease);
            let lapsed = Time(now.0 + u64::from(*lease) * 1_000);
            beat.ends = (total.count == 0).then(|| beat.ends.unwrap_or(lapsed));
            let Some(name) = ZONE.alive(owner, *lease) else { continue };
            for place in ground.places(owner) {
                let port = ground.direct_port(place);
                let alive = Alive { sequence: beat.sequence, total, port, services: services.clone() };
                let data = Data::Other(rtype::ALIVE, alive.encode());
                let record = Record { name: name.clone(), class: IN, flush: true, ttl: *lease, data };
                by_place.entry(place).or_default().push(record);
            }
        }
        self.beats.retain(|_, beat| beat.ends.is_none_or(|ends| now < ends));
        for (place, records) in by_place {
            let mut packer = Packer::new(|_: &_| Vec::new(), ground.direct_port(place));
            records.iter().for_each(|record| packer.push(std::slice::from_ref(record), None));
            packer.finish().into_iter().for_each(|message| out.multicast(place, message));
        }
    }

    /// When something is due next, but for what waits for the pace.
    pub fn next_due(&self) -> Option<Time> {
        let again = self.unsaid.next_due();
        let goodbyes = self.goodbyes.iter().map(|goodbye| goodbye.again);
        let goodbyes = goodbyes.chain(self.addresses_gone.iter().map(|(again, ..)| *again));
        self.beats.values().map(|beat| beat.due).chain(goodbyes).chain(again).min()
    }

    /// Whether no goodbye is left to be repeated.
    pub fn is_over(&self) -> bool {
        self.goodbyes.is_empty()
    }
}

/// A service as the alive record names it.
pub fn service_hash(service: &str) -> u64 {
    std::str::from_utf8(ZONE.subtype(service).first()).ok().and_then(position).unwrap_or_default()
}

fn sums(known: &Publications, owner: &str, lease: u32) -> (Sum, Option<BTreeMap<u64, Sum>>) {
    let total = known.sum(owner, &Question::Everything, &ALL, Some(lease));
    let services: Vec<_> = known.services_of(owner).take(SERVICES + 1).collect();
    let few = services.len() <= SERVICES;
    let of = |service: &&std::sync::Arc<str>| {
        let sum = known.sum(owner, &Question::Service((*service).clone()), &ALL, Some(lease));
        (sum.count > 0).then(|| (service_hash(service), sum))
    };
    (total, few.then(|| services.iter().filter_map(of).collect()))
}
