//! Records and sightings: the nouns between engine and link. Plain data, no clock.

use std::net::IpAddr;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use crate::event::Reason;
use crate::model::{Compact, Service};
use crate::options::Domain;
use crate::refused::Refused;

/// Milliseconds of a clock that neither steps nor stops in sleep (CLOCK_BOOTTIME).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, later: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, earlier: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(earlier.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Opaque and stable for a node: on the DNS-SD wire its instance label.
pub type Key = Arc<str>;

/// A registry's tag: 26 base32 characters of a random 128-bit id, new with each open.
pub type Owner = Arc<str>;

/// One node as it is advertised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Names the node in this view.
    pub key: Key,
    /// The registry that published it; for other software, the key.
    pub owner: Owner,
    /// Grows with each change by the owner: a record with a lower one is older.
    pub revision: u64,
    /// Seconds that the node lives on without a sign of life.
    pub lease: u32,
    /// Said on go-micro's wire alone, in this domain; `None` = by DNS-SD.
    pub go_micro: Option<Domain>,
    /// Name, version, service metadata and endpoints; its `nodes` is empty.
    pub service: Arc<Service>,
    /// The node, its address as registered: empty for "this host".
    pub node: Compact,
}

impl Record {
    /// `lease`, as a time.
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease))
    }

    /// How much memory its data take, bytes, about, if no other node shares them.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.node.heap_bytes() + self.service.heap_bytes()
    }

    /// Whether both say the same to a reader: all but revision and lease.
    pub fn same_data(&self, other: &Record) -> bool {
        self.node == other.node && (Arc::ptr_eq(&self.service, &other.service) || self.service == other.service)
    }
}

/// An address at which a node's host can be reached, and the interface it was heard on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reach {
    /// From an A or AAAA record.
    pub ip: IpAddr,
    /// The local interface the record came over.
    pub interface: Arc<str>,
}

/// A local interface that is up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interface {
    /// As in `ip link`.
    pub name: Arc<str>,
    /// Its addresses.
    pub addrs: Vec<IpAddr>,
    /// The loopback interface.
    pub loopback: bool,
    /// Up and able to multicast, or loopback.
    pub usable: bool,
}

/// What a lookup asks the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The nodes of one service.
    Service(Arc<str>),
    /// The names of all services.
    Names,
    /// All nodes of all services.
    Everything,
}

impl Question {
    /// Whether it asks for nodes of a service; who asks for names is told of all.
    pub fn asks_for(&self, service: &str) -> bool {
        !matches!(self, Question::Service(asked) if **asked != *service)
    }
}

/// What a link heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A record, new, changed or repeated by its owner: a sign of life.
    Seen {
        /// The node.
        record: Arc<Record>,
        /// Where its host can be reached; empty if only the record's own address counts.
        reach: Arc<[Reach]>,
    },
    /// The same, for who asks now: what the link has held since it was heard last, at `at`.
    Held {
        /// The node.
        record: Arc<Record>,
        /// As in `Seen`.
        reach: Arc<[Reach]>,
        /// When there was last a sign of life.
        at: Time,
    },
    /// The owner answered for these nodes at `at`: a sign of life without data.
    Alive {
        /// The nodes.
        keys: Vec<Key>,
        /// When the answer can have been given at the earliest.
        at: Time,
    },
    /// The node is gone.
    Gone {
        /// The node.
        key: Key,
        /// Goodbye, link-down or refused.
        reason: Reason,
    },
    /// Answers to the question have stopped coming.
    Settled(Question),
    /// The interfaces of this host, at the start and after each change.
    Interfaces(Vec<Interface>),
    /// Something heard was not taken.
    Dropped(Refused),
}
