//! The one way into the library: every export runs through [`status`], [`pointer()`] or [`quiet`],
//! which check for a fork and for the log callback, and let no panic cross into C.

use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use super::callback;
use super::error::{self, mdnsreg_error, mdnsreg_status};
use crate::error::{Error, Result, Status};
use crate::fork;

/// Runs the body of an export that returns a status; an error also goes to `err`, if C asks for it.
pub(super) fn status(err: *mut *mut mdnsreg_error, body: impl FnOnce() -> Result<Status>) -> mdnsreg_status {
    let err = Out::new("err", err, std::ptr::null_mut());
    match admitted(body) {
        Ok(status) => status.code(),
        Err(failure) => {
            let code = failure.status().code();
            if err.is_asked_for() {
                err.put(error::new(failure));
            }
            code
        }
    }
}

/// Runs the body of an export that returns a pointer and has no way to say why it has none.
pub(super) fn pointer<T>(body: impl FnOnce() -> Result<*const T>) -> *const T {
    caught(body).unwrap_or(std::ptr::null())
}

/// Runs the body of an export that returns nothing; does nothing in a forked child.
pub(super) fn quiet(body: impl FnOnce() -> Result<()>) {
    if !fork::forked() {
        let _nothing_to_tell = caught(body);
    }
}

fn admitted<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    if fork::forked() {
        return Err(Error::Forked);
    }
    if callback::in_log() {
        return Err(Error::Busy { what: "the log callback must not call the library".into() });
    }
    caught(body)
}

/// Where C wants a result. It is emptied before anything else happens, and written only on success.
pub(super) struct Out<T> {
    argument: &'static str,
    place: *mut T,
}

impl<T> Out<T> {
    /// `place` is NULL or writable: no library can check more of a bare pointer.
    pub(super) fn new(argument: &'static str, place: *mut T, empty: T) -> Out<T> {
        let out = Out { argument, place };
        out.put(empty);
        out
    }

    /// Refuses a NULL.
    pub(super) fn required(self) -> Result<Out<T>> {
        if self.is_asked_for() {
            Ok(self)
        } else {
            Err(Error::Null { argument: self.argument })
        }
    }

    pub(super) fn is_asked_for(&self) -> bool {
        !self.place.is_null()
    }

    /// Writes, if C asked for it.
    pub(super) fn put(&self, value: T) {
        if self.is_asked_for() {
            // SAFETY: not NULL, and writable by the contract of `new`; alignment is not assumed.
            unsafe { self.place.write_unaligned(value) }
        }
    }
}

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic becomes [`Error::Panic`] with its place, and prints nothing.
pub(super) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
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
        assert_eq!(result, Err(Error::Panic { place: format!("src/ffi/guard.rs:{line}"), message: "drill 7".into() }));
    }

    #[test]
    fn a_panic_in_an_export_is_a_status_and_an_error_object() {
        let mut err = std::ptr::null_mut();
        assert_eq!(status(&mut err, || panic!("drill")), Status::PANIC.code());
        // SAFETY: the message lives as long as the error.
        let message = unsafe { std::ffi::CStr::from_ptr(error::mdnsreg_error_message(err)) };
        assert!(message.to_str().unwrap().ends_with("drill"));
        // SAFETY: ours.
        unsafe { error::mdnsreg_error_free(err) };
    }

    #[test]
    fn a_panic_where_no_status_can_be_returned_is_null() {
        assert!(pointer::<i8>(|| panic!("drill")).is_null());
        quiet(|| panic!("drill"));
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

    #[test]
    fn an_output_is_emptied_first_and_left_empty_on_failure() {
        let mut value = 7_i32;
        let out = Out::new("out", &mut value, 0);
        let code = status(std::ptr::null_mut(), || {
            out.required()?;
            Err(Error::Forked)
        });
        assert_eq!((code, value), (Status::FORKED.code(), 0));
    }

    #[test]
    fn a_null_output_is_refused_by_name_and_never_written() {
        let out = Out::new("out", std::ptr::null_mut(), 1_i32);
        out.put(2);
        assert_eq!(out.required().err(), Some(Error::Null { argument: "out" }));
    }
}
