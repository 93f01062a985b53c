//! What this process asks go-micro's nodes, and when again.
//!
//! Nobody announces itself a second time and nobody says that it was killed, so a question that is kept up to date is
//! asked for as long as it is. Each question goes out once over each address family of an interface in turn, which is
//! the only repetition that go-micro itself knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::limits;
use crate::link::native::exchange::Exchange;
use crate::link::native::message::{rtype, Builder, Question as Dns, IN};
use crate::link::native::name::{Case, Name};
use crate::link::native::outbox::{one_family, Outbox};
use crate::link::native::pace::Bucket;
use crate::link::native::serve::MESSAGE;
use crate::link::native::site::Site;
use crate::options::Domain;
use crate::record::{Question, Time};
use crate::refused::{Refusals, Refused};
use crate::wire::gomicro as wire;

/// How long after each question of a burst the next follows while nobody has answered, milliseconds.
const UNANSWERED_MS: [u64; 5] = [10, 30, 100, 200, 200];
/// Answers have ended when none has come for so long, milliseconds.
const QUIET_MS: u64 = 10;
/// However they come, the next question follows after so long, milliseconds.
const LONGEST_MS: u64 = 500;
/// A service that was neither listed nor answered for so long is not asked for any more, milliseconds.
const FORGOTTEN_MS: u64 = 4 * limits::GO_MICRO_ASK_MS;
/// A burst of questions ends when one has brought nothing new, or with this one.
const MOST: usize = 12;
/// Questions at once and a second.
const PACE: (u64, u64) = (64, 1_000);

/// One question.
#[derive(Debug)]
struct Ask {
    name: Name,
    /// Which family is next.
    v6: bool,
    due: Time,
    /// Questions of the present burst, which has begun and not ended; `None` between bursts.
    burst: Option<Burst>,
    /// When it was last wanted, listed or answered.
    named: Time,
}

#[derive(Debug, Default)]
struct Burst {
    asked: usize,
    answered: bool,
    /// Since the last question.
    news: bool,
    since: Time,
}

impl Ask {
    fn new(now: Time, labels: Vec<&[u8]>) -> Option<Ask> {
        Some(Ask {
            name: Name::of(labels, Case::Kept)?,
            v6: false,
            due: now,
            burst: Some(Burst::default()),
            named: now,
        })
    }

    fn begin(&mut self, now: Time) {
        (self.due, self.burst) = (now, Some(Burst::default()));
    }

    /// Whether it is to be asked now.
    fn poll(&mut self, now: Time, rng: &mut fastrand::Rng) -> bool {
        if now < self.due {
            return false;
        }
        let steady =
            |rng: &mut fastrand::Rng| Time(now.0 + limits::GO_MICRO_ASK_MS - rng.u64(0..=limits::GO_MICRO_ASK_MS / 10));
        let Some(burst) = &mut self.burst else {
            self.due = steady(rng);
            return true;
        };
        let nothing_new = burst.answered && burst.asked >= 2 && !burst.news;
        if nothing_new || burst.asked >= MOST || (!burst.answered && burst.asked >= UNANSWERED_MS.len()) {
            (self.due, self.burst) = (steady(rng), None);
            return false;
        }
        let wait = UNANSWERED_MS.get(burst.asked).copied().unwrap_or(QUIET_MS * 3);
        (burst.asked, burst.news, burst.since) = (burst.asked + 1, false, now);
        self.due = Time(now.0 + wait);
        true
    }

    fn answered(&mut self, now: Time, is_news: bool) {
        self.named = now;
        if let Some(burst) = &mut self.burst {
            burst.answered = true;
            burst.news |= is_news;
            self.due = Time((now.0 + QUIET_MS).min(burst.since.0 + LONGEST_MS));
        }
    }

    fn is_incomplete(&self) -> bool {
        self.burst.as_ref().is_some_and(|burst| burst.answered)
    }
}

/// All questions.
#[derive(Debug)]
pub struct Asks {
    wanted: BTreeSet<(Domain, Question)>,
    /// Those wanted, and for who wants everything those of every service there is.
    open: BTreeMap<(Domain, Question), Ask>,
    pace: Bucket,
    refused: Arc<Refusals>,
    rng: fastrand::Rng,
}

impl Asks {
    /// With ids and delays that no stranger can guess.
    pub fn new(rng: fastrand::Rng, refused: Arc<Refusals>) -> Asks {
        Asks { wanted: BTreeSet::new(), open: BTreeMap::new(), pace: Bucket::new(PACE.0, PACE.1), refused, rng }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether nodes of a service are wanted.
    pub fn wants(&self, domain: Domain, service: &str) -> bool {
        let has = |question| self.wanted.contains(&(domain, question));
        has(Question::Everything) || has(Question::Service(Arc::from(service)))
    }

    /// Asks just this from now on.
    pub fn sync(&mut self, now: Time, wanted: &BTreeSet<(Domain, Question)>) {
        let everything = |domain: Domain| wanted.contains(&(domain, Question::Everything));
        self.open.retain(|(domain, question), _| {
            wanted.contains(&(*domain, question.clone())) || (*question != Question::Everything && everything(*domain))
        });
        let before = std::mem::replace(&mut self.wanted, wanted.clone());
        for (domain, question) in wanted.difference(&before) {
            self.ask(now, *domain, question);
        }
    }

    fn ask(&mut self, now: Time, domain: Domain, question: &Question) {
        let labels = match question {
            Question::Service(service) => wire::service(service, domain).ok(),
            _ => Some(wire::list(domain)),
        };
        // A service that has no such name is not on this wire.
        if let Some(ask) = labels.and_then(|labels| Ask::new(now, labels)) {
            self.open.entry((domain, question.clone())).or_insert(ask);
        }
    }

    /// Asks all again.
    pub fn renew(&mut self, now: Time) {
        self.open.values_mut().for_each(|ask| ask.begin(now));
    }

    /// Asks for a service again, as a node of it may be gone; one that announced itself may not have been listed yet.
    pub fn check(&mut self, now: Time, domain: Domain, service: &str) {
        let question = Question::Service(Arc::from(service));
        if let Some(ask) = self.open.get_mut(&(domain, question.clone())) {
            if ask.burst.is_none() {
                ask.begin(now);
            }
        } else if self.open.len() < limits::INTERESTS {
            self.ask(now, domain, &question);
        }
    }

    /// Whether a name of which these are the labels before the domain may be a node that is wanted.
    pub fn may_want(&self, domain: Domain, labels: &[&[u8]]) -> bool {
        let service = |cut: usize| super::dotted(&labels[cut..]).is_some_and(|service| self.wants(domain, &service));
        (1..labels.len()).any(service)
    }

    /// A node of the service has answered.
    pub fn answered(&mut self, now: Time, domain: Domain, service: &str, is_news: bool) {
        if let Some(ask) = self.open.get_mut(&(domain, Question::Service(Arc::from(service)))) {
            ask.answered(now, is_news);
        }
    }

    /// A service was listed; whether it was not known before.
    pub fn listed(&mut self, now: Time, domain: Domain, service: &str) -> bool {
        let question = Question::Service(Arc::from(service));
        let known = self.open.get_mut(&(domain, question.clone()));
        let is_known = known.map(|ask| ask.named = now).is_some();
        let is_news = !is_known && self.open.len() < limits::INTERESTS;
        self.refused.add(Refused::GoMicroServicesRefused, u64::from(!is_known && !is_news));
        let Some(list) = self.open.get_mut(&(domain, Question::Everything)) else { return false };
        list.answered(now, is_news);
        if is_news {
            self.ask(now, domain, &question);
        }
        is_news
    }

    /// Asks what is due.
    pub fn poll(&mut self, now: Time, site: &Site, out: &mut Outbox) {
        let wanted = &self.wanted;
        let is_wanted = |of: &(Domain, Question)| matches!(of.1, Question::Everything) || wanted.contains(of);
        self.open.retain(|of, ask| is_wanted(of) || now.0 < ask.named.0 + FORGOTTEN_MS);
        // Our own kind need not say here what it says by DNS-SD.
        let for_others = site.all_speak_dns_sd();
        for ((domain, _), ask) in &mut self.open {
            if now < ask.due || self.pace.left(now) == 0 || !ask.poll(now, &mut self.rng) {
                continue;
            }
            self.pace.take(now, 1);
            let bytes = query(self.rng.u16(..), ask.name.clone(), rtype::PTR, for_others);
            one_family(&site.places_of(*domain), ask.v6).for_each(|place| out.ask(place, bytes.clone()));
            ask.v6 = !ask.v6;
        }
    }

    /// Questions whose answers still come.
    pub fn incomplete(&self) -> BTreeSet<Question> {
        let open = self.open.iter().filter(|(_, ask)| ask.is_incomplete());
        let mut questions = BTreeSet::new();
        for ((domain, question), _) in open {
            questions.insert(question.clone());
            if self.wanted.contains(&(*domain, Question::Everything)) {
                questions.insert(Question::Everything);
            }
        }
        questions
    }

    /// When something is due next.
    pub fn next_due(&mut self, now: Time) -> Option<Time> {
        let due = self.open.values().map(|ask| ask.due).min()?;
        Some(if due <= now { self.pace.next(now) } else { due })
    }
}

/// A question of the dialect; one that is `for_others` our own kind answers only with what no other wire carries.
pub fn query(id: u16, name: Name, rtype: u16, for_others: bool) -> Vec<u8> {
    let mut message = Builder::query(id, MESSAGE);
    message.question(&Dns { name, rtype, class: IN, unicast: false });
    if for_others {
        message.option(&Exchange::ForOthers.encode());
    }
    message.finish()
}
