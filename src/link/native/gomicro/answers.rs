//! Answers to go-micro's questions: by unicast, a node a message, at a pace that its receive buffer can take.
//!
//! A question waits as the place where its answer goes on, so that one about thousands of nodes costs no more than one.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::said::{self, Node, Said, TTL};
use crate::link::native::herald::Ground;
use crate::link::native::message::{Question, Record, LARGEST};
use crate::link::native::name::Name;
use crate::link::native::outbox::{Outbox, Place};
use crate::link::native::pace::{Bucket, Sources};
use crate::link::native::site::Site;
use crate::link::native::Via;
use crate::options::Domain;
use crate::record::{Key, Time};
use crate::refused::{Refusals, Refused};

/// Messages at once and a second: go-micro waits 100 ms, and its buffer, of the default size, holds some 200.
const PACE: (u64, u64) = (64, 16_000);
/// Bytes to one address, at once and a second: go-micro's buffer holds less than these at once.
const OF_SOURCE: (u64, u64) = (512 << 10, 4 << 20);
/// Questions that are being answered at once, of all and of one address.
const QUESTIONS: usize = 256;
const QUESTIONS_OF_SOURCE: usize = 8;

/// What a question wants.
#[derive(Debug)]
pub enum Wanted {
    /// The nodes of a service.
    Nodes((Domain, Arc<str>)),
    /// A node by its name.
    Node(Key),
    /// The services of a domain.
    Services(Domain),
}

/// How far an answer is.
#[derive(Debug)]
enum Told {
    Nodes(Option<Key>),
    Services(Option<Arc<str>>),
}

/// A question under answer.
#[derive(Debug)]
pub struct Asked {
    /// Who asks.
    pub to: SocketAddr,
    /// Over what.
    pub place: Place,
    /// The id of its message.
    pub id: u16,
    /// As it came.
    pub question: Question,
    /// Whether the answer repeats it.
    pub echo: bool,
    /// Whether what DNS-SD says too is left out.
    pub for_others: bool,
}

#[derive(Debug)]
struct Answering {
    asked: Asked,
    wanted: Wanted,
    told: Told,
}

/// Answers on their way.
#[derive(Debug)]
pub struct Answers {
    queue: VecDeque<Answering>,
    pace: Bucket,
    sources: Sources,
    refused: Arc<Refusals>,
}

/// The next message of an answer.
enum Next {
    Message(Vec<u8>),
    /// One that has no message is passed over.
    Passed,
    Over,
}

impl Answering {
    fn next(&mut self, said: &Said, host: &Name, site: &Site) -> Next {
        let Asked { place, id, question, echo, for_others, .. } = &self.asked;
        let owners = site.owners.get(&place.interface);
        let is_there = |node: &Node| {
            let speaks = owners.is_some_and(|owners| owners.contains(&node.record.owner));
            speaks && (!for_others || node.record.go_micro.is_some())
        };
        let of_node = |node: &Node| -> Option<Vec<Record>> {
            Some(node).filter(|node| is_there(node)).and_then(|node| said.records(node, site.addrs(*place), host, TTL))
        };
        let records = match (&self.wanted, &mut self.told) {
            (Wanted::Node(key), Told::Nodes(told)) => {
                let Some(node) = said.get(key).filter(|_| told.is_none()) else { return Next::Over };
                *told = Some(key.clone());
                of_node(node)
            }
            (Wanted::Nodes(service), Told::Nodes(told)) => {
                let Some(node) = said.next_node(service, told.as_ref()) else { return Next::Over };
                *told = Some(node.record.key.clone());
                of_node(node)
            }
            (Wanted::Services(domain), Told::Services(told)) => {
                let Some(service) = said.next_service(*domain, told.as_ref(), is_there) else { return Next::Over };
                *told = Some(service.clone());
                said::list_entry(&service, *domain, host)
            }
            _ => return Next::Over,
        };
        let Some(mut records) = records else { return Next::Passed };
        if !matches!(self.wanted, Wanted::Node(_)) {
            records.insert(0, said::pointer(&question.name, &records[0]));
        }
        said::message(*id, echo.then_some(question), &records).map_or(Next::Passed, Next::Message)
    }
}

impl Answers {
    /// None on their way.
    pub fn new(refused: Arc<Refusals>) -> Answers {
        let sources = Sources::new(OF_SOURCE.0, OF_SOURCE.1);
        Answers { queue: VecDeque::new(), pace: Bucket::new(PACE.0, PACE.1), sources, refused }
    }

    /// Answers a question from now on.
    pub fn push(&mut self, now: Time, asked: Asked, wanted: Wanted) {
        let of_source = self.queue.iter().filter(|other| other.asked.to.ip() == asked.to.ip());
        if of_source.clone().any(|other| other.asked.to == asked.to && other.asked.question == asked.question) {
            return;
        }
        let crowded = self.sources.bucket(now, asked.to.ip()).is_none();
        if crowded || self.queue.len() >= QUESTIONS || of_source.count() >= QUESTIONS_OF_SOURCE {
            return self.refused.count(Refused::GoMicroAsksRefused);
        }
        let told = match wanted {
            Wanted::Services(_) => Told::Services(None),
            _ => Told::Nodes(None),
        };
        self.queue.push_back(Answering { asked, wanted, told });
    }

    /// Lets out what the pace allows by now: one answer after the other, but who has had too much waits.
    pub fn release(&mut self, now: Time, said: &Said, host: &Name, site: &Site, out: &mut Outbox) {
        let mut waiting = 0;
        while waiting < self.queue.len() && self.pace.left(now) > 0 {
            let Some(mut answering) = self.queue.pop_front() else { return };
            let (interface, to) = (answering.asked.place.interface, answering.asked.to);
            let budget = self.sources.bucket(now, to.ip());
            let Some(budget) = budget.and_then(|budget| (budget.left(now) >= LARGEST as u64).then_some(budget)) else {
                waiting += 1;
                self.queue.push_back(answering);
                continue;
            };
            match answering.next(said, host, site) {
                Next::Message(bytes) => {
                    budget.take(now, bytes.len() as u64);
                    self.pace.take(now, 1);
                    out.unicast(Via::Group, interface, to, bytes);
                    self.queue.push_front(answering);
                }
                Next::Passed => self.queue.push_front(answering),
                Next::Over => {}
            }
        }
    }

    /// When more can be let out.
    pub fn next_due(&mut self, now: Time) -> Option<Time> {
        (!self.queue.is_empty()).then(|| self.pace.next(now).max(Time(now.0 + 1)))
    }
}
