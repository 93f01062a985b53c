//! A result that may still be on its way: await it, or wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

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
    pub fn wait(mut self) -> T {
        loop {
            if let Some(value) = self.park_until(None) {
                return value;
            }
        }
    }

    /// Blocks this thread for at most `limit`; `None` if the result is not there by then, and another
    /// call waits on. Once it gave the result, it is used up as a future is.
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<T> {
        self.park_until(Instant::now().checked_add(limit))
    }

    /// The same result, made into another when it is there.
    pub fn map<U>(self, make: impl FnOnce(T) -> U + Send + 'static) -> Pending<U>
    where
        T: 'static,
    {
        match self.0 {
            State::Ready(Some(value)) => Pending::ready(make(value)),
            State::Ready(None) => unreachable_after_poll(),
            State::Waits(future) => Pending::new(async move { make(future.await) }),
        }
    }

    fn park_until(&mut self, deadline: Option<Instant>) -> Option<T> {
        let future = match &mut self.0 {
            State::Ready(value) => return Some(value.take().unwrap_or_else(|| unreachable_after_poll())),
            State::Waits(future) => future,
        };
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }
}

impl<T: Unpin> Future for Pending<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(value) => Poll::Ready(value.take().unwrap_or_else(|| unreachable_after_poll())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_with_a_limit_ends_at_it_and_can_be_taken_up_again() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut pending = Pending::new(receiver).map(|result| result.map(|number: u32| number + 1));
        assert_eq!(pending.wait_timeout(Duration::ZERO), None);
        let begun = Instant::now();
        assert_eq!(pending.wait_timeout(Duration::from_millis(20)), None);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        let answer = thread::spawn(move || sender.send(6));
        assert_eq!(pending.wait_timeout(Duration::from_secs(10)), Some(Ok(7)));
        answer.join().unwrap().unwrap();
    }

    #[test]
    fn a_ready_result_is_mapped_at_once_and_needs_no_time() {
        let mut pending = Pending::ready(6).map(|number| number + 1);
        assert_eq!(pending.wait_timeout(Duration::ZERO), Some(7));
    }
}
