//! What the library says of itself, handed to one function of C's. Without it nothing is said anywhere.

use std::ffi::{c_char, c_void, CStr};
use std::sync::{Arc, PoisonError, RwLock};

use super::callback::{self, mdnsreg_free_fn, UserData};
use super::error::{mdnsreg_error, mdnsreg_status};
use super::{guard, text};
use crate::error::{Error, Result, Status};
use crate::log;

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

static TARGET: RwLock<Option<Arc<Target>>> = RwLock::new(None);

fn set(level: i32, callback: mdnsreg_log_fn, user: Logged) -> Result<()> {
    let Some(talk) = u8::try_from(level).ok().filter(|_| level <= MDNSREG_LOG_TRACE) else {
        let problem = format!("must be {MDNSREG_LOG_OFF} to {MDNSREG_LOG_TRACE}, got {level}");
        return Err(Error::Option { key: "level".into(), problem });
    };
    let target = callback.filter(|_| level != MDNSREG_LOG_OFF).map(|call| Arc::new(Target { call, user }));
    if target.is_some() {
        log::forward(tell)?;
    }
    log::limit(if target.is_some() { talk } else { 0 });
    let replaced = std::mem::replace(&mut *TARGET.write().unwrap_or_else(PoisonError::into_inner), target);
    // The lock is free again: dropping the last reference calls C.
    drop(replaced);
    Ok(())
}

/// Tells the present target.
fn tell(level: u8, module: &'static str, line: String) {
    let Some(target) = TARGET.read().unwrap_or_else(PoisonError::into_inner).clone() else { return };
    target.tell(i32::from(level), &text::c_string(module), &text::c_string(line));
}

impl Target {
    fn tell(&self, level: i32, target: &CStr, message: &CStr) {
        let user = self.user.0.as_ref().map_or(std::ptr::null_mut(), UserData::pointer);
        // SAFETY: C passed the function for this data, which lives as long as `self`; the texts live
        // through the call.
        callback::log(|| unsafe { (self.call)(level, target.as_ptr(), message.as_ptr(), user) });
    }
}
