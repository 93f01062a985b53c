//! go-micro's dialect of multicast DNS: its names and records are those of [`crate::wire::gomicro`].
//!
//! It differs from DNS-SD in what it asks, how it answers and that nothing is renewed, so it has a state of its own
//! beside that of DNS-SD: `said` is published here, `answers` wait for their pace;
//! `asks` are this process's questions, `heard` is what was answered. go-micro's own code sets two rules that are not
//! those of RFC 6762: it is asked from another port than 5353, as a question from there makes it answer itself without
//! end, and an answer to it echoes the question, or is dropped.

mod answers;
mod asks;
mod heard;
mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use self::answers::{Answers, Asked};
use self::asks::Asks;
use self::heard::{Entry, Heard, Outcome};
use self::said::{Node, Said};
use super::cache::{Cache, Source};
use super::herald::Ground;
use super::message::{self, Data, Message, IN};
use super::name::{Case, Name};
use super::outbox::{one_family, Outbox, Place};
use super::pace::Bucket;
use super::publication::Publications;
use super::site::Site;
use super::unsaid::Unsaid;
use crate::event::Reason;
use crate::options::Domain;
use crate::record::{Key, Owner, Question, Reach, Record, Sighting, Time};
use crate::refused::{Refusals, Refused};
use crate::wire::gomicro as wire;

/// A node that is doubted, by a goodbye or by what another host says, is asked at these times, and believed to be gone
/// when it has not answered by the last, milliseconds.
const DOUBT_MS: [u64; 4] = [0, 300, 600, 1_000];
/// Nodes that are asked for one by one, at once and a second; of more the service is asked.
const CHECKS: (u64, u64) = (32, 64);

/// Questions taken of one message; go-micro asks one.
const QUESTIONS: usize = 4;

/// What of DNS-SD concerns the dialect.
pub struct Beside<'a> {
    /// Where this process speaks.
    pub site: &'a Site,
    /// What it publishes.
    pub known: &'a Publications,
    /// What it has heard.
    pub cache: &'a Cache,
}

impl Beside<'_> {
    /// Whether a key is known by DNS-SD, which wins where all speak it.
    fn on_dns_sd(&self, key: &str) -> bool {
        self.site.all_speak_dns_sd() && (self.known.get(key).is_some() || self.cache.record(key).is_some())
    }
}

/// The state of the dialect.
#[derive(Debug)]
pub struct GoMicro {
    /// The SRV target, as go-micro has it: what the system calls this host.
    host: Name,
    said: Said,
    unsaid: Unsaid,
    answers: Answers,
    asks: Asks,
    heard: Heard,
    /// Since when nodes are doubted, and how often they were asked.
    doubts: BTreeMap<Key, (Time, usize)>,
    checks: Bucket,
    rng: fastrand::Rng,
    refused: Arc<Refusals>,
}

impl GoMicro {
    /// On a host of this name.
    pub fn new(host: &str, mut rng: fastrand::Rng, refused: Arc<Refusals>) -> GoMicro {
        // Its name in a domain, `.local` above all, is for others to say.
        let label = host.split('.').next().filter(|label| !label.is_empty());
        let host = label.and_then(|label| Name::of([label.as_bytes()], Case::Kept));
        GoMicro {
            host: host.or_else(|| Name::from_dotted("localhost")).unwrap_or_else(|| unreachable!("it is a name")),
            said: Said::default(),
            unsaid: Unsaid::default(),
            answers: Answers::new(refused.clone()),
            asks: Asks::new(rng.fork(), refused.clone()),
            heard: Heard::default(),
            doubts: BTreeMap::new(),
            checks: Bucket::new(CHECKS.0, CHECKS.1),
            rng,
            refused,
        }
    }

    /// Publishes a record in a domain, in place of an earlier one with its key. Of that one nothing may stay that the
    /// new one does not replace: go-micro tells versions apart, and what the wire cannot carry is not said.
    pub fn publish(&mut self, record: Arc<Record>, domain: Domain, site: &Site, out: &mut Outbox) {
        if let Some(before) = self.said.remove(&record.key) {
            let same_version = before.record.service.version == record.service.version;
            if !same_version || wire::check(&record, domain).is_err() {
                self.goodbye(&before, site, out);
            }
        }
        self.said.put(record, domain);
    }

    /// Announces nodes where their owners speak, and once more in a second.
    pub fn announce(&mut self, keys: &[Key], on: Option<&BTreeSet<u32>>, site: &Site) {
        let is_there = |place: &Place| on.is_none_or(|on| on.contains(&place.interface));
        let mut places: BTreeMap<&Owner, Vec<Place>> = BTreeMap::new();
        for node in keys.iter().filter_map(|key| self.said.get(key)) {
            let owner = &node.record.owner;
            let there = || site.places(owner).into_iter().filter(is_there).collect();
            self.unsaid.push(places.entry(owner).or_insert_with(there).iter().copied(), &node.record.key);
        }
    }

    /// Takes nodes out and says goodbye for them.
    pub fn withdraw<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>, site: &Site, out: &mut Outbox) {
        for key in keys {
            if let Some(node) = self.said.remove(key) {
                self.goodbye(&node, site, out);
            }
        }
    }

    /// Over one family of each interface: go-micro takes what it hears over the other for another goodbye.
    fn goodbye(&self, node: &Node, site: &Site, out: &mut Outbox) {
        let places = site.places(&node.record.owner);
        for place in one_family(&places, false) {
            self.say(node, place, site, 0).into_iter().for_each(|message| out.multicast(place, message));
        }
    }

    /// A node unasked.
    fn say(&self, node: &Node, place: Place, site: &Site, ttl: u32) -> Option<Vec<u8>> {
        let records = self.said.records(node, site.addrs(place), &self.host, ttl)?;
        said::message(0, None, &records)
    }

    /// A node that is published.
    pub fn record(&self, key: &str) -> Option<&Arc<Record>> {
        self.said.get(key).map(|node| &node.record)
    }

    /// The domain that a node is published in.
    pub fn domain(&self, key: &str) -> Option<Domain> {
        self.said.get(key).map(|node| node.domain)
    }

    /// How many nodes are published.
    pub fn len(&self) -> usize {
        self.said.len()
    }

    /// Every node that only go-micro's wire carries.
    pub fn alone(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.said.alone()
    }

    /// The keys of all that is published.
    pub fn keys(&self) -> Vec<Key> {
        self.said.keys().cloned().collect()
    }

    /// Whether an announcement waits.
    pub fn has_announcements(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// The next announcement, and where it is to be multicast.
    pub fn next_announcement(&mut self, now: Time, site: &Site) -> Option<(Place, Vec<u8>)> {
        loop {
            let announcement = self.unsaid.first()?;
            let place = announcement.0;
            let there = self.said.get(&announcement.1).filter(|node| site.places(&node.record.owner).contains(&place));
            let Some(message) = there.and_then(|node| self.say(node, place, site, said::TTL)) else {
                self.unsaid.forget(&announcement);
                continue;
            };
            self.unsaid.said(now, announcement);
            return Some((place, message));
        }
    }

    /// Takes a question as far as it is about names of the dialect; `bytes` have their letters as they came. One that is
    /// `for_others` is answered with what no other wire carries.
    pub fn handle_question(
        &mut self,
        now: Time,
        (to, place): (SocketAddr, Place),
        (folded, for_others): (&Message, bool),
        bytes: &[u8],
        site: &Site,
    ) {
        let nothing = self.said.len() == 0 || (for_others && site.all_speak_dns_sd());
        if nothing || !folded.questions.iter().any(|question| domain_of(&question.name).is_some()) {
            return;
        }
        let Some(message) = message::parse_as(bytes, Case::Kept) else { return };
        let questions = message.questions.into_iter().filter(|question| question.class == IN);
        for (i, question) in questions.enumerate() {
            if i >= QUESTIONS {
                self.refused.count(Refused::GoMicroTooManyQuestions);
                continue;
            }
            let Some((domain, labels)) = domain_of(&question.name) else { continue };
            let Some(wanted) = self.said.wanted(domain, &labels, question.rtype) else { continue };
            // A question section in a message to port 5353 would make a go-micro there answer its answer.
            let echo = to.port() != site.port;
            self.answers.push(now, Asked { to, place, id: message.id, question, echo, for_others }, wanted);
        }
    }

    /// Whether a response is of the dialect.
    pub fn concerns(message: &Message) -> bool {
        let is_it = |record: &message::Record| match &record.data {
            Data::Srv { .. } => domain_of(&record.name).is_some(),
            _ => false,
        };
        message.answers.iter().any(is_it)
    }

    /// Takes a response; gives the services of which it brought something new.
    pub fn handle_response(
        &mut self,
        source: Source,
        bytes: &[u8],
        beside: &Beside<'_>,
        out: &mut Outbox,
    ) -> BTreeSet<String> {
        let mut news = BTreeSet::new();
        if self.asks.is_empty() {
            return news;
        }
        let Some(message) = message::parse_as(bytes, Case::Kept) else { return news };
        let mut alive = Vec::new();
        for entry in heard::entries(&message, &self.refused) {
            let Some((domain, labels)) = domain_of(entry.name) else { continue };
            if let Some((_, service)) = labels.split_last().filter(|(last, _)| **last == b"_services") {
                let service = dotted(service).filter(|_| source.one_shot && entry.ttl > 0);
                news.extend(service.filter(|service| self.asks.listed(source.now, domain, service)));
                continue;
            }
            if !self.asks.may_want(domain, &labels) {
                continue;
            }
            match self.take(source, (domain, &entry), beside, out) {
                Some((key, false)) => alive.push(key),
                Some((key, true)) => news.extend(self.heard.record(&key).map(|record| record.service.name.clone())),
                None => {}
            }
        }
        if !alive.is_empty() {
            out.tell(Sighting::Alive { keys: alive, at: source.now });
        }
        news
    }

    /// Takes an entry; the node that it says lives, and whether anything of it is new.
    fn take(
        &mut self,
        source: Source,
        (domain, entry): (Domain, &Entry<'_>),
        beside: &Beside<'_>,
        out: &mut Outbox,
    ) -> Option<(Key, bool)> {
        let asks = &self.asks;
        let twin = |owner: &Owner, key: &str| beside.site.is_of_this_process(owner) || beside.on_dns_sd(key);
        let (key, is_news) = match self.heard.take(source, (domain, entry), |service| asks.wants(domain, service), twin)
        {
            Outcome::Changed(key) => {
                self.tell_seen(&key, beside.site, out);
                (key, true)
            }
            Outcome::Repeated(key) => (key, false),
            Outcome::Goodbye(key) => {
                self.doubts.entry(key).or_insert((source.now, 0));
                return None;
            }
            Outcome::Doubted(key) => {
                out.tell(Sighting::Dropped(Refused::GoMicroFromElsewhere));
                self.doubts.entry(key).or_insert((source.now, 0));
                return None;
            }
            Outcome::Dropped(reason) => {
                out.tell(Sighting::Dropped(reason));
                return None;
            }
            Outcome::Nothing => return None,
        };
        self.doubts.remove(&key);
        let service = self.heard.record(&key).map(|record| &record.service.name).filter(|_| source.one_shot);
        service.into_iter().for_each(|service| self.asks.answered(source.now, domain, service, is_news));
        Some((key, is_news))
    }

    fn tell_seen(&self, key: &Key, site: &Site, out: &mut Outbox) {
        let Some((record, reach)) = self.held(key, site) else { return };
        out.tell(Sighting::Seen { record, reach });
    }

    fn held(&self, key: &Key, site: &Site) -> Option<(Arc<Record>, Arc<[Reach]>)> {
        let (record, (on, ip)) = self.heard.record(key).zip(self.heard.reach(key))?;
        let reach = site.net.names.get(&on).map(|name| Reach { ip, interface: name.clone() });
        Some((record.clone(), reach.into_iter().collect()))
    }

    /// What the registries of this process want to know, by domain: asks what is new and forgets the rest.
    pub fn sync(&mut self, now: Time, wanted: &BTreeSet<(Domain, Question)>) {
        self.asks.sync(now, wanted);
        let asks = &self.asks;
        self.heard.retain(|domain, service| asks.wants(domain, service));
        let heard = &self.heard;
        self.doubts.retain(|key, _| heard.record(key).is_some());
    }

    /// Tells what is held in answer to a question.
    pub fn tell_held(&self, domain: Domain, question: &Question, site: &Site, out: &mut Outbox) {
        for key in self.heard.keys(domain, question) {
            if let Some(((record, reach), at)) = self.held(&key, site).zip(self.heard.at(&key)) {
                out.tell(Sighting::Held { record, reach, at });
            }
        }
    }

    /// Asks all for what DNS-SD says, too: not all speak it any more.
    pub fn ask_all(&mut self, now: Time) {
        self.heard.forget_twins();
        self.asks.renew(now);
    }

    /// Forgets what was heard where nobody speaks any more, and asks again where `fresh` says.
    pub fn renew(&mut self, now: Time, fresh: &BTreeSet<u32>, site: &Site) {
        self.heard.retain_interfaces(|index| site.net.names.contains_key(&index));
        if !fresh.is_empty() {
            self.asks.renew(now);
        }
    }

    /// Asks whether a node lives, and with it every other of its service.
    pub fn check(&mut self, now: Time, key: &Key) {
        if let Some((record, domain)) = self.heard.record(key).zip(self.heard.domain(key)) {
            self.asks.check(now, domain, &record.service.name);
        }
    }

    /// Asks a node itself, or its service where many are to be asked.
    fn check_one(&mut self, now: Time, key: &Key, site: &Site, out: &mut Outbox) {
        if !self.checks.take(now, 1) {
            return self.check(now, key);
        }
        let Some((record, domain)) = self.heard.record(key).zip(self.heard.domain(key)) else { return };
        let labels = wire::instance(record.node.id(), &record.service.name, domain);
        let Some(name) = labels.ok().and_then(|labels| Name::of(labels, Case::Kept)) else { return };
        let bytes = asks::query(self.rng.u16(..), name, message::rtype::ANY, false);
        site.places_of(domain).into_iter().for_each(|place| out.ask(place, bytes.clone()));
    }

    /// Asks the nodes that are doubted, and believes of those that do not answer that they are gone.
    fn settle_doubts(&mut self, now: Time, beside: &Beside<'_>, out: &mut Outbox) {
        let due = |(since, asked): &(Time, usize)| DOUBT_MS.get(*asked).is_none_or(|ms| now.0 >= since.0 + ms);
        let due: Vec<Key> = self.doubts.iter().filter(|(_, doubt)| due(doubt)).map(|(key, _)| key.clone()).collect();
        for key in due {
            if beside.on_dns_sd(&key) {
                // It has heard of it meanwhile.
                self.expired(&key);
                continue;
            }
            let Some((_, asked)) = self.doubts.get_mut(&key) else { continue };
            *asked += 1;
            if *asked < DOUBT_MS.len() {
                self.check_one(now, &key, beside.site, out);
                continue;
            }
            self.doubts.remove(&key);
            // Whoever said otherwise says so again.
            self.check(now, &key);
            self.heard.remove(&key);
            // Not all speak DNS-SD, but who does knows better.
            if beside.cache.record(&key).is_none() {
                out.tell(Sighting::Gone { key, reason: Reason::Goodbye });
            }
        }
    }

    /// Forgets what is told as gone, and what DNS-SD tells where all speak it: the goodbye that would end it here may be
    /// lost.
    pub fn heed(&mut self, sighting: &Sighting, site: &Site) {
        match sighting {
            Sighting::Gone { key, .. } => self.expired(key),
            Sighting::Seen { record, .. } if record.go_micro.is_none() && site.all_speak_dns_sd() => {
                self.doubts.remove(&record.key);
                self.heard.pass_over(&record.key);
            }
            _ => {}
        }
    }

    /// A node was deleted for silence, or is known otherwise: it is new when it is heard again.
    pub fn expired(&mut self, key: &str) {
        self.doubts.remove(key);
        self.heard.remove(key);
    }

    /// Questions whose answers still come.
    pub fn incomplete(&self) -> BTreeSet<Question> {
        self.asks.incomplete()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time, beside: &Beside<'_>, out: &mut Outbox) {
        self.settle_doubts(now, beside, out);
        self.unsaid.handle_timeout(now);
        self.heard.handle_timeout(now);
        self.asks.poll(now, beside.site, out);
    }

    /// Lets out what the pace of answers allows.
    pub fn release(&mut self, now: Time, site: &Site, out: &mut Outbox) {
        self.answers.release(now, &self.said, &self.host, site, out);
    }

    /// When something is due next, but for announcements, which wait for their pace.
    pub fn next_due(&mut self, now: Time) -> Option<Time> {
        let doubt = |(since, asked): &(Time, usize)| Time(since.0 + DOUBT_MS.get(*asked).copied().unwrap_or(0));
        let doubt = self.doubts.values().map(doubt).min();
        [doubt, self.unsaid.next_due(), self.answers.next_due(now), self.asks.next_due(now)].into_iter().flatten().min()
    }

    /// Counters for `stats`.
    pub fn counts(&self) -> [(&'static str, u64); 4] {
        [
            ("go-micro-published", self.said.len() as u64),
            ("go-micro-too-large", self.said.too_large()),
            ("go-micro-held", self.heard.len() as u64),
            ("go-micro-questions", self.asks.len() as u64),
        ]
    }
}

/// The domain of a name of the dialect, and the labels before it. Names of DNS-SD, under `_tcp` and `_udp`, are not.
fn domain_of(name: &Name) -> Option<(Domain, Vec<&[u8]>)> {
    let mut labels: Vec<&[u8]> = name.labels().collect();
    let last = labels.pop()?;
    let domain = Domain::ALL.into_iter().find(|domain| last == domain.as_str().as_bytes())?;
    let of_dns_sd = labels.last().is_none_or(|label| matches!(*label, b"_tcp" | b"_udp"));
    (!of_dns_sd).then_some((domain, labels))
}

/// Labels as go-micro writes them; `None` if that could be read otherwise.
fn dotted(labels: &[&[u8]]) -> Option<String> {
    let texts: Vec<&str> = labels.iter().map(|label| std::str::from_utf8(label).ok()).collect::<Option<_>>()?;
    let whole = !texts.is_empty() && texts.iter().all(|text| !text.contains('.'));
    whole.then(|| texts.join("."))
}
