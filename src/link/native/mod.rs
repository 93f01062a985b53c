//! Our own multicast DNS.
//!
//! [`Endpoint`] and what is below it know no socket and no clock. One thread moves it ([`worker`]), between the sockets
//! ([`socket`]) and the registries.

mod alive;
mod asker;
mod cache;
mod compose;
mod defence;
mod endpoint;
mod errand;
mod exchange;
mod fetch;
mod gomicro;
mod herald;
mod interest;
mod io;
mod lookup;
pub mod message;
pub mod name;
mod outbox;
mod pace;
mod pack;
mod peers;
mod publication;
mod querier;
mod reading;
mod responder;
mod room;
mod serve;
mod site;
pub mod socket;
mod trust;
mod unsaid;
mod worker;
mod zone;

use std::collections::VecDeque;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

pub use self::endpoint::Endpoint;
pub use self::io::{Attached, Config, Datagram, Output, To, Transmit, Via};
use self::socket::{Changes, Sockets};
use self::worker::{Counters, Submitted, Worker};
use super::{Link, Message, Opened, Patience};
use crate::error::{Error, Result};
use crate::fork;
use crate::record::Owner;
use crate::{runtime, system};

/// Alive records renew leases: nothing is checked before 80 % of one. The grace is less than the second that is promised
/// by as much as a busy machine may be late.
pub const PATIENCE: Patience = Patience {
    check_after: Duration::from_secs(24 * 60 * 60),
    grace: Duration::from_millis(750),
    answer: Duration::from_millis(500),
};
/// Sightings on their way to the driver.
const SIGHTINGS: usize = 1_024;

/// Opens the link on a UDP port.
///
/// # Errors
/// `NETWORK` if the port cannot be bound, the interfaces cannot be listed, or no thread or descriptor is left.
pub fn open(port: u16) -> Result<Opened> {
    let sockets = Sockets::open(port)?;
    // Before the list, so that no change is missed.
    let changes = Changes::open()?;
    let attached = socket::attached()?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::Network { what: "reading randomness".into(), problem: error.to_string() })?;
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let bell = Arc::new(EventFd::from_flags(flags).map_err(|errno| system::refused("making an eventfd", errno))?);
    let (direct_port_v4, direct_port_v6) = (sockets.direct_port(false), sockets.direct_port(true));
    let endpoint = Endpoint::new(Config { port, direct_port_v4, direct_port_v6, host_name: socket::host_name(), seed });
    let (submit, submitted) = mpsc::channel();
    let (sightings, heard) = tokio::sync::mpsc::channel(SIGHTINGS);
    let counters = Counters::default();
    let native = Native { submit: Some(submit), bell: bell.clone(), counters: counters.clone() };
    let untold = VecDeque::new();
    let worker = Worker { sockets, changes, endpoint, attached, submitted, bell, sightings, untold, counters };
    runtime::spawn("mdnsreg-link", move || worker.run())?;
    Ok((Box::new(native), heard))
}

struct Native {
    submit: Option<Sender<Submitted>>,
    bell: Arc<EventFd>,
    counters: Counters,
}

impl Native {
    fn tell(&self, submitted: Submitted) {
        if self.submit.as_ref().is_some_and(|submit| submit.send(submitted).is_ok()) {
            // It can only be full, and then it rings.
            let _ = self.bell.write(1);
        }
    }
}

impl Link for Native {
    fn submit(&self, from: &Owner, message: Message) {
        self.tell(Submitted::Message(from.clone(), message));
    }

    fn patience(&self) -> Patience {
        PATIENCE
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn shutdown(&self) -> oneshot::Receiver<()> {
        let (ended, receiver) = oneshot::channel();
        self.tell(Submitted::Shutdown(ended));
        receiver
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let submit = self.submit.take();
        // In the child of a fork the thread that reads is not there, and may have left with the channel half way.
        if fork::forked() {
            return std::mem::forget(submit);
        }
        drop(submit);
        let _ = self.bell.write(1);
    }
}
