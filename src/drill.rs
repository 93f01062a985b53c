//! Panics on purpose, in this crate's own tests only: what a defect at a place does to everything else.

/// Where one can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the door of an export.
    Door,
    /// In a verb, under the lock of its registry.
    Verb,
    /// While a registry is opened, when its link is already in use.
    Open,
    /// While a registry is closed.
    Close,
    /// In a turn of the driver, under the lock of a registry.
    Turn,
    /// While the driver asks a registry when it is due.
    Due,
    /// In the link's thread, with a datagram.
    Datagram,
    /// In the link's thread, anywhere in its turn.
    Link,
    /// In the link's thread, where it ends it.
    LinkThread,
    /// Before C is called back with an event.
    Callback,
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) fn strike(_: Place) {}

#[cfg(test)]
pub(crate) use armed::{arm, is_armed, strike};

#[cfg(test)]
mod armed {
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    use super::Place;
    use crate::driver::lock;

    static ARMED: Mutex<Vec<(Place, Option<ThreadId>)>> = Mutex::new(Vec::new());

    /// Whoever comes to `place` next panics: of every thread, or of one.
    pub(crate) fn arm(place: Place, whose: Option<ThreadId>) {
        lock(&ARMED).push((place, whose));
    }

    /// Whether nobody has come to `place` yet.
    pub(crate) fn is_armed(place: Place) -> bool {
        lock(&ARMED).iter().any(|(at, _)| *at == place)
    }

    pub(crate) fn strike(place: Place) {
        let mut armed = lock(&ARMED);
        let here = |(at, whose): &(Place, Option<ThreadId>)| {
            *at == place && whose.is_none_or(|thread| thread == thread::current().id())
        };
        if let Some(index) = armed.iter().position(here) {
            armed.swap_remove(index);
            drop(armed);
            panic!("a drill at {place:?}");
        }
    }
}
