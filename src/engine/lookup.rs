//! Lookups that wait for the network, and the interest that later lookups live by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use crate::record::{Question, Time};

/// Names one waiting lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

#[derive(Debug)]
struct Interest {
    /// Until when an unsettled question waits; `None` = settled.
    waits_until: Option<Time>,
    /// When a lookup last used it.
    used: Time,
    /// Watches that keep it alive.
    watches: usize,
    /// It was never asked: a watch of everything was its answer.
    covered: bool,
}

/// How long a lookup keeps an interest alive.
const KEPT: Duration = Duration::from_millis(limits::INTEREST_MS);

/// The questions a registry has put to the network.
#[derive(Debug, Default)]
pub struct Lookups {
    interests: BTreeMap<Question, Interest>,
    waiting: BTreeMap<LookupId, Question>,
    next_id: u64,
}

/// Whether a question needs the network.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// The view is the answer.
    Settled,
    /// The question is under way already.
    Joined,
    /// It must be asked now.
    New,
}

impl Lookups {
    /// Notes interest in a question at `now`; a new one waits at most `timeout`.
    pub fn ask(&mut self, now: Time, question: &Question, timeout: Duration) -> Asked {
        // Nobody kept it up to date since, even if `forget` has not been called yet.
        let stale = |i: &Interest| i.watches == 0 && i.waits_until.is_none() && now >= i.used + KEPT;
        if self.interests.get(question).is_some_and(stale) {
            self.interests.remove(question);
        }
        if let Some(interest) = self.interests.get_mut(question) {
            interest.used = now;
            return if interest.waits_until.is_none() { Asked::Settled } else { Asked::Joined };
        }
        let watched = self.interests.get(&Question::Everything);
        let covered = watched.is_some_and(|all| all.watches > 0 && all.waits_until.is_none());
        if covered && self.interests.len() >= limits::INTERESTS {
            self.drop_oldest_covered();
        }
        let waits_until = (!covered).then(|| now + timeout);
        self.interests.insert(question.clone(), Interest { waits_until, used: now, watches: 0, covered });
        if covered {
            Asked::Settled
        } else {
            Asked::New
        }
    }

    /// Whether the nodes of a service are kept up to date for another question than this.
    pub fn is_kept(&self, service: &Arc<str>, but: &Question) -> bool {
        let keeping = [Question::Everything, Question::Names, Question::Service(service.clone())];
        keeping.iter().any(|question| question != but && self.interests.contains_key(question))
    }

    /// It was never asked, so nobody is to be told.
    fn drop_oldest_covered(&mut self) {
        let unused = self.interests.iter().filter(|(_, i)| i.covered && i.watches == 0);
        if let Some(oldest) = unused.min_by_key(|(_, i)| i.used).map(|(question, _)| question.clone()) {
            self.interests.remove(&oldest);
        }
    }

    /// Drops interests that nobody used for a minute, and the oldest of too many. One that is watched or
    /// waited for stays. Gives what the link is now to ask, and then what it is to forget.
    pub fn forget(&mut self, now: Time) -> (Vec<Question>, Vec<Question>) {
        let unused = |i: &Interest| i.watches == 0 && i.waits_until.is_none();
        let old = self.interests.iter().filter(|(_, i)| unused(i) && now >= i.used + KEPT);
        let mut dropped: Vec<Question> = old.map(|(question, _)| question.clone()).collect();
        let surplus = self.interests.len().saturating_sub(limits::INTERESTS + dropped.len());
        if surplus > 0 {
            let young = self.interests.iter().filter(|(question, i)| unused(i) && !dropped.contains(question));
            let mut by_age: Vec<(Time, &Question)> = young.map(|(question, i)| (i.used, question)).collect();
            by_age.sort_unstable();
            let oldest: Vec<Question> =
                by_age.into_iter().take(surplus).map(|(_, question)| question.clone()).collect();
            dropped.extend(oldest);
        }
        self.interests.retain(|question, _| !dropped.contains(question));
        let mut asked = Vec::new();
        if dropped.contains(&Question::Everything) {
            // What was answered from its answer is kept up to date by nobody else.
            for (question, interest) in self.interests.iter_mut().filter(|(_, i)| i.covered && i.watches > 0) {
                interest.covered = false;
                asked.push(question.clone());
            }
            self.interests.retain(|_, interest| !interest.covered);
        }
        (asked, dropped)
    }

    /// A caller waits until the question is settled.
    pub fn wait(&mut self, question: Question) -> LookupId {
        let id = LookupId(self.next_id);
        self.next_id += 1;
        self.waiting.insert(id, question);
        id
    }

    /// A watch holds (+1) or lets go of (-1) a question that was asked.
    pub fn hold(&mut self, now: Time, question: &Question, up: bool) {
        if let Some(interest) = self.interests.get_mut(question) {
            interest.used = now;
            interest.watches = if up { interest.watches + 1 } else { interest.watches.saturating_sub(1) };
        }
    }

    /// The question is settled: the lookups that waited for it.
    pub fn settle(&mut self, question: &Question) -> Vec<LookupId> {
        if let Some(interest) = self.interests.get_mut(question) {
            interest.waits_until = None;
        }
        let done: Vec<LookupId> = self.waiting.iter().filter(|(_, q)| *q == question).map(|(id, _)| *id).collect();
        self.waiting.retain(|id, _| !done.contains(id));
        done
    }

    /// A question whose time is over by `now`.
    pub fn overdue(&self, now: Time) -> Option<Question> {
        let late = self.interests.iter().find(|(_, i)| i.waits_until.is_some_and(|until| until <= now));
        late.map(|(question, _)| question.clone())
    }

    /// When the next question's time is over, or an interest is: of too many, at once.
    pub fn next_due(&self) -> Option<Time> {
        let kept = if self.interests.len() > limits::INTERESTS { Duration::ZERO } else { KEPT };
        let due = |i: &Interest| i.waits_until.or((i.watches == 0).then(|| i.used + kept));
        self.interests.values().filter_map(due).min()
    }

    /// How many questions are live.
    pub fn interests(&self) -> usize {
        self.interests.len()
    }
}
