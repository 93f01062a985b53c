//! Tells readers of a watch that events wait: threads, tasks and file descriptors.

use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::Notify;

use crate::driver::lock;
use crate::error::Result;
use crate::sync::{Condvar, Mutex};
use crate::system;

#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    threads: Condvar,
    tasks: Notify,
}

#[derive(Default)]
struct State {
    ready: bool,
    ended: bool,
    fd: Option<EventFd>,
}

impl Signal {
    /// Events wait.
    pub(crate) fn wake(&self) {
        self.set(false);
    }

    /// The watch is over; readers find that out.
    pub(crate) fn end(&self) {
        self.set(true);
    }

    fn set(&self, ended: bool) {
        let mut state = lock(&self.state);
        state.ended |= ended;
        if !std::mem::replace(&mut state.ready, true) {
            // A full counter is readable too, so a failing write loses nothing.
            let _ = state.fd.as_ref().map(|fd| fd.write(1));
        }
        self.threads.notify_all();
        self.tasks.notify_waiters();
    }

    /// No event waits any more. A watch that is over stays readable.
    pub(crate) fn clear(&self) {
        let mut state = lock(&self.state);
        if !state.ended && std::mem::take(&mut state.ready) {
            let _ = state.fd.as_ref().map(EventFd::read);
        }
    }

    /// Blocks until events wait; false when `deadline` comes first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = lock(&self.state);
        while !state.ready {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => match self.threads.wait_timeout(state, left) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => match self.threads.wait(state) {
                    Ok(state) => state,
                    Err(poisoned) => poisoned.into_inner(),
                },
            };
        }
        true
    }

    /// Ends when events wait.
    pub(crate) async fn ready(&self) {
        loop {
            let notified = self.tasks.notified();
            if lock(&self.state).ready {
                return;
            }
            notified.await;
        }
    }

    /// An eventfd that is readable while events wait.
    pub(crate) fn fd(&self) -> Result<RawFd> {
        let mut state = lock(&self.state);
        if state.fd.is_none() {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let fd = EventFd::from_value_and_flags(u32::from(state.ready), flags)
                .map_err(|errno| system::refused("making an eventfd", errno))?;
            state.fd = Some(fd);
        }
        Ok(state.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd))
    }
}
