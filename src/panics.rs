//! Panics stop at the door: of a call they become an error, of a thread of ours a line of the log.

use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::error::{Error, Result};

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic becomes [`Error::Panic`] with its place, and prints nothing.
pub fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    record_panics();
    let _ = GUARDED.try_with(|depth| depth.set(depth.get() + 1));
    // What a panic may have left half-done is behind locks and handles that stay consistent.
    let result = catch_unwind(AssertUnwindSafe(body));
    let _ = GUARDED.try_with(|depth| depth.set(depth.get() - 1));
    result.unwrap_or_else(|payload| {
        // A payload's destructor may panic in its turn.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        let last = LAST.try_with(RefCell::take).ok().flatten();
        let (place, message) = last.unwrap_or_else(|| ("an unknown place".into(), "a panic".into()));
        Err(Error::Panic { place, message })
    })
}

/// The same of a thread of ours, which goes on: a panic is a line of the log. `None` then.
pub(crate) fn survived<T>(what: &'static str, body: impl FnOnce() -> T) -> Option<T> {
    match caught(|| Ok(body())) {
        Ok(value) => Some(value),
        Err(defect) => {
            tracing::error!("{what} went wrong: {defect}");
            None
        }
    }
}

/// Names of the threads that are this library's: their panics go to the log, never to stderr.
const THREADS: &[&str] = &["mdnsreg", "mDNS_daemon"];

fn record_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if std::thread::panicking() {
            return;
        }
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let (place, message) = describe(info);
            if GUARDED.try_with(|depth| depth.get() > 0).unwrap_or(false) {
                let _ = LAST.try_with(|last| last.replace(Some((place, message))));
            } else if std::thread::current().name().is_some_and(|n| THREADS.iter().any(|t| n.starts_with(t))) {
                tracing::error!(%place, "a thread of the library panicked: {message}");
            } else {
                previous(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> (String, String) {
    let place = info.location().map_or_else(|| "an unknown place".into(), |l| format!("{}:{}", l.file(), l.line()));
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    (place, message.unwrap_or("a panic without text").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_place() {
        let line = line!() + 1;
        let result = caught::<()>(|| panic!("drill {}", 7));
        assert_eq!(result, Err(Error::Panic { place: format!("src/panics.rs:{line}"), message: "drill 7".into() }));
    }

    #[test]
    fn a_panicking_payload_destructor_stays_inside() {
        struct Nasty;
        impl Drop for Nasty {
            fn drop(&mut self) {
                panic!("twice");
            }
        }
        let result = caught::<()>(|| std::panic::panic_any(Nasty));
        assert!(matches!(result, Err(Error::Panic { .. })));
    }
}
