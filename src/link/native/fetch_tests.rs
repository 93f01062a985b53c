use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use crate::link::native::exchange::position;
use crate::link::native::message::{self, parse, rtype};
use crate::link::native::publication::Publications;
use crate::link::native::serve::{Asked, Server};
use crate::link::native::zone::ZONE;
use crate::model::{Node, Service};
use crate::record::Question;
use crate::record::Record;
use crate::wire::dnssd::instance_label;

const OWNER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn record(i: usize, revision: u64) -> Arc<Record> {
    let (service, id) = (Service { name: "greeter".into(), ..Service::default() }, format!("n-{i}"));
    let key = instance_label(OWNER, "greeter", &id).into();
    let node = Node { id, port: 80, ..Node::default() };
    Arc::new(Record {
        key,
        owner: OWNER.into(),
        revision,
        lease: 30,
        go_micro: None,
        service: Arc::new(service),
        node: (&node).into(),
    })
}

/// A registry and what somebody holds of it, with a network between them that loses messages.
struct Pair {
    server: Server,
    published: Publications,
    held: BTreeMap<Key, u64>,
    now: Time,
    rng: fastrand::Rng,
    loss: f32,
    questions: usize,
    messages: usize,
}

impl Pair {
    fn new(nodes: usize, loss: f32) -> Pair {
        let mut published = Publications::default();
        (0..nodes).for_each(|i| published.put(record(i, 1)).unwrap());
        let (server, rng) = (Server::new([7; 32], Arc::default()), fastrand::Rng::with_seed(nodes as u64));
        Pair { server, published, held: BTreeMap::new(), now: Time(1_000), rng, loss, questions: 0, messages: 0 }
    }

    /// The registry's answer to what is asked next, if that is due.
    fn ask(&mut self, fetch: &mut Fetch) -> Option<Vec<Vec<u8>>> {
        let question = Question::Service("greeter".into());
        let dns = message::Question { name: ZONE.subtype("greeter"), rtype: rtype::PTR, class: 1, unicast: true };
        let held = self.held.clone();
        let id = self.rng.u16(..);
        let sum =
            |range: &Range| Sum::of(within(&held, range).map(|(key, revision)| (position(key).unwrap(), *revision)));
        let Exchange::Fetch { token, ranges, budget, .. } = fetch.poll(self.now, id, 64, sum)? else { panic!() };
        self.questions += 1;
        if self.rng.f32() < self.loss {
            return None;
        }
        let from = addr().ip();
        let asked = Asked { question: &dns, about: &question, id, from, addrs: &[from] };
        let owner = (OWNER, fetch.registry);
        let messages = self.server.fetch(self.now, &self.published, owner, &asked, token, (&ranges, budget));
        if messages.is_empty() {
            return None;
        }
        self.messages += messages.len();
        assert!(messages.iter().all(|bytes| bytes.len() <= 1_452));
        Some(messages)
    }

    /// Fetches until all is in line; the milliseconds it took.
    fn run(&mut self) -> u64 {
        let mut fetch = Fetch::new(self.now, Tag::of(OWNER).unwrap(), addr());
        let start = self.now;
        loop {
            assert!(self.now.0 < start.0 + 60_000, "not in line after a minute");
            self.now = self.now.max(fetch.next_due());
            for bytes in self.ask(&mut fetch).into_iter().flatten() {
                if self.rng.f32() < self.loss {
                    continue;
                }
                if self.take(&mut fetch, &bytes) {
                    return self.now.0 - start.0;
                }
            }
        }
    }

    fn take(&mut self, fetch: &mut Fetch, bytes: &[u8]) -> bool {
        let message = parse(bytes).unwrap();
        let Some(Exchange::Answer { token, verdicts, last, .. }) = Exchange::decode(message.option.as_ref().unwrap())
        else {
            panic!("no answer")
        };
        let keys: BTreeSet<Key> = message.answers.iter().filter_map(|r| ZONE.key(&r.name).map(Key::from)).collect();
        for key in &keys {
            self.held.insert(key.clone(), self.published.get(key).unwrap().record.revision);
        }
        let named: Vec<Key> = keys.into_iter().collect();
        let held = self.held.clone();
        let progress = fetch.handle(self.now, (message.id, token), &verdicts, last, &named, |range| {
            within(&held, range).map(|(key, _)| (key.clone(), true)).collect()
        });
        self.held.retain(|key, _| !progress.gone.contains(key));
        progress.complete
    }

    fn assert_in_line(&self) {
        assert_eq!(self.held.len(), self.published.len());
        assert!(self.held.iter().all(|(key, revision)| self.published.get(key).unwrap().record.revision == *revision));
    }
}

fn addr() -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, 2), 4_000).into()
}

fn within<'a>(held: &'a BTreeMap<Key, u64>, range: &'a Range) -> impl Iterator<Item = (&'a Key, &'a u64)> {
    held.iter().filter(|(key, _)| range.contains(&position(key).unwrap()))
}

#[test]
fn everything_comes_however_many_there_are() {
    for nodes in [0, 1, 5, 100, 3_000] {
        let mut pair = Pair::new(nodes, 0.0);
        pair.run();
        pair.assert_in_line();
        assert!(pair.questions <= 2 + pair.messages / 60, "{nodes} nodes took {} questions", pair.questions);
    }
}

#[test]
fn everything_comes_through_a_network_that_loses_a_third() {
    for nodes in [1, 100, 1_000] {
        let mut pair = Pair::new(nodes, 0.33);
        let ms = pair.run();
        pair.assert_in_line();
        assert!(ms < 2_000, "{nodes} nodes took {ms} ms");
    }
}

#[test]
fn one_change_among_thousands_costs_a_few_messages() {
    let mut pair = Pair::new(3_000, 0.0);
    pair.run();
    pair.published.put(record(1_234, 2)).unwrap();
    pair.published.remove(&record(77, 1).key);
    pair.published.put(record(5_000, 1)).unwrap();
    (pair.messages, pair.questions) = (0, 0);
    pair.run();
    pair.assert_in_line();
    assert!(pair.messages < 40 && pair.questions < 12, "{} messages, {} questions", pair.messages, pair.questions);
}

#[test]
fn what_is_in_line_costs_one_message() {
    let mut pair = Pair::new(3_000, 0.0);
    pair.run();
    (pair.messages, pair.questions) = (0, 0);
    pair.run();
    assert_eq!((pair.messages, pair.questions), (1, 1));
}

#[test]
fn what_the_registry_has_no_more_is_gone() {
    let mut pair = Pair::new(50, 0.0);
    pair.run();
    (0..50).for_each(|i| drop(pair.published.remove(&record(i, 1).key)));
    pair.run();
    pair.assert_in_line();
}

#[test]
fn a_registry_that_needs_a_tenth_of_a_second_for_an_answer_is_not_asked_five_times_for_it() {
    let mut prompt = Pair::new(2_000, 0.0);
    prompt.run();
    let mut pair = Pair::new(2_000, 0.0);
    let mut fetch = Fetch::new(pair.now, Tag::of(OWNER).unwrap(), addr());
    let (mut answers, mut complete) = (BTreeMap::<Time, Vec<Vec<u8>>>::new(), false);
    while !complete {
        let next = answers.keys().next().copied();
        pair.now = pair.now.max(fetch.next_due().min(next.unwrap_or(Time(u64::MAX))));
        for bytes in answers.remove(&pair.now).into_iter().flatten() {
            complete |= pair.take(&mut fetch, &bytes);
        }
        if let Some(messages) = pair.ask(&mut fetch) {
            answers.entry(Time(pair.now.0 + 100)).or_default().extend(messages);
        }
    }
    pair.assert_in_line();
    let (once, slow) = (prompt.messages, pair.messages);
    assert!(slow <= once * 3 / 2, "{slow} messages in {} answers for what {once} say", pair.questions);
}

#[test]
fn all_that_is_asked_in_a_second_of_silence_may_be_answered_late_and_nothing_else_is() {
    let mut fetch = Fetch::new(Time(0), Tag::of(OWNER).unwrap(), addr()).with_token(7);
    let ids: Vec<u16> =
        (0..).map(|i: u16| i.wrapping_mul(40_503)).take_while(|id| ask_alone(&mut fetch, *id)).collect();
    assert_eq!(
        (0..=u16::MAX).filter(|id| fetch.is_answer(*id)).collect::<BTreeSet<_>>(),
        ids.iter().copied().collect()
    );
    let asked: Vec<Time> = ids.iter().map(|id| fetch.asked(*id)).collect();
    assert!(asked.is_sorted() && asked[1] > Time(0), "{asked:?}");
    let next = fetch.next_due();
    fetch.poll(next, 1, 64, |_| Sum::default()).unwrap();
    let late: Vec<u16> = ids.iter().copied().filter(|id| fetch.is_answer(*id)).collect();
    assert_eq!(late, ids[1..], "each new question takes the place of the oldest");
}

/// Asks when it is next due, if that is within a second.
fn ask_alone(fetch: &mut Fetch, id: u16) -> bool {
    let due = fetch.next_due();
    due < Time(1_000) && fetch.poll(due, id, 64, |_| Sum::default()).is_some()
}
