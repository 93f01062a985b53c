//! A host under test and a true peer, each a registry with its native endpoint, on one link in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mdns_registry::engine::{Engine, Output as Told, WatchId};
use mdns_registry::limits;
use mdns_registry::link::native::message::{self, LARGEST_BUILT};
use mdns_registry::link::native::{Attached, Config, Datagram, Endpoint, Output, To, Transmit, Via, PATIENCE};
use mdns_registry::link::{Command, Message, Scope, Station};
use mdns_registry::options::Wires;
use mdns_registry::record::{Interface, Key, Owner, Question, Record, Sighting, Time};
use mdns_registry::refused::Refused;
use mdns_registry::{RegisterOptions, Selection, Service, WatchOptions};

#[path = "../../tests/segment/fold.rs"]
mod fold;

use super::repeats::Repeats;
use fold::Fold;

pub const MDNS: u16 = 5_353;
pub const DIRECT: u16 = 40_000;
pub const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));
pub const LINK: u32 = 2;
/// What the subject may have as an address besides.
pub const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 1);
/// Datagrams kept to be sent again.
const KEPT: usize = 32;
/// How often an endpoint may want to be woken for nothing at one time, and in all within a second.
const IDLE: u32 = 2;
const WAKES: u32 = 400;
/// Messages that one datagram or a second of time may cause, with the few nodes there are.
const MESSAGES: u64 = 200;
/// How long a question waits for its answer.
pub const WAIT: Duration = Duration::from_millis(300);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Subject,
    Peer,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Flying {
    pub via: Via,
    pub from: SocketAddr,
    pub to: IpAddr,
    pub interface: u32,
    pub bytes: Vec<u8>,
}

pub struct Host {
    pub owner: Owner,
    pub engine: Engine,
    pub endpoint: Endpoint,
    pub ip: Ipv4Addr,
    pub up: bool,
    repeats: Repeats,
}

impl Host {
    fn new(now: Time, digit: char, ip: Ipv4Addr, wires: Wires) -> Host {
        let owner: Owner = Arc::from(std::iter::repeat_n(digit, 25).chain(['a']).collect::<String>());
        let station = Station { scope: Scope::Default, wires };
        let seed = [digit as u8; 32];
        let mut endpoint = Endpoint::new(Config {
            port: MDNS,
            direct_port_v4: DIRECT,
            direct_port_v6: DIRECT,
            host_name: "vm".into(),
            seed,
        });
        endpoint.set_interfaces(now, vec![attached(&[ip.into()])]);
        endpoint.submit(now, &owner, Message::Join(station.clone()));
        let engine = Engine::new(owner.clone(), station, PATIENCE);
        Host { owner, engine, endpoint, ip, up: true, repeats: Repeats::default() }
    }

    fn next_due(&mut self) -> Option<Time> {
        [self.engine.next_due(), self.endpoint.next_due()].into_iter().flatten().min().filter(|_| self.up)
    }
}

pub fn attached(addrs: &[IpAddr]) -> Attached {
    let interface = Interface { name: "eth0".into(), addrs: addrs.to_vec(), loopback: false, usable: true };
    let nets = addrs.iter().map(|ip| (*ip, if ip.is_ipv4() { 24 } else { 64 })).collect();
    Attached { interface, index: LINK, nets }
}

pub struct World {
    pub now: Time,
    pub subject: Host,
    pub peer: Host,
    /// Whether datagrams reach the subject, and the peer.
    pub reaches: (bool, bool),
    pub kept: VecDeque<Flying>,
    /// What is registered until it is withdrawn: its port.
    pub registered: BTreeMap<(Who, String, String), u16>,
    /// Questions that came from an address, and answers of the lookup exchange and others that went there.
    asked: BTreeMap<IpAddr, (u64, u64, u64)>,
    /// What the subject was told last of each node of others that it has seen.
    seen: BTreeMap<Key, Arc<Record>>,
    /// When a stranger said something last; when the peer ended a node or itself, or said something although it has ended.
    forged: Time,
    ended: Time,
    /// Until when questions that were put wait, at most.
    waits: Vec<Time>,
    watch: WatchId,
    folded: Fold,
    queue: VecDeque<(Who, Flying)>,
    sent: u64,
    wakes: u32,
    second: u64,
}

impl World {
    pub fn new(wires: (Wires, Wires), queue: usize) -> World {
        let now = Time(10_000_000);
        let mut subject = Host::new(now, 'b', Ipv4Addr::new(10, 0, 0, 1), wires.0);
        let peer = Host::new(now, 'c', Ipv4Addr::new(10, 0, 0, 2), wires.1);
        let options = WatchOptions { service: None, queue };
        let watch = subject.engine.watch(now, &options, WAIT);
        let mut world = World {
            now,
            subject,
            peer,
            reaches: (true, true),
            kept: VecDeque::new(),
            registered: BTreeMap::new(),
            asked: BTreeMap::new(),
            seen: BTreeMap::new(),
            forged: now,
            ended: now,
            waits: vec![now + WAIT],
            watch,
            folded: Fold::default(),
            queue: VecDeque::new(),
            sent: 0,
            wakes: 0,
            second: 0,
        };
        world.settle();
        world
    }

    fn host(&mut self, who: Who) -> &mut Host {
        match who {
            Who::Subject => &mut self.subject,
            Who::Peer => &mut self.peer,
        }
    }

    pub fn register(&mut self, who: Who, service: &Service, options: RegisterOptions) {
        let now = self.now;
        let registered = self.host(who).engine.register(now, service, options).is_ok();
        for node in service.nodes.iter().filter(|_| registered) {
            let key = (who, service.name.clone(), node.id.clone());
            match options.auto_renew {
                true => self.registered.insert(key, node.port),
                false => self.registered.remove(&key),
            };
        }
        self.settle();
    }

    pub fn deregister(&mut self, who: Who, service: &str, id: &str) {
        self.host(who).engine.deregister(&Selection::service(service).ids([id]));
        self.registered.remove(&(who, service.to_owned(), id.to_owned()));
        self.settle();
    }

    pub fn look_up(&mut self, question: &Question) {
        self.waits.push(self.now + WAIT);
        self.subject.engine.lookup(self.now, question, WAIT);
        self.advance(0);
    }

    /// For a moment or to the end.
    pub fn watch(&mut self, options: &WatchOptions, ends: bool) {
        self.waits.push(self.now + WAIT);
        let watch = self.subject.engine.watch(self.now, options, WAIT);
        self.advance(0);
        if ends {
            self.subject.engine.unwatch(self.now, watch);
            self.advance(0);
        }
    }

    /// The interface of the subject has these addresses from now on; without any it is down.
    pub fn readdress(&mut self, addrs: &[IpAddr]) {
        let interfaces = if addrs.is_empty() { Vec::new() } else { vec![attached(addrs)] };
        self.subject.repeats.forget(self.now);
        self.subject.endpoint.set_interfaces(self.now, interfaces);
        self.settle();
    }

    pub fn kill_peer(&mut self) {
        self.peer.up = false;
        self.ended = self.now;
    }

    pub fn close_peer(&mut self) {
        let (now, owner) = (self.now, self.peer.owner.clone());
        self.peer.engine.withdraw_all();
        self.drain(Who::Peer);
        self.peer.endpoint.submit(now, &owner, Message::Leave);
        self.peer.endpoint.shutdown(now);
        self.settle();
        self.kill_peer();
    }

    /// Hands the subject a datagram that a stranger sent.
    pub fn inject(&mut self, datagram: &Flying) {
        self.forged = self.now;
        if let Some(read) = message::parse(&datagram.bytes) {
            match read.response {
                true => self.subject.repeats.forget(self.now),
                false => self.asked.entry(datagram.from.ip()).or_default().0 += read.questions.len() as u64,
            }
        }
        let before = self.sent;
        self.hand(Who::Subject, datagram);
        self.settle();
        assert!(self.sent - before <= MESSAGES, "{} messages caused by one", self.sent - before);
    }

    fn hand(&mut self, who: Who, datagram: &Flying) {
        let now = self.now;
        let Flying { via, from, to, interface, bytes } = datagram;
        if let Some(read) = message::parse(bytes).filter(|read| !read.response) {
            self.host(who).repeats.asked(now, &read);
        }
        let datagram = Datagram { bytes, via: *via, from: *from, to: *to, interface: *interface };
        self.host(who).endpoint.handle_datagram(now, datagram);
        self.drain(who);
    }

    /// Moves what the hosts tell each other until all is quiet.
    pub fn settle(&mut self) {
        self.drain(Who::Subject);
        self.drain(Who::Peer);
        while let Some((who, datagram)) = self.queue.pop_front() {
            let (reaches, up) = match who {
                Who::Subject => (self.reaches.0, true),
                Who::Peer => (self.reaches.1, self.peer.up),
            };
            if reaches && up {
                self.hand(who, &datagram);
            }
        }
        while let Some(event) = self.subject.engine.next_event(self.watch) {
            self.folded.take(&event).unwrap();
        }
        assert!(!self.subject.engine.is_ready(self.watch), "ready with nothing to tell");
    }

    fn drain(&mut self, who: Who) {
        let now = self.now;
        loop {
            let host = self.host(who);
            let (mut commands, mut ends) = (Vec::new(), false);
            while let Some(output) = host.engine.poll_output() {
                if let Told::Command(command) = output {
                    ends |= matches!(command, Command::Withdraw(_));
                    commands.push(command);
                }
            }
            if ends && who == Who::Peer {
                self.ended = now;
            }
            let host = self.host(who);
            if !commands.is_empty() {
                let owner = host.owner.clone();
                host.endpoint.submit(now, &owner, Message::Commands { commands, done: None });
            }
            match host.endpoint.poll_output() {
                Some(Output::Sighting(sighting)) => {
                    host.engine.handle_sighting(now, &sighting);
                    if let (Who::Subject, Sighting::Seen { record, .. } | Sighting::Held { record, .. }) =
                        (who, sighting)
                    {
                        self.seen.insert(record.key.clone(), record);
                    }
                }
                Some(Output::Transmit(transmit)) => self.transmit(who, transmit),
                Some(Output::Done(_)) => {}
                None => return,
            }
        }
    }

    fn transmit(&mut self, who: Who, Transmit { via, to, bytes }: Transmit) {
        let host = self.host(who);
        let port = if via == Via::Group { MDNS } else { DIRECT };
        let from = SocketAddr::from((host.ip, port));
        let read = message::parse(&bytes).expect("what we send can be read");
        if let (To::Group { interface, v6 }, true) = (to, read.response) {
            let now = self.now;
            self.host(who).repeats.take(now, (interface, v6), &read);
        }
        if who == Who::Peer && !self.peer.up {
            self.ended = self.now;
        }
        if who == Who::Subject {
            self.judge(via, to, &bytes, &read);
        }
        let (peer, subject) = (self.peer.ip, self.subject.ip);
        let (to, via, ip) = match to {
            To::Group { .. } => (None, Via::Group, GROUP),
            To::Host { addr, .. } => {
                (Some(addr.ip()), if addr.port() == MDNS { Via::Group } else { Via::Direct }, addr.ip())
            }
        };
        let flying = Flying { via, from, to: ip, interface: LINK, bytes };
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(flying.clone());
        let other = if who == Who::Subject { (Who::Peer, peer) } else { (Who::Subject, subject) };
        if to.is_none_or(|to| to == IpAddr::V4(other.1)) {
            self.queue.push_back((other.0, flying));
        }
    }

    /// What the subject sends is sound, stays on the link, and answers what was asked.
    fn judge(&mut self, via: Via, to: To, bytes: &[u8], read: &message::Message) {
        self.sent += 1;
        assert!(bytes.len() <= LARGEST_BUILT);
        assert_eq!(read.malformed, 0, "{read:?}");
        let To::Host { addr, .. } = to else { return };
        let on_link = match addr.ip() {
            IpAddr::V4(v4) => v4.octets()[..3] == [10, 0, 0],
            IpAddr::V6(v6) => v6.segments()[..4] == [0xfe80, 0, 0, 0] || v6.segments()[..4] == GLOBAL.segments()[..4],
        };
        assert!(on_link, "a message to {addr}, off the link");
        if !read.response || addr.ip() == IpAddr::V4(self.peer.ip) {
            return;
        }
        // No stranger has proven its address: nobody told it a token.
        let nodes = self.subject.engine.counts().registered as u64;
        let (asked, exchanged, answered) = self.asked.entry(addr.ip()).or_default();
        match via {
            Via::Direct => *exchanged += 1,
            Via::Group => *answered += 1,
        }
        assert!(*exchanged <= *asked, "{exchanged} answers of the exchange to {asked} questions of {addr}");
        // go-micro's are one a node.
        let most = *asked * (nodes + 8);
        assert!(*answered <= most, "{answered} answers to {asked} questions of {addr} about {nodes} nodes");
    }

    /// Time passes.
    pub fn advance(&mut self, ms: u64) {
        let end = Time(self.now.0 + ms);
        loop {
            let dues = [(Who::Subject, self.subject.next_due()), (Who::Peer, self.peer.next_due())];
            let next = dues
                .into_iter()
                .filter_map(|(who, due)| Some((due?, who == Who::Peer, who)))
                .min_by_key(|d| (d.0, d.1));
            let Some((due, _, who)) = next.filter(|(due, ..)| *due <= end) else { break };
            self.wake(who, due);
        }
        self.now = end;
        self.settle();
    }

    fn wake(&mut self, who: Who, due: Time) {
        self.now = self.now.max(due);
        let now = self.now;
        if self.second != now.0 / 1_000 {
            (self.second, self.wakes) = (now.0 / 1_000, 0);
        }
        self.wakes += 1;
        assert!(self.wakes <= WAKES, "woken {} times in a second", self.wakes);
        for idle in 0.. {
            let before = self.sent;
            let host = self.host(who);
            host.engine.handle_timeout(now);
            host.endpoint.handle_timeout(now);
            self.settle();
            assert!(self.sent - before <= MESSAGES, "{} messages at once", self.sent - before);
            let again = self.host(who).next_due().is_some_and(|due| due <= now);
            if !again || self.sent > before {
                return;
            }
            assert!(idle < IDLE, "{who:?} wants to be woken at {now:?} again and again");
        }
    }

    /// What holds at any time.
    pub fn check(&self) {
        let engine = &self.subject.engine;
        let folded = self.folded.services();
        let names: Vec<String> = engine.names().into_iter().map(|service| service.name).collect();
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), folded.keys().copied().collect::<Vec<_>>());
        for (name, services) in &folded {
            assert_eq!(&**engine.services(name), &**services, "what was told and what is listed of {name}");
        }
        self.assert_lists(Who::Subject);
        self.assert_outlives_nothing();
        let counts = engine.counts();
        let heard = counts.nodes - counts.registered;
        assert!(heard <= limits::VIEW_NODES, "{heard} nodes of others");
        // One that is watched or waited for stays.
        let waits = self.waits.iter().filter(|until| self.now < **until).count();
        let interests = limits::INTERESTS.max(counts.watches + waits);
        assert!(counts.interests <= interests, "{} interests", counts.interests);
        for (name, count) in self.subject.endpoint.counters() {
            let most = match name {
                "held" | "go-micro-held" | "fetches" => limits::VIEW_NODES as u64,
                "interests" | "lookups" => interests as u64,
                _ => continue,
            };
            assert!(count <= most, "{name}: {count}");
        }
    }

    /// A node of others is listed a second longer than its lease at most, from when it can have been heard last.
    fn assert_outlives_nothing(&self) {
        let stands = if self.peer.up { self.peer.engine.keys_of(&self.peer.owner) } else { Vec::new() };
        for record in self.heard().filter(|record| !stands.contains(&record.key)) {
            let of_peer = record.owner == self.peer.owner;
            let last = if of_peer { self.forged.max(self.ended) } else { self.forged };
            let silent = self.now.0 - last.0;
            assert!(
                silent <= u64::from(record.lease) * 1_000 + 1_000,
                "{record:?} is listed {silent} ms after the last sign"
            );
        }
    }

    /// Of the peer's nodes the subject lists none that the peer has not.
    pub fn assert_no_ghosts(&self) {
        let stands = self.peer.engine.keys_of(&self.peer.owner);
        let of_peer = self.heard().filter(|record| record.owner == self.peer.owner);
        let ghosts: Vec<_> =
            of_peer.filter(|record| record.go_micro.is_none() && !stands.contains(&record.key)).collect();
        assert!(ghosts.is_empty(), "{ghosts:?}");
    }

    /// The nodes of others that the subject lists, as they were told last.
    fn heard(&self) -> impl Iterator<Item = &Record> {
        let listed = self.folded.0.keys().filter_map(|key| self.seen.get(key));
        listed.map(|record| &**record).filter(|record| record.owner != self.subject.owner)
    }

    /// The subject lists all that is registered at this host, or has said that it refused as many for their number.
    pub fn assert_lists(&self, of: Who) {
        let is_missing = |(service, id, port): &(&String, &String, u16)| {
            let services = self.subject.engine.services(service);
            let listed =
                services.iter().flat_map(|service| &service.nodes).any(|node| node.id == **id && node.port == *port);
            !listed
        };
        let registered = self.registered.iter().filter(|((who, ..), _)| *who == of);
        let missing: Vec<_> =
            registered.map(|((_, service, id), port)| (service, id, *port)).filter(is_missing).collect();
        let dropped = self.subject.engine.counts().dropped;
        let full = [Refused::CacheFull, Refused::SenderFull, Refused::ViewFull].map(Refused::name);
        // Of a service that is not asked for on go-micro's wire nothing is heard.
        let unasked = |(name, count)| (name == Refused::GoMicroServicesRefused.name()).then_some(count);
        let unasked: u64 = self.subject.endpoint.counters().into_iter().filter_map(unasked).sum();
        let refused = full.iter().filter_map(|name| dropped.get(name)).sum::<u64>() + unasked;
        let excused = if of == Who::Peer { refused } else { 0 };
        assert!(missing.len() as u64 <= excused, "{missing:?}, registered at {of:?}, not listed; {refused} refused");
    }
}
