//! Answers to the questions of any software (RFC 6762 §6): delayed and joined where others may
//! answer too, each record at most once a second, known answers left out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::compose::{compose, estimate, pointer, Other};
use super::message::{rtype, Data, Message, Question, Record, IN};
use super::name::Name;
use super::outbox::Place;
use super::pace::Bucket;
use super::publication::{part, Node, Publications, ONCE_IN_MS};
use super::serve::MESSAGE;
use super::zone::ZONE;
use crate::record::{Key, Owner, Question as About, Time};
use crate::refused::{Refusals, Refused};

/// One-shot questions answered at once and a second (RFC 6762 §6.7), of what may go to who has not proven its address, and
/// whole enumerations worked out: a flood of either costs no more.
const LEGACY: (u64, u64) = (20, 20);
const SCANS: (u64, u64) = (20, 50);
/// A record is multicast once within so long where it defends a name that somebody probes for, else within [`ONCE_IN_MS`],
/// milliseconds (RFC 6762 §6).
const DEFENDED_ONCE_IN_MS: u64 = 250;
/// The delay of an answer that others may give too, milliseconds (RFC 6762 §6).
const SHARED_MS: std::ops::Range<u64> = 20..120;
/// How long more known answers are waited for, milliseconds (RFC 6762 §7.2), from how many askers, and
/// how many questions and answers of all.
const TRUNCATED_MS: std::ops::Range<u64> = 400..500;
const DEFERRED: usize = 512;
const DEFERRED_RECORDS: usize = 16_384;
/// Remembered questions that were answered in full.
const ANSWERED: usize = 1_024;

/// What an endpoint says of itself to the responder.
pub struct Here<'a> {
    /// What is published.
    pub known: &'a Publications,
    /// Where the question came from and by which way.
    pub place: Place,
    /// The addresses of that interface.
    pub addrs: &'a [IpAddr],
    /// The registries that speak there.
    pub owners: &'a BTreeSet<Owner>,
}

/// Answers that wait to be multicast.
#[derive(Debug)]
struct Pending {
    due: Time,
    nodes: BTreeMap<Key, u8>,
    others: BTreeSet<Other>,
}

/// What a message asks, as far as it concerns us.
pub struct Asked {
    questions: Vec<Question>,
    known: Vec<Record>,
    /// The asker wants a name for itself (RFC 6762 §8.1).
    probe: bool,
}

impl Asked {
    fn of(message: Message, known: &Publications) -> Asked {
        let concerns_us = |record: &Record| match &record.data {
            Data::Ptr(_) if record.name == ZONE.types || record.name == ZONE.names => true,
            Data::Ptr(instance) => known.named(instance).is_some(),
            _ => known.named(&record.name).is_some(),
        };
        Asked {
            questions: message.questions,
            known: message.answers.into_iter().filter(concerns_us).collect(),
            probe: !message.authorities.is_empty(),
        }
    }

    fn join(&mut self, earlier: Asked) {
        self.questions.extend(earlier.questions);
        self.known.extend(earlier.known);
        self.probe |= earlier.probe;
    }

    fn len(&self) -> usize {
        self.questions.len() + self.known.len()
    }
}

/// One whose known answers are not all here.
struct Deferred {
    asked: Asked,
    due: Time,
}

/// The state of answering.
pub struct Responder {
    pending: BTreeMap<Place, Pending>,
    /// Questions that were answered in full, and when, so that a copy costs nothing.
    answered: HashMap<(Name, u16, Place), Time>,
    others_said: HashMap<(Other, Place), Time>,
    deferred: BTreeMap<(Place, SocketAddr), Deferred>,
    legacy: Bucket,
    scans: Bucket,
    refused: Arc<Refusals>,
}

/// What is to be said now.
#[derive(Debug, Default)]
pub struct Replies {
    /// To the asker, by unicast.
    pub unicast: Vec<Vec<u8>>,
    /// Alive records that were asked for.
    pub alive: Vec<(Owner, u32)>,
}

/// What answers a set of questions.
#[derive(Default)]
struct Found {
    nodes: BTreeMap<Key, u8>,
    others: BTreeSet<Other>,
    alive: Vec<(Owner, u32)>,
    shared: bool,
    /// Enumerations among the questions, that can be remembered as answered.
    whole: Vec<(Name, u16)>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.others.is_empty()
    }
}

impl Responder {
    /// One that has nothing to say yet.
    pub fn new(refused: Arc<Refusals>) -> Responder {
        Responder {
            pending: BTreeMap::new(),
            answered: HashMap::new(),
            others_said: HashMap::new(),
            deferred: BTreeMap::new(),
            legacy: Bucket::new(LEGACY.0, LEGACY.1),
            scans: Bucket::new(SCANS.0, SCANS.1),
            refused,
        }
    }

    /// Takes a question that came from the multicast DNS port.
    pub fn handle(
        &mut self,
        now: Time,
        here: &Here<'_>,
        from: SocketAddr,
        message: Message,
        unproven: &mut Bucket,
        rng: &mut fastrand::Rng,
    ) -> Replies {
        let (asker, truncated) = ((here.place, from), message.truncated);
        let mut asked = Asked::of(message, here.known);
        let mut due = Time(now.0 + rng.u64(TRUNCATED_MS));
        let earlier = self.deferred.remove(&asker);
        let first = earlier.is_none();
        if let Some(earlier) = earlier {
            asked.join(earlier.asked);
            due = earlier.due;
        }
        let held: usize = self.deferred.values().map(|deferred| deferred.asked.len()).sum();
        let room = self.deferred.len() < DEFERRED && held + asked.len() <= DEFERRED_RECORDS;
        if truncated && room {
            self.deferred.insert(asker, Deferred { asked, due });
            return Replies::default();
        }
        if truncated {
            self.refused.count(Refused::KnownAnswersFull);
        }
        if truncated && first {
            // One asker too many: what it knows is not known.
            return Replies::default();
        }
        self.answer(now, here, &asked, unproven, rng)
    }

    /// Takes a question whose known answers have all come by now.
    pub fn pop_deferred(&mut self, now: Time) -> Option<(SocketAddr, Place, Asked)> {
        let asker = *self.deferred.iter().find(|(_, deferred)| deferred.due <= now)?.0;
        self.deferred.remove(&asker).map(|deferred| (asker.1, asker.0, deferred.asked))
    }

    /// Answers a question for which no more known answers come.
    pub fn answer(
        &mut self,
        now: Time,
        here: &Here<'_>,
        asked: &Asked,
        unproven: &mut Bucket,
        rng: &mut fastrand::Rng,
    ) -> Replies {
        let mut found = self.find(now, here, &asked.questions);
        let mut replies = Replies { alive: std::mem::take(&mut found.alive), ..Replies::default() };
        leave_out_known(here, &mut found, &asked.known);
        if found.is_empty() {
            return replies;
        }
        if asked.questions.iter().all(|question| question.unicast) {
            // What was multicast within a quarter of its life goes by unicast (RFC 6762 §5.4), if it fits a message.
            let fresh = |(key, parts): (&Key, &u8)| {
                here.known.get(key).is_some_and(|node| node.is_fresh(place_id(here.place), *parts, now))
            };
            if found.nodes.iter().all(fresh) && fits_a_message(here, &found) && unproven.take(now, 1) {
                replies.unicast = self.one_message(here, &found, None).into_iter().collect();
                return replies;
            }
        }
        if asked.known.is_empty() {
            self.remember(now, here.place, &found.whole);
        }
        self.schedule(now, here, found, asked.probe, rng);
        replies
    }

    /// Answers a one-shot question (RFC 6762 §6.7): with one message, if not too many are asked.
    pub fn one_shot(
        &mut self,
        now: Time,
        here: &Here<'_>,
        message: &Message,
        unproven: &mut Bucket,
    ) -> Option<Vec<u8>> {
        let questions: HashSet<&Question> = message.questions.iter().filter(|question| is_ours(question)).collect();
        let enumerating = questions.iter().any(|question| enumerates(here, question));
        if enumerating && !self.has_turn(now, unproven) {
            return None;
        }
        let mut found = Found::default();
        questions.into_iter().for_each(|question| collect(here, question, &mut found));
        leave_out_known(here, &mut found, &message.answers);
        if found.is_empty() || (!enumerating && !self.has_turn(now, unproven)) {
            return None;
        }
        self.one_message(here, &found, Some((message.id, &message.questions)))
    }

    fn has_turn(&mut self, now: Time, unproven: &mut Bucket) -> bool {
        let has = unproven.left(now) > 0 && self.legacy.take(now, 1) && unproven.take(now, 1);
        if !has {
            self.refused.count(Refused::OneShotLimited);
        }
        has
    }

    fn find(&mut self, now: Time, here: &Here<'_>, questions: &[Question]) -> Found {
        let mut found = Found::default();
        let mut asked: BTreeSet<(&Name, u16)> = BTreeSet::new();
        for question in questions.iter().filter(|question| is_ours(question)) {
            if !asked.insert((&question.name, question.rtype)) {
                continue;
            }
            if enumerates(here, question) {
                let key = (question.name.clone(), question.rtype, here.place);
                if self.answered.get(&key).is_some_and(|at| now.0 < at.0 + ONCE_IN_MS) {
                    continue;
                }
                if !self.scans.take(now, 1) {
                    self.refused.count(Refused::EnumerationsLimited);
                    continue;
                }
                found.whole.push((question.name.clone(), question.rtype));
            }
            collect(here, question, &mut found);
        }
        found
    }

    fn remember(&mut self, now: Time, place: Place, whole: &[(Name, u16)]) {
        if self.answered.len() >= ANSWERED {
            self.answered.retain(|_, at| now.0 < at.0 + ONCE_IN_MS);
        }
        if self.answered.len() < ANSWERED {
            self.answered.extend(whole.iter().map(|(name, rtype)| ((name.clone(), *rtype, place), now)));
        }
    }

    /// A node was published: an enumeration has more to say than it had.
    pub fn changed(&mut self) {
        self.answered.clear();
    }

    fn schedule(&mut self, now: Time, here: &Here<'_>, found: Found, probe: bool, rng: &mut fastrand::Rng) {
        let left = |(key, parts): (Key, u8)| {
            let parts = unsaid(here.known.get(&key)?, here.place, parts, now, probe);
            (parts != 0).then_some((key, parts))
        };
        let nodes: Vec<(Key, u8)> = found.nodes.into_iter().filter_map(left).collect();
        let said = &self.others_said;
        let is_left = |other: &Other| {
            let ms = if probe && matches!(other, Other::Host(_)) { DEFENDED_ONCE_IN_MS } else { ONCE_IN_MS };
            said.get(&(other.clone(), here.place)).is_none_or(|at| now.0 >= at.0 + ms)
        };
        let others: Vec<Other> = found.others.into_iter().filter(is_left).collect();
        if nodes.is_empty() && others.is_empty() {
            return;
        }
        // A probe wants its answer before the name is taken (RFC 6762 §6).
        let due = if found.shared && !probe { Time(now.0 + rng.u64(SHARED_MS)) } else { now };
        let pending = self.pending.entry(here.place);
        let pending = pending.or_insert(Pending { due, nodes: BTreeMap::new(), others: BTreeSet::new() });
        pending.due = pending.due.min(due);
        nodes.into_iter().for_each(|(key, parts)| *pending.nodes.entry(key).or_default() |= parts);
        pending.others.extend(others);
    }

    /// Somebody else has just said what we share with everybody of our kind (RFC 6762 §7.4).
    pub fn suppress(&mut self, now: Time, place: Place, answers: &[Record]) {
        let Some(pending) = self.pending.get_mut(&place) else { return };
        let said = || answers.iter().filter(|record| record.ttl > 0);
        let mut others = leave_out_named(&mut pending.others, said());
        let r#type = pointer(&ZONE.types, &ZONE.service_type);
        if said().any(|record| record.name == r#type.name && record.data == r#type.data) {
            others.extend(pending.others.take(&Other::Type));
        }
        self.others_said.extend(others.into_iter().map(|other| ((other, place), now)));
    }

    /// The messages due by now, where to multicast each.
    pub fn poll(
        &mut self,
        now: Time,
        place: Place,
        known: &mut Publications,
        here: (&[IpAddr], &BTreeSet<Owner>),
    ) -> Vec<Vec<u8>> {
        let Some(pending) = self.pending.remove(&place) else { return Vec::new() };
        self.others_said.retain(|_, at| now.0 < at.0 + ONCE_IN_MS);
        let mut messages = Vec::new();
        let mut batch: Vec<(Key, u8)> = Vec::new();
        let mut others: Vec<Other> = pending.others.into_iter().collect();
        self.others_said.extend(others.iter().map(|other| ((other.clone(), place), now)));
        let mut size: usize = others.iter().map(Other::estimate).sum();
        for (key, parts) in pending.nodes {
            let Some(node) = known.get(&key) else { continue };
            // It may have been announced meanwhile.
            let parts = unsaid(node, place, parts, now, true);
            if parts == 0 {
                continue;
            }
            let room = estimate(node);
            if size + room > MESSAGE - 100 && !(batch.is_empty() && others.is_empty()) {
                messages.extend(say(
                    now,
                    place,
                    known,
                    here,
                    &std::mem::take(&mut batch),
                    &std::mem::take(&mut others),
                ));
                size = 0;
            }
            size += room;
            batch.push((key, parts));
        }
        if !batch.is_empty() || !others.is_empty() {
            messages.extend(say(now, place, known, here, &batch, &others));
        }
        messages
    }

    /// Where answers are due by now.
    pub fn due_places(&self, now: Time) -> Vec<Place> {
        self.pending.iter().filter(|(_, pending)| pending.due <= now).map(|(place, _)| *place).collect()
    }

    /// When the next answer is due.
    pub fn next_due(&self) -> Option<Time> {
        let deferred = self.deferred.values().map(|deferred| deferred.due);
        self.pending.values().map(|pending| pending.due).chain(deferred).min()
    }

    fn one_message(&self, here: &Here<'_>, found: &Found, legacy: Option<(u16, &[Question])>) -> Option<Vec<u8>> {
        let mut size = 0;
        let fits = |(key, _): &(&Key, &u8)| {
            size += here.known.get(key).map_or(0, estimate);
            size <= MESSAGE - 100
        };
        let nodes: Vec<(Key, u8)> =
            found.nodes.iter().take_while(fits).map(|(key, parts)| (key.clone(), *parts)).collect();
        // One that is larger than a message goes alone.
        let nodes = match nodes.is_empty() {
            true => found.nodes.iter().take(1).map(|(key, parts)| (key.clone(), *parts)).collect(),
            false => nodes,
        };
        let others: Vec<Other> = found.others.iter().cloned().collect();
        if nodes.is_empty() && others.is_empty() {
            return None;
        }
        compose(here.known, (here.addrs, here.owners), &nodes, &others, legacy).map(|composed| composed.bytes)
    }
}

/// Which of these parts may be multicast again.
fn unsaid(node: &Node, place: Place, parts: u8, now: Time, probe: bool) -> u8 {
    let said = |ms| node.said_within(ms, place_id(place), now);
    let lately = said(ONCE_IN_MS);
    parts & !if probe { lately & part::POINTERS | said(DEFENDED_ONCE_IN_MS) } else { lately }
}

/// Composes a message that is multicast, and notes what it says.
fn say(
    now: Time,
    place: Place,
    known: &mut Publications,
    here: (&[IpAddr], &BTreeSet<Owner>),
    nodes: &[(Key, u8)],
    others: &[Other],
) -> Option<Vec<u8>> {
    let composed = compose(known, here, nodes, others, None)?;
    for (key, parts) in composed.said {
        if let Some(node) = known.get_mut(&key) {
            node.say(place_id(place), parts, now);
        }
    }
    Some(composed.bytes)
}

/// An interface and a family as one number.
pub fn place_id(place: Place) -> u32 {
    place.interface << 1 | u32::from(place.v6)
}

fn fits_a_message(here: &Here<'_>, found: &Found) -> bool {
    let nodes = found.nodes.keys().filter_map(|key| here.known.get(key));
    nodes.map(estimate).sum::<usize>() <= MESSAGE - 100
}

/// Whether a question is of class IN or ANY.
fn is_ours(question: &Question) -> bool {
    question.class == IN || question.class == rtype::ANY
}

/// Whether all nodes or services have to be looked through for an answer.
fn enumerates(here: &Here<'_>, question: &Question) -> bool {
    let name = &question.name;
    match question.rtype {
        rtype::PTR => *name == ZONE.service_type || *name == ZONE.names || here.known.of_subtype(name).is_some(),
        rtype::TXT => name.parent().is_some_and(|parent| parent == ZONE.names),
        rtype::ANY => {
            [rtype::PTR, rtype::TXT].into_iter().any(|rtype| enumerates(here, &Question { rtype, ..question.clone() }))
        }
        _ => false,
    }
}

/// Adds what answers one question.
fn collect(here: &Here<'_>, question: &Question, found: &mut Found) {
    if !is_ours(question) {
        return;
    }
    let any = question.rtype == rtype::ANY;
    let name = &question.name;
    let is = |wanted: u16| any || question.rtype == wanted;
    let known = here.known;
    let enumerate = |about: &About, parts: u8, found: &mut Found| {
        for owner in here.owners {
            for key in known.keys(owner, about, &super::exchange::ALL) {
                *found.nodes.entry(key.clone()).or_default() |= parts;
            }
        }
        found.shared = true;
    };
    let speaks = |node: &&Node| here.owners.contains(&node.record.owner);
    if *name == ZONE.service_type && is(rtype::PTR) {
        enumerate(&About::Everything, part::TYPE, found);
    } else if let Some(service) = known.of_subtype(name).filter(|_| is(rtype::PTR)) {
        enumerate(&About::Service(service.clone()), part::SUBTYPE, found);
    } else if *name == ZONE.types && is(rtype::PTR) {
        if here.owners.iter().any(|owner| known.services_of(owner).next().is_some()) {
            found.others.insert(Other::Type);
            found.shared = true;
        }
    } else if *name == ZONE.names && is(rtype::PTR) {
        let services = here.owners.iter().flat_map(|owner| known.services_of(owner));
        found.others.extend(services.cloned().map(Other::Service));
        found.shared = true;
    } else if name.parent().is_some_and(|parent| parent == ZONE.names) && is(rtype::TXT) {
        let services = here.owners.iter().flat_map(|owner| known.services_of(owner));
        let named = services.filter(|service| ZONE.service_name(service) == *name);
        found.others.extend(named.cloned().map(Other::Service));
    } else if let Some(node) = known.named(name).filter(speaks) {
        let parts = match question.rtype {
            rtype::ANY => part::SRV | part::TXT,
            rtype::SRV => part::SRV,
            rtype::TXT => part::TXT,
            _ => part::NSEC,
        };
        *found.nodes.entry(node.record.key.clone()).or_default() |= parts;
    } else if known.host(name).is_some_and(|host| here.owners.contains(&host.owner)) {
        found.others.insert(Other::Host(name.clone()));
    } else if let Some((owner, lease)) = ZONE.alive_of(name).filter(|_| is(rtype::ALIVE)) {
        if let Some(owner) = here.owners.get(owner) {
            found.alive.push((owner.clone(), lease));
        }
    }
}

/// Leaves out what the asker knows for at least half its time (RFC 6762 §7.1).
fn leave_out_known(here: &Here<'_>, found: &mut Found, answers: &[Record]) {
    for record in answers {
        let key = match &record.data {
            Data::Ptr(target) => ZONE.key(target),
            _ => ZONE.key(&record.name),
        };
        if let Some((node, parts)) = key.and_then(|key| Some((here.known.get(key)?, found.nodes.get_mut(key)?))) {
            for bit in [part::TYPE, part::SUBTYPE, part::SRV, part::TXT] {
                let same =
                    |own: &Record| own.name == record.name && own.data == record.data && record.ttl * 2 >= own.ttl;
                if *parts & bit != 0 && node.records(bit).iter().any(same) {
                    *parts &= !bit;
                }
            }
        }
        if record.name == ZONE.types && record.data == Data::Ptr(ZONE.service_type.clone()) {
            found.others.remove(&Other::Type);
        }
    }
    leave_out_named(&mut found.others, answers.iter());
    found.nodes.retain(|_, parts| *parts != 0);
}

/// Leaves out the names of services that are said already; gives those.
fn leave_out_named<'a>(others: &mut BTreeSet<Other>, answers: impl Iterator<Item = &'a Record>) -> BTreeSet<Other> {
    let target = |record: &'a Record| match &record.data {
        Data::Ptr(target) if record.name == ZONE.names => Some(target),
        _ => None,
    };
    let said: HashSet<&Name> = answers.filter_map(target).collect();
    if said.is_empty() {
        return BTreeSet::new();
    }
    let is_said =
        |other: &Other| matches!(other, Other::Service(service) if said.contains(&ZONE.service_name(service)));
    let (said, left) = std::mem::take(others).into_iter().partition(is_said);
    *others = left;
    said
}
