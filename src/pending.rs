//! A result that may still be on its way: await it, or wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// The result of a verb: a future for async callers, [`Pending::wait`] for all others.
///
/// The verb has begun before this is returned; dropping it changes nothing.
#[must_use = "await it or call wait()"]
pub struct Pending<T>(State<T>);

enum State<T> {
    Ready(Option<T>),
    Waits(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Pending<T> {
    pub(crate) fn ready(value: T) -> Pending<T> {
        Pending(State::Ready(Some(value)))
    }

    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Pending<T> {
        Pending(State::Waits(Box::pin(future)))
    }

    /// Blocks this thread until the result is there. Any thread may wait, also one of another
    /// runtime.
    pub fn wait(self) -> T {
        let mut future = match self.0 {
            State::Ready(Some(value)) => return value,
            State::Ready(None) => unreachable_after_poll(),
            State::Waits(future) => future,
        };
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl<T: Unpin> Future for Pending<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(value) => match value.take() {
                Some(value) => Poll::Ready(value),
                None => unreachable_after_poll(),
            },
            State::Waits(future) => future.as_mut().poll(context),
        }
    }
}

/// Polling a finished future again is the caller's defect, as for every future.
fn unreachable_after_poll() -> ! {
    unreachable!("polled after it was ready")
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
