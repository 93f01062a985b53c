//! The present state: every node known, by key and by service name, and when each is due.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::twins::Twins;
use crate::error::Result;
use crate::event::Reason;
use crate::link::Patience;
use crate::model::{to_json, Node, Service};
use crate::record::{Key, Reach, Record, Time};
use crate::tally::Tally;

/// Shares of its lease after which a silent node is asked, percent (RFC 6762 §5.2).
const CHECKS: [u32; 4] = [80, 85, 90, 95];

/// A node as a reader sees it: its address is one the reader can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As it is advertised.
    pub record: Arc<Record>,
    /// Where this reader reaches it.
    pub address: Arc<str>,
    /// Why it was listed: announced, or a duplicate of another owner's.
    pub reason: Reason,
}

impl Listed {
    /// The service with exactly this node.
    pub fn to_service(&self) -> Service {
        Service { nodes: vec![self.node()], ..Service::clone(&self.record.service) }
    }

    /// The node.
    pub fn node(&self) -> Node {
        self.record.node.at(&self.address)
    }

    fn same(&self, other: &Listed) -> bool {
        let (one, two) = (&self.record, &other.record);
        let same_node = self.address == other.address && one.node.same_elsewhere(&two.node);
        same_node && (Arc::ptr_eq(&one.service, &two.service) || one.service == two.service)
    }
}

/// One node of the view changed.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The node.
    pub key: Key,
    /// As it was listed before.
    pub had: Option<Arc<Listed>>,
    /// As it is listed now.
    pub now: Option<Arc<Listed>>,
    /// Why.
    pub reason: Reason,
}

impl Delta {
    /// Whether a reader has nothing to be told.
    pub fn is_empty(&self) -> bool {
        match (&self.had, &self.now) {
            (None, None) => true,
            (Some(had), Some(now)) => had.same(now),
            _ => false,
        }
    }
}

/// Who keeps the entry alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Registered here: until it is withdrawn.
    Own,
    /// Heard: until `lease` after the last sign of life; `checks` were sent since. Nothing is due
    /// before `earliest`, which gives an answer its time where a check went out late.
    Heard { last: Time, checks: u8, earliest: Time },
}

impl Life {
    fn heard(at: Time) -> Life {
        Life::Heard { last: at, checks: 0, earliest: at }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) listed: Arc<Listed>,
    reach: Arc<[Reach]>,
    life: Life,
}

impl Entry {
    pub(super) fn record(&self) -> &Arc<Record> {
        &self.listed.record
    }
}

/// What was last taken in, for the next that is equal to share: nodes of one host come together.
#[derive(Debug, Default)]
struct Recent {
    reach: Arc<[Reach]>,
    address: Arc<str>,
}

fn share<T: ?Sized + PartialEq>(recent: &mut Arc<T>, one: impl AsRef<T> + Into<Arc<T>>) -> Arc<T> {
    if **recent != *one.as_ref() {
        *recent = one.into();
    }
    recent.clone()
}

/// The nodes of one service name, and what reads of it were answered last.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) keys: BTreeSet<Key>,
    /// From the first node of go-micro's wire on.
    pub(super) twins: Option<Box<Twins>>,
    /// How many of the nodes have each id, by its hash: more than one where owners disagree.
    ids: Tally<u64>,
    services: OnceLock<Arc<Vec<Service>>>,
    json: OnceLock<Arc<str>>,
}

/// What is due for a silent node.
#[derive(Debug)]
pub enum Due {
    /// Ask its owner.
    Check(Key),
    /// Its lease and the grace are over; it was removed.
    Expired(Delta),
}

/// Every node known to one registry.
#[derive(Debug)]
pub struct View {
    pub(super) entries: BTreeMap<Key, Entry>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    timers: BTreeSet<(Time, Key)>,
    recent: Recent,
    pub(super) hasher: RandomState,
    patience: Patience,
}

impl View {
    /// An empty view whose silent nodes are treated with this patience.
    pub fn new(patience: Patience) -> View {
        View {
            entries: BTreeMap::new(),
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            recent: Recent::default(),
            hasher: RandomState::new(),
            patience,
        }
    }

    /// How many nodes it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them it lists.
    pub fn listed_len(&self) -> usize {
        self.groups.values().map(|group| group.keys.len()).sum()
    }

    /// The record behind a key.
    pub fn record(&self, key: &Key) -> Option<&Arc<Record>> {
        self.entries.get(key).map(Entry::record)
    }

    /// The keys of an owner's nodes, in order.
    pub fn keys_of(&self, owner: &str) -> Vec<Key> {
        let of = |(_, entry): &(&Key, &Entry)| *entry.record().owner == *owner;
        self.entries.iter().filter(of).map(|(key, _)| key.clone()).collect()
    }

    /// Lists a node registered here.
    pub fn put_own(&mut self, record: Arc<Record>, address: String) -> Delta {
        self.put(record, Arc::default(), address, Life::Own)
    }

    /// Whether the key stands for another node: software that says no owner can say another
    /// service or id under the label it had.
    pub fn is_another(&self, record: &Record) -> bool {
        self.record(&record.key)
            .is_some_and(|known| known.service.name != record.service.name || known.node.id() != record.node.id())
    }

    /// Lists a node heard at a time, or takes it as a sign of life. `None` if it is older than what is known.
    pub fn put_heard(&mut self, at: Time, record: Arc<Record>, reach: Arc<[Reach]>, address: String) -> Option<Delta> {
        let mut life = Life::heard(at);
        if let Some(known) = self.entries.get(&record.key) {
            let said = known.record();
            let same = (&record.owner, record.go_micro) == (&said.owner, said.go_micro);
            let older = same && record.revision < said.revision;
            // DNS-SD wins.
            let worse = record.go_micro.is_some() && said.go_micro.is_none();
            if older || worse || known.life == Life::Own {
                return None;
            }
            if matches!(known.life, Life::Heard { last, .. } if last >= at) {
                life = known.life;
            }
        }
        Some(self.put(record, reach, address, life))
    }

    fn put(&mut self, record: Arc<Record>, reach: Arc<[Reach]>, address: String, life: Life) -> Delta {
        let key = record.key.clone();
        let had = self.take(&key);
        let reason = match &had {
            Some(had) => had.reason,
            None if self.has_twin(&record) => Reason::Duplicate,
            None => Reason::Announced,
        };
        let address = share(&mut self.recent.address, address);
        let listed = Arc::new(Listed { record, address, reason });
        let entry = Entry { listed: listed.clone(), reach: share(&mut self.recent.reach, reach), life };
        if let Some(due) = self.due_at(&entry) {
            self.timers.insert((due, key.clone()));
        }
        self.entries.insert(key.clone(), entry);
        self.groups.entry(Arc::from(listed.record.service.name.as_str())).or_default();
        let now = match self.note_twin(&listed) {
            true => None,
            false => {
                self.index(&listed);
                Some(listed)
            }
        };
        let reason = if had.is_some() { Reason::Changed } else { reason };
        Delta { key, had, now, reason }
    }

    /// Lists a node that is held.
    pub(super) fn index(&mut self, listed: &Listed) {
        let id = self.hash(listed.record.node.id());
        let Some(group) = self.groups.get_mut(listed.record.service.name.as_str()) else { return };
        group.keys.insert(listed.record.key.clone());
        group.ids.add(id);
        (group.services, group.json) = (OnceLock::new(), OnceLock::new());
    }

    /// Lists it no more.
    pub(super) fn unindex(&mut self, listed: &Listed) {
        let id = self.hash(listed.record.node.id());
        let Some(group) = self.groups.get_mut(listed.record.service.name.as_str()) else { return };
        group.keys.remove(&listed.record.key);
        group.ids.take(&id);
        (group.services, group.json) = (OnceLock::new(), OnceLock::new());
    }

    fn has_twin(&self, record: &Record) -> bool {
        let id = self.hash(record.node.id());
        self.groups.get(record.service.name.as_str()).is_some_and(|group| group.ids.of(&id) > 0)
    }

    /// Of 64 bits and keyed: that two ids have the same is not to be expected, and cannot be brought about.
    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    /// Takes the answer of an owner as a sign of life.
    pub fn alive(&mut self, key: &Key, at: Time) {
        let Some(mut entry) = self.entries.remove(key) else { return };
        self.unschedule(&entry);
        if let Life::Heard { last, .. } = entry.life {
            entry.life = Life::heard(last.max(at));
        }
        self.schedule(&entry);
        self.entries.insert(key.clone(), entry);
    }

    /// Removes a node.
    pub fn remove(&mut self, key: &Key, reason: Reason) -> Option<Delta> {
        self.entries.contains_key(key).then(|| Delta { key: key.clone(), had: self.take(key), now: None, reason })
    }

    /// Whether the node was heard, not registered here.
    pub fn is_heard(&self, key: &Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.life != Life::Own)
    }

    /// What was heard of a service, listed or not.
    pub fn heard_of(&self, service: &str) -> Vec<Key> {
        let Some(group) = self.groups.get(service) else { return Vec::new() };
        let hidden = group.twins.iter().flat_map(|twins| &twins.hidden);
        group.keys.iter().chain(hidden).filter(|key| self.is_heard(key)).cloned().collect()
    }

    /// Takes a node out; as it was listed, if it was.
    fn take(&mut self, key: &Key) -> Option<Arc<Listed>> {
        let entry = self.entries.remove(key)?;
        self.unschedule(&entry);
        let listed = entry.listed;
        let name = listed.record.service.name.as_str();
        let was_hidden = self.forget_twin(&listed);
        if !was_hidden {
            self.unindex(&listed);
        }
        let is_empty =
            |group: &Group| group.keys.is_empty() && group.twins.as_ref().is_none_or(|t| t.hidden.is_empty());
        if self.groups.get(name).is_some_and(is_empty) {
            self.groups.remove(name);
        }
        (!was_hidden).then_some(listed)
    }

    /// Forgets addresses heard on interfaces that `is_own` does not know any more, with the nodes that
    /// had no other, and chooses each address anew with `choose`, which gets the record's address and
    /// its reach (`None` for a node registered here).
    pub fn readdress(
        &mut self,
        is_own: impl Fn(&Reach) -> bool,
        choose: impl Fn(&str, Option<&[Reach]>) -> Option<String>,
    ) -> Vec<Delta> {
        let keys: Vec<Key> = self.entries.keys().cloned().collect();
        keys.iter().filter_map(|key| self.readdress_one(key, &is_own, &choose)).collect()
    }

    fn readdress_one(
        &mut self,
        key: &Key,
        is_own: impl Fn(&Reach) -> bool,
        choose: impl Fn(&str, Option<&[Reach]>) -> Option<String>,
    ) -> Option<Delta> {
        let entry = self.entries.get_mut(key)?;
        if !entry.reach.iter().all(&is_own) {
            let left: Arc<[Reach]> = entry.reach.iter().filter(|reach| is_own(reach)).cloned().collect();
            if left.is_empty() {
                return self.remove(key, Reason::LinkDown);
            }
            entry.reach = share(&mut self.recent.reach, left);
        }
        let reach = (entry.life != Life::Own).then_some(&*entry.reach);
        let address = choose(entry.record().node.address(), reach)?;
        if *address == *entry.listed.address {
            return None;
        }
        let had = entry.listed.clone();
        let address = share(&mut self.recent.address, address);
        entry.listed = Arc::new(Listed { address, ..Listed::clone(&had) });
        let now = entry.listed.clone();
        let was_hidden = self.forget_twin(&had);
        let is_hidden = self.note_twin(&now);
        match (was_hidden, is_hidden) {
            (true, false) => self.index(&now),
            (false, true) => self.unindex(&had),
            _ => {}
        }
        if let Some(group) = self.groups.get_mut(now.record.service.name.as_str()) {
            (group.services, group.json) = (OnceLock::new(), OnceLock::new());
        }
        let (had, now) = ((!was_hidden).then_some(had), (!is_hidden).then_some(now));
        Some(Delta { key: key.clone(), had, now, reason: Reason::Changed })
    }

    fn due_at(&self, entry: &Entry) -> Option<Time> {
        let Life::Heard { last, checks, earliest } = entry.life else { return None };
        let due = match CHECKS.get(usize::from(checks)) {
            Some(percent) => last + self.check_basis(entry.record()) * *percent / 100,
            None => last + entry.record().lasts() + self.patience.grace,
        };
        Some(due.max(earliest))
    }

    /// What the percentages of [`CHECKS`] are of.
    fn check_basis(&self, record: &Record) -> Duration {
        record.lasts().min(self.patience.check_after * 100 / CHECKS[0])
    }

    fn schedule(&mut self, entry: &Entry) {
        if let Some(due) = self.due_at(entry) {
            self.timers.insert((due, entry.record().key.clone()));
        }
    }

    fn unschedule(&mut self, entry: &Entry) {
        if let Some(due) = self.due_at(entry) {
            self.timers.remove(&(due, entry.record().key.clone()));
        }
    }

    /// When the next node is due.
    pub fn next_due(&self) -> Option<Time> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Takes one node that is due by `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<Due> {
        let (due, key) = self.timers.first()?.clone();
        if due > now {
            return None;
        }
        self.timers.remove(&(due, key.clone()));
        let basis = self.check_basis(self.record(&key)?);
        let Patience { grace, answer, .. } = self.patience;
        match &mut self.entries.get_mut(&key)?.life {
            Life::Heard { last, checks, earliest } if usize::from(*checks) < CHECKS.len() => {
                // Late, after this host was stopped or slept: one check stands for all that were missed.
                let on_time = |percent: &u32| *last + basis * *percent / 100 > now;
                let next = CHECKS.iter().position(on_time).unwrap_or(CHECKS.len()).max(usize::from(*checks) + 1);
                *checks = u8::try_from(next).unwrap_or(u8::MAX);
                // On time there is more than the grace left for an answer.
                let late = now - due > grace / 2;
                *earliest = if late { now + answer } else { now };
                let next = self.entries.get(&key).and_then(|entry| self.due_at(entry));
                self.timers.extend(next.map(|due| (due, key.clone())));
                Some(Due::Check(key))
            }
            _ => self.remove(&key, Reason::Expired).map(Due::Expired),
        }
    }

    /// One Service per version of the name, versions in order, nodes by id and key; empty if unknown.
    pub fn services(&self, name: &str) -> Arc<Vec<Service>> {
        let Some(group) = self.groups.get(name) else { return Arc::default() };
        group.services.get_or_init(|| Arc::new(self.fold(group))).clone()
    }

    fn fold(&self, group: &Group) -> Vec<Service> {
        fold(group.keys.iter().filter_map(|key| self.listed(key)))
    }

    /// The same as JSON, kept until the name's next change. Where it must be made, `room` is asked whether there is
    /// memory for so many nodes.
    pub fn services_json(&self, name: &str, room: impl FnOnce(usize) -> Result<()>) -> Result<Option<Arc<str>>> {
        let Some(group) = self.groups.get(name) else { return Ok(None) };
        if group.json.get().is_none() {
            room(group.keys.len())?;
        }
        Ok(Some(group.json.get_or_init(|| Arc::from(to_json(&self.fold(group)))).clone()))
    }

    /// The names of all services, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// A node as it is listed.
    pub fn listed(&self, key: &Key) -> Option<&Arc<Listed>> {
        self.entries.get(key).map(|entry| &entry.listed)
    }

    /// Why a node is listed now: `Duplicate` only while another owner has the same service and id.
    pub fn reason(&self, listed: &Listed) -> Reason {
        let group = self.groups.get(listed.record.service.name.as_str());
        match group.map_or(0, |group| group.ids.of(&self.hash(listed.record.node.id()))) {
            2.. => listed.reason,
            _ => Reason::Announced,
        }
    }

    /// The first node after `cursor` in key order, of one service or of all.
    pub fn after(&self, cursor: Option<&Key>, service: Option<&str>) -> Option<&Arc<Listed>> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let key = match service {
            Some(name) => self.groups.get(name)?.keys.range::<Key, _>((from, Bound::Unbounded)).next()?,
            None => {
                let mut later = self.entries.range::<Key, _>((from, Bound::Unbounded));
                later.find(|(_, entry)| !self.is_hidden(entry))?.0
            }
        };
        self.listed(key)
    }
}

/// Groups nodes into services as `get_service` returns them: by version; metadata and endpoints of
/// a version are those of its first node by (id, key).
pub fn fold<'a>(nodes: impl Iterator<Item = &'a Arc<Listed>>) -> Vec<Service> {
    let mut nodes: Vec<&Arc<Listed>> = nodes.collect();
    nodes.sort_by(|a, b| {
        let place = |l: &'a Listed| {
            let (service, node) = (&l.record.service, &l.record.node);
            (&service.name, &service.version, node.id(), &l.record.key)
        };
        place(a).cmp(&place(b))
    });
    let mut services: Vec<Service> = Vec::new();
    for listed in nodes {
        match services.last_mut() {
            Some(last) if last.name == listed.record.service.name && last.version == listed.record.service.version => {
                last.nodes.push(listed.node());
            }
            _ => services.push(listed.to_service()),
        }
    }
    services
}
