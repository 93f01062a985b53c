//! Hosts on one simulated link in virtual time: each a registry and a whole native endpoint.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mdns_registry::engine::{Engine, Lookup, LookupId, Output as Told, WatchId};
use mdns_registry::event::{Action, Event};
use mdns_registry::link::native::message;
use mdns_registry::link::native::{Attached, Config, Datagram, Endpoint, Output, To, Transmit, Via, PATIENCE};
use mdns_registry::link::{Message, Scope, Station};
use mdns_registry::options::Wires;
use mdns_registry::record::{Interface, Owner, Question, Sighting, Time};
use mdns_registry::{RegisterOptions, Selection, Service, WatchOptions};

#[path = "listener.rs"]
mod listener;

use listener::Listener;

const MDNS: u16 = 5_353;
const DIRECT: u16 = 40_000;
pub const INTERFACE: u32 = 2;
/// How long a lookup waits for an answer.
const WAIT: Duration = Duration::from_millis(300);
/// Datagrams that wait for a stopped host, at most: about what a receive buffer of the default size holds.
const BUFFER: usize = 200;
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));

/// What the link does to datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Share of datagrams that each receiver misses.
    pub loss: f32,
    /// Share that each receiver gets twice.
    pub duplicates: f32,
    /// A datagram takes up to so long, milliseconds.
    pub delay: u64,
}

impl Weather {
    pub const FAIR: Weather = Weather { loss: 0.0, duplicates: 0.0, delay: 0 };

    pub fn lossy(loss: f32) -> Weather {
        Weather { loss, ..Weather::FAIR }
    }
}

/// A host of the link.
pub struct Host {
    pub owner: Owner,
    pub engine: Engine,
    pub endpoint: Endpoint,
    pub ip: Ipv4Addr,
    pub up: bool,
    /// Of a host that is stopped: what waits in its receive buffer.
    stopped: Option<Vec<Flying>>,
    /// Hosts hear each other only within one group.
    pub group: u8,
    pub settled: Vec<LookupId>,
    pub dropped: BTreeMap<&'static str, u64>,
    due: Option<Time>,
}

struct Flying {
    to: usize,
    via: Via,
    from: SocketAddr,
    multicast: bool,
    bytes: Arc<Vec<u8>>,
}

/// The link and its hosts.
pub struct Net {
    pub now: Time,
    pub hosts: Vec<Host>,
    pub weather: Weather,
    /// Nothing gets from the one host to the other.
    pub cut: BTreeSet<(usize, usize)>,
    pub sent: BTreeMap<&'static str, u64>,
    /// All that was sent and by which host, where it is wanted.
    pub log: Option<Vec<(usize, Arc<Vec<u8>>)>>,
    goodbyes: HashMap<usize, u64>,
    /// What each host sent last, by kind.
    last: HashMap<(usize, &'static str), Arc<Vec<u8>>>,
    /// A watcher of go-micro's, which nothing that we multicast may make ask.
    listener: Listener,
    by_ip: HashMap<Ipv4Addr, usize>,
    /// By the time of arrival, then as they were sent.
    flying: BTreeMap<(u64, u64), Flying>,
    dues: BinaryHeap<Reverse<(Time, usize)>>,
    next: u64,
    rng: fastrand::Rng,
}

impl Net {
    pub fn new(seed: u64, weather: Weather) -> Net {
        Net {
            now: Time(10_000_000),
            hosts: Vec::new(),
            weather,
            cut: BTreeSet::new(),
            sent: BTreeMap::new(),
            log: None,
            goodbyes: HashMap::new(),
            last: HashMap::new(),
            listener: Listener::default(),
            by_ip: HashMap::new(),
            flying: BTreeMap::new(),
            dues: BinaryHeap::new(),
            next: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Adds a host whose registry is open and speaks DNS-SD.
    pub fn host(&mut self) -> usize {
        self.host_with(Wires::DNS_SD)
    }

    /// Adds a host whose registry is open and speaks these wires.
    pub fn host_with(&mut self, wires: Wires) -> usize {
        let i = self.hosts.len();
        let ip = Ipv4Addr::from_bits(0x0a00_0001 + u32::try_from(i).unwrap());
        let host = self.boot(ip, wires);
        self.hosts.push(host);
        self.by_ip.insert(ip, i);
        self.drain(i);
        i
    }

    /// Another process takes the place of one that was closed or killed.
    pub fn open_again(&mut self, i: usize, wires: Wires) {
        let Host { ip, group, .. } = self.hosts[i];
        self.hosts[i] = Host { group, ..self.boot(ip, wires) };
        self.drain(i);
    }

    /// Another registry opens in the process of a host. What is asked of the host is asked of it from now on; the first
    /// wants what it wanted, and is not told any more.
    pub fn open_beside(&mut self, i: usize, wires: Wires) {
        let (station, owner) = (Station { scope: Scope::Default, wires }, owner(self.rng.u128(..)));
        let host = &mut self.hosts[i];
        (host.owner, host.engine) = (owner.clone(), Engine::new(owner.clone(), station.clone(), PATIENCE));
        host.endpoint.submit(self.now, &owner, Message::Join(station));
        self.drain(i);
    }

    fn boot(&mut self, ip: Ipv4Addr, wires: Wires) -> Host {
        let station = Station { scope: Scope::Default, wires };
        let owner = owner(self.rng.u128(..));
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let mut endpoint = Endpoint::new(Config {
            port: MDNS,
            direct_port_v4: DIRECT,
            direct_port_v6: DIRECT,
            host_name: "vm".into(),
            seed,
        });
        endpoint.set_interfaces(self.now, vec![attached(ip)]);
        endpoint.submit(self.now, &owner, Message::Join(station.clone()));
        let engine = Engine::new(owner.clone(), station, PATIENCE);
        let (settled, dropped) = (Vec::new(), BTreeMap::new());
        Host { owner, engine, endpoint, ip, up: true, stopped: None, group: 0, settled, dropped, due: None }
    }

    /// The interface of a host has these addresses besides from now on, each with its prefix.
    pub fn add_nets(&mut self, host: usize, nets: &[(IpAddr, u8)]) {
        let mut attached = attached(self.hosts[host].ip);
        attached.interface.addrs.extend(nets.iter().map(|(ip, _)| *ip));
        attached.nets.extend(nets);
        self.hosts[host].endpoint.set_interfaces(self.now, vec![attached]);
        self.drain(host);
    }

    /// Registers nodes of a service on a host.
    pub fn register(&mut self, host: usize, service: &Service, lease_s: u64) {
        let options = RegisterOptions { ttl: Duration::from_secs(lease_s), ..RegisterOptions::default() };
        self.hosts[host].engine.register(self.now, service, options).unwrap();
        self.drain(host);
    }

    pub fn deregister(&mut self, host: usize, selection: &Selection) {
        self.hosts[host].engine.deregister(selection);
        self.drain(host);
    }

    /// Watches a service, or all.
    pub fn watch(&mut self, host: usize, service: Option<&str>) -> WatchId {
        self.watch_with(host, &WatchOptions { service: service.map(str::to_owned), queue: 100_000 })
    }

    pub fn watch_with(&mut self, host: usize, options: &WatchOptions) -> WatchId {
        let id = self.hosts[host].engine.watch(self.now, options, WAIT);
        self.drain(host);
        id
    }

    pub fn unwatch(&mut self, host: usize, watch: WatchId) {
        self.hosts[host].engine.unwatch(self.now, watch);
        self.drain(host);
    }

    /// Looks a service up; how long it took until settled, milliseconds, and what was found.
    pub fn get(&mut self, host: usize, service: &str) -> (u64, usize) {
        let start = self.now;
        if let Lookup::Waits(id) = self.look_up(host, service) {
            self.run_until(|net| net.hosts[host].settled.contains(&id), 400);
        }
        (self.now.0 - start.0, self.found(host, service))
    }

    /// Begins to look a service up.
    pub fn look_up(&mut self, host: usize, service: &str) -> Lookup {
        let question = Question::Service(service.into());
        let lookup = self.hosts[host].engine.lookup(self.now, &question, WAIT);
        self.drain(host);
        lookup
    }

    /// Nodes that a host sees of a service now.
    pub fn found(&self, host: usize, service: &str) -> usize {
        self.hosts[host].engine.services(service).iter().map(|service| service.nodes.len()).sum()
    }

    /// Whether a node with this id is among them.
    pub fn has(&self, host: usize, service: &str, id: &str) -> bool {
        let found = self.hosts[host].engine.services(service);
        found.iter().any(|service| service.nodes.iter().any(|node| node.id == id))
    }

    /// The events a watch has had since the last call.
    pub fn told(&mut self, host: usize, watch: WatchId) -> Vec<Event> {
        std::iter::from_fn(|| self.hosts[host].engine.next_event(watch)).collect()
    }

    /// The changes among them.
    pub fn events(&mut self, host: usize, watch: WatchId) -> Vec<(Action, String, u16)> {
        let change = |event: Event| {
            let change = event.change()?;
            let node = &change.service.nodes[0];
            Some((change.action, node.id.clone(), node.port))
        };
        self.told(host, watch).into_iter().filter_map(change).collect()
    }

    /// The process of a host runs no more, as by SIGSTOP; what is sent to it waits.
    pub fn stop(&mut self, host: usize) {
        self.hosts[host].stopped.get_or_insert_default();
    }

    pub fn is_stopped(&self, host: usize) -> bool {
        self.hosts[host].stopped.is_some()
    }

    /// A stopped host goes on: its registry sees what time it is, its endpoint reads what came meanwhile.
    pub fn go_on(&mut self, host: usize) {
        let Some(waiting) = self.hosts[host].stopped.take() else { return };
        self.hosts[host].engine.handle_timeout(self.now);
        self.drain(host);
        waiting.into_iter().for_each(|datagram| self.hand(datagram));
    }

    /// The process of a host is killed.
    pub fn kill(&mut self, host: usize) {
        self.hosts[host].up = false;
    }

    /// Closes a host's registry as `Registry::close` does.
    pub fn close(&mut self, host: usize) {
        let now = self.now;
        self.hosts[host].engine.withdraw_all();
        self.drain(host);
        let owner = self.hosts[host].owner.clone();
        self.hosts[host].endpoint.submit(now, &owner, Message::Leave);
        self.hosts[host].endpoint.shutdown(now);
        self.drain(host);
    }

    /// What a host sent last of a kind, as in `sent`.
    pub fn last(&self, host: usize, kind: &'static str) -> &[u8] {
        &self.last[&(host, kind)]
    }

    /// How many goodbyes of go-micro's kind a host has said.
    pub fn goodbyes(&self, host: usize) -> u64 {
        self.goodbyes.get(&host).copied().unwrap_or(0)
    }

    /// Sends a datagram that no endpoint made.
    pub fn inject(&mut self, from: SocketAddr, to: Option<usize>, bytes: Vec<u8>) {
        let bytes = Arc::new(bytes);
        for host in 0..self.hosts.len() {
            if to.is_none_or(|to| to == host) {
                self.fly(host, Via::Group, from, true, &bytes, 0);
            }
        }
    }

    /// The same to one host's address.
    pub fn inject_unicast(&mut self, from: SocketAddr, to: usize, bytes: Vec<u8>) {
        self.fly(to, Via::Group, from, false, &Arc::new(bytes), to);
    }

    /// A host takes a datagram, as it is, at once.
    pub fn deliver(&mut self, to: usize, datagram: Datagram<'_>) {
        self.hosts[to].endpoint.handle_datagram(self.now, datagram);
        self.drain(to);
    }

    pub fn run(&mut self, ms: u64) {
        self.run_until(|_| false, ms);
    }

    /// Runs until something is so, for at most `ms`; whether it came to be.
    pub fn run_until(&mut self, mut is: impl FnMut(&Net) -> bool, ms: u64) -> bool {
        let end = Time(self.now.0 + ms);
        loop {
            if is(self) {
                return true;
            }
            let flight = self.flying.first_key_value().map(|((at, _), _)| Time(*at));
            let due = loop {
                match self.dues.peek() {
                    Some(Reverse((at, host))) if self.hosts[*host].due != Some(*at) => drop(self.dues.pop()),
                    Some(Reverse((at, host))) => break Some((*at, *host)),
                    None => break None,
                }
            };
            let next = flight.into_iter().chain(due.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return is(self);
            };
            self.now = self.now.max(next);
            if flight == Some(next) {
                self.land();
            } else if let Some((_, host)) = due {
                self.hosts[host].due = None;
                if self.hosts[host].up && !self.is_stopped(host) {
                    self.hosts[host].engine.handle_timeout(self.now);
                    self.hosts[host].endpoint.handle_timeout(self.now);
                    self.drain(host);
                }
            }
        }
    }

    fn land(&mut self) {
        let Some((_, packet)) = self.flying.pop_first() else { return };
        let host = &mut self.hosts[packet.to];
        match &mut host.stopped {
            _ if !host.up => {}
            Some(waiting) if waiting.len() < BUFFER => waiting.push(packet),
            Some(_) => {}
            None => self.hand(packet),
        }
    }

    fn hand(&mut self, packet: Flying) {
        let host = &self.hosts[packet.to];
        let to = if packet.multicast { GROUP } else { IpAddr::V4(host.ip) };
        let datagram = Datagram { bytes: &packet.bytes, via: packet.via, from: packet.from, to, interface: INTERFACE };
        self.deliver(packet.to, datagram);
    }

    /// Moves what a host's registry and endpoint tell each other, and sends what goes out.
    fn drain(&mut self, i: usize) {
        loop {
            let host = &mut self.hosts[i];
            let mut commands = Vec::new();
            while let Some(output) = host.engine.poll_output() {
                match output {
                    Told::Command(command) => commands.push(command),
                    Told::Settled(id) => host.settled.push(id),
                    Told::Ready(_) => {}
                }
            }
            if !commands.is_empty() {
                let owner = host.owner.clone();
                host.endpoint.submit(self.now, &owner, Message::Commands { commands, done: None });
            }
            let Some(output) = host.endpoint.poll_output() else { break };
            match output {
                Output::Sighting(sighting) => {
                    if let Sighting::Dropped(reason) = &sighting {
                        *host.dropped.entry(reason.name()).or_default() += 1;
                    }
                    host.engine.handle_sighting(self.now, &sighting);
                }
                Output::Transmit(transmit) => self.transmit(i, transmit),
                Output::Done(done) => drop(done.send(())),
            }
        }
        let host = &mut self.hosts[i];
        host.up &= !host.endpoint.is_over();
        let due = [host.engine.next_due(), host.endpoint.next_due()].into_iter().flatten().min();
        let due = due.map(|due| due.max(Time(self.now.0 + 1)));
        if due != host.due {
            host.due = due;
            self.dues.extend(due.map(|due| Reverse((due, i))));
        }
    }

    fn transmit(&mut self, from: usize, transmit: Transmit) {
        let Transmit { via, to, bytes } = transmit;
        let kind = match (via, to) {
            (Via::Group, To::Group { .. }) => "multicast",
            (Via::Direct, To::Group { .. }) => "asks",
            (_, To::Host { .. }) => "unicast",
        };
        *self.sent.entry(kind).or_default() += 1;
        *self.sent.entry("bytes").or_default() += bytes.len() as u64;
        let port = if via == Via::Group { MDNS } else { DIRECT };
        let source = SocketAddr::from((self.hosts[from].ip, port));
        let bytes = Arc::new(bytes);
        self.last.insert((from, kind), bytes.clone());
        self.log.iter_mut().for_each(|log| log.push((from, bytes.clone())));
        if kind == "multicast" {
            let answers = message::parse(&bytes).map(|message| message.answers).unwrap_or_default();
            let all_gone = answers.len() == 3 && answers.iter().all(|record| record.ttl == 0);
            *self.goodbyes.entry(from).or_default() += u64::from(all_gone);
            for listener in [&mut Listener::default(), &mut self.listener] {
                if let Some(asked) = listener.hear(&bytes) {
                    panic!("go-micro's watchers ask for {asked:?}: {:#?}", message::parse(&bytes));
                }
            }
        }
        match to {
            To::Group { .. } => {
                for host in 0..self.hosts.len() {
                    if self.reaches(from, host) && self.hosts[host].up {
                        self.fly(host, Via::Group, source, true, &bytes, from);
                    }
                }
            }
            To::Host { addr: SocketAddr::V4(addr), .. } => {
                let Some(host) = self.by_ip.get(addr.ip()).copied() else { return };
                if self.reaches(from, host) {
                    let via = if addr.port() == MDNS { Via::Group } else { Via::Direct };
                    self.fly(host, via, source, false, &bytes, from);
                }
            }
            To::Host { .. } => {}
        }
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        self.hosts[from].group == self.hosts[to].group && !self.cut.contains(&(from, to))
    }

    fn fly(&mut self, to: usize, via: Via, from: SocketAddr, multicast: bool, bytes: &Arc<Vec<u8>>, sender: usize) {
        let copies = if self.rng.f32() < self.weather.duplicates { 2 } else { 1 };
        for _ in 0..copies {
            if to != sender && self.rng.f32() < self.weather.loss {
                continue;
            }
            let at = self.now.0 + if self.weather.delay > 0 { self.rng.u64(0..=self.weather.delay) } else { 0 };
            self.next += 1;
            self.flying.insert((at, self.next), Flying { to, via, from, multicast, bytes: bytes.clone() });
        }
    }
}

fn attached(ip: Ipv4Addr) -> Attached {
    let interface = Interface { name: "eth0".into(), addrs: vec![ip.into()], loopback: false, usable: true };
    Attached { interface, index: INTERFACE, nets: vec![(ip.into(), 8)] }
}

/// A tag such as `Registry::open` draws.
fn owner(bits: u128) -> Owner {
    let digits = b"abcdefghijklmnopqrstuvwxyz234567";
    let digit = |i: u32| {
        let shifted = if i < 25 { bits >> (123 - 5 * i) } else { bits << 2 };
        char::from(digits[usize::try_from(shifted & 31).unwrap()])
    };
    Owner::from((0..26).map(digit).collect::<String>())
}

/// A service with these nodes.
pub fn service(name: &str, nodes: std::ops::Range<usize>) -> Service {
    let node = |i: usize| {
        format!(r#"{{"id":"{name}-{i}","port":{},"metadata":{{"zone":"hall-{}"}}}}"#, 8_000 + i % 1_000, i % 7)
    };
    let nodes: Vec<String> = nodes.map(node).collect();
    let json = format!(r#"{{"name":"{name}","version":"1.0.0","nodes":[{}]}}"#, nodes.join(","));
    Service::from_json(&json).unwrap()
}
