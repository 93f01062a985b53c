//! Hosts that a plan is played on, what they have registered, and what their watches must tell of it.

use std::collections::{BTreeMap, BTreeSet};

use mdns_registry::engine::WatchId;
use mdns_registry::event::{Action, Change, Event, Reason};
use mdns_registry::options::Wires;
use mdns_registry::record::{Key, Time};
use mdns_registry::wire::dnssd::instance_label;
use mdns_registry::{Metadata, Node, Selection, Service, WatchOptions};

use super::fold::Fold;
use super::net::{Net, Weather};
use super::plans::{Host, Name, Step, HOSTS, SERVICES};

/// Once hosts hear each other, what is registered is visible by DNS-SD within so long to who has seen it before, and to all
/// if it has changed lately;
const VISIBLE_MS: u64 = 3_000;
const LATELY_MS: u64 = 20_000;
/// to others with the next alive record, which comes every 10 s at least;
const FOUND_MS: u64 = 11_000;
/// and by go-micro's wire when it is asked for again, every 30 s.
const FOUND_BY_GO_MICRO_MS: u64 = 31_000;
/// A node that is silent is gone so long after its lease.
const GRACE_MS: u64 = 1_000;
/// As long as a datagram may be under way.
const DELAY_MS: u64 = 200;
/// What happens to a node, or between two hosts, may show so long afterwards.
const ECHO_MS: u64 = 3_000;
const STEPS_MS: std::ops::RangeInclusive<u64> = 10..=200;

type Checked = Result<(), String>;

/// A node that is registered, or was.
struct Registered {
    host: Host,
    /// As others are to see it.
    service: Service,
    /// The longest lease that it ever had.
    lease_ms: u64,
    /// When it was last registered.
    since: Time,
    /// When it was withdrawn, or its registry ended.
    ended: Option<Time>,
    /// Its registry has not ended, and says what is left of it.
    can_be_asked: bool,
}

struct Watch {
    host: Host,
    id: WatchId,
    name: Option<Name>,
    fold: Fold,
    /// When its reader last read, and whether it seldom does.
    read: Time,
    is_slow: bool,
}

pub struct World {
    net: Net,
    rng: fastrand::Rng,
    nodes: BTreeMap<Key, Registered>,
    watches: Vec<Watch>,
    open: [bool; HOSTS.len()],
    /// Since when a host is stopped, and when it last went on.
    stopped: [Option<Time>; HOSTS.len()],
    went_on: [Time; HOSTS.len()],
    /// When two hosts last did not hear each other, both ways.
    apart: BTreeMap<(Host, Host), Time>,
    /// When anything was last lost.
    lossy: Time,
    /// When something was last registered or withdrawn at a host.
    changed: [Time; HOSTS.len()],
    /// What each host has seen of a node last.
    seen: BTreeMap<(Host, Key), Service>,
}

fn by_dns_sd(one: Wires, two: Wires) -> bool {
    one.dns_sd && two.dns_sd
}

fn by_any(one: Wires, two: Wires) -> bool {
    by_dns_sd(one, two) || (one.go_micro.is_some() && one.go_micro == two.go_micro)
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut net = Net::new(seed, Weather::FAIR);
        for wires in HOSTS {
            net.host_with(wires);
        }
        let mut world = World {
            net,
            rng: fastrand::Rng::with_seed(!seed),
            nodes: BTreeMap::new(),
            watches: Vec::new(),
            open: [true; HOSTS.len()],
            stopped: [None; HOSTS.len()],
            went_on: [Time(0); HOSTS.len()],
            apart: BTreeMap::new(),
            lossy: Time(0),
            changed: [Time(0); HOSTS.len()],
            seen: BTreeMap::new(),
        };
        (0..HOSTS.len()).for_each(|host| world.begin(host));
        world
    }

    /// Each host watches from its start: everything, or one service.
    fn begin(&mut self, host: Host) {
        self.watch(host, (host % 2 == 1).then_some(host % SERVICES.len()), 1_024);
    }

    fn watch(&mut self, host: Host, name: Option<Name>, queue: usize) {
        let options = WatchOptions { service: name.map(|name| SERVICES[name].to_owned()), queue };
        let id = self.net.watch_with(host, &options);
        self.watches.push(Watch { host, id, name, fold: Fold::default(), read: self.net.now, is_slow: queue < 1_024 });
    }

    fn runs(&self, host: Host) -> bool {
        self.open[host] && self.stopped[host].is_none()
    }

    pub fn take(&mut self, step: Step) -> Checked {
        let now = self.net.now;
        match step {
            Step::Register { host, name, id, version, lease_s } if self.runs(host) => {
                self.register(host, name, id, version, lease_s);
            }
            Step::Deregister { host, name, id } if self.runs(host) => {
                self.net.deregister(host, &Selection::service(SERVICES[name]).ids([format!("n{id}")]));
                let key = self.key(host, name, id);
                self.end_nodes(|of, _| *of == key);
                self.changed[host] = now;
            }
            Step::Close(host) if self.runs(host) => {
                self.net.close(host);
                self.end_host(host);
            }
            Step::Kill(host) if self.open[host] => {
                self.net.kill(host);
                self.end_host(host);
            }
            Step::Open(host) if !self.open[host] => {
                self.net.open_again(host, HOSTS[host]);
                self.open[host] = true;
                self.begin(host);
            }
            Step::Cut { host, other, hears, is_heard } => {
                let others = (0..HOSTS.len()).filter(|of| *of != host && other.is_none_or(|other| other == *of));
                for other in others {
                    self.net.cut.extend((!hears).then_some((other, host)));
                    self.net.cut.extend((!is_heard).then_some((host, other)));
                }
            }
            Step::Heal(host) => self.net.cut.retain(|(from, to)| *from != host && *to != host),
            Step::Stop(host) if self.runs(host) => {
                self.net.stop(host);
                self.stopped[host] = Some(now);
            }
            Step::GoOn(host) => self.go_on(host),
            Step::Weather(weather) => self.net.weather = weather,
            Step::Watch { host, name, queue } if self.runs(host) => self.watch(host, name, queue),
            Step::Unwatch(host) if self.runs(host) => {
                if let Some(at) = self.watches.iter().position(|watch| watch.host == host) {
                    let watch = self.watches.remove(at);
                    self.net.unwatch(host, watch.id);
                }
            }
            Step::GetService { host, name } if self.runs(host) => {
                self.net.look_up(host, SERVICES[name]);
            }
            Step::Peace => self.peace()?,
            _ => {}
        }
        self.note()
    }

    fn key(&self, host: Host, name: Name, id: u8) -> Key {
        instance_label(&self.net.hosts[host].owner, SERVICES[name], &format!("n{id}")).into()
    }

    fn register(&mut self, host: Host, name: Name, id: u8, version: u8, lease_s: u64) {
        let now = self.net.now;
        let node = Node {
            id: format!("n{id}"),
            address: String::new(),
            port: 8_000 + u16::from(id),
            metadata: Metadata::from([("at".to_owned(), format!("{:012}", now.0))]),
        };
        let mut service = Service {
            name: SERVICES[name].to_owned(),
            version: version.to_string(),
            metadata: Metadata::from([("of".to_owned(), "service".to_owned())]),
            endpoints: Vec::new(),
            nodes: vec![node],
        };
        self.net.register(host, &service, lease_s);
        service.nodes[0].address = self.net.hosts[host].ip.to_string();
        let key = self.key(host, name, id);
        let before = self.nodes.get(&key).map_or(0, |node| node.lease_ms);
        let lease_ms = before.max(lease_s * 1_000);
        self.changed[host] = now;
        self.nodes.insert(key, Registered { host, service, lease_ms, since: now, ended: None, can_be_asked: true });
    }

    fn end_nodes(&mut self, which: impl Fn(&Key, &Registered) -> bool) {
        let now = self.net.now;
        let nodes = self.nodes.iter_mut().filter(|(key, node)| node.ended.is_none() && which(key, node));
        nodes.for_each(|(_, node)| node.ended = Some(now));
    }

    fn end_host(&mut self, host: Host) {
        self.end_nodes(|_, node| node.host == host);
        self.nodes.values_mut().filter(|node| node.host == host).for_each(|node| node.can_be_asked = false);
        self.watches.retain(|watch| watch.host != host);
        self.seen.retain(|(of, _), _| *of != host);
        (self.open[host], self.stopped[host]) = (false, None);
    }

    fn go_on(&mut self, host: Host) {
        if self.stopped[host].take().is_some() {
            self.went_on[host] = self.net.now;
            self.net.go_on(host);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) -> Checked {
        let end = self.net.now.0 + ms;
        while self.net.now.0 < end {
            let step = self.rng.u64(STEPS_MS).min(end - self.net.now.0);
            self.net.run(step);
            self.note()?;
        }
        Ok(())
    }

    /// Notes who cannot hear whom, and reads what watches have told.
    fn note(&mut self) -> Checked {
        let now = self.net.now;
        if self.net.weather.loss > 0.0 {
            self.lossy = now;
        }
        for one in 0..HOSTS.len() {
            for two in 0..HOSTS.len() {
                if self.net.cut.contains(&(one, two)) || !self.runs(one) || !self.runs(two) {
                    self.apart.insert((one, two), now);
                    self.apart.insert((two, one), now);
                }
            }
        }
        for at in 0..self.watches.len() {
            let watch = &self.watches[at];
            if self.runs(watch.host) && (!watch.is_slow || self.rng.u8(0..8) == 0) {
                self.read(at)?;
            }
        }
        self.no_ghosts()
    }

    fn read(&mut self, at: usize) -> Checked {
        let Watch { host, id, .. } = self.watches[at];
        let told = self.net.told(host, id);
        let is_news = !told.is_empty();
        for event in told {
            self.hear(at, &event).map_err(|broken| format!("I4: host {host}: {broken}"))?;
        }
        self.watches[at].read = self.net.now;
        if is_news {
            self.folds_to_what_is_listed(&self.watches[at])?;
        }
        Ok(())
    }

    fn hear(&mut self, at: usize, event: &Event) -> Checked {
        let watch = &self.watches[at];
        if let Event::Service(change) = event {
            let had = watch.fold.0.get(&change.key);
            let when = |service: &Service| service.nodes[0].metadata["at"].clone();
            if had.is_some_and(|had| when(had) > when(&change.service)) {
                return Err(format!("it goes back in time: {change:?}, had {had:?}"));
            }
            if change.action == Action::Delete && !self.may_go(watch, change) {
                return Err(format!("deleted and alive: {change:?}"));
            }
            let (host, key) = (watch.host, change.key.clone());
            self.seen.insert((host, key), change.service.clone());
        }
        self.watches[at].fold.take(event)
    }

    /// Whether anything has happened for which a watch may lose a node.
    fn may_go(&self, watch: &Watch, change: &Change) -> bool {
        let since = Time(watch.read.0 - ECHO_MS);
        let node = &self.nodes[&change.key];
        let is_same = node.ended.is_none() && node.since < since;
        let heard = self.apart.get(&(watch.host, node.host)).is_none_or(|apart| *apart < since);
        // go-micro's wire repeats a question only until anybody has answered it.
        let sure = by_dns_sd(HOSTS[watch.host], HOSTS[node.host]) || self.lossy < since;
        !(is_same && heard && sure) || change.reason == Reason::Changed
    }

    /// I3.
    fn folds_to_what_is_listed(&self, watch: &Watch) -> Checked {
        let engine = &self.net.hosts[watch.host].engine;
        let folded = watch.fold.services();
        let names: Vec<&str> = match watch.name {
            Some(name) => vec![SERVICES[name]],
            None => {
                let listed: Vec<String> = engine.names().into_iter().map(|service| service.name).collect();
                if listed != folded.keys().copied().collect::<Vec<_>>() {
                    return Err(format!("I3: host {} lists {listed:?}, was told {folded:?}", watch.host));
                }
                folded.keys().copied().collect()
            }
        };
        for name in names {
            let (listed, folded) = (engine.services(name), folded.get(name).map_or(&[][..], |folded| folded));
            if **listed != *folded {
                return Err(format!("I3: host {} lists {listed:?}, was told {folded:?}", watch.host));
            }
        }
        Ok(())
    }

    /// When a node can have given a sign of life last, if it gives none any more.
    fn last_alive(&self, node: &Registered) -> Option<Time> {
        node.ended.or(self.stopped[node.host])
    }

    /// Whether a host has no excuse for listing a node any more.
    fn is_ghost(&self, host: Host, node: &Registered) -> bool {
        // What waited while a host was stopped is heard when it goes on.
        let heard = self.last_alive(node).map(|at| at.max(self.went_on[host]));
        let is_over = heard.is_some_and(|at| self.net.now.0 > at.0 + DELAY_MS + node.lease_ms + GRACE_MS);
        is_over && host != node.host && self.runs(host)
    }

    /// I2, of what watches have told.
    fn no_ghosts(&self) -> Checked {
        for watch in self.watches.iter().filter(|watch| !watch.is_slow) {
            let ghost = watch.fold.0.keys().find(|key| self.is_ghost(watch.host, &self.nodes[*key]));
            if let Some(key) = ghost {
                return Err(format!("I2: host {} still shows {key}", watch.host));
            }
        }
        Ok(())
    }

    /// I2, of what `get_service` would list.
    fn no_ghosts_are_listed(&self) -> Checked {
        for (key, node) in &self.nodes {
            for host in (0..HOSTS.len()).filter(|host| self.is_ghost(*host, node)) {
                let services = self.net.hosts[host].engine.services(&node.service.name);
                let mut nodes = services.iter().flat_map(|service| &service.nodes);
                let said = &node.service.nodes[0];
                if nodes.any(|listed| listed == said) {
                    return Err(format!("I2: host {host} still lists {key}"));
                }
            }
        }
        Ok(())
    }

    fn peace(&mut self) -> Checked {
        self.net.weather = Weather::FAIR;
        self.net.cut.clear();
        (0..HOSTS.len()).for_each(|host| self.go_on(host));
        let began = self.net.now;
        let mut due = BTreeMap::new();
        for to in 0..HOSTS.len() {
            let within = |(key, node): (&Key, &Registered)| self.known_within(began, to, key, node);
            due.extend(self.nodes.iter().map(|node| ((to, node.0.clone()), within(node))));
        }
        for after in [VISIBLE_MS, FOUND_MS, FOUND_BY_GO_MICRO_MS] {
            self.pass(began.0 + after - self.net.now.0)?;
            self.all_is_known(|to, key| due[&(to, key.clone())] <= after)
                .map_err(|broken| format!("I1: after {after} ms: {broken}"))?;
        }
        self.no_ghosts_are_listed()
    }

    /// How soon a host must know of a node, or that it was withdrawn, once there is peace.
    fn known_within(&self, began: Time, to: Host, key: &Key, node: &Registered) -> u64 {
        let is_known = self.seen.get(&(to, key.clone())) == Some(&node.service);
        match by_dns_sd(HOSTS[to], HOSTS[node.host]) {
            true if is_known || began.0 <= self.changed[node.host].0 + LATELY_MS => VISIBLE_MS,
            true => FOUND_MS,
            false => FOUND_BY_GO_MICRO_MS,
        }
    }

    fn all_is_known(&mut self, is_due: impl Fn(Host, &Key) -> bool) -> Checked {
        for at in 0..self.watches.len() {
            self.read(at)?;
            let watch = &self.watches[at];
            for (key, node) in self.registered(watch.host, watch.name).filter(|(key, _)| is_due(watch.host, key)) {
                let seen = watch.fold.0.get(key);
                if seen != Some(&node.service) {
                    let (of, to) = (node.host, watch.host);
                    return Err(format!("{:?} of host {of} is {seen:?} to host {to}", node.service));
                }
            }
            // By go-micro's wire it stays for its lease where its goodbye was lost.
            let was_withdrawn = |node: &Registered| {
                node.ended.is_some() && node.can_be_asked && by_dns_sd(HOSTS[watch.host], HOSTS[node.host])
            };
            let withdrawn = |key: &&Key| is_due(watch.host, key) && was_withdrawn(&self.nodes[*key]);
            if let Some(key) = watch.fold.0.keys().find(withdrawn) {
                return Err(format!("{key} was withdrawn, and is visible to host {}", watch.host));
            }
        }
        Ok(())
    }

    /// What a host is to see.
    fn registered(&self, host: Host, name: Option<Name>) -> impl Iterator<Item = (&Key, &Registered)> {
        let nodes = self.nodes.iter().filter(move |(_, node)| by_any(HOSTS[host], HOSTS[node.host]));
        let nodes = nodes.filter(|(_, node)| node.ended.is_none());
        nodes.filter(move |(_, node)| name.is_none_or(|name| SERVICES[name] == node.service.name))
    }

    /// In peace, when the leases of all that has ended are over, each sees just what there is.
    pub fn end(&mut self) -> Checked {
        self.peace()?;
        self.pass(DELAY_MS + GRACE_MS)?;
        for watch in &self.watches {
            let expected: BTreeSet<&Key> = self.registered(watch.host, watch.name).map(|(key, _)| key).collect();
            let seen: BTreeSet<&Key> = watch.fold.0.keys().collect();
            if seen != expected {
                return Err(format!("I1, I2: host {} sees {seen:?}, there are {expected:?}", watch.host));
            }
        }
        for host in (0..HOSTS.len()).filter(|host| self.open[*host]) {
            for (name, service) in SERVICES.iter().enumerate() {
                let expected = self.registered(host, Some(name)).count();
                let (_, found) = self.net.get(host, service);
                if found != expected {
                    return Err(format!("I1: host {host} finds {found} nodes of {service}, there are {expected}"));
                }
            }
        }
        Ok(())
    }
}
