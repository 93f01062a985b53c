//! Questions to other software (RFC 6762 §5): browsing at growing intervals, and asking for what is
//! missing or in doubt. Our own kind is asked directly, see [`super::fetch`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exchange::Exchange;
use super::message::{rtype, Builder, Question, Record, IN};
use super::name::Name;
use super::outbox::Place;
use super::serve::MESSAGE;
use super::zone::ZONE;
use crate::record::{self, Time};
use crate::refused::{Refusals, Refused};

/// The first question of a browse is delayed so long, milliseconds (RFC 6762 §5.2).
const FIRST_MS: std::ops::Range<u64> = 20..120;
/// Then the intervals double, up to an hour, milliseconds.
const INTERVAL_MS: (u64, u64) = (1_000, 3_600_000);
/// One question is asked so often at most, milliseconds.
const AGAIN_MS: u64 = 1_000;
/// Questions that wait or were asked lately, about what is lacking, and with those about what may be gone; and questions of
/// one message.
const LACKING: usize = 8_192;
const REMEMBERED: usize = 16_384;
const QUESTIONS: usize = 24;

#[derive(Debug)]
struct Browse {
    due: Time,
    interval: u64,
}

/// The state of asking other software.
#[derive(Debug, Default)]
pub struct Querier {
    browses: BTreeMap<(record::Question, Place), Browse>,
    /// Single questions that wait until they are due, and when others were asked last.
    waiting: BTreeMap<(Name, u16), Time>,
    asked: BTreeMap<(Name, u16), Time>,
    /// When those that were asked a second ago are forgotten.
    forgets: Time,
    refused: Arc<Refusals>,
}

/// The DNS question for a question.
pub fn dns(question: &record::Question) -> Question {
    let name = match question {
        record::Question::Service(service) => ZONE.subtype(service),
        _ => ZONE.service_type.clone(),
    };
    Question { name, rtype: rtype::PTR, class: IN, unicast: false }
}

impl Querier {
    /// One that counts what it does not ask.
    pub fn new(refused: Arc<Refusals>) -> Querier {
        Querier { refused, ..Querier::default() }
    }

    /// Begins to browse at a place.
    pub fn browse(&mut self, now: Time, question: &record::Question, place: Place, rng: &mut fastrand::Rng) {
        let due = Time(now.0 + rng.u64(FIRST_MS));
        self.browses.insert((question.clone(), place), Browse { due, interval: INTERVAL_MS.0 });
    }

    /// Ends to browse.
    pub fn forget(&mut self, question: &record::Question) {
        self.browses.retain(|(of, _), _| of != question);
    }

    /// Browses at these places only.
    pub fn retain_places(&mut self, there: impl Fn(Place) -> bool) {
        self.browses.retain(|(_, place), _| there(*place));
    }

    /// Asks for a record set that is lacking, at most once a second.
    pub fn ask(&mut self, now: Time, name: &Name, rtype: u16) {
        self.put(now, (name.clone(), rtype), LACKING);
    }

    /// The same for one that may be gone: what is lacking takes no room from it.
    pub fn confirm(&mut self, now: Time, name: &Name, rtype: u16) {
        self.put(now, (name.clone(), rtype), REMEMBERED);
    }

    fn put(&mut self, now: Time, question: (Name, u16), most: usize) {
        if self.waiting.contains_key(&question) {
            return;
        }
        let asked = self.asked.get(&question).copied();
        if self.waiting.len() + self.asked.len() >= most + usize::from(asked.is_some()) {
            return self.refused.count(Refused::QuestionsFull);
        }
        self.asked.remove(&question);
        let due = asked.map_or(now, |at| now.max(Time(at.0 + AGAIN_MS)));
        self.waiting.insert(question, due);
    }

    /// Another host has just asked one of our questions, and we hear the answers as well (RFC 6762 §7.3).
    pub fn suppress(&mut self, now: Time, place: Place, questions: &[Question]) {
        for question in questions.iter().filter(|question| !question.unicast) {
            for ((own, at), browse) in &mut self.browses {
                let soon = browse.due.0 < now.0 + browse.interval / 2;
                if *at == place && soon && browse.interval > INTERVAL_MS.0 && dns(own).name == question.name {
                    browse.due = Time(now.0 + browse.interval);
                }
            }
            if let Some((asked, _)) = self.waiting.remove_entry(&(question.name.clone(), question.rtype)) {
                self.asked.insert(asked, now);
            }
        }
    }

    /// The messages due by now, and where to multicast each. `known` gives the pointers that other
    /// software need not repeat for a question.
    pub fn poll(
        &mut self,
        now: Time,
        places: &[Place],
        known: impl Fn(&record::Question, Place) -> Vec<Record>,
        rng: &mut fastrand::Rng,
    ) -> Vec<(Place, Vec<u8>)> {
        if now >= self.forgets {
            self.asked.retain(|_, at| now.0 < at.0 + AGAIN_MS);
            self.forgets = Time(now.0 + AGAIN_MS);
        }
        let mut messages = Vec::new();
        for ((question, place), browse) in self.browses.iter_mut().filter(|(_, browse)| browse.due <= now) {
            let jitter = rng.u64(0..=browse.interval / 50);
            browse.due = Time(now.0 + browse.interval + jitter);
            browse.interval = (browse.interval * 2).min(INTERVAL_MS.1);
            let bytes = with_known(&dns(question), &known(question, *place));
            messages.extend(bytes.into_iter().map(|bytes| (*place, bytes)));
        }
        let due: Vec<(Name, u16)> =
            self.waiting.iter().filter(|(_, due)| **due <= now).map(|(question, _)| question.clone()).collect();
        for chunk in due.chunks(QUESTIONS) {
            let mut message = Builder::query(0, MESSAGE);
            for (name, rtype) in chunk {
                message.question(&Question { name: name.clone(), rtype: *rtype, class: IN, unicast: false });
                self.asked.insert((name.clone(), *rtype), now);
                self.waiting.remove(&(name.clone(), *rtype));
            }
            let bytes = message.finish();
            messages.extend(places.iter().map(|place| (*place, bytes.clone())));
        }
        messages
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Time> {
        let forgets = (!self.asked.is_empty()).then_some(self.forgets);
        self.browses.values().map(|browse| browse.due).chain(self.waiting.values().copied()).chain(forgets).min()
    }
}

/// A browse question with its known answers, in as many messages as they need (RFC 6762 §7.2).
fn with_known(question: &Question, known: &[Record]) -> Vec<Vec<u8>> {
    let marker = Exchange::ForOthers.encode();
    let mut messages = Vec::new();
    let begin = |first: bool| {
        let mut message = Builder::query(0, MESSAGE);
        message.reserve_option(marker.len());
        if first {
            message.question(question);
            // Other software may have no subtype; our own kind answers neither.
            if question.name != ZONE.service_type {
                message.question(&Question { name: ZONE.service_type.clone(), ..question.clone() });
            }
        }
        message
    };
    let end = |mut message: Builder, more: bool| {
        message.truncated(more);
        message.option(&marker);
        message.finish()
    };
    let mut message = begin(true);
    for record in known {
        if !message.answer(record) {
            let full = std::mem::replace(&mut message, begin(false));
            messages.push(end(full, true));
            message.answer(record);
        }
    }
    messages.push(end(message, false));
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_there_was_no_room_for_is_not_asked_twice_within_a_second() {
        let name = |i: usize| ZONE.instance(&format!("n{i}")).expect("a name");
        let place = [Place { interface: 1, v6: false }];
        let mut querier = Querier::new(Arc::default());
        let asked = |querier: &mut Querier, now| {
            querier.poll(Time(now), &place, |_, _| Vec::new(), &mut fastrand::Rng::with_seed(1)).len()
        };
        (0..REMEMBERED).for_each(|i| querier.confirm(Time(10), &name(i), rtype::SRV));
        assert!(asked(&mut querier, 10) > 0);
        querier.ask(Time(20), &name(0), rtype::SRV);
        querier.confirm(Time(20), &name(0), rtype::SRV);
        assert_eq!(asked(&mut querier, 20), 0);
        assert_eq!(asked(&mut querier, 1_009), 0);
        assert_eq!(asked(&mut querier, 1_010), 1);
    }
}
