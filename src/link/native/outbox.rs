//! What the endpoint wants done, in order; what is multicast goes at a pace that receivers can take.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tokio::sync::oneshot;

use super::pace::Bucket;
use super::{Output, To, Transmit, Via};
use crate::record::{Sighting, Time};

/// Multicast messages at once and a second: a burst fits a socket buffer of the default size, and
/// the rate a tenth of what one core takes in.
const PACE: (u64, u64) = (64, 16_000);
/// Outputs that there is always room for.
const KEPT: usize = 64;

/// An interface and an address family: where something is multicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index of the interface.
    pub interface: u32,
    /// IPv6.
    pub v6: bool,
}

enum Paced {
    Multicast(Place, Vec<u8>),
    Done(oneshot::Sender<()>),
}

/// Of places on any interfaces one for each: of this family, or of the other where there is but that.
pub fn one_family(places: &[Place], v6: bool) -> impl Iterator<Item = Place> + '_ {
    let other = |place: &Place| Place { v6: !place.v6, ..*place };
    places.iter().filter(move |place| place.v6 == v6 || !places.contains(&other(place))).copied()
}

/// Outputs on their way.
pub struct Outbox {
    ready: VecDeque<Output>,
    paced: VecDeque<Paced>,
    bucket: Bucket,
    /// Multicast messages so far.
    pub multicasts: u64,
    /// Unicast messages so far.
    pub unicasts: u64,
}

impl Default for Outbox {
    fn default() -> Outbox {
        let (ready, paced, bucket) = (VecDeque::new(), VecDeque::new(), Bucket::new(PACE.0, PACE.1));
        Outbox { ready, paced, bucket, multicasts: 0, unicasts: 0 }
    }
}

impl Place {
    /// The next one in order.
    pub fn next(self) -> Place {
        Place { interface: self.interface + u32::from(self.v6), v6: !self.v6 }
    }
}

impl Outbox {
    /// Multicasts from the multicast DNS port, in its turn.
    pub fn multicast(&mut self, place: Place, bytes: Vec<u8>) {
        self.paced.push_back(Paced::Multicast(place, bytes));
    }

    /// Multicasts from our own port, at once: a question of the exchange.
    pub fn ask(&mut self, place: Place, bytes: Vec<u8>) {
        self.multicasts += 1;
        let to = To::Group { interface: place.interface, v6: place.v6 };
        self.ready.push_back(Output::Transmit(Transmit { via: Via::Direct, to, bytes }));
    }

    /// Sends to one host, at once.
    pub fn unicast(&mut self, via: Via, interface: u32, addr: SocketAddr, bytes: Vec<u8>) {
        self.unicasts += 1;
        self.ready.push_back(Output::Transmit(Transmit { via, to: To::Host { interface, addr }, bytes }));
    }

    /// Tells what was heard.
    pub fn tell(&mut self, sighting: Sighting) {
        self.ready.push_back(Output::Sighting(sighting));
    }

    /// Tells `done` when all that was multicast before is out.
    pub fn done(&mut self, done: oneshot::Sender<()>) {
        self.paced.push_back(Paced::Done(done));
    }

    /// Lets out what the pace allows by now.
    pub fn release(&mut self, now: Time) {
        while let Some(next) = self.paced.front() {
            if matches!(next, Paced::Multicast(..)) && !self.bucket.take(now, 1) {
                return;
            }
            match self.paced.pop_front() {
                Some(Paced::Multicast(place, bytes)) => {
                    self.multicasts += 1;
                    let to = To::Group { interface: place.interface, v6: place.v6 };
                    self.ready.push_back(Output::Transmit(Transmit { via: Via::Group, to, bytes }));
                }
                Some(Paced::Done(done)) => self.ready.push_back(Output::Done(done)),
                None => return,
            }
        }
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        let next = self.ready.pop_front();
        if next.is_none() {
            self.ready.shrink_to(KEPT);
            self.paced.shrink_to(KEPT);
        }
        next
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.paced.is_empty()
    }

    /// Whether a message more would go out at once.
    pub fn has_room(&mut self, now: Time) -> bool {
        self.paced.is_empty() && self.bucket.left(now) > 0
    }

    /// When more can be let out; `waiting`: of what is not here yet.
    pub fn next_due(&mut self, now: Time, waiting: bool) -> Option<Time> {
        (waiting || !self.paced.is_empty()).then(|| self.bucket.next(now))
    }
}
