//! Multicast DNS without a socket or a clock.
//!
//! Put datagrams, commands and the time in; after each, drain [`Endpoint::poll_output`] until it gives
//! `None`, then wait for input or for [`Endpoint::next_due`], whichever is first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::asker::{Asker, Net, Speaker};
use super::cache::Source;
use super::exchange::Exchange;
use super::gomicro::{Beside, GoMicro};
use super::herald::{Ground, Herald};
use super::interest::{about, Interest};
use super::io::{Attached, Config, Datagram, Output, Via};
use super::message::{self, Message};
use super::outbox::{Outbox, Place};
use super::publication::Publications;
use super::responder::{Here, Replies, Responder};
use super::serve::{Asked, Server, Wanted};
use super::site::Site;
use super::zone::ZONE;
use crate::event::Reason;
use crate::link::{Command, Message as Submitted, Station};
use crate::record::{Key, Owner, Question, Reach, Record as Node, Sighting, Time};
use crate::refused::{Refusals, Refused};

/// A registry that has left still answers for so long, milliseconds.
const DEPARTED_MS: u64 = 1_000;
/// So late a timeout means that the host did not run, milliseconds.
const ASLEEP_MS: u64 = 3_000;
/// Registries of the same process renew each other so often, milliseconds.
const NEIGHBOURS_MS: u64 = 1_000;

/// One multicast DNS endpoint, shared by the registries of a process.
pub struct Endpoint {
    pub(super) site: Site,
    pub(super) known: Publications,
    herald: Herald,
    responder: Responder,
    server: Server,
    asker: Asker,
    micro: GoMicro,
    out: Outbox,
    rng: fastrand::Rng,
    pub(super) defended: HashMap<Key, Time>,
    neighbours_due: Time,
    /// When `handle_timeout` was to be called.
    expected: Option<Time>,
    closing: bool,
    now: Time,
    counts: BTreeMap<&'static str, u64>,
    pub(super) refused: Arc<Refusals>,
}

impl Endpoint {
    /// An endpoint that has no interface yet.
    pub fn new(config: Config) -> Endpoint {
        let seed = config.seed.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        let (mut rng, refused) = (fastrand::Rng::with_seed(seed), Arc::<Refusals>::default());
        Endpoint {
            site: Site {
                port: config.port,
                ports: (config.direct_port_v4, config.direct_port_v6),
                attached: Vec::new(),
                members: BTreeMap::new(),
                owners: BTreeMap::new(),
                departed: BTreeMap::new(),
                net: Net::default(),
            },
            known: Publications::default(),
            herald: Herald::default(),
            responder: Responder::new(refused.clone()),
            server: Server::new(config.seed, refused.clone()),
            asker: Asker::new(rng.fork(), refused.clone()),
            micro: GoMicro::new(&config.host_name, rng.fork(), refused.clone()),
            out: Outbox::default(),
            rng,
            defended: HashMap::new(),
            neighbours_due: Time(0),
            expected: None,
            closing: false,
            now: Time(0),
            counts: BTreeMap::new(),
            refused,
        }
    }

    /// The interfaces are these from now on.
    pub fn set_interfaces(&mut self, now: Time, all: Vec<Attached>) {
        self.now = now;
        let before = self.site.attached.clone();
        let changed = self.site.set_interfaces(all);
        self.tell_interfaces();
        self.tell_addresses_gone(now, &before);
        self.renew(now, &changed);
        self.after(now);
    }

    fn tell_interfaces(&mut self) {
        let interfaces = self.site.attached.iter().map(|attached| attached.interface.clone()).collect();
        self.out.tell(Sighting::Interfaces(interfaces));
    }

    fn tell_addresses_gone(&mut self, now: Time, before: &[Attached]) {
        self.herald.addresses_differ();
        for Attached { index, interface, .. } in before {
            let Some(attached) = self.site.on(*index) else { continue };
            let is_gone = |ip: &&IpAddr| !attached.interface.addrs.contains(ip);
            let gone: Vec<IpAddr> = interface.addrs.iter().filter(is_gone).copied().collect();
            let places = self.site.net.places.iter().filter(|place| place.interface == *index && !gone.is_empty());
            self.herald.addresses_gone(now, &gone, places.copied(), &self.known, &self.site, &mut self.out);
        }
    }

    /// Says everything again and asks everything again on these interfaces.
    fn renew(&mut self, now: Time, on: &BTreeSet<u32>) {
        let keys = if on.is_empty() { Vec::new() } else { self.all_keys() };
        self.announce(now, &keys, Some(on));
        self.ask_again(now, on);
    }

    fn ask_again(&mut self, now: Time, on: &BTreeSet<u32>) {
        self.asker.renew(now, &self.site.net, on);
        self.micro.renew(now, on, &self.site);
    }

    /// Says these nodes, and that they are there, on these interfaces, or on all.
    pub(super) fn announce(&mut self, now: Time, keys: &[Key], on: Option<&BTreeSet<u32>>) {
        if keys.is_empty() {
            return;
        }
        self.responder.changed();
        let site = &self.site;
        let is_there = |place: &Place| on.is_none_or(|on| on.contains(&place.interface));
        let places = |owner: &str| site.places(owner).into_iter().filter(is_there).collect();
        self.herald.announce(now, keys, &self.known, places);
        self.micro.announce(keys, on, &self.site);
        keys.iter().for_each(|key| self.tell_neighbours(key));
    }

    fn all_keys(&self) -> Vec<Key> {
        let known = self.known.owners().flat_map(|(owner, _)| self.known_keys(owner, &Question::Everything));
        known.chain(self.micro.alone().map(|record| record.key.clone())).collect()
    }

    fn known_keys(&self, owner: &str, question: &Question) -> Vec<Key> {
        self.known.keys(owner, question, &super::exchange::ALL).into_iter().cloned().collect()
    }

    pub(super) fn keys_of(&self, owner: &str) -> Vec<Key> {
        let alone = self.micro.alone().filter(|record| *record.owner == *owner).map(|record| record.key.clone());
        self.known_keys(owner, &Question::Everything).into_iter().chain(alone).collect()
    }

    /// Takes a registry's message.
    pub fn submit(&mut self, now: Time, from: &Owner, message: Submitted) {
        self.now = now;
        match message {
            Submitted::Join(station) => self.join(now, from, station),
            Submitted::Leave => {
                self.site.leave(from, Time(now.0 + DEPARTED_MS));
                self.herald.leave(from);
                self.asker.leave(from);
                self.want(now);
            }
            Submitted::Commands { commands, done } => {
                self.notice_sleep(now);
                self.carry_out(now, from, commands);
                self.after(now);
                // What is announced at a pace can be asked for already; what was withdrawn is to be heard.
                done.into_iter().for_each(|done| self.out.done(done));
                return self.out.release(now);
            }
        }
        self.after(now);
    }

    fn join(&mut self, now: Time, from: &Owner, station: Station) {
        let fresh = !self.site.members.contains_key(from);
        let (spoke, spoken) = (self.site.interfaces_of(from), self.site.spoken());
        let all_spoke_dns_sd = self.site.all_speak_dns_sd();
        self.site.join(from, station);
        if all_spoke_dns_sd && !self.site.all_speak_dns_sd() {
            self.asker.unsettle();
            self.micro.ask_all(now);
        }
        if fresh {
            self.tell_interfaces();
        }
        self.announce(now, &self.keys_of(from), Some(&(&self.site.interfaces_of(from) - &spoke)));
        self.ask_again(now, &(&self.site.spoken() - &spoken));
    }

    /// go-micro's nodes are asked what anybody wants to know of them.
    fn want(&mut self, now: Time) {
        let interests = self.asker.interests.iter();
        let of = |(question, interest): (&Question, &Interest)| {
            let domains = interest.domains().into_iter();
            domains.map(|domain| (domain, question.clone())).collect::<Vec<_>>()
        };
        self.micro.sync(now, &interests.flat_map(of).collect());
    }

    fn carry_out(&mut self, now: Time, from: &Owner, commands: Vec<Command>) {
        let (mut published, mut withdrawn) = (Vec::new(), Vec::new());
        let wires = self.site.wires(from);
        for command in commands {
            match command {
                Command::Publish(record) => {
                    published.push(record.key.clone());
                    if let Some(domain) = wires.go_micro {
                        self.micro.publish(record.clone(), domain, &self.site, &mut self.out);
                    }
                    // A registry has checked that it fits.
                    if wires.dns_sd && self.known.put(record).is_err() {
                        self.count("unpublishable");
                    }
                }
                Command::Withdraw(key) => {
                    published.retain(|published| *published != key);
                    withdrawn.extend(self.known.remove(&key));
                    self.micro.withdraw([&key], &self.site, &mut self.out);
                    self.out.tell(Sighting::Gone { key, reason: Reason::Goodbye });
                }
                Command::Ask(question) => {
                    let own = self.tell_own(from, &about(&question));
                    let (site, asker) = (&self.site, &mut self.asker);
                    if let Some(domain) = wires.go_micro {
                        self.micro.tell_held(domain, &about(&question), site, &mut self.out);
                    }
                    asker.ask(now, (from, wires), &question, own, &site.net, &mut self.out);
                    self.want(now);
                }
                Command::Forget(question) => {
                    self.asker.forget(from, &question);
                    self.want(now);
                }
                // A node may have been heard by either wire before it was by the other.
                Command::Check(key) => {
                    self.micro.check(now, &key);
                    self.asker.check(now, &key);
                }
                Command::Expired(key) => {
                    self.micro.expired(&key);
                    self.asker.expired(now, &key);
                }
            }
        }
        if !withdrawn.is_empty() {
            self.herald.goodbye(now, withdrawn, &self.known, &self.site, &mut self.out);
        }
        self.announce(now, &published, None);
    }

    /// Tells the other registries of this process of a node.
    fn tell_neighbours(&mut self, key: &Key) {
        if self.site.members.len() > 1 {
            let record = self.known.get(key).map(|node| &node.record).or_else(|| self.micro.record(key)).cloned();
            record.into_iter().for_each(|record| self.tell_node(record));
        }
    }

    fn tell_node(&mut self, record: Arc<Node>) {
        let owners = &self.site.owners;
        let speaks = |attached: &&Attached| owners.get(&attached.index).is_some_and(|of| of.contains(&record.owner));
        let of = |attached: &Attached| {
            let name = attached.interface.name.clone();
            attached
                .interface
                .addrs
                .iter()
                .map(move |ip| Reach { ip: *ip, interface: name.clone() })
                .collect::<Vec<_>>()
        };
        let reach: Arc<[Reach]> = self.site.attached.iter().filter(speaks).flat_map(of).collect();
        // To those of go-micro's wire alone it is said on that.
        let go_micro = self.micro.domain(&record.key).filter(|_| record.go_micro.is_none());
        let other = go_micro.map(|domain| Arc::new(Node { go_micro: Some(domain), ..Node::clone(&record) }));
        for record in [record].into_iter().chain(other) {
            self.out.tell(Sighting::Seen { record, reach: reach.clone() });
        }
    }

    /// Tells what this process publishes in answer to a member's question; whether there is any.
    fn tell_own(&mut self, from: &Owner, question: &Question) -> bool {
        let owners: Vec<Owner> = self.known.owners().map(|(owner, _)| owner.clone()).collect();
        let alone = self.micro.alone().filter(|record| question.asks_for(&record.service.name));
        let alone: Vec<_> = alone.cloned().collect();
        let mut any = !alone.is_empty();
        alone.into_iter().filter(|record| record.owner != *from).for_each(|record| self.tell_node(record));
        for owner in owners {
            let keys = self.known_keys(&owner, question);
            any |= !keys.is_empty();
            if owner != *from {
                let records: Vec<_> =
                    keys.iter().filter_map(|key| self.known.get(key)).map(|n| n.record.clone()).collect();
                records.into_iter().for_each(|record| self.tell_node(record));
            }
        }
        any
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Time, datagram: Datagram<'_>) {
        self.now = now;
        let spoken = self.site.owners.get(&datagram.interface).is_some_and(|owners| !owners.is_empty());
        if !spoken && self.site.departed.is_empty() {
            return self.refused.count(Refused::OtherInterface);
        }
        if self.site.is_own(datagram.from) {
            return;
        }
        if !self.site.is_on_link(datagram.interface, datagram.from.ip()) {
            return self.refused.count(Refused::OffLink);
        }
        if datagram.bytes.len() > message::LARGEST {
            return self.refused.count(Refused::Oversized);
        }
        let Some(message) = message::parse(datagram.bytes) else { return self.refused.count(Refused::Malformed) };
        if message.malformed > 0 {
            self.refused.add(Refused::MalformedRecords, u64::from(message.malformed));
        }
        // RFC 6762 §18.3, §18.11.
        if message.opcode != 0 || message.rcode != 0 {
            return self.refused.count(Refused::OpcodeOrRcode);
        }
        match message.of_other_class() {
            0 => {}
            some => self.refused.add(Refused::OtherClass, some),
        }
        let place = Place { interface: datagram.interface, v6: datagram.from.is_ipv6() };
        match message.response {
            true => self.handle_response(now, &datagram, place, &message),
            false => self.handle_question(now, &datagram, place, message),
        }
        // What is late waits for `handle_timeout`: the answer may be in the socket's buffer.
        self.asker.poll_fetches(now, false, &mut self.out);
        self.release(now);
    }

    /// Lets out what the pace allows.
    fn release(&mut self, now: Time) {
        self.out.release(now);
        self.micro.release(now, &self.site, &mut self.out);
        while self.out.has_room(now) {
            let next = self.herald.next_announcement(now, &mut self.known, &self.site);
            let Some((place, message)) = next.or_else(|| self.micro.next_announcement(now, &self.site)) else {
                return;
            };
            self.out.multicast(place, message);
            self.out.release(now);
        }
    }

    fn handle_response(&mut self, now: Time, datagram: &Datagram<'_>, place: Place, message: &Message) {
        let exchange = self.exchange(message);
        match (datagram.via, exchange) {
            (Via::Direct, Some(answer @ Exchange::Answer { .. })) => {
                let speaker = Speaker { addr: datagram.from, place, direct: None, one_shot: false };
                self.asker.handle_answer(now, speaker, message, &answer, &self.site.net, &mut self.out);
            }
            // RFC 6762 §6: responses come from the port, or are ignored.
            _ if datagram.from.port() != self.site.port => self.refused.count(Refused::ResponseFromOtherPort),
            // Answers by unicast are asked for from our own port only (RFC 6762 §6).
            _ if datagram.via == Via::Group && !datagram.to.is_multicast() => {
                self.refused.count(Refused::ResponseUnasked)
            }
            (_, exchange) => {
                if GoMicro::concerns(message) {
                    self.handle_go_micro(now, datagram, place);
                }
                let direct = match exchange {
                    Some(Exchange::Here { port }) => Some(port),
                    None => None,
                    Some(_) => {
                        self.refused.count(Refused::ExchangeMisplaced);
                        None
                    }
                };
                self.defend(now, &message.answers);
                self.responder.suppress(now, place, &message.answers);
                let foreign = self.foreign(message, datagram.from.ip());
                let one_shot = datagram.via == Via::Direct;
                let speaker = Speaker { addr: datagram.from, place, direct, one_shot };
                self.asker.handle_records(now, speaker, &foreign, &self.site.net, &mut self.out);
            }
        }
    }

    fn exchange(&self, message: &Message) -> Option<Exchange> {
        let option = message.option.as_deref()?;
        let exchange = Exchange::decode(option);
        if exchange.is_none() {
            self.refused.count(Refused::ExchangeMalformed);
        }
        exchange
    }

    fn handle_go_micro(&mut self, now: Time, datagram: &Datagram<'_>, place: Place) {
        let Endpoint { site, known, asker, micro, out, .. } = self;
        let (from, interface) = (datagram.from.ip(), place.interface);
        let source = Source { now, from, interface, authoritative: false, one_shot: datagram.via == Via::Direct };
        let news = micro.handle_response(source, datagram.bytes, &Beside { site, known, cache: &asker.cache }, out);
        asker.news_of(now, news.iter().map(String::as_str));
    }

    fn handle_question(&mut self, now: Time, datagram: &Datagram<'_>, place: Place, message: Message) {
        match self.exchange(&message) {
            Some(Exchange::Ask { heard }) => return self.serve(now, datagram, place, &message, Wanted::All(&heard)),
            Some(Exchange::Fetch { token, registry, ranges, budget }) => {
                let wanted = Wanted::One { registry, token, ranges: &ranges, budget };
                return self.serve(now, datagram, place, &message, wanted);
            }
            Some(Exchange::ForOthers) => {
                self.answer_go_micro(now, datagram, place, (&message, true));
                return self.asker.suppress(now, place, &message);
            }
            Some(Exchange::Answer { .. } | Exchange::Here { .. }) => {
                return self.refused.count(Refused::ExchangeMisplaced)
            }
            None => {}
        }
        if datagram.via == Via::Direct {
            return self.refused.count(Refused::QuestionMisplaced);
        }
        self.answer_go_micro(now, datagram, place, (&message, false));
        let (addrs, owners) = self.site.here(place);
        let here = Here { known: &self.known, place, addrs: &addrs, owners: &owners };
        if datagram.from.port() != self.site.port {
            if let Some(bytes) = self.responder.one_shot(now, &here, &message, &mut self.server.unproven) {
                self.out.unicast(Via::Group, place.interface, datagram.from, bytes);
            }
            return;
        }
        self.asker.suppress(now, place, &message);
        let replies =
            self.responder.handle(now, &here, datagram.from, message, &mut self.server.unproven, &mut self.rng);
        self.reply(now, place, datagram.from, replies);
    }

    fn answer_go_micro(&mut self, now: Time, from: &Datagram<'_>, place: Place, asked: (&Message, bool)) {
        if from.via == Via::Group {
            self.micro.handle_question(now, (from.from, place), asked, from.bytes, &self.site);
        }
    }

    fn reply(&mut self, now: Time, place: Place, to: SocketAddr, replies: Replies) {
        replies.unicast.into_iter().for_each(|bytes| self.out.unicast(Via::Group, place.interface, to, bytes));
        replies.alive.iter().for_each(|(owner, lease)| self.herald.asked(now, owner, *lease));
    }

    fn serve(&mut self, now: Time, datagram: &Datagram<'_>, place: Place, message: &Message, wanted: Wanted<'_>) {
        let Some(question) = message.questions.first() else { return self.refused.count(Refused::ExchangeMisplaced) };
        let question_of = || match question.name == ZONE.service_type {
            true => Some(Question::Everything),
            false => self.known.of_subtype(&question.name).map(|service| Question::Service(service.clone())),
        };
        // A service that is not known here is still asked about by who holds nodes of it.
        let fetched = matches!(wanted, Wanted::One { .. });
        let Some(about) = question_of().or_else(|| fetched.then(|| Question::Service("".into()))) else { return };
        let addrs = self.site.addrs(place).to_vec();
        let from = datagram.from.ip();
        let asked = Asked { question, about: &about, id: message.id, from, addrs: &addrs };
        let members = self.site.owners.get(&place.interface);
        let speaks = |owner: &&Owner| members.is_some_and(|owners| owners.contains(*owner));
        let mut answers = Vec::new();
        match wanted {
            Wanted::All(heard) => {
                for (owner, tag) in self.known.owners().filter(|(owner, tag)| speaks(owner) && !heard.contains(tag)) {
                    answers.extend(self.server.ask(now, &self.known, (owner, tag), &asked));
                }
            }
            Wanted::One { registry, token, ranges, budget } => {
                // A registry with nothing left says so, while it is open.
                let owner = registry.owner();
                if !speaks(&&owner) && !self.site.departed.contains_key(&owner) {
                    return self.refused.count(Refused::FetchOfUnknownRegistry);
                }
                answers = self.server.fetch(now, &self.known, (&owner, registry), &asked, token, (ranges, budget));
            }
        }
        answers.into_iter().for_each(|bytes| self.out.unicast(Via::Direct, place.interface, datagram.from, bytes));
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.notice_sleep(now);
        self.after(now);
    }

    /// If this host slept or was stopped, who was told of it meanwhile has forgotten it (RFC 6762 §8).
    fn notice_sleep(&mut self, now: Time) {
        if self.expected.take_if(|due| now.0 > due.0 + ASLEEP_MS).is_some() {
            self.count("woke");
            let everywhere = self.site.attached.iter().map(|attached| attached.index).collect();
            self.renew(now, &everywhere);
        }
    }

    fn after(&mut self, now: Time) {
        self.site.departed.retain(|_, until| now < *until);
        if now >= self.neighbours_due {
            self.renew_neighbours(now);
        }
        while let Some((from, place, asked)) = self.responder.pop_deferred(now) {
            let (addrs, owners) = self.site.here(place);
            let here = Here { known: &self.known, place, addrs: &addrs, owners: &owners };
            let replies = self.responder.answer(now, &here, &asked, &mut self.server.unproven, &mut self.rng);
            self.reply(now, place, from, replies);
        }
        for place in self.responder.due_places(now) {
            let (addrs, owners) = self.site.here(place);
            let messages = self.responder.poll(now, place, &mut self.known, (&addrs, &owners));
            messages.into_iter().for_each(|bytes| self.out.multicast(place, bytes));
        }
        self.herald.handle_timeout(now, &self.known, &self.site, &mut self.out, &mut self.rng);
        if !self.closing {
            let beside = Beside { site: &self.site, known: &self.known, cache: &self.asker.cache };
            self.micro.handle_timeout(now, &beside, &mut self.out);
            self.asker.handle_timeout(now, &self.site.net, &self.micro.incomplete(), &mut self.out);
        }
        self.release(now);
    }

    fn has_neighbours(&self) -> bool {
        self.site.members.len() > 1 && self.known.len() + self.micro.len() > 0
    }

    /// Registries of one process do not hear each other's alive records.
    fn renew_neighbours(&mut self, now: Time) {
        self.neighbours_due = Time(now.0 + NEIGHBOURS_MS);
        if self.has_neighbours() {
            let keys = self.all_keys();
            self.out.tell(Sighting::Alive { keys, at: now });
        }
    }

    /// Says goodbye for what is still published, twice, and is then over.
    pub fn shutdown(&mut self, now: Time) {
        self.now = now;
        self.closing = true;
        let nodes: Vec<_> = self.all_keys().iter().filter_map(|key| self.known.remove(key)).collect();
        self.herald.goodbye(now, nodes, &self.known, &self.site, &mut self.out);
        self.micro.withdraw(&self.micro.keys(), &self.site, &mut self.out);
        self.after(now);
    }

    /// Whether the last goodbye has been said.
    pub fn is_over(&self) -> bool {
        self.closing && self.herald.is_over() && self.out.is_empty()
    }

    /// The next thing to do; `None` when all is done.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.out.poll();
        if let Some(Output::Sighting(sighting)) = &output {
            self.micro.heed(sighting, &self.site);
        }
        output
    }

    /// When `handle_timeout` must be called next.
    pub fn next_due(&mut self) -> Option<Time> {
        let neighbours = self.has_neighbours().then_some(self.neighbours_due);
        let (asker, micro) = match self.closing {
            true => (None, None),
            false => (self.asker.next_due(self.now), self.micro.next_due(self.now)),
        };
        let unsaid = self.herald.has_announcements() || self.micro.has_announcements();
        let out = self.out.next_due(self.now, unsaid);
        let others = [self.responder.next_due(), self.herald.next_due(), out, neighbours];
        self.expected = others.into_iter().flatten().chain(asker).chain(micro).min();
        self.expected
    }

    /// Where the registries speak.
    pub fn places(&self) -> &[Place] {
        &self.site.net.places
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Counters for `stats`.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let mut counters: Vec<(&'static str, u64)> = self.counts.iter().map(|(name, count)| (*name, *count)).collect();
        counters.extend([("published", self.known.len() as u64)]);
        counters.extend([("multicast-sent", self.out.multicasts), ("unicast-sent", self.out.unicasts)]);
        counters.extend(self.asker.counts());
        counters.extend(self.micro.counts());
        counters.extend(self.refused.list());
        counters
    }
}
