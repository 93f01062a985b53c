//! The adapter to the crate `mdns-sd`: this and the files below it are the only place that names it.
//!
//! What it is good for: about 200 nodes on a network. What it is not, because the crate is not:
//! - Its event channel holds 1,000 events and the cache is replayed as two a node, so beyond 500
//!   nodes the subscription can break at any browse; it is then begun again and nothing is lost
//!   for certain, but much is asked twice.
//! - Its socket buffer is the system's default: beyond some 700 nodes of one responder, answers
//!   are lost and asked for one by one.
//! - Its cache has no bound, and holds what any host of the network puts there.
//! - A node that was cut off for longer than its lease is asked for after 5 s and then twice as
//!   late each time, up to 10 min; the crate itself would wait for an hour.
//! - No subtype is published: between two of its kind, a browse for one finds nothing.
//! - When it starts it joins the multicast group on every interface, and then leaves those that
//!   are not wanted. A scope that is made narrower says no goodbye on what it leaves.
//! - What was multicast within the last second is not multicast again (RFC 6762 §6), and each
//!   publication is multicast twice, so the crate's own query can find nothing for some two seconds
//!   after it. A one-shot question beside it is exempt, see [`one_shot`].
//! - A node that is published again less than 1.25 s after its goodbye waits for that long.
//! - What is registered for "this host" or for an address of no own network is advertised to
//!   other software with this host's addresses; our own readers get the address as registered.
//!
//! One thread of ours runs beside the daemon's: it alone talks to the daemon and keeps all state,
//! see [`Worker`]. The daemon is asked through bounded queues that refuse when full; nothing waits.

mod convert;
mod hearing;
mod one_shot;
mod outbox;
mod subnets;
mod talk;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mdns_sd::{IfKind, IfPredicate, Metrics, ServiceDaemon};
use socket2::{Domain, Socket, Type};
use tokio::sync::{mpsc, oneshot};

use self::worker::Worker;
use super::{Link, Message, Opened, Patience};
use crate::error::{Error, Result};
use crate::fork;
use crate::record::Owner;
use crate::refused::Refusals;

/// Sightings on their way to the driver.
const SIGHTINGS: usize = 1_024;

/// Opens the link on a UDP port.
///
/// # Errors
/// `NETWORK` if the port cannot be bound, or no thread or descriptor is left.
pub fn open(port: u16) -> Result<Opened> {
    probe(port)?;
    let daemon = Daemon(ServiceDaemon::new_with_port(port).map_err(|e| failed("starting mDNS", &e))?);
    let enabled = Arc::new(RwLock::new(BTreeSet::new()));
    let chosen = enabled.clone();
    // ff02::fb has no route on loopback, so there it is IPv4 only.
    let speaks = IfPredicate::new(move |interface| {
        let names: &RwLock<BTreeSet<Arc<str>>> = &chosen;
        let names = names.read().unwrap_or_else(PoisonError::into_inner);
        names.contains(interface.name.as_str()) && !(interface.is_loopback() && interface.ip().is_ipv6())
    });
    let set_up = || {
        daemon.0.set_ip_check_interval(1)?;
        daemon.0.disable_interface(IfKind::All)?;
        daemon.0.enable_interface(IfKind::Predicate(speaks))?;
        daemon.0.monitor()
    };
    let ended = set_up().map_err(|error| failed("setting mDNS up", &error))?;
    let (submit, submitted) = flume::unbounded();
    let (sightings, heard) = mpsc::channel(SIGHTINGS);
    let counters = Arc::new(Counters::default());
    let worker = Worker::new(daemon, ended, submitted, sightings, enabled, counters.clone(), port);
    let thread = std::thread::Builder::new().name("mdnsreg-mdns-sd".into());
    thread.spawn(move || worker.run()).map_err(|error| failed("starting a thread", &error))?;
    Ok((Box::new(MdnsSd { submit: Some(submit), counters }), heard))
}

/// The daemon says nothing where it cannot bind its port, so that is tried first.
fn probe(port: u16) -> Result<()> {
    let bind = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())
    };
    bind().map_err(|error: std::io::Error| failed(&format!("binding UDP port {port}"), &error))
}

fn failed(what: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::Network { what: what.to_owned(), problem: problem.to_string() }
}

enum Submitted {
    Message(Owner, Message),
    Shutdown(oneshot::Sender<()>),
}

struct MdnsSd {
    submit: Option<flume::Sender<Submitted>>,
    counters: Arc<Counters>,
}

impl Link for MdnsSd {
    fn submit(&self, from: &Owner, message: Message) {
        if let Some(submit) = &self.submit {
            let _ = submit.send(Submitted::Message(from.clone(), message));
        }
    }

    fn patience(&self) -> Patience {
        let (check_after, grace) = (Duration::from_secs(90), Duration::from_secs(2));
        Patience { check_after, grace, answer: hearing::ANSWER }
    }

    fn counters(&self) -> Vec<(String, u64)> {
        self.counters.list()
    }

    fn shutdown(&self) -> oneshot::Receiver<()> {
        let (ended, receiver) = oneshot::channel();
        if let Some(submit) = &self.submit {
            let _ = submit.send(Submitted::Shutdown(ended));
        }
        receiver
    }
}

impl Drop for MdnsSd {
    fn drop(&mut self) {
        // In the child of a fork a lock of the channel may be held by a thread that is not there.
        if fork::forked() {
            std::mem::forget(self.submit.take());
        }
    }
}

/// The daemon holds a sender to itself: only being told ends it.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    withdrawn: AtomicU64,
    refused_by_daemon: AtomicU64,
    verified: AtomicU64,
    browsed: AtomicU64,
    broken: AtomicU64,
    tried_again: AtomicU64,
    resolved: AtomicU64,
    answered: AtomicU64,
    removed: AtomicU64,
    told: AtomicU64,
    refused: Refusals,
    daemon: Mutex<Metrics>,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    fn list(&self) -> Vec<(String, u64)> {
        let own = [
            ("published", &self.published),
            ("withdrawn", &self.withdrawn),
            ("refused-by-daemon", &self.refused_by_daemon),
            ("verified", &self.verified),
            ("browsed", &self.browsed),
            ("subscriptions-broken", &self.broken),
            ("tried-again", &self.tried_again),
            ("resolved", &self.resolved),
            ("answered-directly", &self.answered),
            ("removed", &self.removed),
            ("told", &self.told),
        ];
        let daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = own.iter().map(|(n, c)| ((*n).to_owned(), c.load(Ordering::Relaxed))).collect();
        let daemons = daemon.iter().map(|(name, n)| (format!("daemon-{name}"), u64::try_from(*n).unwrap_or(0)));
        list.extend(daemons.collect::<BTreeMap<_, _>>());
        list.extend(self.refused.list().into_iter().map(|(name, count)| (name.to_owned(), count)));
        list
    }
}
