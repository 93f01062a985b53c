//! Announcements that wait for their pace, as names.

use std::collections::BTreeMap;

use crate::link::native::outbox::Place;
use crate::record::{Key, Time};

/// So often is a node announced, and the time between, milliseconds.
const ANNOUNCEMENTS: u8 = 2;
const AGAIN_MS: u64 = 1_000;

type Waiting = BTreeMap<(Place, Key), u8>;

/// What is to be announced, and how often in all.
#[derive(Debug, Default)]
pub struct Unsaid {
    now: Waiting,
    again: BTreeMap<Time, Waiting>,
}

impl Unsaid {
    /// Announces a node at these places from now on.
    pub fn push(&mut self, places: impl Iterator<Item = Place>, key: &Key) {
        self.now.extend(places.map(|place| ((place, key.clone()), ANNOUNCEMENTS)));
    }

    /// Whether nothing is to be said now.
    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// The next one.
    pub fn pop(&mut self, now: Time) -> Option<(Place, Key)> {
        let (announcement, left) = self.now.pop_first()?;
        if left > 1 {
            self.again.entry(Time(now.0 + AGAIN_MS)).or_default().insert(announcement.clone(), left - 1);
        }
        Some(announcement)
    }

    /// What was said before is to be said again.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(entry) = self.again.first_entry().filter(|entry| *entry.key() <= now) {
            for (announcement, left) in entry.remove() {
                let unsaid = self.now.entry(announcement).or_default();
                *unsaid = left.max(*unsaid);
            }
        }
    }

    /// When that is.
    pub fn next_due(&self) -> Option<Time> {
        self.again.keys().next().copied()
    }
}
