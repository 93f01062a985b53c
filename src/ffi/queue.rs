//! The event queue of one watch and its three faces: pull, loop and push.

use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use super::callback::{self, Inside, UserData};
use super::event::{self, mdnsreg_event};
use super::gate::{Face, Gate, Kept, Refusal};
use super::guard::Out;
use crate::error::{Error, Result, Status};
use crate::event::Event;
use crate::panics;
use crate::runtime;
use crate::watcher::{Next, Watcher};

/// How long the push face waits for a handle when all are in use.
const HANDLE_RETRY: Duration = Duration::from_millis(50);

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let read_with = |call: &str| Error::Busy { what: format!("the watch is read with {call}") };
        match refusal {
            Refusal::Stopped => Error::Closed { what: "watch" },
            Refusal::Taken(Face::Pull) => read_with("mdnsreg_watch_next"),
            Refusal::Taken(Face::Loop) => read_with("mdnsreg_watch_dispatch"),
            Refusal::Taken(Face::Push) => read_with("mdnsreg_watch_start"),
            Refusal::Polled => read_with("mdnsreg_watch_fd"),
            Refusal::Dispatching => Error::Busy { what: "mdnsreg_watch_dispatch runs on this watch".into() },
        }
    }
}

/// A watcher with the state of its faces.
pub(super) struct Queue {
    watcher: Watcher,
    gate: Gate<Event>,
}

impl Queue {
    pub(super) fn new(watcher: Watcher) -> Arc<Queue> {
        Arc::new(Queue { watcher, gate: Gate::new() })
    }

    /// What [`Inside`] knows this queue's callbacks by.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// What was kept, or what the watcher has within `limit` (`None` = no limit).
    fn take(&self, limit: Option<Duration>) -> Next {
        match self.gate.kept() {
            Kept::Stopped => Next::End,
            Kept::Event(event) => Next::Event(event),
            Kept::Nothing if limit == Some(Duration::ZERO) => self.watcher.try_next(),
            Kept::Nothing => self.watcher.next_timeout(limit),
        }
    }

    /// An event for which there was no handle is told later, before all others.
    fn keep(&self, (event, error): (Event, Error)) -> Error {
        self.gate.keep(event);
        error
    }

    /// Pull: writes the next event to `out` as an object that C owns.
    pub(super) fn next(&self, limit: Option<Duration>, out: &Out<*mut mdnsreg_event>) -> Result<Status> {
        self.gate.pull()?;
        match self.take(limit) {
            Next::Event(event) => {
                out.put(event::give(event).map_err(|kept| self.keep(kept))?);
                Ok(Status::OK)
            }
            Next::Empty => Ok(Status::EMPTY),
            Next::End => Ok(Status::END),
        }
    }

    /// Loop: calls back on this thread for at most `most` events that wait now; says for how many.
    pub(super) fn dispatch(&self, most: i32, call: &impl Fn(*const mdnsreg_event)) -> Result<(Status, i32)> {
        let _dispatching = self.gate.dispatch()?;
        let mut told = 0;
        while told < most {
            let ended = match self.take(Some(Duration::ZERO)) {
                Next::Event(event) => match self.tell(event, call) {
                    Ok(true) => {
                        told += 1;
                        continue;
                    }
                    Ok(false) => Status::END,
                    Err(error) if told == 0 => return Err(error),
                    Err(_) => Status::EMPTY,
                },
                Next::Empty => Status::EMPTY,
                Next::End => Status::END,
            };
            return Ok((if told == 0 { ended } else { Status::OK }, told));
        }
        Ok((Status::OK, told))
    }

    /// Calls back once; false when the watch was stopped before.
    fn tell(&self, event: Event, call: &impl Fn(*const mdnsreg_event)) -> Result<bool> {
        let Some(running) = self.gate.begin() else { return Ok(false) };
        let lent = {
            let _inside = Inside::new(self.id());
            #[cfg(test)]
            crate::drill::here(crate::drill::Place::Callback);
            event::lend(event, call)
        };
        drop(running);
        lent.map(|()| true).map_err(|kept| self.keep(kept))
    }

    /// Push: a thread of the library's calls back from now on; `user` is dropped after the last call,
    /// or here when it cannot start.
    pub(super) fn start(
        self: &Arc<Queue>,
        user: UserData,
        call: impl Fn(*const mdnsreg_event, &UserData) + Send + 'static,
    ) -> Result<()> {
        let user = user.of(self.id());
        self.gate.push()?;
        // Dropped on the way out: nobody is called back while this call is at work.
        let (_gate, opened) = mpsc::channel::<()>();
        let queue = self.clone();
        let body = move || {
            let _closed = opened.recv();
            queue.push(user, call);
        };
        runtime::spawn("mdnsreg-watch", body).inspect_err(|_refused| self.gate.unpush())
    }

    fn push(&self, user: UserData, call: impl Fn(*const mdnsreg_event, &UserData)) {
        let call = |event: *const mdnsreg_event| call(event, &user);
        let tell_all = || loop {
            match self.take(None) {
                Next::Event(event) => match self.tell(event, &call) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_no_handle) => self.gate.rest(HANDLE_RETRY),
                },
                Next::Empty => {}
                Next::End => return,
            }
        };
        panics::survived("telling the events of a watch, which ends,", tell_all);
        panics::survived("ending a watch", || self.watcher.stop());
        self.gate.finish(|| drop(user));
    }

    /// No callback starts from now on, and a blocked `next` ends. Blocks for nothing.
    pub(super) fn halt(&self) {
        self.gate.halt();
        self.watcher.stop();
    }

    /// [`halt`](Queue::halt), and waits at most `limit` (`None` = no limit) for a running callback and
    /// the push face's free function.
    pub(super) fn stop(&self, limit: Option<Duration>) -> Result<Status> {
        self.halt();
        if callback::inside(self.id()) {
            return Ok(Status::DEFERRED);
        }
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        if !self.gate.await_idle(deadline) {
            return Err(Error::Busy { what: "a callback of the watch has not returned".into() });
        }
        Ok(Status::OK)
    }

    /// The descriptor that is readable while events wait.
    pub(super) fn fd(&self) -> Result<i32> {
        self.gate.poll(|| self.watcher.fd())
    }
}
