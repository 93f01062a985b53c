//! What waits to be handed to the daemon: coalesced by key, paced so that receivers keep up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::record::{Key, Owner, Record};

/// Commands at once after a pause, and then one each [`PACE`]. A receiver's buffer of 208 KiB holds
/// about 90 packets, and it reads far more than one a millisecond.
const BURST: u32 = 16;
const PACE: Duration = Duration::from_millis(1);
/// At the end: `close` gives the goodbyes of 1,024 nodes 250 ms.
const HURRY: (u32, u32) = (100, 4);
/// The daemon repeats a goodbye after 120 ms.
const GOODBYES: Duration = Duration::from_millis(150);
/// A second after that its records end in every cache (RFC 6762 §10.1). What is published before
/// would be taken back, or brought in without notice that it is other than it was.
const FORGOTTEN: Duration = Duration::from_millis(1_250);

/// Tells the sender of a message, when dropped, that its commands were handed over.
#[derive(Debug)]
pub(super) struct Done(Option<oneshot::Sender<()>>);

impl Done {
    pub fn new(done: oneshot::Sender<()>) -> Arc<Done> {
        Arc::new(Done(Some(done)))
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            let _ = done.send(());
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Publish(Owner, Arc<Record>),
    Withdraw,
    Verify,
}

#[derive(Debug)]
pub(super) struct Item {
    pub key: Key,
    pub action: Action,
    /// Told once the daemon has had its turn with this.
    pub done: Vec<Arc<Done>>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    checks: VecDeque<Key>,
    withdrawn: HashMap<Key, Instant>,
    tokens: u32,
    /// At most so many tokens, and so many more each [`PACE`].
    burst: (u32, u32),
    refilled: Instant,
}

impl Outbox {
    pub fn new(now: Instant) -> Outbox {
        let (items, checks, withdrawn) = (VecDeque::new(), VecDeque::new(), HashMap::new());
        Outbox { items, checks, withdrawn, tokens: BURST, burst: (BURST, 1), refilled: now }
    }

    /// Queues a publication or withdrawal in place of one that waits for the same key.
    pub fn push(&mut self, key: Key, action: Action, done: Option<Arc<Done>>) {
        match self.items.iter_mut().find(|item| item.key == key) {
            Some(item) => {
                item.action = action;
                item.done.extend(done);
            }
            None => self.items.push_back(Item { key, action, done: done.into_iter().collect() }),
        }
    }

    /// The same where nothing waits for the key.
    pub fn push_if_absent(&mut self, key: Key, action: Action) {
        if !self.items.iter().any(|item| item.key == key) {
            self.items.push_back(Item { key, action, done: Vec::new() });
        }
    }

    pub fn push_check(&mut self, key: Key) {
        if !self.checks.contains(&key) {
            self.checks.push_back(key);
        }
    }

    /// The link ends: what waits is mostly goodbyes, and nobody waits for long.
    pub fn hurry(&mut self) {
        (self.tokens, self.burst) = (HURRY.0, HURRY);
    }

    /// What the daemon would not take yet goes first again.
    pub fn put_back(&mut self, item: Item) {
        self.tokens = 0;
        if matches!(item.action, Action::Verify) {
            return self.checks.push_front(item.key);
        }
        match self.items.iter_mut().find(|queued| queued.key == item.key) {
            Some(newer) => newer.done.extend(item.done),
            None => self.items.push_front(item),
        }
    }

    pub fn note_withdrawn(&mut self, key: Key, now: Instant) {
        self.withdrawn.insert(key, now);
    }

    /// What to hand over now, if anything.
    pub fn pop(&mut self, now: Instant) -> Option<Item> {
        self.refill(now);
        let at = self.items.iter().position(|item| !self.is_held(item, now));
        if self.tokens == 0 || (at.is_none() && self.checks.is_empty()) {
            return None;
        }
        self.tokens -= 1;
        match at {
            Some(at) => self.items.remove(at),
            None => self.checks.pop_front().map(|key| Item { key, action: Action::Verify, done: Vec::new() }),
        }
    }

    /// When `pop` can next give something.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let free = |item: &Item| match self.withdrawn.get(&item.key) {
            Some(at) if matches!(item.action, Action::Publish(..)) => *at + FORGOTTEN,
            _ => now,
        };
        let item = self.items.iter().map(free).min().or_else(|| (!self.checks.is_empty()).then_some(now));
        let item = if self.checks.is_empty() { item } else { item.map(|at| at.min(now)) };
        item.map(|at| if self.tokens == 0 { at.max(self.refilled + PACE) } else { at })
    }

    /// Whether nothing waits, and the repeated goodbyes have gone out too.
    pub fn is_through(&self, now: Instant) -> bool {
        self.items.is_empty() && self.withdrawn.values().all(|at| now >= *at + GOODBYES)
    }

    /// When the last goodbye has been repeated.
    pub fn through_at(&self) -> Option<Instant> {
        self.withdrawn.values().max().map(|at| *at + GOODBYES)
    }

    fn is_held(&self, item: &Item, now: Instant) -> bool {
        let publishes = matches!(item.action, Action::Publish(..));
        publishes && self.withdrawn.get(&item.key).is_some_and(|at| now < *at + FORGOTTEN)
    }

    fn refill(&mut self, now: Instant) {
        let ticks = now.saturating_duration_since(self.refilled).as_micros() / PACE.as_micros();
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        if ticks > 0 {
            self.tokens = self.tokens.saturating_add(ticks.saturating_mul(self.burst.1)).min(self.burst.0);
            self.refilled = now;
            self.withdrawn.retain(|_, at| now < *at + FORGOTTEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Node, Service};

    fn publish(revision: u64) -> Action {
        let (service, node) = (Arc::new(Service::default()), Node::default());
        let record = Record {
            key: "k".into(),
            owner: "o".into(),
            revision,
            lease: 3,
            go_micro: None,
            service,
            node: (&node).into(),
        };
        Action::Publish("o".into(), Arc::new(record))
    }

    fn revision(item: &Item) -> Option<u64> {
        match &item.action {
            Action::Publish(_, record) => Some(record.revision),
            _ => None,
        }
    }

    #[test]
    fn the_newest_action_of_a_key_replaces_the_one_that_waits_and_tells_both_senders() {
        let now = Instant::now();
        let mut outbox = Outbox::new(now);
        let (one, mut first) = oneshot::channel();
        let (two, mut second) = oneshot::channel();
        outbox.push("k".into(), publish(1), Some(Done::new(one)));
        outbox.push("k".into(), publish(2), Some(Done::new(two)));
        let item = outbox.pop(now).unwrap();
        assert_eq!(revision(&item), Some(2));
        assert!(outbox.pop(now).is_none());
        assert!(first.try_recv().is_err());
        drop(item);
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
    }

    #[test]
    fn a_burst_is_followed_by_one_a_millisecond() {
        let now = Instant::now();
        let mut outbox = Outbox::new(now);
        (0..100).for_each(|i: u32| outbox.push(i.to_string().into(), Action::Withdraw, None));
        let taken = |outbox: &mut Outbox, now| std::iter::from_fn(|| outbox.pop(now)).count();
        assert_eq!(taken(&mut outbox, now), 16);
        assert_eq!(outbox.next_due(now), Some(now + PACE));
        assert_eq!(taken(&mut outbox, now + PACE), 1);
        assert_eq!(taken(&mut outbox, now + PACE * 11), 10);
    }

    #[test]
    fn at_the_end_a_thousand_goodbyes_are_through_in_a_quarter_of_a_second() {
        let now = Instant::now();
        let mut outbox = Outbox::new(now);
        (0..1_024).for_each(|i: u32| outbox.push(i.to_string().into(), Action::Withdraw, None));
        outbox.hurry();
        let taken = |ms| std::iter::from_fn(|| outbox.pop(now + PACE * ms)).count();
        assert_eq!((0..240).map(taken).sum::<usize>(), 1_024);
    }

    #[test]
    fn a_key_is_not_published_before_its_goodbyes_are_through_but_others_are() {
        let now = Instant::now();
        let mut outbox = Outbox::new(now);
        outbox.note_withdrawn("k".into(), now);
        outbox.push("k".into(), publish(3), None);
        outbox.push("other".into(), publish(4), None);
        outbox.push_check("checked".into());
        assert_eq!(outbox.pop(now).as_ref().and_then(revision), Some(4));
        assert!(matches!(outbox.pop(now).unwrap().action, Action::Verify));
        assert!(outbox.pop(now).is_none());
        assert_eq!(outbox.next_due(now), Some(now + FORGOTTEN));
        assert_eq!(outbox.pop(now + FORGOTTEN).as_ref().and_then(revision), Some(3));
    }

    #[test]
    fn what_the_daemon_would_not_take_is_tried_again_unless_it_is_out_of_date() {
        let now = Instant::now();
        let mut outbox = Outbox::new(now);
        outbox.push("k".into(), publish(1), None);
        let item = outbox.pop(now).unwrap();
        outbox.push("k".into(), publish(2), None);
        outbox.put_back(item);
        assert!(outbox.pop(now).is_none());
        assert_eq!(outbox.pop(now + PACE).as_ref().and_then(revision), Some(2));
        assert!(outbox.pop(now + PACE * 2).is_none());
    }
}
