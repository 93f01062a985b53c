//! What this process wants to know: the questions of its registries, what is held in answer, and how
//! that is kept true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::alive::Alive;
use super::cache::{Cache, Heard, Source};
use super::exchange::{Exchange, Sum, Tag, Verdict, ALL};
use super::fetch::Fetch;
use super::herald::service_hash;
use super::interest::{about, wants, Interest};
use super::lookup::Lookup;
use super::message::{rtype, Builder, Data, Message, Record};
use super::outbox::{Outbox, Place};
use super::peers::Peers;
use super::querier::{dns, Querier};
use super::serve::MESSAGE;
use super::zone::ZONE;
use super::Via;
use crate::event::Reason;
use crate::limits;
use crate::record::{Key, Owner, Question, Reach, Sighting, Time};

/// A goodbye is believed when its node has not been heard of for so long, milliseconds (RFC 6762
/// §10.1).
const GOODBYE_MS: u64 = 1_000;
/// A registry that does not answer for so long is given up, milliseconds; one whose nodes near the end
/// of their lease, later.
pub(super) const GIVE_UP_MS: u64 = 1_000;
/// A registry that answers is asked for so long at most, milliseconds.
const LONGEST_MS: u64 = 30_000;
/// How often registries of which nothing is held are forgotten, milliseconds.
const SWEEP_MS: u64 = 60_000;
/// Messages under way to us at once: as many as a socket buffer of the default size holds.
const WINDOW: usize = 64;

/// The interfaces as the asker needs them.
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

/// A fetch, who is asked about what.
pub(super) type Errand = (Tag, Place, Question);

/// The state of wanting.
#[derive(Debug)]
pub struct Asker {
    pub(super) interests: BTreeMap<Question, Interest>,
    pub(super) by_hash: HashMap<u64, Question>,
    /// What is held.
    pub cache: Cache,
    pub(super) peers: Peers,
    lookups: BTreeMap<Question, Lookup>,
    fetches: BTreeMap<Errand, Running>,
    /// Nodes that somebody said goodbye for, and when it is believed.
    goodbyes: BTreeMap<Key, Time>,
    querier: Querier,
    rng: fastrand::Rng,
    /// When registries of which nothing is held any more are forgotten next.
    swept_at: Time,
}

/// A fetch under way.
#[derive(Debug)]
struct Running {
    fetch: Fetch,
    /// What the alive record said that began it.
    trigger: Option<(u32, Sum)>,
    give_up: Time,
    /// However much it answers.
    ends: Time,
}

impl Asker {
    /// With message ids and delays that no stranger can guess.
    pub fn new(rng: fastrand::Rng) -> Asker {
        Asker {
            interests: BTreeMap::new(),
            by_hash: HashMap::new(),
            cache: Cache::default(),
            peers: Peers::default(),
            lookups: BTreeMap::new(),
            fetches: BTreeMap::new(),
            goodbyes: BTreeMap::new(),
            querier: Querier::default(),
            swept_at: Time(0),
            rng,
        }
    }

    fn id(&mut self) -> u16 {
        self.rng.u16(..)
    }

    /// A member asks. `own`: this process publishes an answer itself.
    pub fn ask(&mut self, now: Time, member: &Owner, asked: &Question, own: bool, net: &Net, out: &mut Outbox) {
        let question = &about(asked);
        let everything = self.interests.get(&Question::Everything).is_some_and(|interest| interest.settled);
        let interest = self.interests.entry(question.clone()).or_default();
        interest.members.insert((member.clone(), asked.clone()));
        if interest.settled || everything {
            interest.settled = true;
            self.tell_held(question, net, out);
            out.tell(Sighting::Settled(asked.clone()));
        } else if !self.lookups.contains_key(question) {
            self.lookups.insert(question.clone(), Lookup::new(now, own));
        }
        if let Question::Service(service) = question {
            self.by_hash.insert(service_hash(service), question.clone());
        }
        for place in &net.places {
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
        let members = self.interests.values().flat_map(|interest| &interest.members);
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

    /// Asks everybody again: the link is another than before.
    pub fn renew(&mut self, now: Time, net: &Net) {
        let there: BTreeSet<Place> = net.places.iter().copied().collect();
        self.peers.retain_places(|place| there.contains(&place));
        self.querier.retain_places(|place| there.contains(&place));
        self.fetches.retain(|(_, place, _), _| there.contains(place));
        self.cache.forget_interfaces(&net.names.keys().copied().collect());
        for (question, interest) in &self.interests {
            net.places.iter().for_each(|place| self.querier.browse(now, question, *place, &mut self.rng));
            if interest.settled {
                self.lookups.entry(question.clone()).or_insert_with(|| Lookup::new(now, false));
            }
        }
    }

    fn tell_held(&self, question: &Question, net: &Net, out: &mut Outbox) {
        let of = |name: &str| match question {
            Question::Service(service) => **service == *name,
            _ => true,
        };
        let keys: Vec<&Key> =
            self.cache.records().filter(|record| of(&record.service.name)).map(|record| &record.key).collect();
        keys.into_iter().for_each(|key| self.tell_seen(key, net, out));
    }

    fn tell_seen(&self, key: &Key, net: &Net, out: &mut Outbox) {
        let Some(record) = self.cache.record(key) else { return };
        let reach = self.cache.reach(key);
        let reach =
            reach.filter_map(|(on, ip)| net.names.get(on).map(|name| Reach { ip: *ip, interface: name.clone() }));
        out.tell(Sighting::Seen { record: record.clone(), reach: reach.collect() });
    }

    /// Tells that something was not believed; the registries count it.
    pub fn refuse(&self, reason: &'static str, out: &mut Outbox) {
        out.tell(Sighting::Dropped(reason));
    }

    /// Tells what a message came to; whether there was anything new in it.
    fn tell(&mut self, now: Time, heard: Vec<Heard>, net: &Net, out: &mut Outbox) -> bool {
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
        let (lease, tag) = (record.lease, Tag::of(&record.owner));
        let question = self.question_of(&record.service.name);
        // Past the end of the lease and the grace that it has.
        let patience = u64::from(lease) * 250 + 1_500;
        if let Some((tag, (place, addr))) = tag.and_then(|tag| Some((tag, self.peers.route(tag)?))) {
            return self.fetch(now, (tag, place, question), addr, None, patience);
        }
        let Some(name) = ZONE.instance(key) else { return };
        [rtype::SRV, rtype::TXT].iter().for_each(|rtype| self.querier.ask(now, &name, *rtype));
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
            None => ZONE.instance(key).iter().for_each(|name| self.querier.ask(now, name, rtype::SRV)),
        }
    }

    pub(super) fn fetch(
        &mut self,
        now: Time,
        errand: Errand,
        addr: SocketAddr,
        trigger: Option<(u32, Sum)>,
        patience: u64,
    ) {
        let give_up = Time(now.0 + patience);
        if let Some(running) = self.fetches.get_mut(&errand) {
            running.give_up = running.give_up.max(give_up);
            running.trigger = trigger.or(running.trigger);
            return;
        }
        if self.fetches.len() >= limits::VIEW_NODES {
            return;
        }
        let tag = errand.0;
        let token = self.peers.get(tag).map_or(0, |peer| peer.token);
        let fetch = Fetch::new(now, tag, addr, self.id()).with_token(token);
        self.fetches.insert(errand, Running { fetch, trigger, give_up, ends: give_up.max(Time(now.0 + LONGEST_MS)) });
    }

    /// Takes an answer of the exchange.
    pub fn handle_answer(
        &mut self,
        now: Time,
        from: Speaker,
        message: &Message,
        answer: &Exchange,
        net: &Net,
        out: &mut Outbox,
    ) {
        let Exchange::Answer { token, registry, verdicts, last, .. } = answer else { return };
        let Speaker { addr: from, place, .. } = from;
        let Some(question) = message.questions.first().and_then(|asked| self.question_named(asked)) else {
            return self.refuse("answer-unasked", out);
        };
        let errand = (*registry, place, question.clone());
        let of_lookup = self.lookups.get(&question).is_some_and(|lookup| lookup.ids.contains(&message.id));
        let asked = self.fetches.get(&errand).is_some_and(|running| running.fetch.addr == from);
        if !asked && self.doubts(*registry, place, from).is_some() {
            return self.refuse("answer-from-elsewhere", out);
        }
        match self.fetches.get(&errand) {
            Some(running) if (running.fetch.id == message.id || of_lookup) && running.fetch.addr == from => {}
            None if of_lookup => {
                // Over the other address family it says the same once more.
                let lookup = self.lookups.get_mut(&question);
                if !lookup.is_some_and(|lookup| lookup.answered.insert((*registry, place.interface))) {
                    return;
                }
                self.fetch(now, errand.clone(), from, None, GIVE_UP_MS);
            }
            _ => return self.refuse("answer-unasked", out),
        }
        let source = Source { now, interface: place.interface, authoritative: true, one_shot: false };
        let records: Vec<&Record> = message.answers.iter().collect();
        let heard = self.cache.take(source, &records, wants(&self.interests));
        let named: Vec<Key> = records.iter().filter_map(|record| ZONE.key(&record.name).map(Key::from)).collect();
        let Some(running) = self.fetches.get_mut(&errand) else { return };
        let (cache, owner) = (&self.cache, registry.owner());
        let same = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Same(range) => Some(cache.keys(&owner, &question, range)),
            _ => None,
        });
        let same: Vec<Key> = same.flatten().collect();
        let progress =
            running.fetch.handle(now, *token, verdicts, *last, &named, |range| cache.keys(&owner, &question, range));
        running.give_up = running.give_up.max(Time(now.0 + GIVE_UP_MS)).min(running.ends);
        let news = self.tell(now, heard, net, out);
        self.goodbyes.retain(|key, _| !same.contains(key));
        if !same.is_empty() {
            out.tell(Sighting::Alive { keys: same, at: now });
        }
        for key in progress.gone {
            self.gone(&key, out);
        }
        if let Some(lookup) = self.lookups.get_mut(&question) {
            if lookup.heard.insert(*registry) || news {
                lookup.news(now);
            }
        }
        self.peers.found(*registry);
        if progress.complete {
            self.complete(errand, from);
        }
    }

    fn complete(&mut self, errand: Errand, from: SocketAddr) {
        let Some(Running { fetch, trigger, .. }) = self.fetches.remove(&errand) else { return };
        let (tag, place, question) = errand;
        if let Some(peer) = self.peers.entry(tag) {
            peer.addrs.insert(place, from);
            peer.rivals.remove(&place);
            peer.token = fetch.token();
            if let Some((lease, said)) = trigger {
                let held = self.cache.sum(&tag.owner(), &question, &ALL, Some(lease));
                peer.verified.insert((question, lease), (said, held));
            }
        }
    }

    fn gone(&mut self, key: &Key, out: &mut Outbox) {
        self.goodbyes.remove(key);
        if self.cache.holds(key) {
            self.cache.remove(key);
            out.tell(Sighting::Gone { key: key.clone(), reason: Reason::Goodbye });
        }
    }

    /// The interest that a DNS question of ours stands for.
    fn question_named(&self, asked: &super::message::Question) -> Option<Question> {
        let question = match asked.name == ZONE.service_type {
            true => Question::Everything,
            false => {
                let hash = std::str::from_utf8(asked.name.first()).ok().and_then(super::exchange::position)?;
                self.by_hash.get(&hash)?.clone()
            }
        };
        self.interests.contains_key(&question).then_some(question)
    }

    /// Takes records that were multicast, or an answer of other software.
    pub fn handle_records(&mut self, now: Time, from: Speaker, all: &[&Record], net: &Net, out: &mut Outbox) {
        let Speaker { addr: from, place, direct, one_shot } = from;
        if self.interests.is_empty() {
            return;
        }
        for record in all {
            if let (Some((owner, lease)), Data::Txt(data)) = (ZONE.alive_of(&record.name), &record.data) {
                match Alive::decode(data) {
                    Some(alive) if record.ttl > 0 => self.handle_alive(now, from, place, (owner, lease), &alive, out),
                    Some(_) => {}
                    None => self.refuse("alive", out),
                }
            }
        }
        let believed: Vec<&Record> =
            all.iter().copied().filter(|record| self.comes_from_its_owner(now, from, place, record)).collect();
        if believed.is_empty() {
            return;
        }
        let source = Source { now, interface: place.interface, authoritative: false, one_shot };
        let heard = self.cache.take(source, &believed, wants(&self.interests));
        self.learn(&heard, place, direct.map(|port| SocketAddr::new(from.ip(), port)));
        if self.tell(now, heard, net, out) {
            self.lookups.values_mut().for_each(|lookup| lookup.news(now));
        }
        self.ask_for_missing(now, &believed);
    }

    /// Notes where a registry answers that has just announced itself.
    fn learn(&mut self, heard: &[Heard], place: Place, direct: Option<SocketAddr>) {
        let Some(direct) = direct else { return };
        for heard in heard {
            let Heard::Changed(key) = heard else { continue };
            let tag = self.cache.record(key).and_then(|record| Tag::of(&record.owner));
            if let Some(peer) = tag.and_then(|tag| self.peers.entry(tag)) {
                peer.addrs.entry(place).or_insert(direct);
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
    pub fn handle_timeout(&mut self, now: Time, net: &Net, out: &mut Outbox) {
        if now >= self.swept_at {
            self.swept_at = Time(now.0 + SWEEP_MS);
            let held: BTreeSet<Tag> = self.cache.owners().filter_map(|owner| Tag::of(owner)).collect();
            self.peers.retain(|tag| held.contains(&tag));
        }
        self.believe_goodbyes(now, out);
        while let Some((tag, place, addr, question)) = self.peers.pop_lost(now) {
            self.fetch(now, (tag, place, question), addr, None, GIVE_UP_MS / 4);
        }
        self.poll_lookups(now, net, out);
        self.poll_fetches(now, true, out);
        self.settle(now, out);
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
            let id = self.id();
            let Some(lookup) = self.lookups.get_mut(&question) else { continue };
            if let Some(ask) = lookup.poll(now, id) {
                let bytes = message(id, &question, &ask);
                net.places.iter().for_each(|place| out.ask(*place, bytes.clone()));
            }
        }
    }

    /// Asks registries for the rest; with `late`, also again where an answer has not come for long.
    pub fn poll_fetches(&mut self, now: Time, late: bool, out: &mut Outbox) {
        let given_up: Vec<Errand> = self
            .fetches
            .iter()
            .filter(|(_, running)| late && running.give_up <= now)
            .map(|(errand, _)| errand.clone())
            .collect();
        for errand in given_up {
            self.fetches.remove(&errand);
            // Nobody is where the registry was: believe who says that it is elsewhere.
            let (tag, place, question) = errand;
            let Some(peer) = self.peers.entry(tag) else { continue };
            if let Some((at, rival)) = peer.rivals.remove(&place) {
                peer.addrs.remove(&place);
                peer.addrs.insert(at, rival);
                self.fetch(now, (tag, at, question), rival, None, GIVE_UP_MS);
            }
        }
        let budget = u8::try_from((WINDOW / self.fetches.len().max(1)).max(2)).unwrap_or(2);
        let cache = &self.cache;
        for ((tag, place, question), running) in &mut self.fetches {
            if !late && !running.fetch.is_ready() {
                continue;
            }
            let owner = tag.owner();
            let Some(ask) = running.fetch.poll(now, budget, |range| cache.sum(&owner, question, range, None)) else {
                continue;
            };
            let bytes = message(running.fetch.id, question, &ask);
            out.unicast(Via::Direct, place.interface, running.fetch.addr, bytes);
        }
    }

    fn settle(&mut self, now: Time, out: &mut Outbox) {
        let (fetches, interests) = (&self.fetches, &mut self.interests);
        self.lookups.retain(|question, lookup| {
            let complete = !fetches.keys().any(|(_, _, of)| of == question);
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
        let others = [self.peers.next_due(), self.querier.next_due(), self.goodbyes.values().min().copied()];
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
fn message(id: u16, question: &Question, exchange: &Exchange) -> Vec<u8> {
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
