//! Events as objects, with accessors so that no JSON parser is needed to tell them apart.

use std::ffi::{c_char, c_void, CStr, CString};
use std::sync::OnceLock;

use super::error::mdnsreg_status;
use super::handle::Object;
use super::{guard, table, text};
use crate::error::{Error, Result, Status};
use crate::event::{Action, Change, Event, Reason};

/// What a watch tells: one change of one node, or "synced", or "resync".
#[allow(non_camel_case_types)]
pub struct mdnsreg_event {
    _private: [u8; 0],
}

/// An event behind a handle; texts are made when first asked for.
pub(super) struct Told {
    event: Event,
    /// Given to a callback: the library frees it when the callback returns.
    lent: bool,
    json: OnceLock<CString>,
    service: OnceLock<CString>,
    key: OnceLock<CString>,
}

impl Object for Told {
    const KIND: u8 = 2;
    const NAME: &'static str = "mdnsreg_event";
}

/// A handle for an event that the caller frees.
pub(super) fn give(event: Event) -> std::result::Result<*mut mdnsreg_event, (Event, Error)> {
    open(event, false)
}

/// Calls back with a handle that is valid during the call.
pub(super) fn lend(event: Event, call: impl FnOnce(*const mdnsreg_event)) -> std::result::Result<(), (Event, Error)> {
    let handle = open(event, true)?;
    call(handle);
    let _ours = table::close::<Told>("event", handle.cast::<c_void>());
    Ok(())
}

fn open(event: Event, lent: bool) -> std::result::Result<*mut mdnsreg_event, (Event, Error)> {
    let told = Told { event, lent, json: OnceLock::new(), service: OnceLock::new(), key: OnceLock::new() };
    table::open(told).map(|handle| handle.cast()).map_err(|(told, error)| (told.event, error))
}

fn read(event: *const mdnsreg_event, body: impl FnOnce(&Told) -> Option<*const c_char>) -> *const c_char {
    guard::pointer(|| {
        let told = table::pin::<Told>("event", event.cast())?;
        Ok(body(&told).unwrap_or(std::ptr::null()))
    })
}

fn of_change(event: *const mdnsreg_event, body: impl FnOnce(&Told, &Change) -> *const c_char) -> *const c_char {
    read(event, |told| told.event.change().map(|change| body(told, change)))
}

/// What kind of event it is.
///
/// @param event  the event, not NULL
/// @return "service", "synced" or "resync", static; NULL for what is no live event
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_type(event: *const mdnsreg_event) -> *const c_char {
    read(event, |told| {
        let kind: &CStr = match told.event {
            Event::Service(_) => c"service",
            Event::Synced => c"synced",
            Event::Resync => c"resync",
        };
        Some(kind.as_ptr())
    })
}

/// What became of the node.
///
/// @param event  the event, not NULL
/// @return "create", "update" or "delete", static; NULL unless the type is "service", and for what is
///         no live event
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_action(event: *const mdnsreg_event) -> *const c_char {
    of_change(event, |_, change| {
        let action: &CStr = match change.action {
            Action::Create => c"create",
            Action::Update => c"update",
            Action::Delete => c"delete",
        };
        action.as_ptr()
    })
}

/// Why it became so.
///
/// @param event  the event, not NULL
/// @return "announced", "changed", "goodbye", "expired", "withdrawn", "duplicate", "link-down" or
///         "refused", static; NULL unless the type is "service", and for what is no live event
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_reason(event: *const mdnsreg_event) -> *const c_char {
    of_change(event, |_, change| reason(change.reason).as_ptr())
}

fn reason(reason: Reason) -> &'static CStr {
    match reason {
        Reason::Announced => c"announced",
        Reason::Changed => c"changed",
        Reason::Goodbye => c"goodbye",
        Reason::Expired => c"expired",
        Reason::Withdrawn => c"withdrawn",
        Reason::Duplicate => c"duplicate",
        Reason::LinkDown => c"link-down",
        Reason::Refused => c"refused",
    }
}

/// The node's key: opaque, and the same in all events of one node. Fold by it.
///
/// @param event  the event, not NULL
/// @return UTF-8 that lives as long as the event; NULL unless the type is "service", and for what is no
///         live event
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_key(event: *const mdnsreg_event) -> *const c_char {
    of_change(event, |told, change| told.key.get_or_init(|| text::c_string(&*change.key)).as_ptr())
}

/// The service with exactly this node, as JSON; for a delete, as last known.
///
/// @param event  the event, not NULL
/// @return UTF-8 that lives as long as the event; NULL unless the type is "service", and for what is no
///         live event
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_service(event: *const mdnsreg_event) -> *const c_char {
    of_change(event, |told, change| told.service.get_or_init(|| text::c_string(change.service.to_json())).as_ptr())
}

/// The whole event as a JSON object: "type", and for "service" also "action", "key", "reason" and
/// "service".
///
/// @param event  the event, not NULL
/// @return UTF-8 that lives as long as the event; NULL for what is no live event
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_json(event: *const mdnsreg_event) -> *const c_char {
    read(event, |told| Some(told.json.get_or_init(|| text::c_string(told.event.to_json())).as_ptr()))
}

/// Frees an event of mdnsreg_watch_next, and the texts read from it. An event in a callback is the
/// library's and is not freed.
///
/// @param event  the event; NULL does nothing and returns MDNSREG_ERR_NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED |
///         MDNSREG_ERR_TYPE | MDNSREG_ERR_BUSY (the event of a callback, or inside the log callback) |
///         MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_event_free(event: *mut mdnsreg_event) -> mdnsreg_status {
    guard::status(std::ptr::null_mut(), || free(event.cast()))
}

fn free(event: *const c_void) -> Result<Status> {
    if table::pin::<Told>("event", event)?.lent {
        return Err(Error::Busy { what: "the event belongs to the callback it was given to".into() });
    }
    table::close::<Told>("event", event).map(|_| Status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_in_c_as_in_json() {
        let all = [
            Reason::Announced,
            Reason::Changed,
            Reason::Goodbye,
            Reason::Expired,
            Reason::Withdrawn,
            Reason::Duplicate,
            Reason::LinkDown,
            Reason::Refused,
        ];
        for one in all {
            assert_eq!(serde_json::to_value(one).unwrap(), reason(one).to_str().unwrap());
        }
    }

    #[test]
    fn an_event_of_a_callback_is_not_freed_by_it_and_gone_after_it() {
        let mut kept = std::ptr::null();
        let lent = lend(Event::Synced, |event| {
            // SAFETY: the functions check any pointer.
            unsafe {
                assert_eq!(mdnsreg_event_free(event.cast_mut()), Status::BUSY.code());
                assert_eq!(CStr::from_ptr(mdnsreg_event_type(event)), c"synced");
                assert!(mdnsreg_event_action(event).is_null());
            }
            kept = event;
        });
        assert!(lent.is_ok());
        // SAFETY: as above.
        assert!(unsafe { mdnsreg_event_type(kept) }.is_null());
    }

    #[test]
    fn an_event_given_is_freed_once() {
        let event = give(Event::Resync).unwrap();
        // SAFETY: the functions check any pointer.
        unsafe {
            assert_eq!(CStr::from_ptr(mdnsreg_event_json(event)), c"{\"type\":\"resync\"}");
            assert_eq!(mdnsreg_event_free(event), Status::OK.code());
            assert_eq!(mdnsreg_event_free(event), Status::CLOSED.code());
        }
    }
}
