//! A verb under way: waited for by a thread, or polled by an event loop.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mdns_registry::{Result, Service};
use pyo3::prelude::*;

use crate::wakeup::Wakeup;
use crate::{convert, errors};

/// So long is a wait without a look at Python's signals.
pub const SLICE: Duration = Duration::from_millis(50);

/// What a verb gives.
pub enum Answer {
    Nothing,
    Service(Service),
    Services(Vec<Service>),
}

/// A verb under way.
#[pyclass(frozen)]
pub struct Pending(Mutex<State>);

enum State {
    Waits(mdns_registry::Pending<Result<Answer>>),
    Ready(Result<Answer>),
    Taken,
}

impl Pending {
    pub fn new<T: 'static>(
        pending: mdns_registry::Pending<Result<T>>,
        answer: impl FnOnce(T) -> Answer + Send + 'static,
    ) -> Pending {
        Pending(Mutex::new(State::Waits(pending.map(|result| result.map(answer)))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once the answer is there.
    fn wait_at_most(&self, limit: Duration) -> bool {
        let mut state = self.state();
        if let State::Waits(pending) = &mut *state {
            match pending.wait_timeout(limit) {
                Some(answer) => *state = State::Ready(answer),
                None => return false,
            }
        }
        true
    }
}

#[pymethods]
impl Pending {
    /// Waits for the answer, which is given once.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if !errors::call(py, || Ok(self.wait_at_most(Duration::ZERO)))? {
            while !errors::call_detached(py, || Ok(self.wait_at_most(SLICE)))? {
                py.check_signals()?;
            }
        }
        match std::mem::replace(&mut *self.state(), State::Taken) {
            State::Ready(Ok(answer)) => convert::answer(py, &answer),
            State::Ready(Err(error)) => Err(errors::exception(py, &error)),
            State::Waits(_) | State::Taken => Ok(py.None().into_bound(py)),
        }
    }

    /// Whether the answer is there; if not, `wakeup` rings with `token` when it is worth asking again.
    #[pyo3(signature = (wakeup=None, token=0))]
    fn poll(&self, py: Python<'_>, wakeup: Option<&Wakeup>, token: u64) -> PyResult<bool> {
        errors::call(py, || {
            let mut state = self.state();
            if let State::Waits(pending) = &mut *state {
                let waker = wakeup.map_or_else(|| Waker::noop().clone(), |wakeup| wakeup.waker(token));
                match Pin::new(pending).poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(answer) => *state = State::Ready(answer),
                    Poll::Pending => return Ok(false),
                }
            }
            Ok(true)
        })
    }
}
