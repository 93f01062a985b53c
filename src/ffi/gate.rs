//! Who may call back, and when that is over: how a watch is claimed by one of its faces, and stopped.
//!
//! The order that makes stopping safe: `stopped` and `running` change under one lock, which is never
//! held while C runs. A callback starts only if `stopped` was false when `running` became true; who
//! stops sets `stopped` and then waits for `running` to end. This file names no process-wide state and
//! is model-checked with loom.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard};

/// How a watch is read; the first use decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Pull,
    Loop,
    Push,
}

/// Why a watch cannot be read so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It was stopped, and push would never call back.
    Stopped,
    /// It is read by another face, or a second time by push.
    Taken(Face),
    /// Its descriptor was handed out, and push does not go with it.
    Polled,
    /// A thread is in `dispatch`.
    Dispatching,
}

/// What there is to tell before anything new.
pub(super) enum Kept<E> {
    Event(E),
    Nothing,
    Stopped,
}

struct State<E> {
    face: Option<Face>,
    polled: bool,
    stopped: bool,
    dispatching: bool,
    /// C runs: a callback, or the free function of the push face.
    running: bool,
    /// The push face's free function has not returned.
    pushing: bool,
    /// Taken from the watcher when no handle was left for them.
    kept: VecDeque<E>,
}

pub(super) struct Gate<E> {
    state: Mutex<State<E>>,
    changed: Condvar,
}

impl<E> Gate<E> {
    pub(super) fn new() -> Gate<E> {
        let state = State {
            face: None,
            polled: false,
            stopped: false,
            dispatching: false,
            running: false,
            pushing: false,
            kept: VecDeque::new(),
        };
        Gate { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State<E>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn claim(&self, face: Face) -> Result<MutexGuard<'_, State<E>>, Refusal> {
        let mut state = self.lock();
        match state.face {
            _ if face == Face::Push && state.stopped => Err(Refusal::Stopped),
            Some(taken) if taken != face || face == Face::Push => Err(Refusal::Taken(taken)),
            _ if face == Face::Push && state.polled => Err(Refusal::Polled),
            _ => {
                state.face = Some(face);
                Ok(state)
            }
        }
    }

    /// The watch is read by pulling.
    pub(super) fn pull(&self) -> Result<(), Refusal> {
        self.claim(Face::Pull).map(drop)
    }

    /// The watch is read by one thread's loop, until the result is dropped.
    pub(super) fn dispatch(&self) -> Result<Dispatching<'_, E>, Refusal> {
        let mut state = self.claim(Face::Loop)?;
        match std::mem::replace(&mut state.dispatching, true) {
            true => Err(Refusal::Dispatching),
            false => Ok(Dispatching(self)),
        }
    }

    /// A thread of ours reads the watch, which it ends by [`finish`](Gate::finish).
    pub(super) fn push(&self) -> Result<(), Refusal> {
        self.claim(Face::Push)?.pushing = true;
        Ok(())
    }

    /// That thread could not be started.
    pub(super) fn unpush(&self) {
        self.update(|state| (state.pushing, state.face) = (false, None));
    }

    /// The end of the push face: frees the user data, as the last that runs.
    pub(super) fn finish(&self, free: impl FnOnce()) {
        self.update(|state| (state.stopped, state.running) = (true, true));
        free();
        self.update(|state| (state.pushing, state.running) = (false, false));
    }

    /// A descriptor is handed out, unless the watch is pushed or none can be made.
    pub(super) fn poll<T, X: From<Refusal>>(&self, make: impl FnOnce() -> Result<T, X>) -> Result<T, X> {
        let mut state = self.lock();
        if state.face == Some(Face::Push) {
            return Err(Refusal::Taken(Face::Push).into());
        }
        let made = make()?;
        state.polled = true;
        Ok(made)
    }

    /// Something that was taken is told later, before all else.
    pub(super) fn keep(&self, event: E) {
        self.lock().kept.push_front(event);
    }

    pub(super) fn kept(&self) -> Kept<E> {
        let mut state = self.lock();
        match state.stopped {
            true => Kept::Stopped,
            false => state.kept.pop_front().map_or(Kept::Nothing, Kept::Event),
        }
    }

    /// A callback runs until the result is dropped; none when the watch was stopped before.
    pub(super) fn begin(&self) -> Option<Running<'_, E>> {
        let mut state = self.lock();
        state.running = !state.stopped;
        state.running.then(|| Running(self))
    }

    /// No callback starts from now on. Blocks for nothing.
    pub(super) fn halt(&self) {
        self.update(|state| {
            state.stopped = true;
            state.kept.clear();
        });
    }

    /// Waits until no callback runs and the push face's free function has returned; false when `deadline` comes first.
    pub(super) fn await_idle(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.running || state.pushing {
            let Some(deadline) = deadline else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits for a while, not at all once the watch was stopped.
    pub(super) fn rest(&self, limit: Duration) {
        let state = self.lock();
        if !state.stopped {
            drop(self.changed.wait_timeout(state, limit));
        }
    }
}

/// While this lives, C runs.
pub(super) struct Running<'g, E>(&'g Gate<E>);

impl<E> Drop for Running<'_, E> {
    fn drop(&mut self) {
        self.0.update(|state| state.running = false);
    }
}

/// While this lives, a thread is in `dispatch`.
pub(super) struct Dispatching<'g, E>(&'g Gate<E>);

impl<E> Drop for Dispatching<'_, E> {
    fn drop(&mut self) {
        self.0.lock().dispatching = false;
    }
}
