//! Wakes an event loop: a descriptor it watches, and what is worth polling again.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use mdns_registry::Error;
use nix::sys::eventfd::{EfdFlags, EventFd};
use pyo3::prelude::*;

use crate::errors;

/// A descriptor that is readable while tokens wait.
#[pyclass(frozen)]
pub struct Wakeup(Arc<Bell>);

struct Bell {
    fd: EventFd,
    rung: Mutex<Vec<u64>>,
}

struct Ring {
    bell: Arc<Bell>,
    token: u64,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner).push(self.token);
        // A full counter is readable too, so a failing write loses nothing.
        let _ = self.bell.fd.write(1);
    }
}

impl Wakeup {
    pub fn waker(&self, token: u64) -> Waker {
        Waker::from(Arc::new(Ring { bell: self.0.clone(), token }))
    }
}

#[pymethods]
impl Wakeup {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Wakeup> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(|errno| {
            let (what, problem) = ("making an eventfd".into(), errno.desc().to_owned());
            errors::exception(py, &Error::Network { what, problem })
        })?;
        Ok(Wakeup(Arc::new(Bell { fd, rung: Mutex::default() })))
    }

    fn fileno(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }

    /// The tokens that rang; the descriptor rests until the next does.
    fn take(&self) -> Vec<u64> {
        // Before the tokens: one that comes between leaves the descriptor readable.
        let _ = self.0.fd.read();
        std::mem::take(&mut *self.0.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
