//! The adapter to the crate `mdns-sd`: the only place that names it.
//!
//! What it is good for: about 200 nodes on a network. What it is not, because the crate is not:
//! - Its event channel holds 1,000 events and the cache is replayed as two a node, so beyond 500
//!   nodes the subscription can break at any browse; it is then begun again and nothing is lost
//!   for certain, but much is asked twice.
//! - Its socket buffer is the system's default: beyond some 700 nodes of one responder, answers
//!   are lost and asked for one by one.
//! - Its cache has no bound, and holds what any host of the network puts there.
//! - A node that was cut off for longer than its lease is asked for after 5 s and then twice as
//!   late each time, up to 10 min; the crate itself would wait for an hour.
//! - When it starts it joins the multicast group on every interface, and then leaves those that
//!   are not wanted. A scope that is made narrower says no goodbye on what it leaves.
//! - What is registered for "this host" or for an address of no own network is advertised to
//!   other software with this host's addresses; our own readers get the address as registered.
//!
//! One thread of ours runs beside the daemon's: it alone talks to the daemon and keeps all state,
//! see [`Worker`]. The daemon is asked through bounded queues that refuse when full; nothing waits.

mod hearing;
mod outbox;
mod subnets;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use mdns_sd::{DaemonEvent, DaemonStatus, IfKind, IfPredicate, Metrics, ResolvedService, ScopedIp};
use mdns_sd::{Error as DaemonError, ServiceDaemon, ServiceEvent, ServiceInfo, TxtProperty};
use socket2::{Domain, Socket, Type};
use tokio::sync::{mpsc, oneshot};

use self::hearing::Hearing;
use self::outbox::{Action, Done, Outbox};
use super::{Command, Link, Message, Opened, Patience, Scope};
use crate::error::{Error, Result};
use crate::record::{Interface, Key, Owner, Reach, Record, Sighting};
use crate::wire::dnssd::{self, SERVICE_TYPE};
use crate::{clock, fork, interfaces, limits};

/// Sightings on their way to the driver.
const SIGHTINGS: usize = 1_024;
/// Events taken in before the next look at everything else.
const BATCH: usize = 64;
/// How often the interfaces are listed.
const POLL: Duration = Duration::from_secs(1);
/// Browses are at least so far apart, so that many lookups ask once.
const BROWSE: Duration = Duration::from_millis(50);
/// A browse whose replay was not read after so long does not hold up the next.
const REPLAY: Duration = Duration::from_millis(250);
/// The daemon's queue or ours was full: when to try again.
const RETRY: Duration = Duration::from_millis(2);
/// How long the outbox may take to empty at the end, and then the daemon to end.
const CLOSING: (Duration, Duration) = (Duration::from_millis(1_500), Duration::from_secs(2));
/// More addresses of one host than this are not looked at.
const ADDRESSES: usize = 32;

/// Opens the link on a UDP port.
///
/// # Errors
/// `NETWORK` if the port cannot be bound, or no thread or descriptor is left.
pub fn open(port: u16) -> Result<Opened> {
    probe(port)?;
    let daemon = Daemon(ServiceDaemon::new_with_port(port).map_err(|e| failed("starting mDNS", &e))?);
    let enabled = Arc::new(RwLock::new(BTreeSet::new()));
    let chosen = enabled.clone();
    // ff02::fb has no route on loopback, so there it is IPv4 only.
    let speaks = IfPredicate::new(move |interface| {
        let names: &RwLock<BTreeSet<Arc<str>>> = &chosen;
        let names = names.read().unwrap_or_else(PoisonError::into_inner);
        names.contains(interface.name.as_str()) && !(interface.is_loopback() && interface.ip().is_ipv6())
    });
    let set_up = || {
        daemon.0.set_ip_check_interval(1)?;
        daemon.0.disable_interface(IfKind::All)?;
        daemon.0.enable_interface(IfKind::Predicate(speaks))?;
        daemon.0.monitor()
    };
    let ended = set_up().map_err(|error| failed("setting mDNS up", &error))?;
    let (submit, submitted) = flume::unbounded();
    let (sightings, heard) = mpsc::channel(SIGHTINGS);
    let counters = Arc::new(Counters::default());
    let worker = Worker::new(daemon, ended, submitted, sightings, enabled, counters.clone());
    let thread = std::thread::Builder::new().name("mdnsreg-mdns-sd".into());
    thread.spawn(move || worker.run()).map_err(|error| failed("starting a thread", &error))?;
    Ok((Box::new(MdnsSd { submit: Some(submit), counters }), heard))
}

/// The daemon says nothing where it cannot bind its port, so that is tried first.
fn probe(port: u16) -> Result<()> {
    let bind = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())
    };
    bind().map_err(|error: std::io::Error| failed(&format!("binding UDP port {port}"), &error))
}

fn failed(what: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::Network { what: what.to_owned(), problem: problem.to_string() }
}

enum Submitted {
    Message(Owner, Message),
    Shutdown(oneshot::Sender<()>),
}

struct MdnsSd {
    submit: Option<flume::Sender<Submitted>>,
    counters: Arc<Counters>,
}

impl Link for MdnsSd {
    fn submit(&self, from: &Owner, message: Message) {
        if let Some(submit) = &self.submit {
            let _ = submit.send(Submitted::Message(from.clone(), message));
        }
    }

    fn patience(&self) -> Patience {
        Patience { check_after: Duration::from_secs(90), grace: Duration::from_secs(2) }
    }

    fn counters(&self) -> Vec<(String, u64)> {
        self.counters.list()
    }

    fn shutdown(&self) -> oneshot::Receiver<()> {
        let (ended, receiver) = oneshot::channel();
        if let Some(submit) = &self.submit {
            let _ = submit.send(Submitted::Shutdown(ended));
        }
        receiver
    }
}

impl Drop for MdnsSd {
    fn drop(&mut self) {
        // In the child of a fork a lock of the channel may be held by a thread that is not there.
        if fork::forked() {
            std::mem::forget(self.submit.take());
        }
    }
}

/// The daemon holds a sender to itself: only being told ends it.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    withdrawn: AtomicU64,
    refused_by_daemon: AtomicU64,
    verified: AtomicU64,
    browsed: AtomicU64,
    broken: AtomicU64,
    tried_again: AtomicU64,
    resolved: AtomicU64,
    removed: AtomicU64,
    told: AtomicU64,
    daemon: Mutex<Metrics>,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    fn list(&self) -> Vec<(String, u64)> {
        let own = [
            ("published", &self.published),
            ("withdrawn", &self.withdrawn),
            ("refused-by-daemon", &self.refused_by_daemon),
            ("verified", &self.verified),
            ("browsed", &self.browsed),
            ("subscriptions-broken", &self.broken),
            ("tried-again", &self.tried_again),
            ("resolved", &self.resolved),
            ("removed", &self.removed),
            ("told", &self.told),
        ];
        let daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = own.iter().map(|(n, c)| ((*n).to_owned(), c.load(Ordering::Relaxed))).collect();
        let daemons = daemon.iter().map(|(name, n)| (format!("daemon-{name}"), u64::try_from(*n).unwrap_or(0)));
        list.extend(daemons.collect::<BTreeMap<_, _>>());
        list
    }
}

struct Member {
    scope: Scope,
    /// Has not been told what is known.
    fresh: bool,
    left: bool,
}

struct Published {
    owner: Owner,
    record: Arc<Record>,
    plan: Plan,
}

/// Where and with which address a record is advertised.
#[derive(PartialEq)]
struct Plan {
    interfaces: BTreeSet<Arc<str>>,
    /// The one address to advertise; else this host's own, kept current by the daemon.
    fixed: Option<IpAddr>,
}

struct Subscription {
    number: u64,
    broken: bool,
    events: mdns_sd::Receiver<ServiceEvent>,
}

enum Input {
    Submitted(Option<Submitted>),
    Event(Option<ServiceEvent>),
    Turn,
}

/// The state of the link, and the loop that moves it.
struct Worker {
    daemon: Daemon,
    /// Disconnected when the daemon has closed its sockets.
    ended: mdns_sd::Receiver<DaemonEvent>,
    submitted: flume::Receiver<Submitted>,
    sightings: mpsc::Sender<Sighting>,
    enabled: Arc<RwLock<BTreeSet<Arc<str>>>>,
    counters: Arc<Counters>,
    hearing: Hearing,
    outbox: Outbox,
    members: BTreeMap<Owner, Member>,
    interfaces: Vec<Interface>,
    published: HashMap<Key, Published>,
    /// Newest last; read from the first until the daemon has let go of it.
    subscriptions: VecDeque<Subscription>,
    last_browse: Option<Instant>,
    wants_browse: bool,
    /// The daemon has yet to look at `enabled` again.
    wants_poke: bool,
    /// Commands taken by the daemon, told of when it has had a turn.
    accepted: Vec<Arc<Done>>,
    turns: VecDeque<(mdns_sd::Receiver<DaemonStatus>, Vec<Arc<Done>>)>,
    metrics: Option<mdns_sd::Receiver<Metrics>>,
    next_poll: Instant,
    clocks: (Instant, SystemTime),
    /// Whom to tell of the end, and when it comes at the latest.
    closing: Option<(Vec<oneshot::Sender<()>>, Instant)>,
}

impl Worker {
    fn new(
        daemon: Daemon,
        ended: mdns_sd::Receiver<DaemonEvent>,
        submitted: flume::Receiver<Submitted>,
        sightings: mpsc::Sender<Sighting>,
        enabled: Arc<RwLock<BTreeSet<Arc<str>>>>,
        counters: Arc<Counters>,
    ) -> Worker {
        let now = Instant::now();
        Worker {
            daemon,
            ended,
            submitted,
            sightings,
            enabled,
            counters,
            hearing: Hearing::default(),
            outbox: Outbox::new(now),
            members: BTreeMap::new(),
            interfaces: Vec::new(),
            published: HashMap::new(),
            subscriptions: VecDeque::new(),
            last_browse: None,
            wants_browse: false,
            wants_poke: false,
            accepted: Vec::new(),
            turns: VecDeque::new(),
            metrics: None,
            next_poll: now,
            clocks: (now, SystemTime::now()),
            closing: None,
        }
    }

    fn run(mut self) {
        loop {
            let now = Instant::now();
            self.watch_clocks(now);
            if now >= self.next_poll {
                self.poll(now);
            }
            self.hearing.handle_timeout(now);
            self.send(now);
            self.browse(now);
            self.tell();
            if self.is_over(now) {
                return self.finish();
            }
            let Some(input) = self.wait(now) else { continue };
            self.take(Instant::now(), input);
            for _ in 0..BATCH {
                let Some(input) = self.try_next() else { break };
                self.take(Instant::now(), input);
            }
        }
    }

    /// The next input, unless something is due first.
    fn wait(&self, now: Instant) -> Option<Input> {
        let retry = self.wants_poke || self.hearing.is_full() || (!self.accepted.is_empty() && self.turns.is_empty());
        let browse = (self.wants_browse || self.hearing.wants_browse(now)).then(|| self.browse_due(now));
        let closing = self.closing.as_ref().map(|(_, latest)| *latest);
        let due = [
            Some(self.next_poll),
            self.hearing.next_due().map(|at| at.max(now + RETRY / 2)),
            self.outbox.next_due(now).map(|at| if self.wants_poke { now + RETRY } else { at }),
            retry.then(|| now + RETRY),
            browse,
            closing,
            self.closing.as_ref().and_then(|_| self.outbox.through_at()).filter(|at| *at > now),
        ];
        let due = due.into_iter().flatten().min().unwrap_or(self.next_poll);
        let mut selector = flume::Selector::new();
        if self.closing.is_none() {
            selector = selector.recv(&self.submitted, |got| Input::Submitted(got.ok()));
        }
        if let (Some(first), false) = (self.subscriptions.front(), self.hearing.is_full()) {
            selector = selector.recv(&first.events, |got| Input::Event(got.ok()));
        }
        if let Some((turn, _)) = self.turns.front() {
            selector = selector.recv(turn, |_| Input::Turn);
        }
        selector.wait_deadline(due).ok()
    }

    /// What can be taken without waiting.
    fn try_next(&self) -> Option<Input> {
        if self.closing.is_none() {
            if let Ok(submitted) = self.submitted.try_recv() {
                return Some(Input::Submitted(Some(submitted)));
            }
        }
        let events = &self.subscriptions.front()?.events;
        match self.hearing.is_full() {
            true => None,
            false => events.try_recv().ok().map(|event| Input::Event(Some(event))),
        }
    }

    fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::Submitted(Some(Submitted::Message(from, message))) => self.accept(now, &from, message),
            Input::Submitted(Some(Submitted::Shutdown(ended))) => self.close(now, vec![ended]),
            Input::Submitted(None) => self.close(now, Vec::new()),
            Input::Event(Some(event)) => self.hear(now, event),
            Input::Event(None) => self.unsubscribed(),
            Input::Turn => drop(self.turns.pop_front()),
        }
        if self.hearing.is_full() {
            self.tell();
        }
    }

    fn close(&mut self, now: Instant, ended: Vec<oneshot::Sender<()>>) {
        self.closing = Some((ended, now + CLOSING.0));
    }

    fn is_over(&self, now: Instant) -> bool {
        let through = self.outbox.is_through(now) && self.accepted.is_empty() && self.turns.is_empty();
        self.closing.as_ref().is_some_and(|(_, latest)| through || now >= *latest)
    }

    /// Ends the daemon, waits until its sockets are closed, and tells who asked.
    fn finish(mut self) {
        let latest = Instant::now() + CLOSING.1;
        while matches!(self.daemon.0.shutdown(), Err(DaemonError::Again)) && Instant::now() < latest {
            std::thread::sleep(RETRY);
        }
        while self.ended.recv_deadline(latest).is_ok() {}
        let ended = self.closing.take().map(|(ended, _)| ended).unwrap_or_default();
        drop(self);
        for ended in ended {
            let _ = ended.send(());
        }
    }

    fn accept(&mut self, now: Instant, from: &Owner, message: Message) {
        match message {
            Message::Join(scope) => {
                let fresh = match self.members.get(from) {
                    Some(member) if !member.fresh => {
                        self.hearing.retell(now);
                        false
                    }
                    _ => true,
                };
                self.members.insert(from.clone(), Member { scope, fresh, left: false });
                self.apply_scopes();
            }
            Message::Leave => {
                let left = |published: &Published| published.owner == *from;
                let keys: Vec<Key> =
                    self.published.values().filter(|p| left(p)).map(|p| p.record.key.clone()).collect();
                keys.into_iter().for_each(|key| self.outbox.push(key, Action::Withdraw, None));
                // Its interfaces are let go of once the goodbyes are through.
                if let Some(member) = self.members.get_mut(from) {
                    member.left = true;
                }
            }
            Message::Commands { commands, done } => {
                let done = done.map(Done::new);
                commands.into_iter().for_each(|command| self.command(now, from, command, done.as_ref()));
            }
        }
    }

    fn command(&mut self, now: Instant, from: &Owner, command: Command, done: Option<&Arc<Done>>) {
        let done = done.cloned();
        match command {
            Command::Publish(record) => {
                self.outbox.push(record.key.clone(), Action::Publish(from.clone(), record), done);
            }
            Command::Withdraw(key) => self.outbox.push(key, Action::Withdraw, done),
            Command::Ask(question) => {
                if self.members.get_mut(from).is_some_and(|member| std::mem::take(&mut member.fresh)) {
                    self.hearing.retell(now);
                }
                self.hearing.ask(now, question);
                self.wants_browse = true;
            }
            Command::Check(key) => match self.hearing.check(&key) {
                Ok(Some(_)) => self.outbox.push_check(key),
                Ok(None) => {}
                // Only where somebody has asked is there anything to check.
                Err(()) => self.wants_browse |= self.last_browse.is_some(),
            },
        }
    }

    /// Lets the daemon speak on what the members want, and moves what is published.
    fn apply_scopes(&mut self) {
        let named =
            |m: &Member| m.scope.select(&self.interfaces).into_iter().map(|i| i.name.clone()).collect::<Vec<_>>();
        let wanted: BTreeSet<Arc<str>> = self.members.values().flat_map(named).collect();
        let mut enabled = self.enabled.write().unwrap_or_else(PoisonError::into_inner);
        if *enabled != wanted {
            *enabled = wanted;
            self.wants_poke = true;
        }
        drop(enabled);
        let moved = self.published.values().filter(|p| self.plan(&p.owner, &p.record) != p.plan);
        let moved: Vec<_> = moved.map(|p| (p.owner.clone(), p.record.clone())).collect();
        for (owner, record) in moved {
            self.republish(owner, record);
        }
    }

    /// Publishes again what is published, unless a change of it waits already.
    fn republish(&mut self, owner: Owner, record: Arc<Record>) {
        self.outbox.push_if_absent(record.key.clone(), Action::Publish(owner, record));
    }

    fn plan(&self, owner: &Owner, record: &Record) -> Plan {
        let scope = self.members.get(owner).map_or(&Scope::Default, |member| &member.scope);
        let names = scope.select(&self.interfaces).into_iter().map(|i| i.name.clone());
        let interfaces: BTreeSet<Arc<str>> = names.collect();
        let literal = record.node.address.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
        let fixed = literal.filter(|ip| subnets::is_only_on(*ip, |name| interfaces.contains(name)));
        Plan { interfaces, fixed }
    }

    /// Once a second: the interfaces, members that have left, the daemon's own counters.
    fn poll(&mut self, now: Instant) {
        self.next_poll = now + POLL;
        let through = self.outbox.is_through(now);
        let members = self.members.len();
        self.members.retain(|_, member| !(member.left && through));
        if !self.list_interfaces() && self.members.len() != members {
            self.apply_scopes();
        }
        if let Some(Ok(metrics)) = self.metrics.take().map(|metrics| metrics.try_recv()) {
            *self.counters.daemon.lock().unwrap_or_else(PoisonError::into_inner) = metrics;
        }
        self.metrics = self.daemon.0.get_metrics().ok();
    }

    /// Whether the interfaces are others than before.
    fn list_interfaces(&mut self) -> bool {
        let changed = interfaces::list().ok().filter(|interfaces| *interfaces != self.interfaces);
        let Some(interfaces) = changed else { return false };
        self.hearing.tell(Sighting::Interfaces(interfaces.clone()));
        self.interfaces = interfaces;
        self.wants_poke = true;
        self.apply_scopes();
        true
    }

    /// The daemon takes a step of the wall clock for sleep, and ages what it holds.
    fn watch_clocks(&mut self, now: Instant) {
        let wall = SystemTime::now();
        let ran = now.saturating_duration_since(self.clocks.0);
        let stepped = match wall.duration_since(self.clocks.1) {
            Ok(passed) => passed.abs_diff(ran) > Duration::from_secs(1),
            Err(_) => true,
        };
        if stepped {
            self.hearing.jumped(now);
            self.wants_browse |= self.last_browse.is_some();
        }
        self.clocks = (now, wall);
    }

    fn tell(&mut self) {
        while let Some(sighting) = self.hearing.pop() {
            match self.sightings.try_send(sighting) {
                Ok(()) => count(&self.counters.told),
                Err(mpsc::error::TrySendError::Full(sighting)) => return self.hearing.put_back(sighting),
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    /// Hands over what is due, as fast as the pace allows.
    fn send(&mut self, now: Instant) {
        if self.wants_poke {
            // With nothing to enable it only looks at the interfaces again.
            self.wants_poke = self.again(self.daemon.0.enable_interface(Vec::<IfKind>::new())).is_none();
        }
        while let Some(item) = (!self.wants_poke).then(|| self.outbox.pop(now)).flatten() {
            let handed = match &item.action {
                Action::Publish(owner, record) => self.publish(&owner.clone(), &record.clone()),
                Action::Withdraw => self.withdraw(now, &item.key),
                Action::Verify => self.verify(now, &item.key),
            };
            match handed {
                Some(()) => self.accepted.extend(item.done),
                None => self.outbox.put_back(item),
            }
        }
        if !self.accepted.is_empty() {
            if let Some(turn) = self.again(self.daemon.0.status()) {
                self.turns.extend(turn.map(|turn| (turn, std::mem::take(&mut self.accepted))));
            }
        }
    }

    /// `None` if it has to be tried again, `Some(None)` if the daemon refused for good.
    fn again<T>(&self, result: mdns_sd::Result<T>) -> Option<Option<T>> {
        match result {
            Ok(value) => Some(Some(value)),
            Err(DaemonError::Again) => {
                count(&self.counters.tried_again);
                None
            }
            Err(_) => {
                count(&self.counters.refused_by_daemon);
                Some(None)
            }
        }
    }
}

/// Speaking: each gives `None` if the daemon's queue was full.
impl Worker {
    fn publish(&mut self, owner: &Owner, record: &Arc<Record>) -> Option<()> {
        let plan = self.plan(owner, record);
        let Some(info) = service_info(record, &plan) else {
            count(&self.counters.refused_by_daemon);
            return Some(());
        };
        self.again(self.daemon.0.register(info))?;
        count(&self.counters.published);
        let (owner, record) = (owner.clone(), record.clone());
        self.published.insert(record.key.clone(), Published { owner, record, plan });
        Some(())
    }

    fn withdraw(&mut self, now: Instant, key: &Key) -> Option<()> {
        if self.published.contains_key(key) {
            self.again(self.daemon.0.unregister(&format!("{key}.{SERVICE_TYPE}")))?;
            count(&self.counters.withdrawn);
            self.published.remove(key);
            self.outbox.note_withdrawn(key.clone(), now);
        }
        Some(())
    }

    fn verify(&mut self, now: Instant, key: &Key) -> Option<()> {
        if let Ok(Some((fullname, window))) = self.hearing.check(key) {
            let started = clock::now();
            self.again(self.daemon.0.verify(fullname, window))?;
            count(&self.counters.verified);
            self.hearing.checking(key.clone(), started, now + window);
        }
        Some(())
    }

    fn browse_due(&self, now: Instant) -> Instant {
        let pause = if self.hearing.has_replayed() { BROWSE } else { REPLAY };
        self.last_browse.map_or(now, |last| last + pause)
    }

    /// Begins the browse anew if something wants it: a query goes out, and the cache is replayed.
    fn browse(&mut self, now: Instant) {
        let wanted = self.wants_browse || self.hearing.wants_browse(now);
        if !wanted || now < self.browse_due(now) || self.closing.is_some() {
            return;
        }
        let Some(Some(events)) = self.again(self.daemon.0.browse(SERVICE_TYPE)) else { return };
        count(&self.counters.browsed);
        let broken = self.subscriptions.is_empty() && self.last_browse.is_some();
        let number = self.hearing.begin_browse();
        self.subscriptions.push_back(Subscription { number, broken, events });
        if self.subscriptions.len() == 1 {
            self.hearing.read(number, broken);
        }
        self.last_browse = Some(now);
        self.wants_browse = false;
        self.hearing.healing(now);
    }

    /// The daemon let go of the subscription: for the next one, or because it was full.
    fn unsubscribed(&mut self) {
        self.subscriptions.pop_front();
        match self.subscriptions.front() {
            Some(next) => self.hearing.read(next.number, next.broken),
            None => {
                count(&self.counters.broken);
                self.wants_browse = true;
            }
        }
    }
}

/// Listening.
impl Worker {
    fn hear(&mut self, now: Instant, event: ServiceEvent) {
        match event {
            ServiceEvent::SearchStarted(_) => self.hear_start(now),
            ServiceEvent::ServiceFound(_, fullname) => {
                if let Some(key) = key_of(&fullname) {
                    self.hearing.found(now, key);
                }
            }
            ServiceEvent::ServiceResolved(service) => self.hear_service(now, &service),
            ServiceEvent::ServiceRemoved(_, fullname) => {
                count(&self.counters.removed);
                if let Some(key) = key_of(&fullname) {
                    self.hearing.removed(now, &key);
                }
            }
            _ => {}
        }
    }

    fn hear_start(&mut self, now: Instant) {
        if self.hearing.judges_next() {
            self.list_interfaces();
        }
        let interfaces = &self.interfaces;
        let is_down = |name: &str| !interfaces.iter().any(|i| *i.name == *name && i.usable && !i.addrs.is_empty());
        for key in self.hearing.started(now, is_down) {
            // Not our goodbye: somebody else said it, so that it must be put right.
            if let Some(published) = self.published.get(&key) {
                self.republish(published.owner.clone(), published.record.clone());
            }
        }
    }

    fn hear_service(&mut self, now: Instant, service: &ResolvedService) {
        let properties = service.get_properties();
        // The daemon does not wait for the TXT record; it will come.
        let Some(key) = key_of(service.get_fullname()).filter(|_| !properties.is_empty()) else { return };
        count(&self.counters.resolved);
        let strings: Vec<Vec<u8>> = properties.iter().map(string_of).collect();
        let heard = dnssd::decode(&key, &strings, service.get_port()).map(|record| (record, reach_of(service)));
        let unlisted = |reach: &Reach| !self.interfaces.iter().any(|i| i.name == reach.interface);
        if heard.as_ref().is_ok_and(|(_, reach)| reach.iter().any(unlisted)) {
            self.list_interfaces();
        }
        self.hearing.resolved(now, &key, service.get_fullname(), heard);
    }
}

/// The record as the daemon takes it; `None` if it would not.
fn service_info(record: &Record, plan: &Plan) -> Option<ServiceInfo> {
    let label = &*record.key;
    let fits = !label.is_empty() && label.len() <= limits::LABEL_BYTES && label.to_lowercase() == label;
    let plain = !label.chars().any(|c| c.is_control() || matches!(c, '.' | '\\'));
    let strings = dnssd::encode(record).ok().filter(|_| fits && plain)?;
    // A goodbye takes the addresses of its host with it, so no two instances may share one.
    let host = format!("{}.local.", dnssd::host_label(&record.owner, label));
    let properties: Vec<TxtProperty> = strings.iter().map(|string| property_of(string)).collect();
    let addresses: Vec<IpAddr> = plan.fixed.into_iter().collect();
    let info = ServiceInfo::new(SERVICE_TYPE, label, &host, &addresses[..], record.node.port, properties);
    let mut info = info.ok()?;
    info.set_requires_probe(false);
    let names = plan.interfaces.clone();
    let own = IfPredicate::new(move |interface| names.contains(interface.name.as_str()));
    info.set_interfaces(vec![IfKind::Predicate(own)]);
    Some(if plan.fixed.is_some() { info } else { info.enable_addr_auto() })
}

/// `key=value` apart; the key is ASCII, as all of ours are.
fn property_of(string: &[u8]) -> TxtProperty {
    match string.iter().position(|byte| *byte == b'=') {
        Some(at) => (String::from_utf8_lossy(&string[..at]), &string[at + 1..]).into(),
        None => (&*String::from_utf8_lossy(string)).into(),
    }
}

fn string_of(property: &TxtProperty) -> Vec<u8> {
    let key = property.key().as_bytes();
    property.val().map_or(key.to_vec(), |value| [key, b"=", value].concat())
}

/// The instance label in lower case.
fn key_of(fullname: &str) -> Option<Key> {
    let lower = fullname.to_lowercase();
    let label = lower.strip_suffix(SERVICE_TYPE)?.strip_suffix('.')?;
    Some(Key::from(label))
}

fn reach_of(service: &ResolvedService) -> Vec<Reach> {
    let reach = |address: &ScopedIp| -> Vec<Reach> {
        let names: Vec<&str> = match address {
            ScopedIp::V4(v4) => v4.interface_ids().iter().map(|id| id.name.as_str()).collect(),
            ScopedIp::V6(v6) => vec![v6.scope_id().name.as_str()],
            _ => Vec::new(),
        };
        names.into_iter().map(|name| Reach { ip: address.to_ip_addr(), interface: name.into() }).collect()
    };
    let all: BTreeSet<Reach> = service.get_addresses().iter().flat_map(reach).collect();
    all.into_iter().take(ADDRESSES).collect()
}
