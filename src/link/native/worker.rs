//! The thread of the link: what comes goes into the endpoint, what it wants is done.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsFd;
use tokio::sync::{mpsc, oneshot};

use super::endpoint::Endpoint;
use super::io::{Attached, Output};
use super::socket::{self, Changes, Sockets, PATIENCE};
use crate::clock;
use crate::link::Message;
use crate::panics;
use crate::record::{Owner, Sighting, Time};

/// Changes of the interfaces come in bursts; they are listed when it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(20);
/// The longest sleep while something is due: our clock goes on while the host sleeps, the kernel's timers do not.
const NAP: Duration = Duration::from_secs(1);
/// The registries do not keep up: when to try again.
const RETRY: Duration = Duration::from_millis(1);
/// Turns without an end of what comes before what is due is done all the same.
const PATIENT: u32 = 8;
/// After a turn that panicked, which the next may do as well: it must not take up a processor.
const AFTER_A_DEFECT: Duration = Duration::from_millis(100);
/// How long the last goodbyes may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Counters, as last told by the thread.
pub(super) type Counters = Arc<Mutex<Vec<(&'static str, u64)>>>;

pub(super) enum Submitted {
    Message(Owner, Message),
    Shutdown(oneshot::Sender<()>),
}

/// All that the thread owns.
pub(super) struct Worker {
    pub sockets: Sockets,
    pub changes: Changes,
    pub endpoint: Endpoint,
    pub attached: Vec<Attached>,
    pub submitted: Receiver<Submitted>,
    /// Written to after each submission.
    pub bell: Arc<EventFd>,
    pub sightings: mpsc::Sender<Sighting>,
    /// Those that the channel has no room for yet, in order.
    pub untold: VecDeque<Sighting>,
    pub counters: Counters,
}

/// How far the thread is.
#[derive(Default)]
struct Course {
    /// Who is told when it has ended.
    ended: Vec<oneshot::Sender<()>>,
    /// When it ends at the latest.
    closes: Option<Time>,
    /// When the interfaces are listed.
    lists: Option<Time>,
    /// Turns since there was nothing to receive.
    turns: u32,
}

impl Worker {
    pub fn run(mut self) {
        #[cfg(test)]
        crate::drill::here(crate::drill::Place::LinkThread);
        let mut course = Course::default();
        let attached = self.attached.clone();
        panics::survived("a start of the link", || self.endpoint.set_interfaces(clock::now(), attached));
        loop {
            let turned = panics::survived("a turn of the link", || self.turn(&mut course));
            if turned.is_none() {
                std::thread::sleep(AFTER_A_DEFECT);
            }
            if turned == Some(true) || course.closes.is_some_and(|at| at <= clock::now()) {
                break;
            }
        }
        // The sockets are closed before anybody is told.
        drop(self);
        for ended in course.ended {
            let _ = ended.send(());
        }
    }

    /// Does what there is to do, and waits for more; true when all is over.
    fn turn(&mut self, course: &mut Course) -> bool {
        let now = clock::now();
        if !self.take_submitted(&mut course.ended) && course.closes.is_none() {
            course.closes = Some(now + CLOSING);
            self.endpoint.shutdown(now);
        }
        #[cfg(test)]
        crate::drill::here(crate::drill::Place::Link);
        if self.changes.take() {
            course.lists = Some(now + QUIET);
        }
        if course.lists.is_some_and(|at| at <= now) {
            course.lists = (!self.list_interfaces(now)).then(|| now + NAP);
        }
        let mut more = !self.untold.is_empty();
        if self.untold.is_empty() {
            let endpoint = &mut self.endpoint;
            more = self.sockets.receive(|datagram| {
                panics::survived("reading a datagram", || {
                    #[cfg(test)]
                    crate::drill::here(crate::drill::Place::Datagram);
                    endpoint.handle_datagram(now, datagram);
                });
            });
        }
        // An answer that waits in a buffer is not late; but a flood must not hold up everything else.
        course.turns = if more { course.turns + 1 } else { 0 };
        let now = clock::now();
        if course.turns.is_multiple_of(PATIENT) && self.endpoint.next_due().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        self.carry_out();
        self.tell();
        if self.endpoint.is_over() {
            return true;
        }
        let due = [self.endpoint.next_due(), course.closes, course.lists];
        self.wait(due.into_iter().flatten().min());
        false
    }

    /// Takes what was submitted; `false` when the link is to end.
    fn take_submitted(&mut self, ended: &mut Vec<oneshot::Sender<()>>) -> bool {
        let _ = self.bell.read();
        loop {
            match self.submitted.try_recv() {
                Ok(Submitted::Message(from, message)) => {
                    let moves = !matches!(message, Message::Commands { .. });
                    // What is said is timed by when it is said (RFC 6762 §8.3), not by when this turn began.
                    self.endpoint.submit(clock::now(), &from, message);
                    self.carry_out();
                    if moves {
                        self.speak();
                    }
                }
                Ok(Submitted::Shutdown(told)) => ended.push(told),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return ended.is_empty(),
            }
        }
    }

    /// Tells of the interfaces; `false` if they could not be listed.
    fn list_interfaces(&mut self, now: Time) -> bool {
        match socket::attached() {
            Ok(attached) if attached != self.attached => {
                self.attached.clone_from(&attached);
                self.endpoint.set_interfaces(now, attached);
                self.speak();
                true
            }
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "the interfaces are taken to be what they were");
                false
            }
        }
    }

    /// Is in the group where the registries speak.
    fn speak(&mut self) {
        let places = self.endpoint.places().iter().map(|place| (place.interface, place.v6));
        self.sockets.speak_on(&self.attached, places);
    }

    fn carry_out(&mut self) {
        let mut patience = PATIENCE;
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sockets.send(&transmit, &mut patience),
                Output::Sighting(sighting) => self.untold.push_back(sighting),
                Output::Done(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn tell(&mut self) {
        while let Ok(permit) = self.sightings.try_reserve() {
            let Some(sighting) = self.untold.pop_front() else { return };
            permit.send(sighting);
        }
        if self.sightings.is_closed() {
            self.untold.clear();
        }
    }

    /// Waits for input, at most until `due`.
    fn wait(&mut self, due: Option<Time>) {
        self.publish_counters();
        let due = due.map(|due| (due - clock::now()).min(NAP));
        let limit = if self.untold.is_empty() { due } else { Some(due.unwrap_or(RETRY).min(RETRY)) };
        let limit = limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO));
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(self.bell.as_fd()), readable(self.changes.fd())];
        if self.untold.is_empty() {
            fds.extend(self.sockets.fds().map(readable));
        }
        // Interrupted or not, everything is looked at.
        let _ = poll(&mut fds, limit);
    }

    fn publish_counters(&self) {
        let mut counters = self.sockets.counts().list();
        counters.extend(self.endpoint.counters());
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}
