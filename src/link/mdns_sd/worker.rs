//! The state of the link, and the loop that moves it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use mdns_sd::{DaemonEvent, DaemonStatus, Error as DaemonError, IfKind, Metrics, ServiceEvent};
use tokio::sync::{mpsc, oneshot};

use super::hearing::Hearing;
use super::one_shot::{self, OneShot};
use super::outbox::{Action, Done, Outbox};
use super::{count, subnets, Counters, Daemon, Submitted};
use crate::clock;
use crate::interfaces;
use crate::link::{Command, Message, Scope, Station};
use crate::record::{Interface, Key, Owner, Question, Record, Sighting};

/// Events taken in before the next look at everything else.
const BATCH: usize = 64;
/// How often the interfaces are listed.
const POLL: Duration = Duration::from_secs(1);
/// The daemon's queue or ours was full: when to try again.
pub(super) const RETRY: Duration = Duration::from_millis(2);
/// How long the outbox may take to empty at the end, and then the daemon to end.
const CLOSING: (Duration, Duration) = (Duration::from_millis(1_500), Duration::from_secs(2));

pub(super) struct Member {
    scope: Scope,
    left: bool,
}

pub(super) struct Published {
    pub owner: Owner,
    pub record: Arc<Record>,
    pub plan: Plan,
}

/// Where and with which address a record is advertised.
#[derive(PartialEq)]
pub(super) struct Plan {
    pub interfaces: BTreeSet<Arc<str>>,
    /// The one address to advertise; else this host's own, kept current by the daemon.
    pub fixed: Option<IpAddr>,
}

pub(super) struct Subscription {
    pub number: u64,
    pub broken: bool,
    pub events: mdns_sd::Receiver<ServiceEvent>,
}

/// What is done when the daemon has had a turn of its loop.
pub(super) enum Turn {
    /// Tell that these commands were carried out.
    Carried(Vec<Arc<Done>>),
    /// Conclude these checks: a turn drops what has expired after it answers, so it takes two.
    Checked(Vec<Key>, u8),
}

enum Input {
    Submitted(Option<Submitted>),
    Event(Option<ServiceEvent>),
    Turn,
}

/// Everything the link knows.
pub(super) struct Worker {
    pub daemon: Daemon,
    /// Disconnected when the daemon has closed its sockets.
    pub ended: mdns_sd::Receiver<DaemonEvent>,
    pub submitted: flume::Receiver<Submitted>,
    pub sightings: mpsc::Sender<Sighting>,
    pub enabled: Arc<RwLock<BTreeSet<Arc<str>>>>,
    pub counters: Arc<Counters>,
    pub hearing: Hearing,
    pub outbox: Outbox,
    pub members: BTreeMap<Owner, Member>,
    pub interfaces: Vec<Interface>,
    pub published: HashMap<Key, Published>,
    /// Newest last; read from the first until the daemon has let go of it.
    pub subscriptions: VecDeque<Subscription>,
    pub last_browse: Option<Instant>,
    /// The daemon would not browse: when to try again.
    pub browse_after: Option<Instant>,
    pub wants_browse: bool,
    /// The daemon has yet to look at `enabled` again.
    pub wants_poke: bool,
    /// What waits until the daemon has had a turn: to be asked for, and asked for.
    pub waiting: Vec<Turn>,
    pub turns: VecDeque<(mdns_sd::Receiver<DaemonStatus>, Turn)>,
    /// Checks to conclude when every event before now has been read.
    pub answered: Vec<Key>,
    /// The question asked beside the latest browse.
    pub one_shot: Option<OneShot>,
    pub last_one_shot: Option<Instant>,
    pub port: u16,
    pub metrics: Option<mdns_sd::Receiver<Metrics>>,
    pub next_poll: Instant,
    pub clocks: (Instant, SystemTime),
    /// Whom to tell of the end, and when it comes at the latest.
    pub closing: Option<(Vec<oneshot::Sender<()>>, Instant)>,
}

impl Worker {
    pub fn new(
        daemon: Daemon,
        ended: mdns_sd::Receiver<DaemonEvent>,
        submitted: flume::Receiver<Submitted>,
        sightings: mpsc::Sender<Sighting>,
        enabled: Arc<RwLock<BTreeSet<Arc<str>>>>,
        counters: Arc<Counters>,
        port: u16,
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
            browse_after: None,
            wants_browse: false,
            wants_poke: false,
            waiting: Vec::new(),
            turns: VecDeque::new(),
            answered: Vec::new(),
            one_shot: None,
            last_one_shot: None,
            port,
            metrics: None,
            next_poll: now,
            clocks: (now, SystemTime::now()),
            closing: None,
        }
    }

    pub fn run(mut self) {
        loop {
            let now = Instant::now();
            self.watch_clocks(now);
            if now >= self.next_poll {
                self.poll(now);
            }
            self.hear_one_shot(now);
            self.hear_timeouts(now);
            self.browse(now);
            self.send(now);
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
        let retry = self.wants_poke || self.hearing.is_full() || !self.waiting.is_empty();
        let browses = self.closing.is_none() && (self.wants_browse || self.hearing.wants_browse(now));
        let browse = browses.then(|| self.browse_due(now));
        let closing = self.closing.as_ref().map(|(_, latest)| *latest);
        let due = [
            Some(self.next_poll),
            self.hearing.next_due().map(|at| at.max(now + RETRY / 2)),
            self.outbox.next_due(now).map(|at| if self.wants_poke { now + RETRY } else { at }),
            retry.then(|| now + RETRY),
            self.one_shot.as_ref().map(|_| now + one_shot::LOOK),
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
            Input::Turn => match self.turns.pop_front().map(|(_, turn)| turn) {
                Some(Turn::Checked(keys, 1)) => self.waiting.push(Turn::Checked(keys, 2)),
                Some(Turn::Checked(keys, _)) => self.answered.extend(keys),
                Some(Turn::Carried(done)) => drop(done),
                None => {}
            },
        }
        if self.hearing.is_full() {
            self.tell();
        }
    }

    fn close(&mut self, now: Instant, ended: Vec<oneshot::Sender<()>>) {
        self.outbox.hurry();
        self.closing = Some((ended, now + CLOSING.0));
    }

    fn is_over(&self, now: Instant) -> bool {
        let through = self.outbox.is_through(now) && self.waiting.is_empty() && self.turns.is_empty();
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
            Message::Join(Station { scope, .. }) => {
                let member = Member { scope, left: false };
                if self.members.insert(from.clone(), member).is_some() {
                    self.hearing.retell(now, clock::now(), &Question::Everything);
                }
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
                self.hearing.retell(now, clock::now(), &question);
                self.hearing.ask(now, question);
                self.wants_browse = true;
                self.waiting.push(Turn::Carried(done.into_iter().collect()));
            }
            // All are browsed for in any case.
            Command::Forget(_) => {}
            Command::Check(key) | Command::Expired(key) => match self.hearing.check(&key) {
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
    pub fn republish(&mut self, owner: Owner, record: Arc<Record>) {
        self.outbox.push_if_absent(record.key.clone(), Action::Publish(owner, record));
    }

    pub fn plan(&self, owner: &Owner, record: &Record) -> Plan {
        let scope = self.members.get(owner).map_or(&Scope::Default, |member| &member.scope);
        let names = scope.select(&self.interfaces).into_iter().map(|i| i.name.clone());
        let interfaces: BTreeSet<Arc<str>> = names.collect();
        let literal = record.node.address().parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
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
    pub fn list_interfaces(&mut self) -> bool {
        let changed = interfaces::list().ok().filter(|interfaces| *interfaces != self.interfaces);
        let Some(interfaces) = changed else { return false };
        self.hearing.tell(Sighting::Interfaces(interfaces.clone()));
        self.interfaces = interfaces;
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
        let mut carried = Vec::new();
        while let Some(item) = (!self.wants_poke).then(|| self.outbox.pop(now)).flatten() {
            let handed = match &item.action {
                Action::Publish(owner, record) => self.publish(owner, record),
                Action::Withdraw => self.withdraw(now, &item.key),
                Action::Verify => self.verify(now, &item.key),
            };
            match handed {
                Some(()) => carried.extend(item.done),
                None => self.outbox.put_back(item),
            }
        }
        if !carried.is_empty() {
            self.waiting.push(Turn::Carried(carried));
        }
        while let Some(turn) = self.waiting.pop() {
            match self.again(self.daemon.0.status()) {
                Some(Some(status)) => self.turns.push_back((status, turn)),
                Some(None) => {}
                None => return self.waiting.push(turn),
            }
        }
    }

    /// Tells what is due. A check is concluded only when the daemon, too, has had its time.
    fn hear_timeouts(&mut self, now: Instant) {
        let due = self.hearing.handle_timeout(now);
        if !due.is_empty() {
            self.waiting.push(Turn::Checked(due, 1));
        }
        if self.subscriptions.front().is_none_or(|first| first.events.is_empty()) {
            self.hearing.answered(now, std::mem::take(&mut self.answered));
        }
    }

    /// `None` if it has to be tried again, `Some(None)` if the daemon refused for good.
    pub fn again<T>(&self, result: mdns_sd::Result<T>) -> Option<Option<T>> {
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
