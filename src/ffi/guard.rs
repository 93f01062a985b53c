//! The one way into the library: every export runs through [`status`], [`pointer()`] or [`quiet`],
//! which check for a fork and for the log callback, and let no panic cross into C.

use super::callback;
use super::error::{self, mdnsreg_error, mdnsreg_status};
use crate::error::{Error, Result, Status};
use crate::fork;
use crate::panics;

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

/// Runs `body`; a panic becomes [`Error::Panic`].
pub(super) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    panics::caught(|| {
        #[cfg(test)]
        crate::drill::here(crate::drill::Place::Call);
        body()
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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
