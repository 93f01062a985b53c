//! What is said to the daemon, and what it says.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mdns_sd::{ResolvedService, ServiceEvent};

use super::convert::{key_of, reach_of, service_info, string_of};
use super::count;
use super::one_shot::OneShot;
use super::worker::{Published, Subscription, Worker, RETRY};
use crate::clock;
use crate::record::{Key, Owner, Reach, Record};
use crate::wire::dnssd::{self, SERVICE_TYPE};

/// Browses are at least so far apart, so that many lookups ask once.
const BROWSE: Duration = Duration::from_millis(50);
/// One-shot questions are at least so far apart.
const ONE_SHOT: Duration = Duration::from_secs(1);
/// A daemon that would not browse is asked again after so long.
const REFUSED: Duration = Duration::from_secs(1);
/// A browse whose replay was not read after so long does not hold up the next.
const REPLAY: Duration = Duration::from_millis(250);

/// Speaking: each gives `None` if the daemon's queue was full.
impl Worker {
    pub fn publish(&mut self, owner: &Owner, record: &Arc<Record>) -> Option<()> {
        let plan = self.plan(owner, record);
        let Some(info) = service_info(record, &plan) else {
            count(&self.counters.refused_by_daemon);
            return Some(());
        };
        if self.again(self.daemon.0.register(info))?.is_none() {
            return Some(());
        }
        count(&self.counters.published);
        let (owner, record) = (owner.clone(), record.clone());
        self.published.insert(record.key.clone(), Published { owner, record, plan });
        Some(())
    }

    pub fn withdraw(&mut self, now: Instant, key: &Key) -> Option<()> {
        if self.published.contains_key(key) {
            let taken = self.again(self.daemon.0.unregister(&format!("{key}.{SERVICE_TYPE}")))?;
            self.published.remove(key);
            if taken.is_none() {
                return Some(());
            }
            count(&self.counters.withdrawn);
            self.outbox.note_withdrawn(key.clone(), now);
        }
        Some(())
    }

    pub fn verify(&mut self, now: Instant, key: &Key) -> Option<()> {
        if let Ok(Some((fullname, window))) = self.hearing.check(key) {
            let started = clock::now();
            if self.again(self.daemon.0.verify(fullname, window))?.is_some() {
                count(&self.counters.verified);
                self.hearing.checking(key.clone(), started, now + window);
            }
        }
        Some(())
    }

    pub fn browse_due(&self, now: Instant) -> Instant {
        let pause = if self.hearing.has_replayed() { BROWSE } else { REPLAY };
        let due = self.last_browse.map_or(now, |last| last + pause);
        self.browse_after.map_or(due, |after| due.max(after))
    }

    /// Begins the browse anew if something wants it: a query goes out, and the cache is replayed.
    pub fn browse(&mut self, now: Instant) {
        let wanted = self.wants_browse || self.hearing.wants_browse(now);
        if !wanted || now < self.browse_due(now) || self.closing.is_some() {
            return;
        }
        if self.hearing.wants_refetch(now) {
            if self.again(self.daemon.0.stop_browse(SERVICE_TYPE)).is_none() {
                self.browse_after = Some(now + RETRY);
                return;
            }
            self.hearing.refetching(now);
        }
        let events = match self.again(self.daemon.0.browse(SERVICE_TYPE)) {
            Some(Some(events)) => events,
            // A full queue is empty soon; a daemon that refuses or has ended is not asked in a hurry.
            refused => {
                self.browse_after = Some(now + refused.map_or(RETRY, |_| REFUSED));
                return;
            }
        };
        count(&self.counters.browsed);
        let broken = self.subscriptions.is_empty() && self.last_browse.is_some();
        let number = self.hearing.begin_browse();
        self.subscriptions.push_back(Subscription { number, broken, events });
        if self.subscriptions.len() == 1 {
            self.hearing.read(number, broken);
        }
        // Everybody says everything in answer, so it is not asked too often.
        if self.last_one_shot.is_none_or(|at| now >= at + ONE_SHOT) {
            self.one_shot = Some(self.ask_directly(now));
            self.last_one_shot = Some(now);
        }
        self.last_browse = Some(now);
        self.wants_browse = false;
        self.hearing.healing(now);
    }

    fn ask_directly(&self, now: Instant) -> OneShot {
        let enabled = self.enabled.read().unwrap_or_else(PoisonError::into_inner);
        let spoken_on = self.interfaces.iter().filter(|interface| enabled.contains(&interface.name));
        OneShot::ask(now, spoken_on, self.port)
    }

    /// The daemon let go of the subscription: for the next one, or because it was full.
    pub fn unsubscribed(&mut self) {
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
    pub fn hear(&mut self, now: Instant, event: ServiceEvent) {
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

    /// What owners answered to the one-shot question.
    pub fn hear_one_shot(&mut self, now: Instant) {
        let Some(mut one_shot) = self.one_shot.take() else { return };
        if !self.hearing.is_full() {
            for answer in one_shot.answers(&self.counters.refused) {
                count(&self.counters.answered);
                self.hearing.answered_directly(now, &answer.key, &answer.fullname, answer.heard);
            }
        }
        self.one_shot = Some(one_shot).filter(|one_shot| !one_shot.is_over(now));
    }

    fn hear_service(&mut self, now: Instant, service: &ResolvedService) {
        let properties = service.get_properties();
        let Some(key) = key_of(service.get_fullname()) else { return };
        if properties.is_empty() {
            return self.hearing.bare(now, key);
        }
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
