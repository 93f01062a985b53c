//! Errors as objects that C owns.

use std::ffi::{c_char, c_void, CString};
use std::sync::{LazyLock, OnceLock};

use super::handle::Object;
use super::{guard, table, text};
use crate::error::{Error, Status};

/// 0 is done, positive is not an error, negative is one: the constants `MDNSREG_*`.
#[allow(non_camel_case_types)]
pub type mdnsreg_status = i32;

/// Why a call failed; owned by the caller.
#[allow(non_camel_case_types)]
pub struct mdnsreg_error {
    _private: [u8; 0],
}

struct Failure {
    error: Error,
    message: OnceLock<CString>,
    json: OnceLock<CString>,
}

impl Failure {
    const fn new(error: Error) -> Failure {
        Failure { error, message: OnceLock::new(), json: OnceLock::new() }
    }
}

impl Object for Failure {
    const KIND: u8 = 1;
    const NAME: &'static str = "mdnsreg_error";
}

/// Errors that must be told where no handle can be made: in a forked child, whose free list may be
/// locked for ever, when no handle is left, and when no memory is. They are never freed.
static FORKED: Failure = Failure::new(Error::Forked);
static NO_HANDLE: Failure = Failure::new(Error::NoMem { what: "handles", limit: table::CELLS as u64 });

static NO_MEMORY: Failure = Failure::new(Error::Memory);

/// An error object for the caller to own.
pub(super) fn new(error: Error) -> *mut mdnsreg_error {
    let immortal = match error {
        Error::Forked => &FORKED,
        Error::Memory => &NO_MEMORY,
        error => match table::open(Failure::new(error)) {
            Ok(handle) => return handle.cast(),
            Err(_) => &NO_HANDLE,
        },
    };
    std::ptr::from_ref(immortal).cast_mut().cast()
}

fn immortal(error: *const c_void) -> Option<&'static Failure> {
    [&FORKED, &NO_HANDLE, &NO_MEMORY].into_iter().find(|failure| std::ptr::from_ref(*failure).cast() == error)
}

/// Reads an error; works in a forked child as well, where the one error is [`FORKED`].
fn read<R>(error: *const mdnsreg_error, body: impl FnOnce(&Failure) -> R) -> crate::Result<R> {
    match immortal(error.cast()) {
        Some(failure) => Ok(body(failure)),
        None => Ok(body(&*table::pin::<Failure>("error", error.cast())?)),
    }
}

/// The status of an error.
///
/// @param error  the error, not NULL
/// @return the status the failed call returned; for what is no live error: MDNSREG_ERR_NULL,
///         MDNSREG_ERR_HANDLE, MDNSREG_ERR_CLOSED, MDNSREG_ERR_TYPE
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_error_code(error: *const mdnsreg_error) -> mdnsreg_status {
    match guard::caught(|| read(error, |failure| failure.error.status())) {
        Ok(status) => status.code(),
        Err(misuse) => misuse.status().code(),
    }
}

/// What went wrong, in one line that names the field or argument, the limit and what to do.
///
/// @param error  the error, not NULL
/// @return UTF-8 that lives as long as the error; NULL for what is no live error
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_error_message(error: *const mdnsreg_error) -> *const c_char {
    guard::pointer(|| read(error, |f| f.message.get_or_init(|| text::c_string(f.error.to_string())).as_ptr()))
}

/// The error as a JSON object: "code", "name", "message", and "field", "limit", "value", "unit"
/// where it has them.
///
/// @param error  the error, not NULL
/// @return UTF-8 that lives as long as the error; NULL for what is no live error
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_error_json(error: *const mdnsreg_error) -> *const c_char {
    guard::pointer(|| read(error, |f| f.json.get_or_init(|| text::c_string(f.error.to_json())).as_ptr()))
}

/// Frees an error, and the texts read from it.
///
/// @param error  the error; NULL, and what is no live error, does nothing
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_error_free(error: *mut mdnsreg_error) {
    guard::quiet(|| table::close::<Failure>("error", error.cast()).map(drop));
}

/// The name of a status: "OK", "END", "NOT_FOUND".
///
/// @param status  any number
/// @return static text; NULL for a number that is no status
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_status_name(status: mdnsreg_status) -> *const c_char {
    guard::pointer(|| Ok(of_status(status, |texts| &texts.1)))
}

/// What a status means, in a line.
///
/// @param status  any number
/// @return static text; NULL for a number that is no status
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_status_text(status: mdnsreg_status) -> *const c_char {
    guard::pointer(|| Ok(of_status(status, |texts| &texts.2)))
}

/// Each status with its name and its meaning, as C reads them.
static TEXTS: LazyLock<Vec<(i32, CString, CString)>> = LazyLock::new(|| {
    Status::ALL.iter().map(|s| (s.code(), text::c_string(s.name()), text::c_string(s.text()))).collect()
});

fn of_status(code: mdnsreg_status, pick: fn(&(i32, CString, CString)) -> &CString) -> *const c_char {
    TEXTS.iter().find(|texts| texts.0 == code).map_or(std::ptr::null(), |texts| pick(texts).as_ptr())
}
