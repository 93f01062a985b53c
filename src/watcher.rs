//! A watch in the caller's hands.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::{Core, Ended};
use crate::engine::WatchId;
use crate::error::Result;
use crate::event::Event;
use crate::fork;
use crate::signal::Signal;

/// What a reader of a watch gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next event.
    Event(Event),
    /// None came in time.
    Empty,
    /// The watch was stopped or its registry closed.
    End,
}

/// Tells the present state and then every change, in order. Dropping it stops it.
///
/// Several threads may read one watcher; each event goes to one of them.
pub struct Watcher {
    core: Arc<Core>,
    id: WatchId,
    signal: Arc<Signal>,
}

impl Watcher {
    pub(crate) fn new(core: Arc<Core>, id: WatchId, signal: Arc<Signal>) -> Watcher {
        Watcher { core, id, signal }
    }

    /// The next event if one waits.
    pub fn try_next(&self) -> Next {
        if fork::forked() {
            return Next::End;
        }
        match self.core.next_event(self.id) {
            Ok(Some(event)) => Next::Event(event),
            Ok(None) => Next::Empty,
            Err(Ended) => Next::End,
        }
    }

    /// Blocks until the next event, the end, or `limit`; `None` = no limit.
    pub fn next_timeout(&self, limit: Option<Duration>) -> Next {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            match self.try_next() {
                Next::Empty => {}
                next => return next,
            }
            if !self.signal.wait(deadline) {
                return Next::Empty;
            }
        }
    }

    /// The next event; `None` once the watch is over. Dropping the future loses no event.
    pub async fn next(&self) -> Option<Event> {
        loop {
            match self.try_next() {
                Next::Event(event) => return Some(event),
                Next::End => return None,
                Next::Empty => self.signal.ready().await,
            }
        }
    }

    /// Stops the watch: a blocked reader and every later one gets the end.
    pub fn stop(&self) {
        if !fork::forked() {
            self.core.unwatch(self.id);
        }
    }

    /// An eventfd that is readable while events wait or the watch is over. It belongs to the
    /// watcher: poll it, but neither read nor close it, and let go of it before the watcher.
    ///
    /// # Errors
    /// `NETWORK` if the system gives no file descriptor.
    pub fn fd(&self) -> Result<RawFd> {
        fork::check()?;
        self.signal.fd()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("id", &self.id).finish_non_exhaustive()
    }
}
