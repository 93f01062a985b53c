//! The library's log on its way to `logging`: a bounded queue, because no thread of the library may wait for Python.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mdns_registry::log;
use pyo3::prelude::*;

/// Lines kept for a reader that is behind; more are counted and dropped.
const LINES: usize = 1_024;

type Line = (u8, &'static str, String);

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    dropped: u64,
    /// Registries of this module that are open.
    open: usize,
    ended: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { lines: VecDeque::new(), dropped: 0, open: 0, ended: false });
static CHANGED: Condvar = Condvar::new();

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(change: impl FnOnce(&mut Queue)) {
    if !mdns_registry::fork::forked() {
        change(&mut queue());
        CHANGED.notify_all();
    }
}

pub fn opened() {
    change(|queue| queue.open += 1);
}

pub fn closed() {
    change(|queue| queue.open -= 1);
}

fn put(talk: u8, module: &'static str, text: String) {
    change(|queue| match queue.lines.len() < LINES {
        true => queue.lines.push_back((talk, module, text)),
        false => queue.dropped += 1,
    });
}

impl Queue {
    fn over(&self) -> bool {
        self.open == 0 || self.ended
    }

    fn next(&mut self) -> Option<Line> {
        self.lines.pop_front().or_else(|| match std::mem::take(&mut self.dropped) {
            0 => None,
            dropped => Some((2, module_path!(), format!("{dropped} lines of the log were dropped"))),
        })
    }
}

/// The most talkative line that is kept: 0 none, 1 errors, to 5 everything.
#[pyfunction]
pub fn log_limit(talk: u8) {
    // Nothing else in this module sets a subscriber, so there is none to be in the way.
    let _ = log::forward(put);
    log::limit(talk);
}

/// The next line: how talkative, which module, the text. `None` if none came within `limit` seconds, or none will.
#[pyfunction]
pub fn log_next(py: Python<'_>, limit: f64) -> Option<(u8, &'static str, String)> {
    let limit = Duration::try_from_secs_f64(limit).unwrap_or_default();
    py.detach(|| {
        let waits = |queue: &mut Queue| queue.lines.is_empty() && queue.dropped == 0 && !queue.over();
        let waited = CHANGED.wait_timeout_while(queue(), limit, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.next()
    })
}

/// Whether no registry is open, or the log was ended.
#[pyfunction]
pub fn log_over() -> bool {
    queue().over()
}

/// Ends the log for good, as the interpreter is about to end.
#[pyfunction]
pub fn log_end() {
    change(|queue| queue.ended = true);
}
