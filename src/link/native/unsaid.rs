//! Announcements that wait for their pace, as names: a node that changes twice before its turn is said once.

use std::collections::BTreeMap;

use super::outbox::Place;
use crate::record::{Key, Time};

/// So often is a node announced, and the time between, milliseconds: a second at least on the wire (RFC 6762 §8.3), however
/// late the first went out.
const ANNOUNCEMENTS: u8 = 2;
const AGAIN_MS: u64 = 1_100;

/// A node, and where it is announced.
pub type Announcement = (Place, Key);
type Waiting = BTreeMap<Announcement, u8>;

/// What is to be announced, and how often in all.
#[derive(Debug, Default)]
pub struct Unsaid {
    now: Waiting,
    again: BTreeMap<Time, Waiting>,
    /// When each of those is due: later than it stands there first if it was said anew meanwhile.
    due: BTreeMap<Announcement, Time>,
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
    pub fn first(&self) -> Option<Announcement> {
        self.now.first_key_value().map(|(announcement, _)| announcement.clone())
    }

    /// All of one place, in order.
    pub fn at(&self, place: Place) -> impl Iterator<Item = &Announcement> {
        let none = Key::from("");
        self.now.range((place, none.clone())..(place.next(), none)).map(|(announcement, _)| announcement)
    }

    /// One is said, and so often more in a second as it has not been.
    pub fn said(&mut self, now: Time, announcement: Announcement) {
        if let Some(left) = self.now.remove(&announcement).filter(|left| *left > 1) {
            self.say_later(now, announcement, left - 1);
        }
    }

    /// Whether one was announced before.
    pub fn is_repetition(&self, announcement: &Announcement) -> bool {
        self.now.get(announcement).is_some_and(|left| *left < ANNOUNCEMENTS)
    }

    /// One is not to be said yet, as an answer has just said it.
    pub fn put_off(&mut self, now: Time, announcement: Announcement) {
        if let Some(left) = self.now.remove(&announcement) {
            self.say_later(now, announcement, left);
        }
    }

    fn say_later(&mut self, now: Time, announcement: Announcement, left: u8) {
        let due = Time(now.0 + AGAIN_MS);
        self.again.entry(due).or_default().insert(announcement.clone(), left);
        self.due.insert(announcement, due);
    }

    /// One is not to be said.
    pub fn forget(&mut self, announcement: &Announcement) {
        self.now.remove(announcement);
    }

    /// What was said before is to be said again.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(entry) = self.again.first_entry().filter(|entry| *entry.key() <= now) {
            let (at, announcements) = entry.remove_entry();
            for (announcement, left) in announcements {
                if self.due.get(&announcement) != Some(&at) {
                    continue;
                }
                self.due.remove(&announcement);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_between_its_announcements_is_not_said_twice_within_a_second() {
        let place = Place { interface: 1, v6: false };
        let (mut unsaid, mut said) = (Unsaid::default(), Vec::new());
        for now in (0..5_000).step_by(100) {
            unsaid.handle_timeout(Time(now));
            if now == 0 || now == 400 {
                unsaid.push([place].into_iter(), &Key::from("node"));
            }
            while let Some(announcement) = unsaid.first() {
                unsaid.said(Time(now), announcement);
                said.push(now);
            }
        }
        assert_eq!(said, [0, 400, 400 + AGAIN_MS]);
        assert!(unsaid.due.is_empty() && unsaid.next_due().is_none());
    }
}
