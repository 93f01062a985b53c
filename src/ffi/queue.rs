//! The event queue of one watch and its three faces: pull, loop and push.
//!
//! The order that makes stopping safe: `stopped` and `running` change under one lock, which is never
//! held while C runs. A callback starts only if `stopped` was false when `running` became true; who
//! stops sets `stopped` and then waits for `running` to end.

use std::collections::VecDeque;
use std::sync::{mpsc, Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::callback::{self, Inside, UserData};
use super::event::{self, mdnsreg_event};
use super::guard::{self, Out};
use crate::error::{Error, Result, Status};
use crate::event::Event;
use crate::runtime::Masked;
use crate::watcher::{Next, Watcher};

/// How long the push face waits for a handle when all are in use.
const HANDLE_RETRY: Duration = Duration::from_millis(50);

/// How a watch is read; the first use decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    Pull,
    Loop,
    Push,
}

impl Face {
    const fn call(self) -> &'static str {
        match self {
            Face::Pull => "mdnsreg_watch_next",
            Face::Loop => "mdnsreg_watch_dispatch",
            Face::Push => "mdnsreg_watch_start",
        }
    }
}

#[derive(Default)]
struct State {
    face: Option<Face>,
    /// The descriptor was handed out: pull and loop go with it, push does not.
    polled: bool,
    stopped: bool,
    /// A thread is in `dispatch`.
    dispatching: bool,
    /// C runs: a callback, or the free function of the push face.
    running: bool,
    /// The push face's free function has not returned.
    pushing: bool,
    /// Taken from the watcher when no handle was left for them.
    kept: VecDeque<Event>,
}

/// A watcher with the state of its faces.
pub(super) struct Queue {
    watcher: Watcher,
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    pub(super) fn new(watcher: Watcher) -> Arc<Queue> {
        Arc::new(Queue { watcher, state: Mutex::new(State::default()), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What [`Inside`] knows this queue's callbacks by.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn claim(&self, face: Face) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        match state.face {
            _ if face == Face::Push && state.stopped => Err(Error::Closed { what: "watch" }),
            Some(taken) if taken != face || face == Face::Push => {
                Err(Error::Busy { what: format!("the watch is read with {}", taken.call()) })
            }
            _ if face == Face::Push && state.polled => {
                Err(Error::Busy { what: "the watch is read with mdnsreg_watch_fd".into() })
            }
            _ => {
                state.face = Some(face);
                Ok(state)
            }
        }
    }

    /// What was kept, or what the watcher has within `limit` (`None` = no limit).
    fn take(&self, limit: Option<Duration>) -> Next {
        {
            let mut state = self.lock();
            if state.stopped {
                return Next::End;
            }
            if let Some(event) = state.kept.pop_front() {
                return Next::Event(event);
            }
        }
        match limit {
            Some(Duration::ZERO) => self.watcher.try_next(),
            limit => self.watcher.next_timeout(limit),
        }
    }

    /// An event for which there was no handle is told later, before all others.
    fn keep(&self, (event, error): (Event, Error)) -> Error {
        self.lock().kept.push_front(event);
        error
    }

    /// Pull: writes the next event to `out` as an object that C owns.
    pub(super) fn next(&self, limit: Option<Duration>, out: &Out<*mut mdnsreg_event>) -> Result<Status> {
        drop(self.claim(Face::Pull)?);
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
        let mut state = self.claim(Face::Loop)?;
        if std::mem::replace(&mut state.dispatching, true) {
            return Err(Error::Busy { what: "mdnsreg_watch_dispatch runs on this watch".into() });
        }
        drop(state);
        let result = self.dispatch_alone(most, call);
        self.lock().dispatching = false;
        result
    }

    fn dispatch_alone(&self, most: i32, call: &impl Fn(*const mdnsreg_event)) -> Result<(Status, i32)> {
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
        if !self.begin() {
            return Ok(false);
        }
        let lent = {
            let _inside = Inside::new(self.id());
            event::lend(event, call)
        };
        self.update(|state| state.running = false);
        lent.map(|()| true).map_err(|kept| self.keep(kept))
    }

    fn begin(&self) -> bool {
        let mut state = self.lock();
        state.running = !state.stopped;
        state.running
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Push: a thread of the library's calls back from now on; `user` is dropped after the last call,
    /// or here when it cannot start.
    pub(super) fn start(
        self: &Arc<Queue>,
        user: UserData,
        call: impl Fn(*const mdnsreg_event, &UserData) + Send + 'static,
    ) -> Result<()> {
        let user = user.of(self.id());
        let mut state = self.claim(Face::Push)?;
        state.pushing = true;
        drop(state);
        // Dropped on the way out: nobody is called back while this call is at work.
        let (_gate, opened) = mpsc::channel::<()>();
        let queue = self.clone();
        let body = move || {
            let _closed = opened.recv();
            queue.push(user, call);
        };
        let _masked = Masked::new();
        let spawned = std::thread::Builder::new().name("mdnsreg-watch".into()).spawn(body);
        spawned.map(drop).map_err(|error| {
            self.update(|state| (state.pushing, state.face) = (false, None));
            Error::Network { what: "starting the callback thread".into(), problem: error.to_string() }
        })
    }

    fn push(&self, user: UserData, call: impl Fn(*const mdnsreg_event, &UserData)) {
        let call = |event: *const mdnsreg_event| call(event, &user);
        let ended = guard::caught(|| loop {
            match self.take(None) {
                Next::Event(event) => match self.tell(event, &call) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(_no_handle) => self.await_handle(),
                },
                Next::Empty => {}
                Next::End => return Ok(()),
            }
        });
        if let Err(defect) = ended {
            tracing::error!("the callback thread of a watch ended: {defect}");
        }
        self.watcher.stop();
        self.update(|state| (state.stopped, state.running) = (true, true));
        drop(user);
        self.update(|state| (state.pushing, state.running) = (false, false));
    }

    fn await_handle(&self) {
        let state = self.lock();
        let _state = self.changed.wait_timeout_while(state, HANDLE_RETRY, |state| !state.stopped);
    }

    /// No callback starts from now on, and a blocked `next` ends. Blocks for nothing.
    pub(super) fn halt(&self) {
        self.update(|state| {
            state.stopped = true;
            state.kept.clear();
        });
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
        let mut state = self.lock();
        while state.running || state.pushing {
            let Some(deadline) = deadline else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy { what: "a callback of the watch has not returned".into() });
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Status::OK)
    }

    /// The descriptor that is readable while events wait.
    pub(super) fn fd(&self) -> Result<i32> {
        let mut state = self.lock();
        if state.face == Some(Face::Push) {
            return Err(Error::Busy { what: format!("the watch is read with {}", Face::Push.call()) });
        }
        let fd = self.watcher.fd()?;
        state.polled = true;
        Ok(fd)
    }
}
