//! The registries of our kind that something is held of: where each answers, and what its alive
//! records have said.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::exchange::{Sum, Tag};
use super::outbox::Place;
use crate::limits;
use crate::record::{Question, Time};

/// Registries remembered, at most.
const PEERS: usize = 16_384;
/// Questions and leases remembered of one registry, at most.
const VERIFIED: usize = 2 * limits::INTERESTS;
/// Registries that fell silent and are still asked whether they are back, at most.
const LOST: usize = 256;
/// How often such a one is asked, at first and later; when "later" begins and when it is given up.
const PROBE_MS: (u64, u64) = (2_000, 30_000);
const PROBED_MS: (u64, u64) = (600_000, 3_600_000);

/// One registry.
#[derive(Debug, Default)]
pub struct Peer {
    /// Where it takes direct questions.
    pub addrs: BTreeMap<Place, SocketAddr>,
    /// By the place where it is known: another that claims to be it.
    pub rivals: BTreeMap<Place, (Place, SocketAddr)>,
    /// What proves our address to it.
    pub token: u64,
    /// The last sequence number of an alive record, by lease.
    pub sequences: BTreeMap<u32, u64>,
    /// By question and lease: what an alive record said when all was fetched, and what was held then.
    /// The two differ where a record is refused here, and where the alive record speaks of more than
    /// what is asked for.
    pub verified: BTreeMap<(Question, u32), (Sum, Sum)>,
}

/// A registry that fell silent.
#[derive(Debug)]
struct Lost {
    question: Question,
    addr: SocketAddr,
    next: Time,
    since: Time,
}

impl Peer {
    /// Notes what was said when all was fetched, and what is held.
    pub fn verify(&mut self, what: (Question, u32), sums: (Sum, Sum)) {
        if self.verified.len() >= VERIFIED && !self.verified.contains_key(&what) {
            self.verified.pop_first();
        }
        self.verified.insert(what, sums);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Peers {
    peers: BTreeMap<Tag, Peer>,
    lost: BTreeMap<(Tag, Place), Lost>,
}

impl Peers {
    /// A registry.
    pub fn get(&self, tag: Tag) -> Option<&Peer> {
        self.peers.get(&tag)
    }

    /// The same, made if there is room.
    pub fn entry(&mut self, tag: Tag) -> Option<&mut Peer> {
        let room = self.peers.len() < PEERS || self.peers.contains_key(&tag);
        room.then(|| self.peers.entry(tag).or_default())
    }

    /// Where a registry answers, over IPv4 if it does.
    pub fn route(&self, tag: Tag) -> Option<(Place, SocketAddr)> {
        let addrs = &self.peers.get(&tag)?.addrs;
        addrs.iter().min_by_key(|(place, _)| (place.v6, place.interface)).map(|(place, addr)| (*place, *addr))
    }

    /// Forgets what `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(Tag) -> bool) {
        self.peers.retain(|tag, _| keep(*tag));
    }

    /// Forgets places that are gone.
    pub fn retain_places(&mut self, there: impl Fn(Place) -> bool) {
        for peer in self.peers.values_mut() {
            peer.addrs.retain(|place, _| there(*place));
            peer.rivals.retain(|place, (at, _)| there(*place) && there(*at));
        }
        self.lost.retain(|(_, place), _| there(*place));
    }

    /// A registry fell silent; it is asked for a while whether it is back.
    pub fn lose(&mut self, now: Time, tag: Tag, question: Question) {
        let Some((place, addr)) = self.route(tag) else { return };
        if self.lost.len() < LOST {
            let lost = Lost { question, addr, next: Time(now.0 + PROBE_MS.0), since: now };
            self.lost.entry((tag, place)).or_insert(lost);
        }
    }

    /// A registry was heard; whether it had fallen silent.
    pub fn found(&mut self, tag: Tag) -> bool {
        let before = self.lost.len();
        self.lost.retain(|(lost, _), _| *lost != tag);
        self.lost.len() < before
    }

    /// Nobody wants this any more.
    pub fn forget(&mut self, question: &Question) {
        self.lost.retain(|_, lost| lost.question != *question);
        for peer in self.peers.values_mut() {
            peer.verified.retain(|(of, _), _| of != question);
        }
    }

    /// A silent registry to be asked now.
    pub fn pop_lost(&mut self, now: Time) -> Option<(Tag, Place, SocketAddr, Question)> {
        self.lost.retain(|_, lost| now.0 < lost.since.0 + PROBED_MS.1);
        let ((tag, place), lost) = self.lost.iter_mut().find(|(_, lost)| lost.next <= now)?;
        let early = now.0 < lost.since.0 + PROBED_MS.0;
        lost.next = Time(now.0 + if early { PROBE_MS.0 } else { PROBE_MS.1 });
        Some((*tag, *place, lost.addr, lost.question.clone()))
    }

    /// When the next one is to be asked.
    pub fn next_due(&self) -> Option<Time> {
        self.lost.values().map(|lost| lost.next).min()
    }

    /// How many fell silent.
    pub fn lost(&self) -> usize {
        self.lost.len()
    }
}
