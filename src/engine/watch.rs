//! One watch: the present state by a cursor over the view, then every change in order.
//!
//! The queue never holds the present state. While the cursor moves, and until the changes that
//! came behind it are read, changes coalesce to one a node; after that each is kept, and when
//! there are more than the limit the watch starts over with `Resync`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::view::{Delta, Listed, View};
use crate::event::{Action, Change, Event, Reason};
use crate::limits;
use crate::record::Key;

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Telling the present state; nodes up to the cursor have been told.
    Snapshot { cursor: Option<Key> },
    /// Telling what came behind the cursor meanwhile, coalesced.
    CatchUp,
    /// Telling each change.
    Live,
}

/// The state of one watch.
#[derive(Debug)]
pub struct Watch {
    service: Option<Arc<str>>,
    limit: usize,
    phase: Phase,
    /// Set when the first answers are in: changes queued before this place are told before `Synced`.
    settled: Option<u64>,
    resync: bool,
    /// Each with the bytes that it keeps.
    pending: BTreeMap<u64, (Delta, usize)>,
    /// Where the services of the last are, as it had and has them.
    last: [usize; 2],
    place: HashMap<Key, u64>,
    next_place: u64,
    /// What waits, bytes.
    bytes: usize,
    second_half: Option<Event>,
    resyncs: u64,
}

impl Watch {
    /// A watch of one service or of all. `Synced` is told once `settled`.
    pub fn new(service: Option<Arc<str>>, limit: usize, settled: bool) -> Watch {
        Watch {
            service,
            limit,
            phase: Phase::Snapshot { cursor: None },
            settled: settled.then_some(0),
            resync: false,
            pending: BTreeMap::new(),
            last: [0; 2],
            place: HashMap::new(),
            next_place: 0,
            bytes: 0,
            second_half: None,
            resyncs: 0,
        }
    }

    /// The service watched; `None` = all.
    pub fn service(&self) -> Option<&Arc<str>> {
        self.service.as_ref()
    }

    /// How often it fell behind.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// The first answers are in: `Synced` may be told.
    pub fn settle(&mut self) {
        self.settled.get_or_insert(self.next_place);
    }

    /// Whether `next` would give an event.
    pub fn is_ready(&self, view: &View) -> bool {
        let snapshot = match &self.phase {
            Phase::Snapshot { cursor } => {
                self.settled.is_some() || view.after(cursor.as_ref(), self.service.as_deref()).is_some()
            }
            _ => false,
        };
        snapshot || self.resync || self.second_half.is_some() || !self.pending.is_empty()
    }

    /// Takes note of a change of the view.
    pub fn note(&mut self, delta: &Delta) {
        let name =
            |listed: &Arc<Listed>| self.service.as_deref().is_none_or(|wanted| wanted == listed.record.service.name);
        if !delta.had.as_ref().or(delta.now.as_ref()).is_some_and(name) {
            return;
        }
        match &self.phase {
            Phase::Snapshot { cursor } if cursor.as_ref().is_none_or(|cursor| delta.key > *cursor) => {}
            Phase::Live if self.pending.len() >= self.limit => self.start_over(),
            Phase::Live => self.push(delta.clone()),
            _ => self.coalesce(delta),
        }
        // A view as it was and as it is, or what the caller wants to wait.
        if self.bytes > (2 * limits::VIEW_BYTES).max(self.limit.saturating_mul(limits::CHANGE_BYTES)) {
            self.start_over();
        }
    }

    fn push(&mut self, delta: Delta) {
        let bytes = self.kept_by(&delta);
        self.bytes += bytes;
        self.pending.insert(self.next_place, (delta, bytes));
        self.next_place += 1;
    }

    /// Nodes of one registry come together and share their service.
    fn kept_by(&mut self, delta: &Delta) -> usize {
        let mut bytes = 0;
        for (listed, last) in [&delta.had, &delta.now].into_iter().zip(&mut self.last) {
            let Some(record) = listed.as_ref().map(|listed| &listed.record) else { continue };
            let service = Arc::as_ptr(&record.service).addr();
            bytes += record.node.heap_bytes();
            if std::mem::replace(last, service) != service {
                bytes += record.service.heap_bytes();
            }
        }
        bytes
    }

    fn pull(&mut self, place: u64) -> Option<Delta> {
        let (delta, bytes) = self.pending.remove(&place)?;
        self.bytes -= bytes;
        Some(delta)
    }

    fn coalesce(&mut self, delta: &Delta) {
        let merged = match self.place.remove(&delta.key).and_then(|place| self.pull(place)) {
            Some(earlier) => Delta { had: earlier.had, ..delta.clone() },
            None => delta.clone(),
        };
        if !merged.is_empty() {
            self.place.insert(merged.key.clone(), self.next_place);
            self.push(merged);
        }
    }

    fn start_over(&mut self) {
        self.pending.clear();
        self.bytes = 0;
        self.place.clear();
        self.second_half = None;
        self.resync = true;
        self.resyncs += 1;
        self.phase = Phase::Snapshot { cursor: None };
    }

    /// The next event, if one waits.
    pub fn next(&mut self, view: &View) -> Option<Event> {
        if std::mem::take(&mut self.resync) {
            return Some(Event::Resync);
        }
        if let Some(event) = self.second_half.take() {
            return Some(event);
        }
        if let Phase::Snapshot { cursor } = &mut self.phase {
            if let Some(listed) = view.after(cursor.as_ref(), self.service.as_deref()) {
                *cursor = Some(listed.record.key.clone());
                return Some(change(Action::Create, listed, view.reason(listed)));
            }
            let first = self.pending.keys().next().copied();
            if self.settled.is_some_and(|settled| first.is_none_or(|first| first >= settled)) {
                self.phase = Phase::CatchUp;
                self.live_if_caught_up();
                return Some(Event::Synced);
            }
        }
        let first = *self.pending.first_key_value()?.0;
        let delta = self.pull(first)?;
        self.place.remove(&delta.key);
        self.live_if_caught_up();
        self.tell(delta)
    }

    fn live_if_caught_up(&mut self) {
        if self.phase == Phase::CatchUp && self.pending.is_empty() {
            self.phase = Phase::Live;
        }
    }

    fn tell(&mut self, delta: Delta) -> Option<Event> {
        match (&delta.had, &delta.now) {
            (None, Some(now)) => Some(change(Action::Create, now, now.reason)),
            (Some(had), None) => Some(change(Action::Delete, had, delta.reason)),
            (Some(had), Some(now)) if had.record.service.version != now.record.service.version => {
                self.second_half = Some(change(Action::Create, now, Reason::Changed));
                Some(change(Action::Delete, had, Reason::Changed))
            }
            (Some(_), Some(now)) => Some(change(Action::Update, now, delta.reason)),
            (None, None) => None,
        }
    }
}

fn change(action: Action, listed: &Listed, reason: Reason) -> Event {
    Event::Service(Box::new(Change { action, key: listed.record.key.clone(), reason, service: listed.to_service() }))
}
