//! A question put to the whole link, from when it is asked until its answers have settled.

use std::collections::BTreeSet;

use super::exchange::{Exchange, Tag, HEARD};
use crate::record::Time;

/// It is asked again so long after the first time, each time without those that have answered,
/// milliseconds: what a network that loses one message in three leaves unheard after four times is one
/// registry in a hundred.
const ASKS_MS: [u64; 6] = [0, 8, 20, 60, 150, 260];
/// Answers have settled when nothing new has come for so long, milliseconds.
const SETTLED_MS: u64 = 25;

/// An answer to the last question is taken for so long, milliseconds.
const ANSWERS_MS: u64 = 1_000;

/// A lookup under way.
#[derive(Debug)]
pub struct Lookup {
    /// Message ids of the questions so far.
    pub ids: Vec<u16>,
    /// Registries that have answered.
    pub heard: BTreeSet<Tag>,
    /// The same, by interface.
    pub answered: BTreeSet<(Tag, u32)>,
    /// When it was asked first.
    pub since: Time,
    /// When something new came last; `None` = nothing yet.
    news: Option<Time>,
    settled: bool,
}

impl Lookup {
    /// Begins now. `own`: this process has an answer itself.
    pub fn new(now: Time, own: bool) -> Lookup {
        Lookup {
            ids: Vec::new(),
            heard: BTreeSet::new(),
            answered: BTreeSet::new(),
            since: now,
            news: own.then_some(now),
            settled: false,
        }
    }

    /// Something new has come.
    pub fn news(&mut self, now: Time) {
        self.news = Some(now);
    }

    /// The next question, if it is due; `id` is taken for it.
    pub fn poll(&mut self, now: Time, id: u16) -> Option<Exchange> {
        let due = ASKS_MS.get(self.ids.len()).is_some_and(|after| now.0 >= self.since.0 + after);
        if !due || self.settled {
            return None;
        }
        self.ids.push(id);
        Some(Exchange::Ask { heard: self.heard.iter().take(HEARD).copied().collect() })
    }

    /// Whether its last question is out.
    pub fn asks_no_more(&self) -> bool {
        self.settled || self.ids.len() >= ASKS_MS.len()
    }

    /// Whether the answers have settled by now, told once. `complete`: every registry heard has
    /// delivered all it has.
    pub fn settles(&mut self, now: Time, complete: bool) -> bool {
        let quiet = self.news.is_some_and(|news| now.0 >= news.0 + SETTLED_MS);
        let settles = !self.settled && complete && quiet;
        self.settled |= settles;
        settles
    }

    /// Whether no answer is taken any more. Registries that have answered go on delivering.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.ends()
    }

    /// When it has been long enough since the last question.
    fn ends(&self) -> Time {
        Time(self.since.0 + ASKS_MS[ASKS_MS.len() - 1] + ANSWERS_MS)
    }

    /// When it is to be looked at next.
    pub fn next_due(&self, now: Time) -> Time {
        let ask = ASKS_MS.get(self.ids.len()).filter(|_| !self.settled).map(|after| Time(self.since.0 + after));
        let settle = self.news.filter(|_| !self.settled).map(|news| Time(news.0 + SETTLED_MS)).filter(|at| *at > now);
        let over = Some(self.ends()).filter(|at| *at > now);
        [ask, settle, over].into_iter().flatten().min().unwrap_or(Time(now.0 + SETTLED_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_settles_once_25_ms_after_the_last_news_and_not_before_all_is_complete() {
        let mut lookup = Lookup::new(Time(1_000), false);
        assert!(!lookup.settles(Time(1_300), true), "nobody has answered");
        lookup.news(Time(1_001));
        lookup.news(Time(1_010));
        assert!(!lookup.settles(Time(1_034), true) && !lookup.settles(Time(1_035), false));
        assert!(lookup.settles(Time(1_035), true) && !lookup.settles(Time(1_036), true));
    }

    #[test]
    fn it_is_asked_again_without_those_that_have_answered() {
        let mut lookup = Lookup::new(Time(1_000), false);
        assert_eq!(lookup.poll(Time(1_000), 1), Some(Exchange::Ask { heard: vec![] }));
        assert_eq!(lookup.poll(Time(1_007), 2), None);
        lookup.heard.insert(Tag([1; 16]));
        assert_eq!(lookup.poll(Time(1_008), 2), Some(Exchange::Ask { heard: vec![Tag([1; 16])] }));
        assert_eq!(lookup.ids, [1, 2]);
    }
}
