//! One value out of JSON, and one text into it, for callers who have no JSON of their own.

use std::ffi::c_char;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::Value;

use super::error::{mdnsreg_error, mdnsreg_status};
use super::guard::{self, Out};
use super::text;
use crate::error::{Error, Result, Status};

/// Reads one value out of JSON, as mdnsreg_get_service and mdnsreg_event_service return it.
///
/// @param json  any JSON, not NULL; copied
/// @param pointer  where the value stands (RFC 6901), as in "/0/nodes/0/id"; "" is the whole; not NULL; copied
/// @param out  [out, owned] of a string its text, in which U+0000 becomes U+FFFD; of anything else its JSON,
///        as it stands there; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON | MDNSREG_ERR_INVALID
///         (there is no such value, or it is a string with half a surrogate pair) | MDNSREG_ERR_NOMEM |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
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
        let value = get(text::json("json", json)?, text::required("pointer", pointer)?)?;
        out.put(text::give(&value)?);
        Ok(Status::OK)
    })
}

/// Writes a text as a JSON string, with its quotes: what stands in a descriptor for a name that may hold anything.
///
/// @param text  the text, not NULL; copied
/// @param out  [out, owned] the JSON; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_UTF8 | MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY
///         (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
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
        out.put(text::give(&Value::from(text::json("text", text)?).to_string())?);
        Ok(Status::OK)
    })
}

fn get(json: &str, pointer: &str) -> Result<String> {
    let no_such =
        || Error::invalid("pointer", "must be where a value stands in the JSON, as in \"/nodes/0/id\"", pointer);
    let tokens = tokens(pointer).ok_or_else(no_such)?;
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = Place(&tokens).deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    let raw = found.map_err(|error| Error::not_json("json", &error))?.ok_or_else(no_such)?.get();
    if raw.starts_with('"') {
        let half = |_| Error::invalid("json", "must hold no half of a surrogate pair at the pointer", raw);
        serde_json::from_str(raw).map_err(half)
    } else {
        Ok(raw.to_owned())
    }
}

/// The parts of a JSON pointer (RFC 6901).
fn tokens(pointer: &str) -> Option<Vec<String>> {
    let mut parts = pointer.split('/');
    parts.next().filter(|before| before.is_empty())?;
    Some(parts.map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

/// One value of a JSON text. Reads it once, to its end, and takes what stands at the place of these tokens, as it stands there.
#[derive(Clone, Copy)]
struct Place<'t>(&'t [String]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> std::result::Result<Self::Value, D::Error> {
        match self.0 {
            [] => Deserialize::deserialize(reader).map(Some),
            [token, rest @ ..] => reader.deserialize_any(Inside { token, rest: Place(rest) }),
        }
    }
}

/// What stands around the place: an object or an array, or else the place is not there.
struct Inside<'t> {
    token: &'t str,
    rest: Place<'t>,
}

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    /// Of two equal keys the last counts.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.token {
                found = map.next_value_seed(self.rest)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> std::result::Result<Self::Value, A::Error> {
        let index = self.token.parse::<usize>().ok().filter(|index| index.to_string() == self.token);
        for _ in 0..index.unwrap_or(0) {
            if array.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = if index.is_some() { array.next_element_seed(self.rest)?.flatten() } else { None };
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
}
