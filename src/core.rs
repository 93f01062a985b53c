//! One open registry behind its handles: the engine under its lock, and what waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::driver::{lock, Endpoint};
use crate::engine::{Engine, Lookup, LookupId, Output, WatchId};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::interfaces;
use crate::limits;
use crate::link::{Command, Message, Scope, Station};
use crate::model::Service;
use crate::options::{Options, WatchOptions, Wire};
use crate::panics;
use crate::pending::Pending;
use crate::record::{Owner, Question, Sighting, Time};
use crate::refused::{By, Refused};
use crate::signal::Signal;
use crate::system;
use crate::wire::gomicro::Unfit;

/// How long a registry waits after a turn that panicked.
const REST: Duration = Duration::from_millis(100);

pub(crate) struct Core {
    owner: Owner,
    state: Mutex<State>,
}

struct State {
    options: Options,
    /// `None` once the registry is closed.
    open: Option<Open>,
}

struct Open {
    engine: Engine,
    endpoint: Arc<Endpoint>,
    waiting: BTreeMap<LookupId, oneshot::Sender<()>>,
    signals: BTreeMap<WatchId, Arc<Signal>>,
    /// What the driver last saw as our deadline.
    scheduled: Option<Time>,
    /// No deadline is earlier.
    rests_until: Time,
}

impl Core {
    pub(crate) fn open(options: Options) -> Result<Arc<Core>> {
        options.validate()?;
        let scope = interfaces::scope(&options.addrs, &interfaces::list()?)?;
        let core = Arc::new(Core { owner: new_owner()?, state: Mutex::new(State { options, open: None }) });
        let mut state = lock(&core.state);
        let open = Open::new(&core, &state.options, scope)?;
        state.open = Some(open);
        drop(state);
        Ok(core)
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(crate) fn options(&self) -> Options {
        lock(&self.state).options.clone()
    }

    /// Changes options in place, or refuses and changes nothing.
    pub(crate) fn init(self: &Arc<Self>, json: &str) -> Result<()> {
        let mut state = lock(&self.state);
        let State { options, open } = &mut *state;
        let open = open.as_mut().ok_or(CLOSED)?;
        let changed = options.changed(json)?;
        let fixed = [
            ("wire", changed.wire == options.wire),
            ("domain", changed.domain == options.domain),
            ("link", changed.link == options.link),
            ("port", changed.port == options.port),
        ];
        let counts = open.engine.counts();
        let in_use = counts.registered > 0 || counts.watches > 0 || !open.waiting.is_empty();
        if let Some((key, _)) = fixed.iter().find(|(_, same)| in_use && !same) {
            let what = format!("option {key} cannot change while anything is registered, watched or looked up");
            return Err(Error::Busy { what });
        }
        let moves = (changed.link, changed.port) != (options.link, options.port);
        let rewires = changed.wires() != options.wires();
        if changed.addrs == options.addrs && !moves && !rewires {
            *options = changed;
            return Ok(());
        }
        let scope = interfaces::scope(&changed.addrs, &interfaces::list()?)?;
        if moves {
            let moved = Open::new(self, &changed, scope)?;
            let left = std::mem::replace(open, moved);
            left.endpoint.leave(&self.owner);
        } else if rewires {
            open.endpoint.submit(&self.owner, Message::Leave);
            open.engine = begin(&self.owner, &open.endpoint, &changed, scope);
        } else {
            open.endpoint.submit(&self.owner, Message::Join(Station { scope: scope.clone(), wires: changed.wires() }));
            open.engine.set_scope(scope, &open.endpoint.interfaces());
            open.flush(&self.owner, None);
        }
        *options = changed;
        Ok(())
    }

    /// Runs a change of the engine; its commands are handed to the network when the result is ready.
    pub(crate) fn change(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Engine, Time) -> Result<()>,
        what: &'static str,
    ) -> Pending<Result<()>> {
        let mut state = lock(&self.state);
        let Some(open) = state.open.as_mut() else { return Pending::ready(Err(CLOSED)) };
        if let Err(error) = change(&mut open.engine, clock::now()) {
            return Pending::ready(Err(error));
        }
        let (done, handed) = oneshot::channel();
        if !open.flush(&self.owner, Some(done)) {
            return Pending::ready(Ok(()));
        }
        let core = self.clone();
        Pending::new(async move {
            let handed = handed.await;
            let closed = lock(&core.state).open.is_none();
            handed.ok().filter(|()| !closed).ok_or(Error::Cancelled { what })
        })
    }

    /// Looks `question` up and reads the answer from the engine once it is settled.
    pub(crate) fn lookup<T: Send + 'static>(
        self: &Arc<Self>,
        question: &Question,
        what: &'static str,
        read: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> Pending<Result<T>> {
        let mut state = lock(&self.state);
        let timeout = state.options.timeout;
        let Some(open) = state.open.as_mut() else { return Pending::ready(Err(CLOSED)) };
        match open.engine.lookup(clock::now(), question, timeout) {
            Lookup::Ready => Pending::ready(read(&open.engine)),
            Lookup::Waits(id) => {
                let (settled, wait) = oneshot::channel();
                open.waiting.insert(id, settled);
                open.flush(&self.owner, None);
                let core = self.clone();
                Pending::new(async move {
                    wait.await.map_err(|_| Error::Cancelled { what })?;
                    core.with_engine(|engine| read(engine))
                })
            }
        }
    }

    pub(crate) fn with_engine<T>(&self, read: impl FnOnce(&Engine) -> Result<T>) -> Result<T> {
        let state = lock(&self.state);
        read(&state.open.as_ref().ok_or(CLOSED)?.engine)
    }

    pub(crate) fn watch(&self, options: &WatchOptions) -> Result<(WatchId, Arc<Signal>)> {
        options.validate()?;
        let mut state = lock(&self.state);
        let timeout = state.options.timeout;
        let open = state.open.as_mut().ok_or(CLOSED)?;
        let id = open.engine.watch(clock::now(), options, timeout);
        let signal = Arc::new(Signal::default());
        open.signals.insert(id, signal.clone());
        open.flush(&self.owner, None);
        Ok((id, signal))
    }

    /// The watch's next event. `Err` once the watch or the registry is over.
    pub(crate) fn next_event(&self, id: WatchId) -> std::result::Result<Option<Event>, Ended> {
        let mut state = lock(&self.state);
        let open = state.open.as_mut().ok_or(Ended)?;
        let signal = open.signals.get(&id).ok_or(Ended)?;
        let event = open.engine.next_event(id);
        if !open.engine.is_ready(id) {
            signal.clear();
        }
        Ok(event)
    }

    pub(crate) fn unwatch(&self, id: WatchId) {
        let mut state = lock(&self.state);
        let Some(open) = state.open.as_mut() else { return };
        open.engine.unwatch(clock::now(), id);
        if let Some(signal) = open.signals.remove(&id) {
            signal.end();
        }
    }

    pub(crate) fn services_json(self: &Arc<Self>, name: &str) -> Pending<Result<Arc<str>>> {
        let wanted = name.to_owned();
        let question = Question::Service(Arc::from(name));
        self.lookup(&question, "get_service", move |engine| {
            let room = |nodes| system::room(nodes * NODE_ROOM);
            engine.services_json(&wanted, room)?.ok_or(Error::NotFound { name: wanted })
        })
    }

    pub(crate) fn services(self: &Arc<Self>, name: &str) -> Pending<Result<Vec<Service>>> {
        let wanted = name.to_owned();
        let question = Question::Service(Arc::from(name));
        self.lookup(&question, "get_service", move |engine| {
            let services = engine.services(&wanted);
            if services.is_empty() {
                return Err(Error::NotFound { name: wanted });
            }
            Ok(services.as_ref().clone())
        })
    }

    /// What was counted, as one JSON object.
    pub(crate) fn stats(&self) -> Result<String> {
        let state = lock(&self.state);
        let open = state.open.as_ref().ok_or(CLOSED)?;
        let counts = open.engine.counts();
        let interfaces: Vec<_> = open
            .engine
            .interfaces()
            .iter()
            .map(|i| {
                serde_json::json!({
                    "name": &*i.name,
                    "addresses": i.addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            })
            .collect();
        let link: BTreeMap<String, u64> = open.endpoint.counters().into_iter().collect();
        let of_link = |reason: &Refused| reason.by() == By::Link;
        let of_link = Refused::ALL.into_iter().filter(of_link).filter_map(|reason| link.get_key_value(reason.name()));
        let of_link = of_link.map(|(name, count)| (name.as_str(), *count)).filter(|(_, count)| *count > 0);
        let refused: BTreeMap<&str, u64> =
            counts.dropped.iter().map(|(name, count)| (*name, *count)).chain(of_link).collect();
        Ok(serde_json::json!({
            "owner": &*self.owner,
            "nodes": counts.nodes,
            "registered": counts.registered,
            "watches": counts.watches,
            "interests": counts.interests,
            "resyncs": counts.resyncs,
            "expired": counts.expired,
            "refused": refused,
            "dropped": counts.dropped,
            "interfaces": interfaces,
            "wires": wires(&state.options, &open.engine.left_out()),
            "link": { "kind": state.options.link.as_str(), "counters": link },
        })
        .to_string())
    }

    /// Withdraws everything and ends every wait. The receiver is told when the first goodbyes have
    /// been handed to the network, or after 250 ms; `None` if the registry was closed already.
    pub(crate) fn close(&self) -> Option<oneshot::Receiver<()>> {
        let mut open = lock(&self.state).open.take()?;
        // Before all else: whoever waits is woken, whatever happens.
        open.signals.values().for_each(|signal| signal.end());
        let member = Member(Some((open.endpoint.clone(), self.owner.clone())));
        open.engine.withdraw_all();
        let (done, handed) = oneshot::channel();
        open.flush(&self.owner, Some(done));
        let ended = member.leave();
        let wait = async move {
            let _ = handed.await;
            if let Some(ended) = ended {
                let _ = ended.await;
            }
        };
        Some(open.endpoint.wait_at_most(Duration::from_millis(limits::CLOSE_MS), wait))
    }

    /// Closes the registry, which cannot go on: waiting calls are cancelled, watches end, later calls find it closed.
    pub(crate) fn end(&self, why: &'static str) {
        if self.close().is_some() {
            tracing::error!(owner = &*self.owner, "a registry was closed: {why}");
        }
    }

    pub(crate) fn hear(&self, now: Time, sightings: &[Sighting]) {
        self.drive(now, |engine| sightings.iter().for_each(|sighting| engine.handle_sighting(now, sighting)));
    }

    pub(crate) fn handle_timeout(&self, now: Time) {
        self.drive(now, |engine| engine.handle_timeout(now));
    }

    /// A turn of the driver, which reads `next_due` after it and so needs no reminder. A panic ends the turn and no more: the
    /// next that nothing heard calls for is a while later, because what is due may still be what panics.
    fn drive(&self, now: Time, turn: impl FnOnce(&mut Engine)) {
        let turned = panics::caught(|| {
            let mut state = lock(&self.state);
            let Some(open) = state.open.as_mut() else { return Ok(()) };
            open.rests_until = now + REST;
            #[cfg(test)]
            crate::drill::here(crate::drill::Place::Turn);
            turn(&mut open.engine);
            open.scheduled = Some(Time::default());
            open.flush(&self.owner, None);
            open.rests_until = now;
            Ok(())
        });
        if let Err(defect) = turned {
            tracing::error!(owner = &*self.owner, "a turn of the driver was given up: {defect}");
        }
    }

    pub(crate) fn next_due(&self) -> Option<Time> {
        let due = panics::caught(|| {
            let mut state = lock(&self.state);
            let Some(open) = state.open.as_mut() else { return Ok(None) };
            #[cfg(test)]
            crate::drill::here(crate::drill::Place::Due);
            open.scheduled = open.engine.next_due().map(|due| due.max(open.rests_until));
            Ok(open.scheduled)
        });
        due.unwrap_or_else(|defect| {
            tracing::error!(owner = &*self.owner, "a deadline is not known: {defect}");
            Some(clock::now() + REST)
        })
    }
}

/// Leaves the endpoint, also where a panic comes before.
struct Member(Option<(Arc<Endpoint>, Owner)>);

impl Member {
    fn leave(mut self) -> Option<oneshot::Receiver<()>> {
        let (endpoint, owner) = self.0.take()?;
        endpoint.leave(&owner)
    }

    fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some((endpoint, owner)) = self.0.take() {
            endpoint.leave(&owner);
        }
    }
}

impl Open {
    fn new(core: &Arc<Core>, options: &Options, scope: Scope) -> Result<Open> {
        let endpoint = Endpoint::join(options.link, options.port, core)?;
        let member = Member(Some((endpoint.clone(), core.owner.clone())));
        #[cfg(test)]
        crate::drill::here(crate::drill::Place::Joined);
        let engine = begin(&core.owner, &endpoint, options, scope);
        member.stay();
        Ok(Open {
            engine,
            endpoint,
            waiting: BTreeMap::new(),
            signals: BTreeMap::new(),
            scheduled: None,
            rests_until: Time::default(),
        })
    }

    /// Does what the engine wants; true if commands went to the link, which then tells `done`.
    fn flush(&mut self, owner: &Owner, done: Option<oneshot::Sender<()>>) -> bool {
        #[cfg(test)]
        crate::drill::here(crate::drill::Place::Changed);
        let mut commands: Vec<Command> = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Command(command) => commands.push(command),
                Output::Settled(id) => {
                    if let Some(settled) = self.waiting.remove(&id) {
                        let _ = settled.send(());
                    }
                }
                Output::Ready(id) => {
                    if let Some(signal) = self.signals.get(&id) {
                        signal.wake();
                    }
                }
            }
        }
        let any = !commands.is_empty();
        if any {
            self.endpoint.submit(owner, Message::Commands { commands, done });
        }
        let due = self.engine.next_due();
        if due.is_some_and(|due| self.scheduled.is_none_or(|scheduled| due < scheduled)) {
            self.endpoint.reschedule();
        }
        any
    }
}

/// A registry that knows nothing yet joins the link.
fn begin(owner: &Owner, endpoint: &Endpoint, options: &Options, scope: Scope) -> Engine {
    let station = Station { scope, wires: options.wires() };
    endpoint.submit(owner, Message::Join(station.clone()));
    let mut engine = Engine::new(owner.clone(), station, endpoint.patience());
    engine.handle_sighting(clock::now(), &Sighting::Interfaces(endpoint.interfaces()));
    engine
}

/// Which wires carry the nodes, and why others do not.
fn wires(options: &Options, left_out: &BTreeMap<Unfit, usize>) -> serde_json::Value {
    let wires = options.wires();
    let says = |wire: Wire| match wires.has(wire) {
        true => "in use".to_owned(),
        false if wires.named => "left out: not asked for".to_owned(),
        false => format!("left out: the link {:?} cannot carry it", options.link.as_str()),
    };
    let nodes = left_out.iter().map(|(why, count)| format!("; {count} nodes left out: {why}"));
    let go_micro = std::iter::once(says(Wire::GoMicro)).chain(nodes).collect::<String>();
    serde_json::json!({ Wire::DnsSd.as_str(): says(Wire::DnsSd), Wire::GoMicro.as_str(): go_micro })
}

/// The watch or its registry is over.
pub(crate) struct Ended;

/// What a node of a list takes while its JSON is made, bytes; most take a quarter of it.
const NODE_ROOM: usize = 4 << 10;

const CLOSED: Error = Error::Closed { what: "the registry" };

/// 128 random bits in base32.
fn new_owner() -> Result<Owner> {
    let mut bits = [0u8; 16];
    getrandom::fill(&mut bits)
        .map_err(|error| Error::Network { what: "drawing a random tag".into(), problem: error.to_string() })?;
    let mut tag = data_encoding::BASE32_NOPAD.encode(&bits);
    tag.make_ascii_lowercase();
    Ok(Owner::from(tag))
}
