//! The answering side of the lookup exchange ([`super::exchange`]).

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::exchange::{Exchange, Held, Range, Sum, Tag, Verdict, ALL, RANGES};
use super::message::{self, Builder, Record};
use super::name::Name;
use super::pace::Bucket;
use super::publication::{part, Publications};
use crate::record::{Question, Time};
use crate::refused::{Refusals, Refused};

/// A message that fits one Ethernet frame over IPv6, bytes.
pub const MESSAGE: usize = 1_452;
/// Messages to askers that have not proven their address, of whatever kind, at once and a second.
const UNPROVEN: (u64, u64) = (50, 50);
/// Messages to all others: as many as a 100 Mbit link carries twice over.
const PROVEN: (u64, u64) = (2_048, 16_384);
/// Messages for one fetch, at most: what a socket buffer of the default size holds.
const BUDGET: u8 = 64;
/// So few nodes are sent rather than compared further.
const FEW: u32 = 24;
/// Ranges covered by one message that carries records.
const COVERED: usize = 4;

/// Answers the exchange's questions.
#[derive(Debug)]
pub struct Server {
    secret: [u8; 32],
    /// What may go to who has not proven its address.
    pub unproven: Bucket,
    proven: Bucket,
    refused: Arc<Refusals>,
}

/// A question of the exchange, as it came.
pub struct Asked<'a> {
    /// The DNS question, to be echoed.
    pub question: &'a message::Question,
    /// What it asks for.
    pub about: &'a Question,
    /// Its message id.
    pub id: u16,
    /// Who asks.
    pub from: IpAddr,
    /// The addresses of the interface it came over.
    pub addrs: &'a [IpAddr],
}

/// What a question of the exchange wants.
pub enum Wanted<'a> {
    /// What any registry has, but for those that were heard already.
    All(&'a [Tag]),
    /// What one registry has, in so many messages at most.
    One {
        /// The registry.
        registry: Tag,
        /// What it gave before, or 0.
        token: u64,
        /// What is held of it.
        ranges: &'a [Held],
        /// Messages.
        budget: u8,
    },
}

impl Server {
    /// A server whose tokens depend on `secret`.
    pub fn new(secret: [u8; 32], refused: Arc<Refusals>) -> Server {
        let (unproven, proven) = (Bucket::new(UNPROVEN.0, UNPROVEN.1), Bucket::new(PROVEN.0, PROVEN.1));
        Server { secret, unproven, proven, refused }
    }

    fn token(&self, from: IpAddr) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        match from {
            IpAddr::V4(v4) => hash.update(v4.octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// One message of what `owner` has for who may have nothing of it.
    pub fn ask(&mut self, now: Time, known: &Publications, owner: (&str, Tag), asked: &Asked<'_>) -> Vec<Vec<u8>> {
        if !known.has(owner.0, asked.about) {
            return Vec::new();
        }
        if !self.unproven.take(now, 1) {
            self.refused.count(Refused::AsksRefused);
            return Vec::new();
        }
        let all = [Held { range: ALL, sum: Sum::default() }];
        self.answer(known, owner, asked, &all, 1)
    }

    /// What `owner` has in the ranges, in at most `budget` messages; one only without the right token.
    pub fn fetch(
        &mut self,
        now: Time,
        known: &Publications,
        owner: (&str, Tag),
        asked: &Asked<'_>,
        token: u64,
        wanted: (&[Held], u8),
    ) -> Vec<Vec<u8>> {
        let (ranges, budget) = wanted;
        // In order and apart: what is asked for costs no more than all there is.
        if ranges.windows(2).any(|pair| pair[0].range.end() >= pair[1].range.start()) {
            self.refused.count(Refused::FetchesRefused);
            return Vec::new();
        }
        let proven = token == self.token(asked.from);
        if !proven && token != 0 {
            self.refused.count(Refused::WrongToken);
        }
        let bucket = if proven { &mut self.proven } else { &mut self.unproven };
        if !bucket.take(now, 1) {
            self.refused.count(Refused::FetchesRefused);
            return Vec::new();
        }
        let left = u8::try_from(self.proven.left(now)).unwrap_or(u8::MAX);
        let budget = if proven { budget.min(left).clamp(1, BUDGET) } else { 1 };
        let messages = self.answer(known, owner, asked, ranges, budget);
        self.proven.take(now, messages.len() as u64 - u64::from(!messages.is_empty()));
        messages
    }

    fn answer(
        &self,
        known: &Publications,
        owner: (&str, Tag),
        asked: &Asked<'_>,
        ranges: &[Held],
        budget: u8,
    ) -> Vec<Vec<u8>> {
        let mut reply = Reply {
            known,
            asked,
            registry: owner.1,
            token: self.token(asked.from),
            budget: usize::from(budget),
            ready: Vec::new(),
        };
        let (mut verdicts, mut wanted) = (Vec::new(), Vec::new());
        for held in ranges.iter().take(RANGES) {
            let sum = known.sum(owner.0, asked.about, &held.range, None);
            if sum == held.sum {
                verdicts.push(Verdict::Same(held.range.clone()));
            } else if held.sum.count == 0 || sum.count <= FEW {
                wanted.push(held.range.clone());
            } else {
                verdicts.push(Verdict::Differs(Held { range: held.range.clone(), sum }));
            }
        }
        if !verdicts.is_empty() {
            reply.push(reply.builder(verdicts.len()), verdicts);
        }
        reply.records(owner.0, &wanted);
        reply.finish()
    }
}

/// Messages in the making; the last is not encoded before it is known to be the last.
struct Reply<'a> {
    known: &'a Publications,
    asked: &'a Asked<'a>,
    registry: Tag,
    token: u64,
    budget: usize,
    ready: Vec<(Builder, Vec<Verdict>)>,
}

impl Reply<'_> {
    fn builder(&self, verdicts: usize) -> Builder {
        let mut builder = Builder::response(self.asked.id, MESSAGE);
        builder.reserve_option(Exchange::answer_len(verdicts));
        builder.question(self.asked.question);
        builder
    }

    fn push(&mut self, builder: Builder, verdicts: Vec<Verdict>) {
        self.ready.push((builder, verdicts));
    }

    fn is_spent(&self) -> bool {
        self.ready.len() >= self.budget
    }

    /// Everything in the ranges, as far as the budget goes.
    fn records(&mut self, owner: &str, ranges: &[Range]) {
        let mut builder = self.builder(COVERED);
        let mut verdicts: Vec<Verdict> = Vec::new();
        let mut hosts: Vec<Name> = Vec::new();
        for range in ranges {
            // By what was said of others: who has not proven itself asks again.
            if self.is_spent() {
                return;
            }
            let mut first = *range.start();
            for key in self.known.keys(owner, self.asked.about, range) {
                let Some(node) = self.known.get(key) else { continue };
                let pointer = match self.asked.about {
                    Question::Service(_) => part::SUBTYPE,
                    _ => part::TYPE,
                };
                let mut group = node.records(pointer | part::SRV | part::TXT);
                let new_host = !hosts.contains(&node.host);
                if new_host {
                    group.extend(self.known.addresses(&node.host, self.asked.addrs));
                }
                if verdicts.len() < COVERED && builder.answers(&group.iter().collect::<Vec<&Record>>()) {
                    hosts.extend(new_host.then(|| node.host.clone()));
                    continue;
                }
                if first < node.position {
                    verdicts.push(Verdict::Covered(first..=node.position - 1));
                    first = node.position;
                }
                let full = std::mem::replace(&mut builder, self.builder(COVERED));
                self.push(full, std::mem::take(&mut verdicts));
                if self.is_spent() {
                    return;
                }
                if !new_host {
                    group.extend(self.known.addresses(&node.host, self.asked.addrs));
                }
                hosts = vec![node.host.clone()];
                builder.answers(&group.iter().collect::<Vec<&Record>>());
            }
            verdicts.push(Verdict::Covered(first..=*range.end()));
            if verdicts.len() == COVERED {
                let full = std::mem::replace(&mut builder, self.builder(COVERED));
                self.push(full, std::mem::take(&mut verdicts));
                hosts.clear();
            }
        }
        if !verdicts.is_empty() {
            self.push(builder, verdicts);
        }
    }

    fn finish(self) -> Vec<Vec<u8>> {
        let count = self.ready.len();
        let (token, registry) = (self.token, self.registry);
        let encode = |(i, (mut builder, verdicts)): (usize, (Builder, Vec<Verdict>))| {
            let answer = Exchange::Answer { token, registry, verdicts, last: i + 1 == count };
            builder.option(&answer.encode());
            builder.finish()
        };
        self.ready.into_iter().enumerate().map(encode).collect()
    }
}
