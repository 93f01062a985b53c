//! A network of records: what one host sends reaches the others late, twice or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mdns_registry::record::{Key, Question, Reach, Record, Sighting, Time};

/// What travels.
#[derive(Clone, Debug)]
pub enum Packet {
    /// An announcement, or an answer.
    Record(Arc<Record>),
    /// A goodbye.
    Goodbye(Key),
    /// Asks for everything.
    Query,
    /// Asks for one node.
    Check(Key),
}

/// What a host does at a time.
#[derive(Clone, Debug)]
pub enum Event {
    Arrive {
        from: usize,
        packet: Packet,
    },
    /// Announce again, if the record is still the one published.
    Repeat(Arc<Record>),
    /// Say goodbye again, if the node is still withdrawn.
    RepeatGoodbye(Key),
    /// The query schedule of a browsing host (RFC 6762 §5.2), with the last interval.
    Browse(Duration),
    Settle(Question),
}

/// Events in time order; equal times in the order of their making.
#[derive(Default)]
pub struct Agenda {
    events: BTreeMap<(Time, u64), (usize, Event)>,
    made: u64,
}

impl Agenda {
    pub fn push(&mut self, at: Time, host: usize, event: Event) {
        self.events.insert((at, self.made), (host, event));
        self.made += 1;
    }

    pub fn next_at(&self) -> Option<Time> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    pub fn pop(&mut self) -> Option<(Time, usize, Event)> {
        self.events.pop_first().map(|((at, _), (host, event))| (at, host, event))
    }

    pub fn forget(&mut self, host: usize) {
        self.events.retain(|_, (of, _)| *of != host);
    }
}

/// How the network treats packets.
pub struct Weather {
    pub rng: fastrand::Rng,
    pub loss: f64,
    pub duplicates: f64,
    pub delay: Duration,
    /// Hosts cut off from the others.
    pub cut: BTreeSet<usize>,
}

impl Weather {
    /// When the copies of a packet from one host arrive at another.
    pub fn arrivals(&mut self, now: Time, from: usize, to: usize) -> Vec<Time> {
        if self.cut.contains(&from) != self.cut.contains(&to) {
            return Vec::new();
        }
        let copies = if self.rng.f64() < self.duplicates { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            if self.rng.f64() >= self.loss {
                let late = self.rng.u64(0..=self.delay.as_millis() as u64);
                arrivals.push(now + Duration::from_millis(late));
            }
        }
        arrivals
    }
}

/// A record as heard on the simulated interface.
pub fn seen(record: &Arc<Record>, from: usize) -> Sighting {
    let ip = format!("10.0.0.{}", from + 1).parse().unwrap();
    Sighting::Seen { record: record.clone(), reach: [Reach { ip, interface: Arc::from("net0") }].into() }
}
