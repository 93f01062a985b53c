//! The one error type, and the one table of status codes that C and Python read.

use std::fmt;

use serde_json::{json, Map, Value};

macro_rules! statuses {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// What a call came to: 0 done, positive not an error, negative an error.
        ///
        /// The numbers are part of the C ABI: none is ever reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(i32)]
        pub enum Status {
            $(#[doc = $text] $name = $code,)*
        }

        impl Status {
            /// Every status, in the order of the table.
            pub const ALL: &'static [Status] = &[$(Status::$name),*];

            /// The number that crosses the C ABI.
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// The name without prefix, as in `MDNSREG_ERR_<NAME>`.
            pub const fn name(self) -> &'static str {
                match self { $(Status::$name => stringify!($name),)* }
            }

            /// One line on what it means.
            pub const fn text(self) -> &'static str {
                match self { $(Status::$name => $text,)* }
            }
        }
    };
}

statuses! {
    OK = 0, "done";
    END = 1, "the watch was stopped; nothing more will come";
    EMPTY = 2, "nothing waits now";
    DEFERRED = 3, "called from inside a callback; it completes when the callback returns";
    NULL = -1, "a required pointer was NULL";
    HANDLE = -2, "not a handle of this library";
    CLOSED = -3, "the handle was closed already";
    TYPE = -4, "a handle of another type";
    UTF8 = -5, "the text is not UTF-8";
    JSON = -6, "the text is not JSON";
    OPTION = -7, "an option is unknown or has a value it cannot take";
    INVALID = -8, "a field of the descriptor has a value it cannot take";
    TOO_LARGE = -9, "a field is larger than its limit";
    NOT_FOUND = -10, "no node of that name is known";
    TIMEOUT = -11, "no answer came in time";
    CANCELLED = -12, "the registry was closed while the call waited";
    NETWORK = -13, "the system refused a network operation";
    BUSY = -14, "in use in a way that excludes this call";
    FORKED = -15, "the process was forked after the registry was opened";
    NOMEM = -16, "no memory or no handle is left";
    UNSUPPORTED = -17, "known, but not supported here";
    VERSION = -18, "the caller was built for another version";
    PANIC = -19, "a defect in this library; the process is unharmed";
}

impl Status {
    /// The status with this number, if it is in the table.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::ALL.iter().copied().find(|s| s.code() == code)
    }
}

/// Why a call was refused or failed. Nothing of a refused call took effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A required argument was NULL: pass it.
    #[error("{argument} is NULL")]
    Null {
        /// The parameter's name.
        argument: &'static str,
    },
    /// The value was never a handle: pass one that this library returned.
    #[error("{argument} is not a handle of this library")]
    Handle {
        /// The parameter's name.
        argument: &'static str,
    },
    /// The handle or registry was closed: open another.
    #[error("{what} is closed")]
    Closed {
        /// What was closed.
        what: &'static str,
    },
    /// A live handle of another type: pass the one named.
    #[error("{argument} is a handle of another type, not a {expected}")]
    Type {
        /// The parameter's name.
        argument: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
    /// Not UTF-8: encode the text.
    #[error("{argument} is not UTF-8: byte {offset} is 0x{byte:02x}")]
    Utf8 {
        /// The parameter's name.
        argument: &'static str,
        /// Where the first bad byte stands.
        offset: usize,
        /// That byte.
        byte: u8,
    },
    /// Not JSON: mend the syntax.
    #[error("{argument} is not JSON: {problem} at line {line} column {column}")]
    Json {
        /// The parameter's name.
        argument: &'static str,
        /// What the parser met.
        problem: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// An option is unknown or has a bad value: use what the message names.
    #[error("option {key}: {problem}")]
    Option {
        /// The option's name.
        key: String,
        /// What is wrong, with the nearest known name or the values it takes.
        problem: String,
    },
    /// A field has a value it cannot take: correct it.
    #[error("{field}: {problem}, got {value}")]
    Invalid {
        /// Path of the field, as in `nodes[3].port`.
        field: String,
        /// The rule it breaks.
        problem: String,
        /// What it held, shortened.
        value: String,
    },
    /// A field is over its limit: make it smaller.
    #[error("{field} is {size} {unit}, the limit is {limit}")]
    TooLarge {
        /// Path of the field.
        field: String,
        /// Its limit, in `unit`.
        limit: u64,
        /// Its size, in `unit`.
        size: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// Nothing of that name is known: it may come later; watch for it.
    #[error("no node of service {name:?} was found")]
    NotFound {
        /// The service name asked for.
        name: String,
    },
    /// No answer in time: try again.
    #[error("{what} did not end within {limit_ms} ms")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long, in milliseconds.
        limit_ms: u64,
    },
    /// The registry was closed while the call waited.
    #[error("the registry was closed while {what} waited")]
    Cancelled {
        /// The call.
        what: &'static str,
    },
    /// The system refused: the message says what and why.
    #[error("{what}: {problem}")]
    Network {
        /// What was tried.
        what: String,
        /// The system's answer.
        problem: String,
    },
    /// Another use excludes this one: end that first.
    #[error("{what}")]
    Busy {
        /// What is in the way.
        what: String,
    },
    /// The process was forked after the registry was opened: open one in the child after `exec`.
    #[error("this process was forked from one that uses the registry; it must exec before it can")]
    Forked,
    /// No memory or no handle left: close some.
    #[error("no {what} left, the limit is {limit}")]
    NoMem {
        /// What ran out.
        what: &'static str,
        /// How many there are.
        limit: u64,
    },
    /// The system has no memory for what the call needs: free some and call again.
    #[error("no memory is left for this call; none of it was done")]
    Memory,
    /// Known but not supported here: leave it out.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// The option or feature.
        what: String,
        /// Why, and since when it will be.
        why: &'static str,
    },
    /// The caller was built for another version of the library: rebuild it.
    #[error("the caller needs ABI {wanted}, this library has {have}")]
    Version {
        /// What the caller asked for.
        wanted: i32,
        /// What this library is.
        have: i32,
    },
    /// A defect in this library: report it with the place.
    #[error("internal defect at {place}: {message}")]
    Panic {
        /// Source file and line.
        place: String,
        /// The panic's message.
        message: String,
    },
}

/// The result of every fallible call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The status that crosses the C ABI for this error.
    pub const fn status(&self) -> Status {
        match self {
            Error::Null { .. } => Status::NULL,
            Error::Handle { .. } => Status::HANDLE,
            Error::Closed { .. } => Status::CLOSED,
            Error::Type { .. } => Status::TYPE,
            Error::Utf8 { .. } => Status::UTF8,
            Error::Json { .. } => Status::JSON,
            Error::Option { .. } => Status::OPTION,
            Error::Invalid { .. } => Status::INVALID,
            Error::TooLarge { .. } => Status::TOO_LARGE,
            Error::NotFound { .. } => Status::NOT_FOUND,
            Error::Timeout { .. } => Status::TIMEOUT,
            Error::Cancelled { .. } => Status::CANCELLED,
            Error::Network { .. } => Status::NETWORK,
            Error::Busy { .. } => Status::BUSY,
            Error::Forked => Status::FORKED,
            Error::NoMem { .. } | Error::Memory => Status::NOMEM,
            Error::Unsupported { .. } => Status::UNSUPPORTED,
            Error::Version { .. } => Status::VERSION,
            Error::Panic { .. } => Status::PANIC,
        }
    }

    /// The error as one JSON object: `code`, `name`, `message`, and `field`, `limit`, `value`,
    /// `unit` where the error has them.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("code".into(), json!(self.status().code()));
        object.insert("name".into(), json!(self.status().name()));
        object.insert("message".into(), json!(self.to_string()));
        let mut put = |key: &str, value: Value| object.insert(key.into(), value);
        match self {
            Error::Invalid { field, value, .. } => {
                put("field", json!(field));
                put("value", json!(value));
            }
            Error::TooLarge { field, limit, size, unit } => {
                put("field", json!(field));
                put("limit", json!(limit));
                put("value", json!(size));
                put("unit", json!(unit));
            }
            Error::Option { key, .. } => {
                put("field", json!(key));
            }
            Error::Null { argument }
            | Error::Handle { argument }
            | Error::Type { argument, .. }
            | Error::Utf8 { argument, .. }
            | Error::Json { argument, .. } => {
                put("field", json!(argument));
            }
            Error::Timeout { limit_ms, .. } => {
                put("limit", json!(limit_ms));
            }
            _ => {}
        }
        Value::Object(object).to_string()
    }

    pub(crate) fn not_json(argument: &'static str, error: &serde_json::Error) -> Error {
        let said = error.to_string();
        let problem = said.split(" at line ").next().unwrap_or_default().to_owned();
        Error::Json { argument, problem, line: error.line(), column: error.column() }
    }

    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>, value: impl fmt::Display) -> Error {
        Error::Invalid { field: field.into(), problem: problem.into(), value: shorten(&value.to_string()) }
    }
}

/// At most 80 bytes of `text`, cut at a character, so that a message stays a line.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_statuses_share_a_number() {
        let mut codes: Vec<i32> = Status::ALL.iter().map(|s| s.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Status::ALL.len());
    }

    #[test]
    fn a_too_large_error_names_field_limit_and_size() {
        let error = Error::TooLarge { field: "nodes[1].id".into(), limit: 255, size: 300, unit: "bytes" };
        let json: Value = serde_json::from_str(&error.to_json()).unwrap();
        assert_eq!(json["code"], -9);
        assert_eq!(json["field"], "nodes[1].id");
        assert_eq!(json["limit"], 255);
        assert_eq!(json["value"], 300);
        assert_eq!(error.to_string(), "nodes[1].id is 300 bytes, the limit is 255");
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let text = "é".repeat(100);
        let short = shorten(&text);
        assert!(short.starts_with("éé") && short.ends_with("(200 bytes)"));
    }
}
