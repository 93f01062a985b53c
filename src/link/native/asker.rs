//! What this process wants to know: the questions of its registries, what is held in answer, and how
//! that is kept true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::alive::Alive;
use super::cache::{Cache, Heard, Source};
use super::errand::{Errand, Running};
use super::exchange::{Exchange, Tag};
use super::herald::service_hash;
use super::interest::{about, wants, Interest};
use super::lookup::Lookup;
use super::message::{rtype, Builder, Data, Message, Record};
use super::outbox::{Outbox, Place};
use super::pace::Bucket;
use super::peers::Peers;
use super::querier::{dns, Querier};
use super::serve::MESSAGE;
use super::zone::ZONE;
use crate::event::Reason;
use crate::options::Wires;
use crate::record::{self, Key, Owner, Question, Reach, Sighting, Time};
use crate::refused::{Refusals, Refused};

/// A goodbye is believed when its node has not been heard of for so long, milliseconds (RFC 6762
/// §10.1).
const GOODBYE_MS: u64 = 1_000;
/// A registry that does not answer for so long is given up, milliseconds; one whose nodes near the end
/// of their lease, later.
pub(super) const GIVE_UP_MS: u64 = 1_000;
/// How often registries of which nothing is held are forgotten, milliseconds.
const SWEEP_MS: u64 = 60_000;
/// How often everybody is asked again because a registry is back, milliseconds.
const LOOK_AGAIN_MS: u64 = 5_000;
/// Over how long that is spread, as all hosts of a link that was divided do it, milliseconds.
const SPREAD_MS: std::ops::Range<u64> = 0..200;
/// Registries that have never answered us and are asked, at once and a second, because an alive record names
/// them: who invents some makes us send ten messages each at most.
const STRANGERS: (u64, u64) = (256, 256);

/// The interfaces as the asker needs them.
#[derive(Default)]
pub struct Net {
    /// Where this process speaks.
    pub places: Vec<Place>,
    /// Their names.
    pub names: BTreeMap<u32, Arc<str>>,
}

/// Who multicast a message.
#[derive(Clone, Copy, Debug)]
pub struct Speaker {
    /// From where.
    pub addr: SocketAddr,
    /// Over what.
    pub place: Place,
    /// Where it says that it takes direct questions.
    pub direct: Option<u16>,
    /// It answers a one-shot question of ours.
    pub one_shot: bool,
}

/// The state of wanting.
#[derive(Debug)]
pub struct Asker {
    pub(super) interests: BTreeMap<Question, Interest>,
    pub(super) by_hash: HashMap<u64, Question>,
    /// What is held.
    pub cache: Cache,
    pub(super) peers: Peers,
    pub(super) lookups: BTreeMap<Question, Lookup>,
    pub(super) fetches: BTreeMap<Errand, Running>,
    /// Nodes that somebody said goodbye for, and when it is believed.
    pub(super) goodbyes: BTreeMap<Key, Time>,
    /// Registries that have never answered and may be asked because of an alive record.
    pub(super) strangers: Bucket,
    querier: Querier,
    pub(super) rng: fastrand::Rng,
    /// When registries of which nothing is held any more are forgotten next.
    swept_at: Time,
    /// When everybody was asked again last, and is to be.
    looked_again: Time,
    look_again_at: Option<Time>,
}

impl Asker {
    /// With message ids and delays that no stranger can guess.
    pub fn new(rng: fastrand::Rng, refused: Arc<Refusals>) -> Asker {
        Asker {
            interests: BTreeMap::new(),
            by_hash: HashMap::new(),
            cache: Cache::default(),
            peers: Peers::default(),
            lookups: BTreeMap::new(),
            fetches: BTreeMap::new(),
            goodbyes: BTreeMap::new(),
            strangers: Bucket::new(STRANGERS.0, STRANGERS.1),
            querier: Querier::new(refused),
            swept_at: Time(0),
            looked_again: Time(0),
            look_again_at: None,
            rng,
        }
    }

    /// A member asks, on these wires. `own`: this process publishes an answer itself.
    pub fn ask(
        &mut self,
        now: Time,
        (member, wires): (&Owner, Wires),
        asked: &Question,
        own: bool,
        net: &Net,
        out: &mut Outbox,
    ) {
        let question = &about(asked);
        self.tell_held(question, net, out);
        let everything = self.interests.get(&Question::Everything).is_some_and(|all| all.answers(wires));
        let interest = self.interests.entry(question.clone()).or_default();
        let settled = everything || interest.answers(wires);
        // Who speaks more than those before asks more.
        interest.settled &= settled;
        interest.members.insert((member.clone(), asked.clone()), wires);
        if settled {
            interest.settled = true;
            out.tell(Sighting::Settled(asked.clone()));
        } else if !self.lookups.contains_key(question) {
            self.lookups.insert(question.clone(), Lookup::new(now, own));
        }
        if let Question::Service(service) = question {
            self.by_hash.insert(service_hash(service), question.clone());
        }
        for place in net.places.iter().filter(|_| wires.dns_sd) {
            self.querier.browse(now, question, *place, &mut self.rng);
        }
    }

    /// A member's interest ends.
    pub fn forget(&mut self, member: &Owner, asked: &Question) {
        let question = about(asked);
        let Some(interest) = self.interests.get_mut(&question) else { return };
        interest.members.remove(&(member.clone(), asked.clone()));
        if interest.members.is_empty() {
            self.drop_interest(&question);
        }
    }

    /// A member is gone.
    pub fn leave(&mut self, member: &Owner) {
        let members = self.interests.values().flat_map(|interest| interest.members.keys());
        let asked: Vec<Question> = members.filter(|(of, _)| of == member).map(|(_, asked)| asked.clone()).collect();
        asked.iter().for_each(|asked| self.forget(member, asked));
    }

    fn drop_interest(&mut self, question: &Question) {
        self.interests.remove(question);
        self.lookups.remove(question);
        self.fetches.retain(|(_, _, of), _| of != question);
        self.querier.forget(question);
        self.peers.forget(question);
        if let Question::Service(service) = question {
            self.by_hash.remove(&service_hash(service));
        }
        let wanted = wants(&self.interests);
        self.cache.retain(|record| wanted(&record.service.name));
        let held: BTreeSet<Tag> = self.cache.owners().filter_map(|owner| Tag::of(owner)).collect();
        self.peers.retain(|tag| held.contains(&tag));
    }

    /// Forgets what is not there any more, and asks everybody again on the interfaces that are `fresh`.
    pub fn renew(&mut self, now: Time, net: &Net, fresh: &BTreeSet<u32>) {
        let there: BTreeSet<Place> = net.places.iter().copied().collect();
        self.peers.retain_places(|place| there.contains(&place));
        self.querier.retain_places(|place| there.contains(&place));
        self.fetches.retain(|(_, place, _), _| there.contains(place));
        self.cache.forget_interfaces(&net.names.keys().copied().collect());
        let fresh: Vec<Place> = net.places.iter().filter(|place| fresh.contains(&place.interface)).copied().collect();
        for (question, _) in self.interests.iter().filter(|(_, interest)| interest.is_of_dns_sd()) {
            fresh.iter().for_each(|place| self.querier.browse(now, question, *place, &mut self.rng));
        }
        if !fresh.is_empty() {
            self.look_again(now);
        }
    }

    /// What was answered was not asked of go-micro's wire for who speaks that alone, as somebody does now.
    pub fn unsettle(&mut self) {
        let asked = self.interests.values_mut().filter(|interest| !interest.domains().is_empty());
        asked.for_each(|interest| interest.settled = false);
    }

    /// A registry was heard. One that is back after silence may not be alone: the link may have been divided.
    pub(super) fn found(&mut self, now: Time, tag: Tag) {
        if self.peers.found(tag) {
            self.look_again_at = Some(Time(now.0.max(self.looked_again.0 + LOOK_AGAIN_MS)));
        }
    }

    /// Asks everybody again what was answered before.
    fn look_again(&mut self, now: Time) {
        (self.looked_again, self.look_again_at) = (now, None);
        for (question, _) in self.interests.iter().filter(|(_, interest)| interest.settled) {
            if self.lookups.get(question).is_none_or(Lookup::asks_no_more) {
                let start = Time(now.0 + self.rng.u64(SPREAD_MS));
                self.lookups.insert(question.clone(), Lookup::new(start, false));
            }
        }
    }

    fn tell_held(&self, question: &Question, net: &Net, out: &mut Outbox) {
        let asked = self.cache.shown().filter(|record| question.asks_for(&record.service.name));
        for key in asked.map(|record| &record.key) {
            if let Some(((record, reach), at)) = self.held(key, net).zip(self.cache.heard_at(key)) {
                out.tell(Sighting::Held { record, reach, at });
            }
        }
    }

    fn tell_seen(&self, key: &Key, net: &Net, out: &mut Outbox) {
        let Some((record, reach)) = self.held(key, net) else { return };
        out.tell(Sighting::Seen { record, reach });
    }

    fn held(&self, key: &Key, net: &Net) -> Option<(Arc<record::Record>, Arc<[Reach]>)> {
        let record = self.cache.record(key)?;
        let reach = self.cache.reach(key);
        let reach =
            reach.filter_map(|(on, ip)| net.names.get(on).map(|name| Reach { ip: *ip, interface: name.clone() }));
        Some((record.clone(), reach.collect()))
    }

    /// Tells that something was not believed; the registries count it.
    pub fn refuse(&self, reason: Refused, out: &mut Outbox) {
        out.tell(Sighting::Dropped(reason));
    }

    /// Of so many records of a message those that are not believed.
    pub(super) fn refuse_others(&self, believed: &[&Record], all: usize, out: &mut Outbox) {
        (believed.len()..all).for_each(|_| self.refuse(Refused::RecordFromElsewhere, out));
    }

    /// Tells what a message came to; whether there was anything new in it.
    pub(super) fn tell(&mut self, now: Time, heard: Vec<Heard>, net: &Net, out: &mut Outbox) -> bool {
        let (mut alive, mut news) = (Vec::new(), false);
        for heard in heard {
            match heard {
                Heard::Changed(key) => {
                    self.goodbyes.remove(&key);
                    self.tell_seen(&key, net, out);
                    news = true;
                }
                Heard::Reverted(key) => {
                    // Somebody else had spoken for it with a later revision, and had been believed.
                    out.tell(Sighting::Gone { key: key.clone(), reason: Reason::Refused });
                    self.tell_seen(&key, net, out);
                    news = true;
                }
                Heard::Repeated(key) => {
                    self.goodbyes.remove(&key);
                    alive.push(key);
                }
                Heard::Goodbye(key) => self.doubt(now, key),
                Heard::Unwanted(key) => {
                    self.goodbyes.remove(&key);
                    out.tell(Sighting::Gone { key, reason: Reason::Changed });
                }
                Heard::Doubtful(key, interface) => self.confirm(now, &key, Some(interface), GIVE_UP_MS),
                Heard::Dropped(reason) => self.refuse(reason, out),
            }
        }
        if !alive.is_empty() {
            out.tell(Sighting::Alive { keys: alive, at: now });
        }
        news
    }

    /// Somebody said goodbye for a node: asks whether it is so.
    fn doubt(&mut self, now: Time, key: Key) {
        self.goodbyes.entry(key.clone()).or_insert(Time(now.0 + GOODBYE_MS));
        self.check(now, &key);
    }

    /// Asks whether a node lives.
    pub fn check(&mut self, now: Time, key: &Key) {
        let Some(record) = self.cache.record(key) else { return };
        // Past the end of the lease and the grace that it has.
        let patience = u64::from(record.lease) * 250 + 1_500;
        self.confirm(now, key, None, patience);
    }

    /// Asks its registry for so long what it is, if it can be on this interface.
    fn confirm(&mut self, now: Time, key: &Key, interface: Option<u32>, patience: u64) {
        let Some(record) = self.cache.record(key) else { return };
        let (tag, question) = (Tag::of(&record.owner), self.question_of(&record.service.name));
        let there =
            |(place, addr): (&Place, &SocketAddr)| (Some(place.interface) == interface).then_some((*place, *addr));
        let at =
            tag.and_then(|tag| self.peers.get(tag)?.addrs.iter().find_map(there).or_else(|| self.peers.route(tag)));
        if let Some((tag, (place, addr))) = tag.zip(at) {
            return self.fetch(now, (tag, place, question), addr, None, patience);
        }
        let Some(name) = ZONE.instance(key) else { return };
        [rtype::SRV, rtype::TXT].iter().for_each(|rtype| self.querier.confirm(now, &name, *rtype));
    }

    /// The interest that nodes of a service are held for.
    pub(super) fn question_of(&self, service: &str) -> Question {
        match self.interests.contains_key(&Question::Everything) {
            true => Question::Everything,
            false => Question::Service(Arc::from(service)),
        }
    }

    /// A node was deleted for silence: it is new when it is heard again.
    pub fn expired(&mut self, now: Time, key: &Key) {
        let Some(record) = self.cache.record(key) else { return };
        let (tag, question) = (Tag::of(&record.owner), self.question_of(&record.service.name));
        self.cache.remove(key);
        match tag.filter(|tag| self.peers.route(*tag).is_some()) {
            Some(tag) => self.peers.lose(now, tag, question),
            // A last time, so that one whose answers were lost comes back.
            None => ZONE.instance(key).iter().for_each(|name| self.querier.confirm(now, name, rtype::SRV)),
        }
    }

    pub(super) fn gone(&mut self, key: &Key, out: &mut Outbox) {
        self.goodbyes.remove(key);
        if self.cache.holds(key) {
            self.cache.remove(key);
            out.tell(Sighting::Gone { key: key.clone(), reason: Reason::Goodbye });
        }
    }

    /// Takes records that were multicast, or an answer of other software.
    pub fn handle_records(&mut self, now: Time, from: Speaker, all: &[&Record], net: &Net, out: &mut Outbox) {
        let Speaker { addr: from, place, direct, one_shot } = from;
        if self.interests.is_empty() {
            return;
        }
        for record in all {
            let alive = ZONE.alive_of(&record.name);
            if let (Some((owner, lease)), Data::Other(rtype::ALIVE, data)) = (alive, &record.data) {
                match Alive::decode(data) {
                    Some(alive) if record.ttl > 0 => self.handle_alive(now, from, place, (owner, lease), &alive, out),
                    _ => self.refuse(Refused::Alive, out),
                }
            }
        }
        let believed: Vec<&Record> =
            all.iter().copied().filter(|record| self.comes_from_its_owner(now, from, place, record)).collect();
        self.refuse_others(&believed, all.len(), out);
        if believed.is_empty() {
            return;
        }
        let source = Source { now, from: from.ip(), interface: place.interface, authoritative: false, one_shot };
        let heard = self.cache.take(source, &believed, wants(&self.interests));
        self.learn(&heard, place, direct.map(|port| SocketAddr::new(from.ip(), port)), out);
        self.delay_lookups(now, &heard);
        self.tell(now, heard, net, out);
        self.ask_for_missing(now, &believed);
    }

    fn delay_lookups(&mut self, now: Time, heard: &[Heard]) {
        if self.lookups.is_empty() {
            return;
        }
        let news = heard.iter().filter_map(|heard| match heard {
            Heard::Changed(key) | Heard::Reverted(key) => self.cache.record(key),
            _ => None,
        });
        let services: BTreeSet<String> = news.map(|record| record.service.name.clone()).collect();
        self.news_of(now, services.iter().map(String::as_str));
    }

    /// Lookups go on while more comes of what they ask for.
    pub fn news_of<'a>(&mut self, now: Time, services: impl Iterator<Item = &'a str>) {
        for service in services {
            for question in [Question::Service(Arc::from(service)), Question::Everything] {
                self.lookups.get_mut(&question).into_iter().for_each(|lookup| lookup.news(now));
            }
        }
    }

    /// Notes where a registry answers that has just announced itself.
    fn learn(&mut self, heard: &[Heard], place: Place, direct: Option<SocketAddr>, out: &mut Outbox) {
        let Some(direct) = direct else { return };
        for heard in heard {
            let (Heard::Changed(key) | Heard::Repeated(key)) = heard else { continue };
            let tag = self.cache.record(key).and_then(|record| Tag::of(&record.owner));
            let Some(tag) = tag else { continue };
            match self.peers.entry(tag) {
                Some(peer) => drop(peer.addrs.entry(place).or_insert(direct)),
                None => self.refuse(Refused::RegistriesFull, out),
            }
        }
    }

    /// Asks other software for the records that an instance lacks.
    fn ask_for_missing(&mut self, now: Time, records: &[&Record]) {
        let named: BTreeSet<&str> = records
            .iter()
            .filter_map(|record| match &record.data {
                Data::Ptr(instance) => ZONE.key(instance),
                _ => ZONE.key(&record.name),
            })
            .collect();
        for key in named {
            let Some((lacks, host)) = self.cache.lacks(key) else { continue };
            match (lacks, host) {
                (true, _) => {
                    let Some(name) = ZONE.instance(key) else { continue };
                    [rtype::SRV, rtype::TXT].iter().for_each(|rtype| self.querier.ask(now, &name, *rtype));
                }
                (false, Some(host)) => {
                    [rtype::A, rtype::AAAA].iter().for_each(|rtype| self.querier.ask(now, &host, *rtype));
                }
                (false, None) => {}
            }
        }
    }

    /// Another host has just asked.
    pub fn suppress(&mut self, now: Time, place: Place, message: &Message) {
        if message.answers.is_empty() && !message.truncated {
            self.querier.suppress(now, place, &message.questions);
        }
    }

    /// Does what is due.
    ///
    /// `elsewhere`: questions whose answers still come, though not by DNS-SD.
    pub fn handle_timeout(&mut self, now: Time, net: &Net, elsewhere: &BTreeSet<Question>, out: &mut Outbox) {
        if now >= self.swept_at {
            self.swept_at = Time(now.0 + SWEEP_MS);
            let held: BTreeSet<Tag> = self.cache.owners().filter_map(|owner| Tag::of(owner)).collect();
            self.peers.retain(|tag| held.contains(&tag));
        }
        if self.look_again_at.is_some_and(|at| at <= now) {
            self.look_again(now);
        }
        self.believe_goodbyes(now, out);
        while let Some((tag, place, addr, question)) = self.peers.pop_lost(now) {
            self.fetch(now, (tag, place, question), addr, None, GIVE_UP_MS / 4);
        }
        self.poll_lookups(now, net, out);
        self.poll_fetches(now, true, out);
        self.settle(now, elsewhere, out);
        let cache = &self.cache;
        let known = |question: &Question, place: Place| cache.pointers(now, question, place.interface);
        for (place, bytes) in self.querier.poll(now, &net.places, known, &mut self.rng) {
            out.multicast(place, bytes);
        }
    }

    fn believe_goodbyes(&mut self, now: Time, out: &mut Outbox) {
        let due: Vec<Key> = self.goodbyes.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            let heard = self.cache.heard_at(&key);
            let since = self.goodbyes.remove(&key).map(|at| Time(at.0 - GOODBYE_MS));
            if heard.zip(since).is_none_or(|(heard, since)| heard <= since) {
                self.gone(&key, out);
            }
        }
    }

    fn poll_lookups(&mut self, now: Time, net: &Net, out: &mut Outbox) {
        let questions: Vec<Question> = self.lookups.keys().cloned().collect();
        for question in questions {
            let id = self.rng.u16(..);
            let Some(lookup) = self.lookups.get_mut(&question) else { continue };
            if let Some(ask) = lookup.poll(now, id) {
                if !self.interests.get(&question).is_some_and(Interest::is_of_dns_sd) {
                    continue;
                }
                let bytes = message(id, &question, &ask);
                net.places.iter().for_each(|place| out.ask(*place, bytes.clone()));
            }
        }
    }

    fn settle(&mut self, now: Time, elsewhere: &BTreeSet<Question>, out: &mut Outbox) {
        let (fetches, interests) = (&self.fetches, &mut self.interests);
        self.lookups.retain(|question, lookup| {
            let complete = !elsewhere.contains(question) && !fetches.keys().any(|(_, _, of)| of == question);
            let over = lookup.is_over(now);
            let interest = interests.get_mut(question);
            // Who was not answered at all goes on by what comes.
            if lookup.settles(now, complete) || (over && interest.as_ref().is_some_and(|interest| !interest.settled)) {
                interest.into_iter().for_each(|interest| interest.settle(out));
            }
            !over
        });
    }

    /// When something is due next.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        let lookups = self.lookups.values().map(|lookup| lookup.next_due(now));
        let fetches = self.fetches.values().map(|running| running.fetch.next_due().min(running.give_up));
        let goodbye = self.goodbyes.values().min().copied();
        let others = [self.peers.next_due(), self.querier.next_due(), goodbye, self.look_again_at];
        lookups.chain(fetches).chain(others.into_iter().flatten()).min()
    }

    /// Counters for `stats`.
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("held", self.cache.len() as u64),
            ("interests", self.interests.len() as u64),
            ("fetches", self.fetches.len() as u64),
            ("lookups", self.lookups.len() as u64),
            ("lost-registries", self.peers.lost() as u64),
        ]
    }
}

/// A question with its option.
pub(super) fn message(id: u16, question: &Question, exchange: &Exchange) -> Vec<u8> {
    let data = exchange.encode();
    let mut message = Builder::query(id, MESSAGE);
    message.reserve_option(data.len());
    message.question(&dns(question));
    if matches!((question, exchange), (Question::Service(_), Exchange::Ask { .. })) {
        // Other software may have no subtype of ours.
        message.question(&dns(&Question::Everything));
    }
    message.option(&data);
    message.finish()
}
