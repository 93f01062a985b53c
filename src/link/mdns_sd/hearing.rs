//! What was heard, kept so that each change is told once. Knows neither the daemon nor a clock.
//!
//! The daemon replays its cache at each browse: a replay is no sign of life, and what it leaves out
//! is gone. When a node's SRV record ends in silence the daemon still replays its PTR record; when
//! a goodbye came it does not. That is how the two are told apart.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Reason;
use crate::limits;
use crate::record::{Key, Question, Reach, Record, Sighting, Time};
use crate::wire::Refused;

/// A lookup has settled when nothing new has come for so long.
const SETTLED: Duration = Duration::from_millis(150);
/// And not before so long, if nothing came at all.
const SILENT: Duration = Duration::from_millis(250);
/// How long after a jump of the wall clock the daemon's removals mean nothing (it takes one for
/// sleep, and ages its cache).
const JUMP: Duration = Duration::from_secs(3);
/// Lost nodes are asked for again after so long, then after twice as long each, up to the longest.
const HEAL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));
/// A lost node is forgotten when its PTR record must have ended too.
const FORGET: Duration = Duration::from_secs(4_500);
/// A TXT record that was lost is not asked for by the daemon, nor sent to it while it has the PTR
/// record. After the first pause the cache is dropped and filled anew, after twice that again, ….
const BARE: (Duration, u32) = (Duration::from_secs(1), 5);
/// How long the IPv4 addresses of a host may come after its IPv6 addresses.
const HELD: Duration = Duration::from_millis(40);
/// How long after a check's window the daemon drops addresses because of it.
const DOUBT: Duration = Duration::from_secs(1);
/// How long after its window a check counts as answered.
const ANSWERED: Duration = Duration::from_millis(100);
/// The shortest and the longest window of a check.
const WINDOW: (Duration, Duration) = (Duration::from_millis(1_200), Duration::from_secs(5));
/// What a check takes at most: its window, and two turns of the daemon.
pub(super) const ANSWER: Duration = Duration::from_secs(6);

#[derive(Debug)]
struct Known {
    record: Arc<Record>,
    reach: Vec<Reach>,
    /// As the daemon has it.
    fullname: Box<str>,
    /// The daemon dropped it, which is not yet to say that it is gone.
    lost: Option<Instant>,
    /// Heard from its owner in answer to a one-shot question; the daemon does not have it yet.
    direct: bool,
    /// IPv4 addresses from such an answer, for while the daemon has none.
    lent: Vec<Reach>,
    /// When its last sign of life was told.
    sign: Instant,
    /// What the daemon last had of `reach`.
    had: Vec<Reach>,
    /// A check makes the daemon drop addresses that are not answered for, which loss does too:
    /// till then they are kept, and given up when two checks in a row leave them out.
    doubted: Option<Instant>,
    left_out: u32,
}

impl Known {
    fn new(sign: Instant, record: Record, reach: Vec<Reach>, fullname: &str) -> Known {
        let (record, fullname, had) = (Arc::new(record), fullname.into(), reach.clone());
        let (lost, direct, lent, doubted, left_out) = (None, false, Vec::new(), None, 0);
        Known { record, reach, fullname, lost, direct, lent, sign, had, doubted, left_out }
    }
}

fn has_ipv4(reach: &[Reach]) -> bool {
    reach.iter().any(|reach| reach.ip.is_ipv4())
}

fn union(mut reach: Vec<Reach>, other: &[Reach]) -> Vec<Reach> {
    reach.extend_from_slice(other);
    reach.sort_unstable();
    reach.dedup();
    reach
}

impl Known {
    fn is_newer_than(&self, record: &Record) -> bool {
        self.record.owner == record.owner && record.revision < self.record.revision
    }
}

#[derive(Debug)]
struct Asked {
    question: Question,
    at: Instant,
}

#[derive(Debug)]
struct Check {
    started: Time,
    /// The end of its window; `None` when it is over.
    until: Option<Instant>,
}

/// What one browse has replayed.
#[derive(Debug, Default)]
struct Replay {
    number: u64,
    /// The subscription before it broke, so removals may have been missed.
    broken: bool,
    starts: u32,
    found: HashSet<Key>,
    resolved: HashSet<Key>,
}

#[derive(Debug, Default)]
pub(super) struct Hearing {
    known: HashMap<Key, Known>,
    refused: HashMap<Key, Refused>,
    /// Without a TXT record: since when, and how often the cache was dropped for it.
    bare: HashMap<Key, (Instant, u32)>,
    asked: Vec<Asked>,
    checks: HashMap<Key, Check>,
    /// To be told when it is due, if no IPv4 address comes before.
    held: HashMap<Key, (Instant, Known)>,
    /// Removed by the daemon; the first browse with a higher number says why.
    suspects: HashMap<Key, u64>,
    browses: u64,
    replay: Replay,
    jumped: Option<Instant>,
    last_heard: Option<Instant>,
    last_new: Option<Instant>,
    heal: Option<(Instant, Duration)>,
    told: VecDeque<Sighting>,
}

impl Hearing {
    /// The next thing to tell, to be put back with [`Hearing::put_back`] if it cannot be told.
    pub fn pop(&mut self) -> Option<Sighting> {
        self.told.pop_front()
    }

    pub fn put_back(&mut self, sighting: Sighting) {
        self.told.push_front(sighting);
    }

    pub fn tell(&mut self, sighting: Sighting) {
        self.told.push_back(sighting);
    }

    /// Whether more than can be told now waits, so that no more should be taken in.
    pub fn is_full(&self) -> bool {
        !self.told.is_empty()
    }

    /// A browse was begun; its number.
    pub fn begin_browse(&mut self) -> u64 {
        self.browses += 1;
        self.browses
    }

    /// The events of browse `number` are read from now on.
    pub fn read(&mut self, number: u64, broken: bool) {
        self.replay = Replay { number, broken, ..Replay::default() };
    }

    /// Whether the replay of the latest browse has been read.
    pub fn has_replayed(&self) -> bool {
        self.replay.number == self.browses && self.replay.starts > 1
    }

    /// Whether something can only be known by another browse.
    pub fn wants_browse(&self, now: Instant) -> bool {
        let suspects = self.suspects.values().any(|begun| *begun == self.browses);
        suspects || self.heal.is_some_and(|(at, _)| now >= at) || self.wants_refetch(now)
    }

    /// Whether the daemon's cache has to be dropped for a TXT record to come.
    pub fn wants_refetch(&self, now: Instant) -> bool {
        self.bare_until().is_some_and(|until| now >= until)
    }

    fn bare_until(&self) -> Option<Instant> {
        let open = self.bare.values().filter(|(_, tries)| *tries < BARE.1);
        open.map(|(since, tries)| *since + BARE.0 * 2u32.pow(*tries)).min()
    }

    /// The daemon's cache is dropped: what it does not find again is lost.
    pub fn refetching(&mut self, now: Instant) {
        self.bare.values_mut().for_each(|(since, tries)| (*since, *tries) = (now, *tries + 1));
        self.known.values_mut().for_each(|known| known.lost = known.lost.or(Some(now)));
        self.checks.clear();
        self.suspects.clear();
        self.heal = Some((now + HEAL.0, HEAL.0));
    }

    /// The daemon has an instance without its TXT record.
    pub fn bare(&mut self, now: Instant, key: Key) {
        self.last_heard = Some(now);
        let known = self.known.get(&key).is_some_and(|known| known.lost.is_none());
        if !known && self.bare.len() < limits::VIEW_NODES {
            self.bare.entry(key).or_insert((now, 0));
        }
    }

    /// Whether the next start says why nodes were removed.
    pub fn judges_next(&self) -> bool {
        self.replay.starts == 1 && !self.suspects.is_empty()
    }

    /// The daemon starts a browse, and says so again when it has replayed its cache. Then the keys
    /// that ended in a goodbye are given.
    pub fn started(&mut self, now: Instant, is_down: impl Fn(&str) -> bool) -> Vec<Key> {
        self.replay.starts += 1;
        if self.replay.starts != 2 {
            return Vec::new();
        }
        let number = self.replay.number;
        let ripe: Vec<Key> = self.suspects.iter().filter(|(_, n)| **n < number).map(|(k, _)| k.clone()).collect();
        let mut goodbyes = Vec::new();
        for key in ripe {
            self.suspects.remove(&key);
            if let Some(reason) = self.judge(now, &key, &is_down) {
                self.known.remove(&key);
                if reason == Reason::Goodbye {
                    goodbyes.push(key.clone());
                }
                self.told.push_back(Sighting::Gone { key, reason });
            }
        }
        if self.replay.broken {
            let resolved = &self.replay.resolved;
            let missed = |(key, known): &(&Key, &mut Known)| known.lost.is_none() && !resolved.contains(*key);
            self.known.iter_mut().filter(missed).for_each(|(_, known)| known.lost = Some(now));
        }
        goodbyes
    }

    /// Why a node that the daemon removed is gone; `None` if only its lease can say that it is.
    fn judge(&self, now: Instant, key: &Key, is_down: &impl Fn(&str) -> bool) -> Option<Reason> {
        let known = self.known.get(key).filter(|known| known.lost.is_some())?;
        let jumped = self.jumped.is_some_and(|at| now < at + JUMP);
        if jumped || self.replay.found.contains(key) {
            return None;
        }
        let down = known.reach.iter().filter(|reach| is_down(&reach.interface)).count();
        match down {
            0 => Some(Reason::Goodbye),
            all if all == known.reach.len() => Some(Reason::LinkDown),
            _ => None,
        }
    }

    /// The daemon has a PTR record.
    pub fn found(&mut self, now: Instant, key: Key) {
        self.last_heard = Some(now);
        if self.known.contains_key(&key) {
            self.replay.found.insert(key);
        } else if !self.refused.contains_key(&key) {
            self.last_new = Some(now);
        }
    }

    /// The daemon has all records of an instance.
    pub fn resolved(&mut self, now: Instant, key: &Key, fullname: &str, heard: Result<(Record, Vec<Reach>), Refused>) {
        self.last_heard = Some(now);
        self.bare.remove(key);
        let (record, mut reach) = match heard {
            Ok(heard) => heard,
            Err(refused) => return self.refuse(key, refused),
        };
        self.refused.remove(key);
        let full = self.known.len() >= limits::VIEW_NODES;
        let mut lent = Vec::new();
        match self.known.get_mut(key) {
            Some(known) if known.lost.is_none() => {
                self.replay.resolved.insert(key.clone());
                if known.is_newer_than(&record) {
                    return;
                }
                known.direct = false;
                if *known.record == record && !has_ipv4(&reach) {
                    lent = known.lent.clone();
                    reach = union(reach, &lent);
                }
                let doubted = known.doubted.is_some_and(|until| now < until) || known.had == reach;
                let fewer = reach.iter().all(|reach| known.reach.contains(reach));
                known.had.clone_from(&reach);
                match *known.record == record {
                    true if known.reach == reach || (doubted && fewer) => return drop(self.held.remove(key)),
                    // Another address of a node that is known holds up no lookup.
                    true => {}
                    false => self.last_new = Some(now),
                }
            }
            None if full => return self.refuse(key, Refused::LinkFull),
            _ => self.last_new = Some(now),
        }
        self.replay.resolved.insert(key.clone());
        self.learn(now, key, Known { lent, ..Known::new(now, record, reach, fullname) });
    }

    /// An owner answered a one-shot question. The daemon does not have the answer; what it has of
    /// this node, if it is no older, stays with it, but for an IPv4 address that it missed.
    pub fn answered_directly(
        &mut self,
        now: Instant,
        key: &Key,
        fullname: &str,
        heard: Result<(Record, Vec<Reach>), Refused>,
    ) {
        self.last_heard = Some(now);
        let known = self.known.get(key).filter(|known| known.lost.is_none());
        let (record, mut reach) = match heard {
            Ok(heard) => heard,
            Err(refused) if known.is_none() => return self.refuse(key, refused),
            Err(_) => return,
        };
        let mut direct = true;
        match known {
            Some(known) if known.is_newer_than(&record) => return,
            Some(known) if *known.record == record => {
                if !known.direct && (has_ipv4(&known.reach) || !has_ipv4(&reach)) {
                    return;
                }
                direct = known.direct;
            }
            None if self.known.len() >= limits::VIEW_NODES => return self.refuse(key, Refused::LinkFull),
            _ => self.last_new = Some(now),
        }
        self.refused.remove(key);
        // Each interface is answered on its own.
        let others = [known, self.held.get(key).map(|(_, held)| held)].into_iter().flatten();
        for other in others.filter(|other| *other.record == record) {
            reach = union(reach, &other.reach);
        }
        let lent = reach.iter().filter(|reach| reach.ip.is_ipv4()).cloned().collect();
        self.learn(now, key, Known { direct, lent, ..Known::new(now, record, reach, fullname) });
    }

    /// Tells of a record, but waits a moment for the IPv4 addresses where only others have come:
    /// a host says the same on IPv4 and IPv6, and which is heard first is chance.
    fn learn(&mut self, now: Instant, key: &Key, learnt: Known) {
        self.suspects.remove(key);
        let known = self.known.get(key).filter(|known| known.lost.is_none());
        if has_ipv4(&learnt.reach) || known.is_some_and(|known| !has_ipv4(&known.reach)) {
            return self.tell_of(key.clone(), learnt);
        }
        let due = self.held.get(key).map_or(now + HELD, |(due, _)| *due);
        self.held.insert(key.clone(), (due, learnt));
    }

    fn tell_of(&mut self, key: Key, learnt: Known) {
        self.held.remove(&key);
        self.told.push_back(Sighting::Seen { record: learnt.record.clone(), reach: (&*learnt.reach).into() });
        self.known.insert(key, learnt);
    }

    fn refuse(&mut self, key: &Key, refused: Refused) {
        let new = self.refused.len() < limits::VIEW_NODES && self.refused.insert(key.clone(), refused).is_none();
        if new {
            self.told.push_back(Sighting::Dropped(refused));
        }
        self.held.remove(key);
        if self.known.remove(key).is_some_and(|known| known.lost.is_none()) {
            self.checks.remove(key);
            self.suspects.remove(key);
            self.told.push_back(Sighting::Gone { key: key.clone(), reason: Reason::Refused });
        }
    }

    /// The daemon dropped an instance.
    pub fn removed(&mut self, now: Instant, key: &Key) {
        self.held.remove(key);
        self.refused.remove(key);
        self.bare.remove(key);
        self.checks.remove(key);
        let Some(known) = self.known.get_mut(key) else { return };
        known.lost = Some(now);
        self.suspects.insert(key.clone(), self.browses);
        self.heal = Some((now + HEAL.0, HEAL.0));
    }

    /// The wall clock was set, or the host slept.
    pub fn jumped(&mut self, now: Instant) {
        self.jumped = Some(now);
    }

    /// A lookup begins.
    pub fn ask(&mut self, now: Instant, question: Question) {
        self.asked.push(Asked { question, at: now });
    }

    /// Tells what is known in answer to a question, each with the time of its last sign of life; `time` is now, too.
    pub fn retell(&mut self, now: Instant, time: Time, question: &Question) {
        for known in self.known.values().filter(|known| question.asks_for(&known.record.service.name)) {
            let silent = now.saturating_duration_since(known.sign);
            if known.lost.is_some() && silent >= known.record.lasts() {
                continue;
            }
            self.last_heard = Some(now);
            let (record, reach) = (known.record.clone(), (&*known.reach).into());
            self.told.push_back(Sighting::Held { record, reach, at: time - silent });
        }
    }

    /// What to verify to check a node, and for how long: 15 % of its lease, 1.2 to 5 s. `None` if
    /// a check runs. `Err` if the daemon does not have it, so that only a browse can tell.
    pub fn check(&self, key: &Key) -> Result<Option<(String, Duration)>, ()> {
        let known = self.known.get(key).filter(|known| known.lost.is_none() && !known.direct).ok_or(())?;
        if self.checks.contains_key(key) {
            return Ok(None);
        }
        let window = Duration::from_millis(u64::from(known.record.lease) * 150);
        let window = window.clamp(WINDOW.0, WINDOW.1);
        Ok(Some((known.fullname.to_string(), window)))
    }

    /// The daemon verifies: unless it removes the node within the window, the node has answered.
    pub fn checking(&mut self, key: Key, started: Time, until: Instant) {
        if let Some(known) = self.known.get_mut(&key) {
            known.doubted = Some(until + DOUBT);
        }
        self.checks.insert(key, Check { started, until: Some(until + ANSWERED) });
    }

    /// Tells what has settled by `now`; gives the checks whose window is over.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Key> {
        for (key, (_, learnt)) in self.held.extract_if(|_, (due, _)| now >= *due).collect::<Vec<_>>() {
            self.tell_of(key, learnt);
        }
        let asked = std::mem::take(&mut self.asked);
        let (settled, open): (Vec<Asked>, Vec<Asked>) = asked.into_iter().partition(|a| now >= self.settles_at(a));
        self.asked = open;
        self.told.extend(settled.into_iter().map(|asked| Sighting::Settled(asked.question)));
        let over = self.checks.iter_mut().filter(|(_, check)| check.until.is_some_and(|until| now >= until));
        over.map(|(key, check)| {
            check.until = None;
            key.clone()
        })
        .collect()
    }

    /// The daemon has removed none of these that it still knew of: the others have answered.
    pub fn answered(&mut self, now: Instant, keys: Vec<Key>) {
        for key in keys {
            let Some(check) = self.checks.remove(&key) else { continue };
            let Some(known) = self.known.get_mut(&key) else { continue };
            let left = union(known.had.clone(), &known.lent);
            known.left_out = if left == known.reach { 0 } else { known.left_out + 1 };
            let moved = known.left_out > 1;
            if moved {
                (known.reach, known.left_out) = (left, 0);
            }
            // Whoever did not hear of it for so long has deleted it, and needs the data again.
            let forgotten = now.saturating_duration_since(known.sign) >= known.record.lasts();
            known.sign = now;
            self.told.push_back(match forgotten || moved {
                true => Sighting::Seen { record: known.record.clone(), reach: (&*known.reach).into() },
                false => Sighting::Alive { keys: vec![key], at: check.started },
            });
        }
    }

    /// A browse is begun for the lost ones, too.
    pub fn healing(&mut self, now: Instant) {
        self.known.retain(|_, known| known.lost.is_none_or(|at| now < at + FORGET));
        let lost = self.known.values().any(|known| known.lost.is_some());
        self.heal = match self.heal {
            Some((at, pause)) if lost && now >= at => {
                let pause = (pause * 2).min(HEAL.1);
                Some((now + pause, pause))
            }
            heal => heal.filter(|_| lost),
        };
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Instant> {
        let asked = self.asked.iter().map(|asked| self.settles_at(asked));
        let checks = self.checks.values().filter_map(|check| check.until);
        let held = self.held.values().map(|(due, _)| *due);
        asked.chain(checks).chain(held).chain(self.heal.map(|(at, _)| at)).chain(self.bare_until()).min()
    }

    fn settles_at(&self, asked: &Asked) -> Instant {
        let since = |at: Option<Instant>| at.filter(|at| *at >= asked.at);
        match (since(self.last_new), since(self.last_heard)) {
            (Some(new), _) => new + SETTLED,
            (None, Some(_)) => asked.at + SETTLED,
            (None, None) => asked.at + SILENT,
        }
    }
}

#[cfg(test)]
#[path = "hearing_tests.rs"]
mod tests;
