//! Answers to go-micro's questions: by unicast, a node a message, at a pace that its receive buffer can take.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::said::{self, Said, TTL};
use crate::link::native::herald::Ground;
use crate::link::native::message::Question;
use crate::link::native::name::Name;
use crate::link::native::outbox::{Outbox, Place};
use crate::link::native::pace::Bucket;
use crate::link::native::site::Site;
use crate::link::native::Via;
use crate::options::Domain;
use crate::record::{Key, Time};

/// Messages at once and a second: go-micro waits 100 ms, and its buffer, of the default size, holds some 200.
const PACE: (u64, u64) = (64, 16_000);
/// Bytes to one address, at once and a second.
const OF_SOURCE: (u64, u64) = (4 << 20, 4 << 20);
/// Addresses that are answered within a second, at most.
const SOURCES: usize = 256;
/// Questions that are being answered, at most.
const QUESTIONS: usize = 256;

/// What a question wants.
pub enum Wanted {
    /// Nodes of a service.
    Nodes(Vec<Key>),
    /// A node by its name.
    Node(Option<Key>),
    /// The services there are, each with a node of it.
    Services(Vec<(Arc<str>, Key)>),
}

impl Wanted {
    /// Of it what stands for nodes that `keep` wants.
    pub fn of(self, keep: impl Fn(&Key) -> bool) -> Wanted {
        match self {
            Wanted::Nodes(keys) => Wanted::Nodes(keys.into_iter().filter(keep).collect()),
            Wanted::Node(key) => Wanted::Node(key.filter(keep)),
            Wanted::Services(services) => {
                let mut kept: Vec<_> = services.into_iter().filter(|(_, key)| keep(key)).collect();
                kept.dedup_by(|one, two| one.0 == two.0);
                Wanted::Services(kept)
            }
        }
    }
}

#[derive(Debug)]
enum Left {
    Nodes { keys: std::vec::IntoIter<Key>, pointed: bool },
    Services(std::vec::IntoIter<(Arc<str>, Key)>),
}

/// A question under answer.
#[derive(Debug)]
struct Answering {
    to: SocketAddr,
    place: Place,
    id: u16,
    question: Question,
    echo: bool,
    domain: Domain,
    left: Left,
}

/// Answers on their way.
#[derive(Debug)]
pub struct Answers {
    queue: VecDeque<Answering>,
    pace: Bucket,
    sources: BTreeMap<IpAddr, Bucket>,
    refused: u64,
}

impl Default for Answers {
    fn default() -> Answers {
        let pace = Bucket::new(PACE.0, PACE.1);
        Answers { queue: VecDeque::new(), pace, sources: BTreeMap::new(), refused: 0 }
    }
}

impl Answers {
    /// Questions and answers refused, as there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Answers a question from now on.
    pub fn push(
        &mut self,
        now: Time,
        (to, place): (SocketAddr, Place),
        (id, question, echo): (u16, Question, bool),
        domain: Domain,
        wanted: Wanted,
    ) {
        let left = match wanted {
            Wanted::Nodes(keys) if !keys.is_empty() => Left::Nodes { keys: keys.into_iter(), pointed: true },
            Wanted::Node(Some(key)) => Left::Nodes { keys: vec![key].into_iter(), pointed: false },
            Wanted::Services(services) if !services.is_empty() => Left::Services(services.into_iter()),
            _ => return,
        };
        if self.queue.iter().any(|other| other.to == to && other.question == question) {
            return;
        }
        if self.sources.len() >= SOURCES {
            self.sources.retain(|_, bucket| bucket.left(now) < OF_SOURCE.0);
        }
        let known = self.sources.contains_key(&to.ip());
        if self.queue.len() >= QUESTIONS || (self.sources.len() >= SOURCES && !known) {
            self.refused += 1;
            return;
        }
        self.sources.entry(to.ip()).or_insert_with(|| Bucket::new(OF_SOURCE.0, OF_SOURCE.1));
        self.queue.push_back(Answering { to, place, id, question, echo, domain, left });
    }

    /// Lets out what the pace allows by now.
    pub fn release(&mut self, now: Time, said: &Said, host: &Name, site: &Site, out: &mut Outbox) {
        while !self.queue.is_empty() && self.pace.left(now) > 0 {
            let Some(answering) = self.queue.front_mut() else { return };
            let (records, pointed) = match &mut answering.left {
                Left::Nodes { keys, pointed } => {
                    let Some(key) = keys.next() else {
                        self.queue.pop_front();
                        continue;
                    };
                    let addrs = site.addrs(answering.place);
                    (said.get(&key).and_then(|node| said.records(node, addrs, host, TTL)), *pointed)
                }
                Left::Services(services) => {
                    let Some((service, _)) = services.next() else {
                        self.queue.pop_front();
                        continue;
                    };
                    (said::list_entry(&service, answering.domain, host), true)
                }
            };
            let Some(mut records) = records else { continue };
            let pointer = pointed.then(|| said::pointer(&answering.question.name, &records[0]));
            records.splice(0..0, pointer);
            let echoed = answering.echo.then_some(&answering.question);
            let Some(bytes) = said::message(answering.id, echoed, &records) else { continue };
            let budget = self.sources.get_mut(&answering.to.ip());
            if budget.is_some_and(|budget| !budget.take(now, bytes.len() as u64)) {
                self.refused += 1;
                self.queue.pop_front();
                continue;
            }
            self.pace.take(now, 1);
            out.unicast(Via::Group, answering.place.interface, answering.to, bytes);
        }
    }

    /// When more can be let out.
    pub fn next_due(&mut self, now: Time) -> Option<Time> {
        (!self.queue.is_empty()).then(|| self.pace.next(now))
    }
}
