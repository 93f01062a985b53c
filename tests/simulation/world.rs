//! Hosts with an engine and a watch each, a plan of what happens to them, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mdns_registry::engine::{Engine, Lookup, Output, WatchId};
use mdns_registry::event::{Action, Event as Told, Reason};
use mdns_registry::link::{Command, Patience, Scope};
use mdns_registry::record::{Interface, Key, Owner, Question, Record, Sighting, Time};
use mdns_registry::{Metadata, Node, RegisterOptions, Selection, Service, WatchOptions};

use crate::network::{seen, Agenda, Event, Packet, Weather};

const HOSTS: usize = 4;
const SERVICES: [&str; 3] = ["greeter", "store", "mail"];
const PATIENCE: Patience =
    Patience { check_after: Duration::from_secs(90), grace: Duration::from_secs(1), answer: Duration::from_secs(1) };
/// Longest interval of the query schedule, so that a lost announcement is repaired within it.
const BROWSE_CAP: Duration = Duration::from_secs(8);
const LEASE: Duration = Duration::from_secs(4);

/// What happens in a run.
pub struct Plan {
    pub loss: f64,
    pub duplicates: f64,
    pub delay: Duration,
    pub kills: bool,
    pub partitions: bool,
    pub slow_readers: bool,
    /// Hosts are stopped for longer than a lease, and what was sent to them waits.
    pub stops: bool,
    pub queue: usize,
    /// Random acts, about two a second.
    pub acts: usize,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            loss: 0.2,
            duplicates: 0.2,
            delay: Duration::from_millis(300),
            kills: false,
            partitions: false,
            slow_readers: false,
            stops: false,
            queue: 1_024,
            acts: 40,
        }
    }
}

struct Host {
    engine: Engine,
    published: BTreeMap<Key, Arc<Record>>,
    /// What the application registered and did not withdraw, by (service, id).
    intended: BTreeMap<(String, String), Service>,
    browsing: bool,
    watch: WatchId,
    reads: bool,
    folded: BTreeMap<Key, Service>,
    resyncs: usize,
    history: Vec<String>,
}

pub struct World<'a> {
    plan: &'a Plan,
    now: Time,
    agenda: Agenda,
    weather: Weather,
    hosts: Vec<Option<Host>>,
    incarnation: usize,
    /// Hosts that are stopped, and until when.
    stopped: BTreeMap<usize, Time>,
    /// When each host last went on.
    went_on: BTreeMap<usize, Time>,
    dead: Vec<(Time, Owner)>,
    history: Vec<String>,
}

type Checked = Result<(), String>;

impl<'a> World<'a> {
    pub fn new(seed: u64, plan: &'a Plan) -> World<'a> {
        let weather = Weather {
            rng: fastrand::Rng::with_seed(seed),
            loss: plan.loss,
            duplicates: plan.duplicates,
            delay: plan.delay,
            cut: BTreeSet::new(),
        };
        let mut world = World {
            plan,
            now: Time(1_000_000),
            agenda: Agenda::default(),
            weather,
            hosts: Vec::new(),
            incarnation: 0,
            stopped: BTreeMap::new(),
            went_on: BTreeMap::new(),
            dead: Vec::new(),
            history: Vec::new(),
        };
        for _ in 0..HOSTS {
            world.hosts.push(None);
        }
        (0..HOSTS).for_each(|host| world.boot(host));
        world
    }

    pub fn history(&self) -> Vec<String> {
        self.history.clone()
    }

    fn boot(&mut self, host: usize) {
        self.incarnation += 1;
        let owner = Owner::from(format!("owner{:021}", self.incarnation));
        let mut engine = Engine::new(owner, Scope::Default, PATIENCE);
        let addrs = vec![format!("10.0.0.{}", host + 1).parse().unwrap()];
        let interface = Interface { name: Arc::from("net0"), addrs, loopback: false, usable: true };
        engine.handle_sighting(self.now, &Sighting::Interfaces(vec![interface]));
        let options = WatchOptions { queue: self.plan.queue, ..WatchOptions::default() };
        let watch = engine.watch(self.now, &options, Duration::from_millis(300));
        self.hosts[host] = Some(Host {
            engine,
            published: BTreeMap::new(),
            intended: BTreeMap::new(),
            browsing: false,
            watch,
            reads: true,
            folded: BTreeMap::new(),
            resyncs: 0,
            history: Vec::new(),
        });
        self.drain(host);
    }

    /// The whole run: random acts in bad weather, then calm, then what must hold.
    pub fn run(&mut self) -> Checked {
        for _ in 0..self.plan.acts {
            self.act();
            let pause = Duration::from_millis(self.weather.rng.u64(0..1_000));
            self.advance(self.now + pause)?;
        }
        self.calm();
        // The longest repair: who was stopped goes on, a full browse interval passes, then a lease of
        // what died in the last act.
        self.advance(self.now + LEASE * 2 + BROWSE_CAP * 2 + LEASE * 2 + PATIENCE.grace)?;
        self.check_at_rest()
    }

    fn calm(&mut self) {
        self.weather.loss = 0.0;
        self.weather.duplicates = 0.0;
        self.weather.cut.clear();
        self.hosts.iter_mut().flatten().for_each(|host| host.reads = true);
    }

    fn act(&mut self) {
        let host = self.weather.rng.usize(0..HOSTS);
        if self.stopped.contains_key(&host) {
            return;
        }
        match self.weather.rng.u8(0..12) {
            0..=5 => self.register(host),
            6..=7 => self.deregister(host),
            8 if self.plan.kills => self.kill(host),
            9 if self.plan.partitions => {
                if !self.weather.cut.remove(&host) {
                    self.weather.cut.insert(host);
                }
            }
            11 if self.plan.stops => {
                self.stopped.insert(host, self.now + LEASE * 2);
            }
            10 if self.plan.slow_readers => {
                if let Some(host) = &mut self.hosts[host] {
                    host.reads = !host.reads;
                }
            }
            _ => self.look(host),
        }
    }

    fn register(&mut self, host: usize) {
        let rng = &mut self.weather.rng;
        let service = Service {
            name: SERVICES[rng.usize(0..SERVICES.len())].to_owned(),
            version: ["", "1", "2"][rng.usize(0..3)].to_owned(),
            metadata: Metadata::from([("of".to_owned(), "service".to_owned())]),
            endpoints: Vec::new(),
            nodes: vec![Node {
                id: format!("n{}", rng.usize(0..4)),
                address: String::new(),
                port: rng.u16(1..4),
                metadata: Metadata::from([("at".to_owned(), format!("{:012}", self.now.0))]),
            }],
        };
        let Some(up) = &mut self.hosts[host] else { return self.boot(host) };
        let options = RegisterOptions { ttl: LEASE, auto_renew: true };
        up.engine.register(self.now, &service, options).unwrap();
        up.intended.insert((service.name.clone(), service.nodes[0].id.clone()), service);
        self.drain(host);
    }

    fn deregister(&mut self, host: usize) {
        let name = SERVICES[self.weather.rng.usize(0..SERVICES.len())];
        let Some(up) = &mut self.hosts[host] else { return };
        up.engine.deregister(&Selection::service(name));
        up.intended.retain(|(service, _), _| service != name);
        self.drain(host);
    }

    fn kill(&mut self, host: usize) {
        if let Some(dead) = self.hosts[host].take() {
            let owner = dead.published.values().next().map(|record| record.owner.clone());
            self.dead.extend(owner.map(|owner| (self.now, owner)));
            self.agenda.forget(host);
        }
    }

    fn look(&mut self, host: usize) {
        let name = SERVICES[self.weather.rng.usize(0..SERVICES.len())];
        let Some(up) = &mut self.hosts[host] else { return };
        let question = Question::Service(Arc::from(name));
        let _: Lookup = up.engine.lookup(self.now, &question, Duration::from_millis(300));
        self.drain(host);
    }

    /// Lets time pass, event by event.
    fn advance(&mut self, until: Time) -> Checked {
        loop {
            let running = self.hosts.iter().enumerate().filter(|(i, _)| !self.stopped.contains_key(i));
            let due = running.filter_map(|(_, host)| host.as_ref()?.engine.next_due()).min();
            let goes_on = self.stopped.values().min().copied();
            let next = [due, goes_on, self.agenda.next_at()].into_iter().flatten().min().filter(|at| *at <= until);
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            self.go_on();
            while self.agenda.next_at().is_some_and(|at| at <= self.now) {
                let Some((_, host, event)) = self.agenda.pop() else { break };
                match self.stopped.get(&host) {
                    Some(until) => self.agenda.push(*until, host, event),
                    None => self.happen(host, event),
                }
            }
            for host in (0..HOSTS).filter(|host| !self.stopped.contains_key(host)).collect::<Vec<_>>() {
                if let Some(up) = &mut self.hosts[host] {
                    up.engine.handle_timeout(self.now);
                    self.drain(host);
                }
            }
            self.check_always()?;
        }
        self.now = until;
        Ok(())
    }

    /// Hosts whose time has come go on, and find that they are late.
    fn go_on(&mut self) {
        let now = self.now;
        let over: Vec<usize> = self.stopped.iter().filter(|(_, until)| **until <= now).map(|(host, _)| *host).collect();
        for host in over {
            self.stopped.remove(&host);
            self.went_on.insert(host, now);
            if let Some(up) = &mut self.hosts[host] {
                up.engine.handle_timeout(now);
                self.drain(host);
            }
        }
    }

    fn happen(&mut self, host: usize, event: Event) {
        let Some(up) = &mut self.hosts[host] else { return };
        match event {
            Event::Arrive { from, packet } => self.arrive(host, from, packet),
            Event::Repeat(record) => {
                if up.published.get(&record.key).is_some_and(|now| now.revision == record.revision) {
                    self.multicast(host, &Packet::Record(record));
                }
            }
            Event::RepeatGoodbye(key) => {
                if !up.published.contains_key(&key) {
                    self.multicast(host, &Packet::Goodbye(key));
                }
            }
            Event::Browse(interval) => {
                let next = (interval * 2).min(BROWSE_CAP);
                self.agenda.push(self.now + interval, host, Event::Browse(next));
                self.multicast(host, &Packet::Query);
            }
            Event::Settle(question) => {
                up.engine.handle_sighting(self.now, &Sighting::Settled(question));
                self.drain(host);
            }
        }
    }

    fn arrive(&mut self, host: usize, from: usize, packet: Packet) {
        let Some(up) = &mut self.hosts[host] else { return };
        let answers: Vec<Arc<Record>> = match packet {
            Packet::Record(record) => {
                up.engine.handle_sighting(self.now, &seen(&record, from));
                Vec::new()
            }
            Packet::Goodbye(key) => {
                up.engine.handle_sighting(self.now, &Sighting::Gone { key, reason: Reason::Goodbye });
                Vec::new()
            }
            Packet::Query => up.published.values().cloned().collect(),
            Packet::Check(key) => up.published.get(&key).cloned().into_iter().collect(),
        };
        for record in answers {
            self.multicast(host, &Packet::Record(record));
        }
        self.drain(host);
    }

    fn multicast(&mut self, from: usize, packet: &Packet) {
        for to in (0..HOSTS).filter(|to| *to != from) {
            for at in self.weather.arrivals(self.now, from, to) {
                self.agenda.push(at, to, Event::Arrive { from, packet: packet.clone() });
            }
        }
    }

    /// Carries out what an engine wants, and lets its reader read.
    fn drain(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].as_mut().and_then(|up| up.engine.poll_output()) {
            if let Output::Command(command) = output {
                self.carry_out(host, command);
            }
        }
        if let Some(up) = &mut self.hosts[host] {
            if up.reads {
                read(up);
                self.history.append(&mut up.history);
            }
        }
    }

    fn carry_out(&mut self, host: usize, command: Command) {
        let Some(up) = &mut self.hosts[host] else { return };
        match command {
            Command::Publish(record) => {
                up.published.insert(record.key.clone(), record.clone());
                self.agenda.push(self.now + Duration::from_secs(1), host, Event::Repeat(record.clone()));
                self.multicast(host, &Packet::Record(record));
            }
            Command::Withdraw(key) => {
                up.published.remove(&key);
                self.agenda.push(self.now + Duration::from_millis(120), host, Event::RepeatGoodbye(key.clone()));
                self.multicast(host, &Packet::Goodbye(key));
            }
            Command::Ask(question) => {
                self.agenda.push(self.now + Duration::from_millis(250), host, Event::Settle(question));
                if !std::mem::replace(&mut up.browsing, true) {
                    self.agenda.push(self.now, host, Event::Browse(Duration::from_secs(1)));
                }
            }
            // Its link browses for everything.
            Command::Forget(_) => {}
            Command::Check(key) | Command::Expired(key) => self.multicast(host, &Packet::Check(key)),
        }
    }

    /// I2: no ghost outlives its lease by more than the grace and what was still on its way.
    fn check_always(&mut self) -> Checked {
        let longest = LEASE + PATIENCE.grace + self.plan.delay + Duration::from_millis(1);
        for (died, owner) in self.dead.iter().filter(|(died, _)| *died + longest < self.now) {
            for (i, host) in self.hosts.iter().enumerate() {
                let Some(host) = host else { continue };
                // Who was stopped must first ask, and give what was sent to it meanwhile its lease.
                let late = self.went_on.get(&i).is_some_and(|at| *at + longest + PATIENCE.answer >= self.now);
                if late || self.stopped.contains_key(&i) {
                    continue;
                }
                if let Some(key) = host.engine.keys_of(owner).first() {
                    return Err(format!("I2: host {i} still shows {key}, dead since {:?}", self.now - *died));
                }
            }
        }
        Ok(())
    }

    fn check_at_rest(&mut self) -> Checked {
        let mut truth: BTreeMap<&str, Vec<(usize, &Service)>> = BTreeMap::new();
        for (i, host) in self.hosts.iter().enumerate() {
            for service in host.iter().flat_map(|host| host.intended.values()) {
                truth.entry(&service.name).or_default().push((i, service));
            }
        }
        for (i, host) in self.hosts.iter().enumerate() {
            let Some(host) = host else { continue };
            for name in SERVICES {
                let expected = flatten(truth.get(name).into_iter().flatten().map(|(of, service)| {
                    let mut node = service.nodes[0].clone();
                    node.address = format!("10.0.0.{}", of + 1);
                    (service.version.clone(), node)
                }));
                let answered = flatten(
                    host.engine
                        .services(name)
                        .iter()
                        .flat_map(|service| service.nodes.iter().map(|node| (service.version.clone(), node.clone()))),
                );
                if answered != expected {
                    return Err(format!("I1: host {i} lists {name} as {answered:?}, registered are {expected:?}"));
                }
                let folded = flatten(
                    host.folded
                        .values()
                        .filter(|service| service.name == name)
                        .map(|service| (service.version.clone(), service.nodes[0].clone())),
                );
                if folded != answered {
                    return Err(format!("I3: host {i} folds {name} to {folded:?}, lists {answered:?}"));
                }
            }
        }
        self.check_slow_readers()
    }

    fn check_slow_readers(&self) -> Checked {
        match self.hosts.iter().flatten().find(|host| host.engine.is_ready(host.watch)) {
            Some(_) => Err("a reader that reads everything has something left".to_owned()),
            None => Ok(()),
        }
    }
}

/// Nodes in one order, whatever the order they came in.
fn flatten(nodes: impl Iterator<Item = (String, Node)>) -> Vec<String> {
    let mut lines: Vec<String> =
        nodes.map(|(version, node)| format!("{version} {} {}:{}", node.id, node.address, node.port)).collect();
    lines.sort();
    lines
}

/// Reads every event and checks I4: per node create, update*, delete alternate.
fn read(host: &mut Host) {
    while let Some(event) = host.engine.next_event(host.watch) {
        match &event {
            Told::Resync => {
                host.folded.clear();
                host.resyncs += 1;
            }
            Told::Service(change) => {
                let known = host.folded.contains_key(&change.key);
                match change.action {
                    Action::Create => assert!(!known, "I4: second create of {}", change.key),
                    Action::Update => {
                        assert!(known, "I4: update of unknown {}", change.key);
                        let before = &host.folded[&change.key];
                        assert_ne!(*before, change.service, "I4: update without a difference");
                        let at = |service: &Service| service.nodes[0].metadata["at"].clone();
                        assert!(at(before) <= at(&change.service), "{} went back in time", change.key);
                    }
                    Action::Delete => assert!(known, "I4: delete of unknown {}", change.key),
                }
                match change.action {
                    Action::Delete => host.folded.remove(&change.key),
                    _ => host.folded.insert(change.key.clone(), change.service.clone()),
                };
            }
            _ => {}
        }
        host.history.push(event.to_json());
    }
}
