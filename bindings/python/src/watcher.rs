//! A watch: events as a thread or an event loop takes them.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use mdns_registry::{Error, Next};
use pyo3::prelude::*;

use crate::pending::SLICE;
use crate::{convert, errors};

/// Tells the present state and then every change.
#[pyclass(frozen)]
pub struct Watcher(mdns_registry::Watcher);

impl Watcher {
    pub fn new(watcher: mdns_registry::Watcher) -> Watcher {
        Watcher(watcher)
    }
}

#[pymethods]
impl Watcher {
    /// The next event; `None` if none came within `limit` seconds. An event is taken only when it is returned.
    #[pyo3(signature = (limit=None))]
    fn next<'py>(&self, py: Python<'py>, limit: Option<f64>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let limit = limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut next = errors::call(py, || Ok(self.0.try_next()))?;
        loop {
            match next {
                Next::Event(event) => return convert::event(py, &event).map(Some),
                Next::End => return Err(errors::exception(py, &Error::Closed { what: "the watch" })),
                Next::Empty => {}
            }
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            py.check_signals()?;
            next = errors::call_detached(py, || Ok(self.0.next_timeout(Some(left.min(SLICE)))))?;
        }
    }

    /// A descriptor that is readable while events wait or the watch is over.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        errors::call(py, || self.0.fd())
    }

    /// Ends the watch, and every wait for it.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        errors::call(py, || {
            self.0.stop();
            Ok(())
        })
    }
}
