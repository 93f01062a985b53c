//! The asking side of the lookup exchange ([`super::exchange`]): brings what is held of one registry
//! in line with what it has, over one interface.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::exchange::{split, subtract, Exchange, Held, Range, Sum, Tag, Verdict, ALL, RANGES};
use crate::record::{Key, Time};

/// After so much silence what is missing is asked for again, milliseconds; of a registry that needs longer, after twice
/// as long as it needs.
const AGAIN_MS: u64 = 20;
/// Questions whose answers are taken: as many as go out in a second of silence. Each more is one more id that a stranger
/// may guess.
const TOLD_APART: usize = 16;
/// So often in silence before the pause doubles, where the registry has answered before and where it
/// may not be there at all; and the longest pause, milliseconds.
const PATIENT: u32 = 10;
const PATIENT_WITH_STRANGERS: u32 = 1;
const PAUSE_MS: u64 = 200;
/// Ranges that are looked into at a time, at most: enough for 32,768 nodes.
const OPEN: usize = 4_096;
/// Parts into which a range is cut that differs.
const PARTS: u64 = 16;

/// One registry, being asked.
#[derive(Debug)]
pub struct Fetch {
    /// The registry.
    pub registry: Tag,
    /// Where it answers.
    pub addr: SocketAddr,
    token: u64,
    /// Ranges not settled yet.
    open: Vec<Range>,
    /// When a question last went out or an answer came.
    active: Time,
    began: Time,
    /// The message ids of the last questions, which their answers repeat, and when they went out, the last first.
    asked: VecDeque<(u16, Time)>,
    /// How long to wait in silence.
    pause: u64,
    silent: u32,
    /// The last message of an answer has come: ask for the rest at once.
    ready: bool,
}

/// What an answer came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Keys held in ranges that the message covers and that it does not name: they are gone.
    pub gone: Vec<Key>,
    /// Everything is in line.
    pub complete: bool,
}

impl Fetch {
    /// Asks a registry for everything it has on the question, but for what is held already.
    pub fn new(now: Time, registry: Tag, addr: SocketAddr) -> Fetch {
        let (token, open, asked, pause, silent, ready) = (0, vec![ALL], VecDeque::new(), AGAIN_MS, 0, true);
        Fetch { registry, addr, token, open, active: now, began: now, asked, pause, silent, ready }
    }

    /// Whether a message answers one of the last questions.
    pub fn is_answer(&self, id: u16) -> bool {
        self.ago(id).is_some()
    }

    /// When the question of an answer was asked, at the earliest.
    pub fn asked(&self, id: u16) -> Time {
        self.ago(id).map_or(self.began, |ago| self.asked[ago].1)
    }

    /// How many questions were asked since that one.
    fn ago(&self, id: u16) -> Option<usize> {
        self.asked.iter().position(|(asked, _)| *asked == id)
    }

    /// With the token of an earlier one.
    pub fn with_token(self, token: u64) -> Fetch {
        Fetch { token, ..self }
    }

    /// What the registry gave for later questions.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Whether the registry has said all that it was asked for last, and there is more to ask.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    fn patient(&self) -> u32 {
        if self.token == 0 {
            PATIENT_WITH_STRANGERS
        } else {
            PATIENT
        }
    }

    /// When the next question is due.
    pub fn next_due(&self) -> Time {
        let pause = match self.ready {
            true => 0,
            false => self.pause << self.silent.saturating_sub(self.patient()).min(8),
        };
        Time(self.active.0 + pause.min(PAUSE_MS))
    }

    /// The next question, if it is due; `id` is taken for it. `sum` says what is held in a range.
    pub fn poll(&mut self, now: Time, id: u16, budget: u8, sum: impl Fn(&Range) -> Sum) -> Option<Exchange> {
        if now < self.next_due() || self.open.is_empty() {
            return None;
        }
        self.silent += 1;
        (self.active, self.ready) = (now, false);
        self.asked.truncate(TOLD_APART - 1);
        self.asked.push_front((id, now));
        let ranges = self.open.iter().take(RANGES).map(|range| Held { range: range.clone(), sum: sum(range) });
        Some(Exchange::Fetch { token: self.token, registry: self.registry, ranges: ranges.collect(), budget })
    }

    /// Takes an answer of the registry. `named` are the keys that its records name; `held` gives those
    /// held in a range, and whether the answer can know of each: if not, it is asked again.
    pub fn handle(
        &mut self,
        now: Time,
        (id, token): (u16, u64),
        verdicts: &[Verdict],
        last: bool,
        named: &[Key],
        held: impl Fn(&Range) -> Vec<(Key, bool)>,
    ) -> Progress {
        let mut progress = Progress::default();
        let ago = self.ago(id);
        self.pause = match ago {
            None => self.pause,
            Some(0) => (2 * now.0.saturating_sub(self.asked(id).0)).max(AGAIN_MS),
            // It needs longer than it was given: the later questions will be answered, too.
            Some(_) => 2 * self.pause,
        };
        self.pause = self.pause.min(PAUSE_MS);
        (self.token, self.active, self.silent) = (token, now, 0);
        // Of several answers on their way one leads to a question, so that they become one.
        self.ready |= last && (ago == Some(0) || self.asked.is_empty());
        for verdict in verdicts {
            match verdict {
                Verdict::Covered(range) => {
                    let unnamed = held(range).into_iter().filter(|(key, _)| !named.contains(key));
                    let (gone, unknown): (Vec<_>, Vec<_>) = unnamed.partition(|(_, knew)| *knew);
                    progress.gone.extend(gone.into_iter().map(|(key, _)| key));
                    match unknown.is_empty() {
                        true => subtract(&mut self.open, range),
                        // Later than they were heard of, by a clock of milliseconds.
                        false => self.ready = false,
                    }
                }
                Verdict::Same(range) => subtract(&mut self.open, range),
                Verdict::Differs(theirs) => self.narrow(&theirs.range),
            }
        }
        progress.complete = self.open.is_empty();
        progress
    }

    /// An answer came that could not be read yet: what it covers is asked for again after a pause.
    pub fn put_off(&mut self, now: Time, token: u64) -> Progress {
        (self.token, self.active, self.silent, self.ready, self.pause) = (token, now, 0, false, PAUSE_MS);
        Progress::default()
    }

    /// Cuts a range that differs, so that the next question finds out where.
    fn narrow(&mut self, range: &Range) {
        let is_open = |open: &Range| open.contains(range.start()) && open.contains(range.end());
        if self.open.len() + PARTS as usize <= OPEN && self.open.iter().any(is_open) {
            subtract(&mut self.open, range);
            self.open.extend(split(range, PARTS));
            self.open.sort_unstable_by_key(|range| *range.start());
        }
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
