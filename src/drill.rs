//! Panics on purpose, for tests: a thread arms a place, for itself or for threads of ours, and panics when it comes there.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a panic can be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the beginning of an export.
    Call,
    /// A handle is pinned, or closed and pinned.
    Pinned,
    /// A lock of ours is held.
    Locked,
    /// An engine has changed, under its lock, and the link and the waiting do not know yet.
    Changed,
    /// A registry has joined its endpoint, and its engine is not there yet.
    Joined,
    /// In a turn of the driver, under the lock of a registry.
    Turn,
    /// Where the driver asks a registry when it is due.
    Due,
    /// In the link's thread, with a datagram.
    Datagram,
    /// In the link's thread, anywhere else in its turn.
    Link,
    /// In the link's thread, where it ends it.
    LinkThread,
    /// Before C is called back with an event.
    Callback,
}

thread_local! {
    static ARMED: Cell<Option<(Place, usize)>> = const { Cell::new(None) };
}

/// This thread panics where it comes to `place` for the time after `skipped` times.
pub(crate) fn arm(place: Place, skipped: usize) {
    ARMED.set(Some((place, skipped)));
}

/// Whether the panic did not come; it does not any more.
pub(crate) fn disarm() -> bool {
    ARMED.take().is_some()
}

pub(crate) fn here(place: Place) {
    let armed = ARMED.try_with(Cell::get).ok().flatten();
    if let Some((_, skipped)) = armed.filter(|(armed, _)| *armed == place) {
        ARMED.set(skipped.checked_sub(1).map(|skipped| (place, skipped)));
        assert!(skipped > 0, "drill: {place:?}");
    }
    let mut threads = threads();
    if let Some((_, left)) = threads.as_mut().filter(|(armed, left)| *armed == place && *left > 0) {
        *left -= 1;
        drop(threads);
        panic!("drill: {place:?}");
    }
}

/// The place where threads of ours are to panic, and how often.
static THREADS: Mutex<Option<(Place, usize)>> = Mutex::new(None);

fn threads() -> MutexGuard<'static, Option<(Place, usize)>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever comes to `place` next panics, so many times. Only where a test has its process to itself.
pub(crate) fn arm_threads(place: Place, times: usize) {
    *threads() = Some((place, times));
}

/// How often they are still to.
pub(crate) fn threads_left() -> usize {
    threads().map_or(0, |(_, left)| left)
}
