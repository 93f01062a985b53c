//! One value out of JSON, and one text into it, for callers who have no JSON of their own.

use std::ffi::c_char;

use serde_json::Value;

use super::error::{mdnsreg_error, mdnsreg_status};
use super::guard::{self, Out};
use super::text;
use crate::error::{Error, Result, Status};

/// Reads one value out of JSON, as mdnsreg_get_service and mdnsreg_event_service return it.
///
/// @param json  any JSON, not NULL; copied
/// @param pointer  where the value stands (RFC 6901), as in "/0/nodes/0/id"; "" is the whole; not NULL; copied
/// @param out  [out, owned] of a string its text, in which U+0000 becomes U+FFFD; of anything else its JSON;
///        free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON |
///         MDNSREG_ERR_INVALID (there is no such value) | MDNSREG_ERR_BUSY (inside the log callback) |
///         MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_json_get(
    json: *const c_char,
    pointer: *const c_char,
    out: *mut *mut c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out", out, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        let value = get(text::required("json", json)?, text::required("pointer", pointer)?)?;
        out.put(text::give(&value));
        Ok(Status::OK)
    })
}

/// Writes a text as a JSON string, with its quotes: what stands in a descriptor for a name that may hold anything.
///
/// @param text  the text, not NULL; copied
/// @param out  [out, owned] the JSON; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_UTF8 | MDNSREG_ERR_BUSY (inside the log callback) |
///         MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_json_quote(
    text: *const c_char,
    out: *mut *mut c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out", out, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        out.put(text::give(&Value::from(text::required("text", text)?).to_string()));
        Ok(Status::OK)
    })
}

fn get(json: &str, pointer: &str) -> Result<String> {
    let whole: Value = serde_json::from_str(json).map_err(|error| Error::not_json("json", &error))?;
    match whole.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => {
            Err(Error::invalid("pointer", "must be where a value stands in the JSON, as in \"/nodes/0/id\"", pointer))
        }
    }
}
