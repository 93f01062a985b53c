//! What the library says of itself, handed to one function of C's. Without it nothing is said anywhere.

use std::ffi::{c_char, c_void, CStr};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Level, Metadata};

use super::callback::{self, mdnsreg_free_fn, UserData};
use super::error::{mdnsreg_error, mdnsreg_status};
use super::{guard, text};
use crate::error::{Error, Result, Status};

/// Is told one line of the log. It may be called on any thread, on several at once, and must call no
/// function of this library but the accessors.
#[allow(non_camel_case_types)]
pub type mdnsreg_log_fn =
    Option<unsafe extern "C" fn(level: i32, target: *const c_char, message: *const c_char, user_data: *mut c_void)>;

/// For mdnsreg_log_set: nothing.
pub const MDNSREG_LOG_OFF: i32 = 0;
/// What failed and cannot be told by a status.
pub const MDNSREG_LOG_ERROR: i32 = 1;
/// What is amiss but mended.
pub const MDNSREG_LOG_WARN: i32 = 2;
/// What changed.
pub const MDNSREG_LOG_INFO: i32 = 3;
/// What was decided, and why.
pub const MDNSREG_LOG_DEBUG: i32 = 4;
/// Everything.
pub const MDNSREG_LOG_TRACE: i32 = 5;

/// Hands the library's log to a function. Call it again to replace the function, which never fails for
/// having been called before; with NULL or level 0 the log is off, as it is at first.
///
/// @param level  the most talkative level wanted: MDNSREG_LOG_OFF (0), _ERROR, _WARN, _INFO, _DEBUG or
///        _TRACE (5)
/// @param callback  is told each line, on any thread, on several at once; NULL = off. It must call no
///        function of this library but the accessors: others return MDNSREG_ERR_BUSY
/// @param user_data  handed to the callback; may be NULL
/// @param user_data_free  called once with user_data when the callback was replaced and its last call has
///        returned, also when this call fails; under the same rule as the callback; may be NULL
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_OPTION (the level) | MDNSREG_ERR_UNSUPPORTED (the host is a Rust program
///         with a tracing subscriber of its own) | MDNSREG_ERR_BUSY (inside the log callback) |
///         MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any. The replaced function may still run on another thread; its free function tells when not.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_log_set(
    level: i32,
    callback: mdnsreg_log_fn,
    user_data: *mut c_void,
    user_data_free: mdnsreg_free_fn,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let user = Logged(Some(UserData::new(user_data, user_data_free)));
    guard::status(err, || set(level, callback, user).map(|()| Status::OK))
}

/// User data whose free function is under the log callback's rule.
struct Logged(Option<UserData>);

impl Drop for Logged {
    fn drop(&mut self) {
        callback::as_log(|| self.0 = None);
    }
}

struct Target {
    call: unsafe extern "C" fn(i32, *const c_char, *const c_char, *mut c_void),
    user: Logged,
}

static LEVEL: AtomicI32 = AtomicI32::new(MDNSREG_LOG_OFF);
static TARGET: RwLock<Option<Arc<Target>>> = RwLock::new(None);

fn set(level: i32, callback: mdnsreg_log_fn, user: Logged) -> Result<()> {
    if !(MDNSREG_LOG_OFF..=MDNSREG_LOG_TRACE).contains(&level) {
        let problem = format!("must be {MDNSREG_LOG_OFF} to {MDNSREG_LOG_TRACE}, got {level}");
        return Err(Error::Option { key: "level".into(), problem });
    }
    let target = callback.filter(|_| level != MDNSREG_LOG_OFF).map(|call| Arc::new(Target { call, user }));
    if target.is_some() {
        install()?;
    }
    LEVEL.store(if target.is_some() { level } else { MDNSREG_LOG_OFF }, Ordering::Relaxed);
    let replaced = std::mem::replace(&mut *TARGET.write().unwrap_or_else(PoisonError::into_inner), target);
    // The lock is free again: dropping the last reference calls C.
    drop(replaced);
    Ok(())
}

fn install() -> Result<()> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    if *INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(Forward).is_ok()) {
        return Ok(());
    }
    let why = "this program has a tracing subscriber of its own, which gets the library's events";
    Err(Error::Unsupported { what: "mdnsreg_log_set".into(), why })
}

/// The subscriber: one for the life of the process; where its events go can change.
struct Forward;

fn level_of(level: Level) -> i32 {
    match level {
        Level::ERROR => MDNSREG_LOG_ERROR,
        Level::WARN => MDNSREG_LOG_WARN,
        Level::INFO => MDNSREG_LOG_INFO,
        Level::DEBUG => MDNSREG_LOG_DEBUG,
        Level::TRACE => MDNSREG_LOG_TRACE,
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.is_event() && metadata.target().starts_with(env!("CARGO_CRATE_NAME")) {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level_of(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let Some(target) = TARGET.read().unwrap_or_else(PoisonError::into_inner).clone() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let place = text::c_string(event.metadata().target());
        let line = text::c_string(line.0);
        target.tell(level_of(*event.metadata().level()), &place, &line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Target {
    fn tell(&self, level: i32, target: &CStr, message: &CStr) {
        let user = self.user.0.as_ref().map_or(std::ptr::null_mut(), UserData::pointer);
        // SAFETY: C passed the function for this data, which lives as long as `self`; the texts live
        // through the call.
        callback::log(|| unsafe { (self.call)(level, target.as_ptr(), message.as_ptr(), user) });
    }
}

/// The message, then `key=value` of every other field.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a String does not fail; a Debug of ours that fails loses its own text.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}
