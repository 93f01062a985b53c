//! Text over the border: in, NUL-terminated UTF-8, copied or parsed before the call returns; out,
//! owned by the caller until `mdnsreg_string_free`.

use std::collections::BTreeSet;
use std::ffi::{c_char, CStr, CString};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::guard;
use crate::error::{Error, Result};
use crate::{limits, system};

/// The text C passed as `argument`. `'a` is the call: C keeps the text unchanged until it returns.
pub(super) fn required<'a>(argument: &'static str, text: *const c_char) -> Result<&'a str> {
    optional(argument, text)?.ok_or(Error::Null { argument })
}

/// The same where NULL means "nothing said".
pub(super) fn optional<'a>(argument: &'static str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; that it is NUL-terminated is the contract every C text has.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    std::str::from_utf8(bytes).map(Some).map_err(|error| {
        let offset = error.valid_up_to();
        Error::Utf8 { argument, offset, byte: bytes.get(offset).copied().unwrap_or(0) }
    })
}

/// What reading JSON takes at most, in bytes for each of its own, with all that a verb does with it.
const READING: usize = 64;
/// What any verb takes.
const ANY: usize = 256 << 10;

/// The JSON C passed as `argument`, if there is memory for what will be done with it.
pub(super) fn json<'a>(argument: &'static str, text: *const c_char) -> Result<&'a str> {
    let json = required(argument, text)?;
    roomy(json).map(|()| json)
}

/// The same where NULL means "nothing said".
pub(super) fn optional_json<'a>(argument: &'static str, text: *const c_char) -> Result<Option<&'a str>> {
    let json = optional(argument, text)?;
    roomy(json.unwrap_or_default()).map(|()| json)
}

fn roomy(json: &str) -> Result<()> {
    // What is longer is refused before it is read.
    system::room(ANY + READING * json.len().min(limits::CALL_JSON_BYTES))
}

/// Text as C keeps it. A NUL inside cannot come out of JSON; elsewhere it becomes U+FFFD.
pub(super) fn c_string(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).unwrap_or_else(|error| {
        let text = String::from_utf8_lossy(&error.into_vec()).replace('\0', "\u{fffd}");
        CString::new(text).unwrap_or_default()
    })
}

/// Addresses of the strings callers own, so that a pointer that is none of them is not freed. Kept
/// inverted: a leak checker must not take this set for the owner.
static GIVEN: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

fn given() -> MutexGuard<'static, BTreeSet<usize>> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A string for the caller to own.
pub(super) fn give(text: &str) -> Result<*mut c_char> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(text.len() + 1).map_err(|_| Error::Memory)?;
    bytes.extend_from_slice(text.as_bytes());
    let pointer = c_string(bytes).into_raw();
    given().insert(!pointer.addr());
    Ok(pointer)
}

/// Frees a string that a function returned through a `char **`.
///
/// A pointer that this library did not give out, or that was freed already, is left alone.
///
/// @param string  the string; NULL does nothing; the pointer is not valid afterwards
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_string_free(string: *mut c_char) {
    guard::quiet(|| {
        if given().remove(&!string.addr()) {
            // SAFETY: `give` made it, and this call alone took it out of the set.
            drop(unsafe { CString::from_raw(string) });
        }
        Ok(())
    });
}

/// Strings that callers own.
#[cfg(test)]
pub(super) fn given_out() -> usize {
    given().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_utf8_is_refused_with_its_offset() {
        assert_eq!(
            required("name", c"ab\xffcd".as_ptr()),
            Err(Error::Utf8 { argument: "name", offset: 2, byte: 0xff })
        );
    }

    #[test]
    fn a_text_cut_inside_a_character_is_refused() {
        assert_eq!(
            required("name", c"ab\xe2\x82".as_ptr()),
            Err(Error::Utf8 { argument: "name", offset: 2, byte: 0xe2 })
        );
    }

    #[test]
    fn null_is_refused_where_text_is_required_and_nothing_where_it_is_not() {
        assert_eq!(required("name", std::ptr::null()), Err(Error::Null { argument: "name" }));
        assert_eq!(optional("name", std::ptr::null()), Ok(None));
    }

    #[test]
    fn a_string_is_freed_once_and_a_foreign_pointer_never() {
        let string = give("grüße").unwrap();
        // SAFETY: given out just now, and freed only below.
        assert_eq!(unsafe { CStr::from_ptr(string) }.to_str(), Ok("grüße"));
        let mut foreign = *b"on the stack\0";
        // SAFETY: the function takes any pointer.
        unsafe {
            mdnsreg_string_free(string);
            mdnsreg_string_free(string);
            mdnsreg_string_free(foreign.as_mut_ptr().cast());
            mdnsreg_string_free(std::ptr::null_mut());
        }
        assert!(!given().contains(&!string.addr()));
    }

    #[test]
    fn a_nul_inside_does_not_cut_the_text() {
        assert_eq!(c_string("a\0b").to_str(), Ok("a\u{fffd}b"));
    }
}
