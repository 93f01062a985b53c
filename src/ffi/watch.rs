//! Watches behind handles: the exports over [`queue`](super::queue).

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use super::callback::{mdnsreg_free_fn, UserData};
use super::error::{mdnsreg_error, mdnsreg_status};
use super::event::mdnsreg_event;
use super::guard::{self, Out};
use super::handle::{Object, Pinned};
use super::queue::Queue;
use super::registry::{self, mdnsreg_registry};
use super::{table, text};
use crate::error::{Error, Result, Status};
use crate::options::WatchOptions;

/// A watch: the present state, then every change, in order.
#[allow(non_camel_case_types)]
pub struct mdnsreg_watch {
    _private: [u8; 0],
}

/// Is told one event, which is valid during the call.
#[allow(non_camel_case_types)]
pub type mdnsreg_event_fn = Option<unsafe extern "C" fn(event: *const mdnsreg_event, user_data: *mut c_void)>;

pub(super) struct Watch(Arc<Queue>);

impl Object for Watch {
    const KIND: u8 = 4;
    const NAME: &'static str = "mdnsreg_watch";
}

fn pin(watch: *mut mdnsreg_watch) -> Result<Pinned<Watch>> {
    table::pin::<Watch>("watch", watch.cast())
}

/// A duration as C says it: milliseconds, 0 = poll, -1 = no limit.
fn limit(timeout_ms: i64) -> Result<Option<Duration>> {
    match u64::try_from(timeout_ms) {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) if timeout_ms == -1 => Ok(None),
        Err(_) => Err(Error::invalid("timeout_ms", "must be -1 (no limit), 0 (poll) or positive", timeout_ms)),
    }
}

/// Opens a watch. It is told the present state as "create" events, then "synced", then every change.
///
/// @param registry  the registry, not NULL; it may be closed before the watch, which then ends
/// @param watch_options_json  {"service","queue"}; NULL = the defaults: all services, 1024 changes;
///        copied
/// @param out  [out, owned] the watch; close it with mdnsreg_watch_close
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON | MDNSREG_ERR_OPTION | MDNSREG_ERR_INVALID |
///         MDNSREG_ERR_TOO_LARGE | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_open(
    registry: *mut mdnsreg_registry,
    watch_options_json: *const c_char,
    out: *mut *mut mdnsreg_watch,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out", out, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        let registry = registry::pin(registry)?;
        let options = text::optional_json("watch_options_json", watch_options_json)?;
        let options = options.map(WatchOptions::from_json).transpose()?.unwrap_or_default();
        let queue = Queue::new(registry.registry.watch(options)?);
        let handle = table::open(Watch(queue)).map_err(|(_dropped, error)| error)?;
        out.put(handle.cast());
        Ok(Status::OK)
    })
}

/// Pull: waits for the next event.
///
/// @param watch  the watch, not NULL
/// @param timeout_ms  how long to wait; 0 = not at all, -1 = without limit
/// @param out  [out, owned] the event, with MDNSREG_OK only; free it with mdnsreg_event_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_EMPTY (nothing came in time) | MDNSREG_END (stopped, or the registry or
///         the watch was closed) | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED |
///         MDNSREG_ERR_TYPE | MDNSREG_ERR_INVALID (the timeout) | MDNSREG_ERR_NOMEM (the event is kept) |
///         MDNSREG_ERR_BUSY (another face is used, or inside the log callback) | MDNSREG_ERR_FORKED |
///         MDNSREG_ERR_PANIC
/// Threads: any; of several waiting threads each event goes to one.
/// Blocks: up to the timeout; stop and close wake it with MDNSREG_END.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_next(
    watch: *mut mdnsreg_watch,
    timeout_ms: i64,
    out: *mut *mut mdnsreg_event,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out", out, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        pin(watch)?.0.next(limit(timeout_ms)?, &out)
    })
}

/// Loop: a descriptor for poll, epoll, kqueue or select that is readable while events wait and when the
/// watch has ended. Then call mdnsreg_watch_dispatch, or mdnsreg_watch_next with 0 until it says
/// MDNSREG_EMPTY.
///
/// @param watch  the watch, not NULL
/// @param out_fd  the descriptor, -1 on failure. It is the watch's: do not read from it or close it,
///        and take it out of the loop before closing the watch
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_NETWORK (no descriptor left) |
///         MDNSREG_ERR_BUSY (the watch was started, or inside the log callback) | MDNSREG_ERR_FORKED |
///         MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_fd(
    watch: *mut mdnsreg_watch,
    out_fd: *mut i32,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out_fd", out_fd, -1);
    guard::status(err, || {
        let out = out.required()?;
        out.put(pin(watch)?.0.fd()?);
        Ok(Status::OK)
    })
}

/// Loop: calls back, on this thread, for the events that wait now.
///
/// @param watch  the watch, not NULL
/// @param max  the most events to tell; -1 = all that wait
/// @param callback  is told each event, not NULL
/// @param user_data  handed to the callback; stays the caller's; may be NULL
/// @param out_n  how many events were told; may be NULL
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK (at least one was told) | MDNSREG_EMPTY (none waits) | MDNSREG_END (stopped, or the
///         registry or the watch was closed) | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE |
///         MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE | MDNSREG_ERR_INVALID (max) |
///         MDNSREG_ERR_NOMEM (the event is kept) | MDNSREG_ERR_BUSY (another face is used, or another
///         dispatch runs, or inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any, one at a time.
/// Blocks: no longer than the callbacks.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_dispatch(
    watch: *mut mdnsreg_watch,
    max: i32,
    callback: mdnsreg_event_fn,
    user_data: *mut c_void,
    out_n: *mut i32,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out_n", out_n, 0);
    guard::status(err, || {
        let watch = pin(watch)?;
        let callback = callback.ok_or(Error::Null { argument: "callback" })?;
        let most = match max {
            -1 => i32::MAX,
            1.. => max,
            _ => return Err(Error::invalid("max", "must be -1 (all that wait) or positive", max)),
        };
        // SAFETY: C passed the function and its data for this call.
        let (status, told) = watch.0.dispatch(most, &|event| unsafe { callback(event, user_data) })?;
        out.put(told);
        Ok(status)
    })
}

/// Push: a thread of the library's calls back for every event from now on.
///
/// @param watch  the watch, not NULL
/// @param callback  is told each event, not NULL
/// @param user_data  handed to the callback; may be NULL; it goes to another thread
/// @param user_data_free  called once with user_data after the last callback has returned, also when this
///        call fails (then on this thread, before it returns); may be NULL
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED (also: stopped before) |
///         MDNSREG_ERR_TYPE | MDNSREG_ERR_NETWORK (no thread could be made) |
///         MDNSREG_ERR_BUSY (started before, or another face is used, which asking for the descriptor does as
///         well, or inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_start(
    watch: *mut mdnsreg_watch,
    callback: mdnsreg_event_fn,
    user_data: *mut c_void,
    user_data_free: mdnsreg_free_fn,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let user = UserData::new(user_data, user_data_free);
    guard::status(err, || {
        let watch = pin(watch)?;
        let callback = callback.ok_or(Error::Null { argument: "callback" })?;
        // SAFETY: C passed the function for this data, which lives until `user` is dropped.
        watch.0.start(user, move |event, user| unsafe { callback(event, user.pointer()) })?;
        Ok(Status::OK)
    })
}

/// Ends a watch and waits for a running callback: after MDNSREG_OK no callback runs or will run, and the
/// user data is freed. The handle stays valid until mdnsreg_watch_close.
///
/// @param watch  the watch, not NULL
/// @param timeout_ms  how long to wait for a callback that runs; 0 = not at all, -1 = without limit
/// @return MDNSREG_OK | MDNSREG_DEFERRED (called inside a callback of this watch: it ends when that returns)
///         | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_INVALID (the timeout) | MDNSREG_ERR_BUSY (a callback has not returned in time: none
///         will start any more; call again to wait longer; also inside the log callback) |
///         MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: up to the timeout while a callback runs on another thread; never inside a callback of this watch.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_stop(watch: *mut mdnsreg_watch, timeout_ms: i64) -> mdnsreg_status {
    guard::status(std::ptr::null_mut(), || {
        let watch = pin(watch)?;
        watch.0.stop(limit(timeout_ms)?)
    })
}

/// Ends a watch and frees it. A running callback runs to its end, and none follows; the user data is freed
/// after it.
///
/// @param watch  the watch, not NULL; the pointer is not valid afterwards
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any, also inside callbacks, finalizers and destructors; before or after its registry.
/// Blocks: no. A blocked mdnsreg_watch_next ends with MDNSREG_END.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_watch_close(watch: *mut mdnsreg_watch) -> mdnsreg_status {
    guard::status(std::ptr::null_mut(), || {
        table::close::<Watch>("watch", watch.cast())?.0.halt();
        Ok(Status::OK)
    })
}
