//! The registry's state machine: no clock, no socket, no runtime.
//!
//! Every mutation takes `now`; after each, drain [`Engine::poll_output`] until it gives `None`,
//! then wait for input or for [`Engine::next_due`], whichever is first.

mod lease;
mod lookup;
mod twins;
mod view;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event::{Event, Reason};
use crate::limits;
use crate::link::{Command, Patience, Scope, Station};
use crate::model::{Selection, Service};
use crate::options::{RegisterOptions, WatchOptions, Wires};
use crate::record::{Interface, Key, Owner, Question, Reach, Record, Sighting, Time};
use crate::refused::{Refusals, Refused};
use crate::wire::address::{choose_address, is_this_host};
use crate::wire::gomicro::Unfit;

pub use lookup::LookupId;
pub use view::{fold, Listed};

use lease::Leases;
use lookup::{Asked, Lookups};
use view::{Delta, Due, View};
use watch::Watch;

/// Outputs that there is always room for.
const OUTPUTS: usize = 64;

/// Names one watch of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// What an engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Pass this to the link.
    Command(Command),
    /// The lookup's answer can be read from the view.
    Settled(LookupId),
    /// The watch has an event to give.
    Ready(WatchId),
}

/// Whether a lookup can be answered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Read the view.
    Ready,
    /// Wait for [`Output::Settled`] with this id.
    Waits(LookupId),
}

/// What an engine counts, for `stats`.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Nodes in the view.
    pub nodes: usize,
    /// Of these, registered here.
    pub registered: usize,
    /// Watches open.
    pub watches: usize,
    /// Questions that are kept up to date.
    pub interests: usize,
    /// How often a watch fell behind.
    pub resyncs: u64,
    /// Nodes that ended in silence.
    pub expired: u64,
    /// What was heard and not kept, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// One registry.
#[derive(Debug)]
pub struct Engine {
    owner: Owner,
    scope: Scope,
    wires: Wires,
    interfaces: Vec<Interface>,
    view: View,
    leases: Leases,
    lookups: Lookups,
    watches: BTreeMap<WatchId, Watch>,
    next_watch: u64,
    outputs: VecDeque<Output>,
    counts: Counts,
    refused: Refusals,
}

impl Engine {
    /// A registry that publishes as `owner` where and how its station says.
    pub fn new(owner: Owner, station: impl Into<Station>, patience: Patience) -> Engine {
        let Station { scope, wires } = station.into();
        Engine {
            leases: Leases::new(owner.clone(), wires),
            owner,
            scope,
            wires,
            interfaces: Vec::new(),
            view: View::new(patience),
            lookups: Lookups::default(),
            watches: BTreeMap::new(),
            next_watch: 0,
            outputs: VecDeque::new(),
            counts: Counts::default(),
            refused: Refusals::default(),
        }
    }

    /// Registers every node of the service, all or none.
    ///
    /// # Errors
    /// `INVALID` without nodes or with a loopback address on a network; `TOO_LARGE` for a node that
    /// does not fit its wire. Then nothing took effect.
    pub fn register(&mut self, now: Time, service: &Service, options: RegisterOptions) -> Result<()> {
        if service.nodes.is_empty() {
            return Err(Error::invalid("nodes", "must hold at least one node", "none"));
        }
        self.refuse_loopback(service)?;
        let lease = options.lease()?;
        let prepared = self.leases.prepare(service, lease)?;
        let ends_after = (!options.auto_renew).then(|| Duration::from_secs(u64::from(lease)));
        for record in self.leases.commit(now, prepared, ends_after) {
            let address = own_address(record.node.address(), &self.interfaces);
            let delta = self.view.put_own(record.clone(), address);
            self.tell(delta);
            self.outputs.push_back(Output::Command(Command::Publish(record)));
        }
        Ok(())
    }

    fn refuse_loopback(&self, service: &Service) -> Result<()> {
        let networked = self.interfaces.iter().any(|i| !i.loopback);
        let loopback = |address: &str| address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        match service.nodes.iter().enumerate().find(|(_, node)| networked && loopback(&node.address)) {
            Some((i, node)) => {
                let names: Vec<&str> = self.interfaces.iter().map(|i| &*i.name).collect();
                let problem = format!("must not be a loopback address, this registry speaks on {}", names.join(", "));
                Err(Error::invalid(format!("nodes[{i}].address"), problem, &node.address))
            }
            None => Ok(()),
        }
    }

    /// Withdraws the selected nodes of this registry.
    pub fn deregister(&mut self, selection: &Selection) {
        let keys = self.leases.withdraw(selection);
        self.withdraw(keys);
    }

    /// Withdraws everything.
    pub fn withdraw_all(&mut self) {
        let keys = self.leases.withdraw_all();
        self.withdraw(keys);
    }

    fn withdraw(&mut self, keys: Vec<Key>) {
        for key in keys {
            if let Some(delta) = self.view.remove(&key, Reason::Withdrawn) {
                self.tell(delta);
            }
            self.outputs.push_back(Output::Command(Command::Withdraw(key)));
        }
    }

    /// Looks a question up: from the view where it is kept up to date, else by asking the network
    /// for at most `timeout`.
    pub fn lookup(&mut self, now: Time, question: &Question, timeout: Duration) -> Lookup {
        match self.ask(now, question, timeout) {
            true => Lookup::Ready,
            false => Lookup::Waits(self.lookups.wait(question.clone())),
        }
    }

    fn ask(&mut self, now: Time, question: &Question, timeout: Duration) -> bool {
        let asked = self.lookups.ask(now, question, timeout);
        if asked == Asked::New {
            self.drop_unkept(question);
            self.outputs.push_back(Output::Command(Command::Ask(question.clone())));
            self.forget(now);
        }
        asked == Asked::Settled
    }

    /// What a question asks for and nobody has kept up to date: the link tells what there is.
    fn drop_unkept(&mut self, question: &Question) {
        let names: Vec<Arc<str>> = match question {
            Question::Service(name) => vec![name.clone()],
            _ => self.view.names().cloned().collect(),
        };
        for name in names {
            if !self.lookups.is_kept(&name, question) {
                self.view.heard_of(&name).iter().for_each(|key| self.remove_heard(key, Reason::Expired));
            }
        }
    }

    fn forget(&mut self, now: Time) {
        let (asked, forgotten) = self.lookups.forget(now);
        let commands = asked.into_iter().map(Command::Ask).chain(forgotten.into_iter().map(Command::Forget));
        self.outputs.extend(commands.map(Output::Command));
    }

    /// One Service per version of the name; empty if none is known.
    pub fn services(&self, name: &str) -> Arc<Vec<Service>> {
        self.view.services(name)
    }

    /// The same as JSON; `None` if none is known. Where it must be made, `room` is asked whether there is memory for so
    /// many nodes.
    ///
    /// # Errors
    /// That of `room`.
    pub fn services_json(&self, name: &str, room: impl FnOnce(usize) -> Result<()>) -> Result<Option<Arc<str>>> {
        self.view.services_json(name, room)
    }

    /// Services with a name only, sorted.
    pub fn names(&self) -> Vec<Service> {
        self.view.names().map(|name| Service { name: name.to_string(), ..Service::default() }).collect()
    }

    /// The keys of an owner's nodes in the view, in order.
    pub fn keys_of(&self, owner: &str) -> Vec<Key> {
        self.view.keys_of(owner)
    }

    /// Opens a watch; the network is asked if it was not, for at most `timeout` before `Synced`.
    pub fn watch(&mut self, now: Time, options: &WatchOptions, timeout: Duration) -> WatchId {
        let service: Option<Arc<str>> = options.service.as_deref().map(Arc::from);
        let question = service.clone().map_or(Question::Everything, Question::Service);
        let settled = self.ask(now, &question, timeout);
        self.lookups.hold(now, &question, true);
        let id = WatchId(self.next_watch);
        self.next_watch += 1;
        self.watches.insert(id, Watch::new(service, options.queue, settled));
        self.wake(id);
        id
    }

    /// The watch's next event, if one waits. An unknown watch has none.
    pub fn next_event(&mut self, id: WatchId) -> Option<Event> {
        self.watches.get_mut(&id)?.next(&self.view)
    }

    /// Whether an event waits.
    pub fn is_ready(&self, id: WatchId) -> bool {
        self.watches.get(&id).is_some_and(|watch| watch.is_ready(&self.view))
    }

    /// Closes a watch.
    pub fn unwatch(&mut self, now: Time, id: WatchId) {
        if let Some(watch) = self.watches.remove(&id) {
            self.counts.resyncs += watch.resyncs();
            let question = watch.service().cloned().map_or(Question::Everything, Question::Service);
            self.lookups.hold(now, &question, false);
        }
    }

    /// Takes what the link heard.
    pub fn handle_sighting(&mut self, now: Time, sighting: &Sighting) {
        match sighting {
            Sighting::Seen { record, reach } => self.seen(now, record, reach),
            Sighting::Held { record, reach, at } => self.seen(*at, record, reach),
            Sighting::Alive { keys, at } => keys.iter().for_each(|key| self.view.alive(key, *at)),
            Sighting::Gone { key, reason } => self.remove_heard(key, *reason),
            Sighting::Settled(question) => self.settle(question),
            Sighting::Interfaces(interfaces) => self.set_interfaces(interfaces),
            Sighting::Dropped(reason) => self.refused.count(*reason),
        }
    }

    fn seen(&mut self, at: Time, record: &Arc<Record>, reach: &Arc<[Reach]>) {
        if record.owner == self.owner || !self.hears(record) {
            return;
        }
        let on_own = |reach: &&Reach| self.interfaces.iter().any(|i| i.name == reach.interface);
        let own_reach: Arc<[Reach]> = match reach.iter().all(|reach| on_own(&reach)) {
            true => reach.clone(),
            false => reach.iter().filter(on_own).cloned().collect(),
        };
        if own_reach.is_empty() && !reach.is_empty() {
            // Heard on interfaces of other registries only, so for this one it is not there any more.
            return self.remove_heard(&record.key, Reason::LinkDown);
        }
        let address = match choose_address(record.node.address(), &own_reach, &self.interfaces) {
            Ok(address) => address,
            Err(refused) => return self.refused.count(refused),
        };
        if self.view.len() >= limits::VIEW_NODES && self.view.record(&record.key).is_none() {
            return self.refused.count(Refused::ViewFull);
        }
        if self.view.is_another(record) {
            self.remove_heard(&record.key, Reason::Changed);
        }
        let delta = self.view.put_heard(at, record.clone(), own_reach, address);
        delta.into_iter().for_each(|delta| self.tell(delta));
    }

    fn hears(&self, record: &Record) -> bool {
        match record.go_micro {
            None => self.wires.dns_sd,
            domain => self.wires.go_micro == domain,
        }
    }

    fn remove_heard(&mut self, key: &Key, reason: Reason) {
        if self.view.is_heard(key) {
            let delta = self.view.remove(key, reason);
            delta.into_iter().for_each(|delta| self.tell(delta));
        }
    }

    fn settle(&mut self, question: &Question) {
        self.outputs.extend(self.lookups.settle(question).into_iter().map(Output::Settled));
        let asks = |watch: &Watch| match (watch.service(), question) {
            (Some(name), Question::Service(asked)) => name == asked,
            (None, Question::Everything) => true,
            _ => false,
        };
        let settled: Vec<WatchId> = self.watches.iter().filter(|(_, w)| asks(w)).map(|(id, _)| *id).collect();
        for id in settled {
            if let Some(watch) = self.watches.get_mut(&id) {
                watch.settle();
            }
            self.wake(id);
        }
    }

    /// Speaks on other interfaces from now on.
    pub fn set_scope(&mut self, scope: Scope, all: &[Interface]) {
        self.scope = scope;
        self.set_interfaces(all);
    }

    fn set_interfaces(&mut self, all: &[Interface]) {
        self.interfaces = self.scope.select(all).into_iter().cloned().collect();
        let interfaces = &self.interfaces;
        let is_own = |reach: &Reach| interfaces.iter().any(|i| i.name == reach.interface);
        let deltas = self.view.readdress(is_own, |registered, reach| match reach {
            None => Some(own_address(registered, interfaces)),
            Some(reach) => choose_address(registered, reach, interfaces).ok(),
        });
        deltas.into_iter().for_each(|delta| self.tell(delta));
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        let lapsed = self.leases.lapse(now);
        self.withdraw(lapsed);
        while let Some(question) = self.lookups.overdue(now) {
            self.settle(&question);
        }
        self.forget(now);
        while let Some(due) = self.view.pop_due(now) {
            match due {
                Due::Check(key) => self.outputs.push_back(Output::Command(Command::Check(key))),
                Due::Expired(delta) => {
                    self.counts.expired += 1;
                    self.outputs.push_back(Output::Command(Command::Expired(delta.key.clone())));
                    self.tell(delta);
                }
            }
        }
    }

    /// When `handle_timeout` must be called next.
    pub fn next_due(&self) -> Option<Time> {
        [self.view.next_due(), self.leases.next_due(), self.lookups.next_due()].into_iter().flatten().min()
    }

    /// The next thing to do; `None` when all is done.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        if next.is_none() {
            self.outputs.shrink_to(OUTPUTS);
        }
        next
    }

    /// What to count in `stats`.
    pub fn counts(&self) -> Counts {
        let open: u64 = self.watches.values().map(Watch::resyncs).sum();
        Counts {
            nodes: self.view.listed_len(),
            registered: self.leases.len(),
            watches: self.watches.len(),
            interests: self.lookups.interests(),
            resyncs: self.counts.resyncs + open,
            dropped: self.refused.list(),
            ..self.counts.clone()
        }
    }

    /// Why go-micro's wire, unless it was named, does not carry nodes registered here, and how many.
    pub fn left_out(&self) -> BTreeMap<Unfit, usize> {
        self.leases.left_out()
    }

    /// The interfaces this registry speaks on.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn tell(&mut self, delta: Delta) {
        let others = self.view.settle_twins(&delta);
        // One of two comes before the other goes.
        let (first, last): (Vec<_>, Vec<_>) = others.into_iter().partition(|other| other.now.is_some());
        first.into_iter().chain([delta]).chain(last).for_each(|delta| self.note(&delta));
    }

    fn note(&mut self, delta: &Delta) {
        if delta.is_empty() {
            return;
        }
        let mut told = Vec::new();
        for (id, watch) in &mut self.watches {
            watch.note(delta);
            told.push(*id);
        }
        told.into_iter().for_each(|id| self.wake(id));
    }

    fn wake(&mut self, id: WatchId) {
        let output = Output::Ready(id);
        if self.is_ready(id) && self.outputs.back() != Some(&output) {
            self.outputs.push_back(output);
        }
    }
}

/// The address of a node of this host as this process reads it: as registered, or the first
/// address of an own interface, or the loopback address while there is none.
fn own_address(registered: &str, interfaces: &[Interface]) -> String {
    if !is_this_host(registered) {
        return registered.to_owned();
    }
    let of = |i: &Interface| i.addrs.iter().map(|ip| Reach { ip: *ip, interface: i.name.clone() }).collect::<Vec<_>>();
    let reach: Vec<Reach> = interfaces.iter().flat_map(of).collect();
    choose_address(registered, &reach, interfaces).unwrap_or_else(|_| "127.0.0.1".to_owned())
}

#[cfg(test)]
mod tests;
