//! Panics on purpose, for tests: a thread arms a place, and panics when it comes there.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

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
    let Ok(Some((armed, skipped))) = ARMED.try_with(Cell::get) else { return };
    if armed == place {
        ARMED.set(skipped.checked_sub(1).map(|skipped| (armed, skipped)));
        assert!(skipped > 0, "drill: {place:?}");
    }
}

/// Turns of a registry's driver that are to panic, by the registry's tag.
static TURNS: Mutex<Option<(String, usize)>> = Mutex::new(None);

pub(crate) fn arm_turns(owner: &str, turns: usize) {
    *TURNS.lock().unwrap_or_else(PoisonError::into_inner) = Some((owner.to_owned(), turns));
}

/// Turns that are still to panic.
pub(crate) fn turns_left() -> usize {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |(_, turns)| *turns)
}

pub(crate) fn turn(owner: &str) {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, left)) = turns.as_mut().filter(|(armed, left)| armed == owner && *left > 0) {
        *left -= 1;
        drop(turns);
        panic!("drill: a turn of the driver");
    }
}
