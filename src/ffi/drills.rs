//! A panic in each export, and deep inside: C gets its status, the next call works, and nothing is left behind.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void, CStr};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::handle::Object;
use super::*;
use crate::drill::{arm, is_armed, Place};
use crate::driver::lock;
use crate::error::Status;
use Export::{Points, Quiet, Says, Writes};

const OK: i32 = Status::OK.code();
const PANIC: i32 = Status::PANIC.code();
const NODE: &CStr = c"{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":1}]}";

/// One at a time: a drill in a thread of the library's strikes whoever comes first.
static STAGE: Mutex<()> = Mutex::new(());
static FREED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_free(_: *mut c_void) {
    FREED.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn on_event(_: *const mdnsreg_event, _: *mut c_void) {}

unsafe extern "C" fn on_log(_: i32, _: *const c_char, _: *const c_char, _: *mut c_void) {}

/// Live handles of each type to call with; all that is left is closed in the end.
struct Stage {
    registry: *mut mdnsreg_registry,
    watch: *mut mdnsreg_watch,
    event: *mut mdnsreg_event,
    error: *mut mdnsreg_error,
    string: *mut c_char,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    fn new() -> Stage {
        let alone = lock(&STAGE);
        let (mut event, mut error, mut string) = (null_mut(), null_mut(), null_mut());
        let registry = open();
        assert_eq!(register(registry, NODE), OK);
        let read = watch(registry);
        // SAFETY: live handles, texts, and places.
        unsafe {
            assert_eq!(mdnsreg_watch_next(read, 10_000, &mut event, null_mut()), OK);
            assert_eq!(mdnsreg_watch_close(read), OK);
            assert_eq!(mdnsreg_open(null_mut(), null_mut(), &mut error), Status::NULL.code());
            assert_eq!(mdnsreg_json_quote(c"a".as_ptr(), &mut string, null_mut()), OK);
        }
        Stage { registry, watch: watch(registry), event, error, string, _alone: alone }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // SAFETY: any pointer.
        unsafe {
            mdnsreg_watch_close(self.watch);
            mdnsreg_event_free(self.event);
            mdnsreg_error_free(self.error);
            mdnsreg_string_free(self.string);
            mdnsreg_close(self.registry);
        }
        if !thread::panicking() {
            await_that(|| (threads(), live_handles()), |left| *left == (0, 0));
        }
    }
}

fn open() -> *mut mdnsreg_registry {
    let mut registry = null_mut();
    // SAFETY: a text and a place.
    let status = unsafe { mdnsreg_open(options(), &mut registry, null_mut()) };
    assert_eq!(status, OK);
    registry
}

fn options() -> *const c_char {
    c"{\"addrs\":[\"127.0.0.1\"],\"timeout_ms\":50}".as_ptr()
}

fn watch(registry: *mut mdnsreg_registry) -> *mut mdnsreg_watch {
    let mut watch = null_mut();
    // SAFETY: any handle, and a place.
    assert_eq!(unsafe { mdnsreg_watch_open(registry, null_mut(), &mut watch, null_mut()) }, OK);
    watch
}

fn register(registry: *mut mdnsreg_registry, service: &CStr) -> i32 {
    // SAFETY: any handle, and a text.
    unsafe { mdnsreg_register(registry, service.as_ptr(), null_mut(), null_mut()) }
}

/// The status of a lookup.
fn look_up(registry: *mut mdnsreg_registry, name: &CStr) -> i32 {
    let mut json = null_mut();
    // SAFETY: any handle, a text and a place.
    unsafe {
        let status = mdnsreg_get_service(registry, name.as_ptr(), &mut json, null_mut());
        mdnsreg_string_free(json);
        status
    }
}

/// Reads events until one says this, or `END`.
fn next_that_says(watch: *mut mdnsreg_watch, words: &str) -> i32 {
    loop {
        let mut event = null_mut();
        // SAFETY: any handle and a place; the text lives as long as the event.
        unsafe {
            let status = mdnsreg_watch_next(watch, 10_000, &mut event, null_mut());
            if status != OK {
                return status;
            }
            let said = CStr::from_ptr(mdnsreg_event_json(event)).to_str().unwrap().contains(words);
            mdnsreg_event_free(event);
            if said {
                return OK;
            }
        }
    }
}

/// Threads of the library's.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("mdnsreg-")).count()
}

/// Registries and watches behind handles: only the drills open any in this program.
fn live_handles() -> usize {
    table::live(&[registry::Opened::KIND, super::watch::Watch::KIND])
}

fn await_that<T: std::fmt::Debug>(state: impl Fn() -> T, holds: impl Fn(&T) -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds(&state()) {
        assert!(Instant::now() < until, "{:?}", state());
        thread::sleep(Duration::from_millis(1));
    }
}

/// A table of calls, each of which is unsafe.
macro_rules! unsafe_calls {
    ($($name:ident: $shape:ident(|$($argument:pat_param),*| $call:expr);)*) => {
        &[$((stringify!($name), $shape(|$($argument),*| unsafe { $call }))),*]
    };
}

/// How an export is called with what it can work with, by what it gives C.
#[derive(Clone, Copy)]
enum Export {
    /// A status and why.
    Says(fn(&Stage, *mut *mut mdnsreg_error) -> i32),
    /// The same, and a text.
    Writes(fn(&Stage, *mut *mut c_char, *mut *mut mdnsreg_error) -> i32),
    Points(fn(&Stage) -> *const c_char),
    Quiet(fn(&Stage)),
}

impl Export {
    /// Whether it did its work. The reason must name the drill if it did not.
    fn works(self, stage: &Stage) -> bool {
        let (mut text, mut error) = (null_mut(), null_mut());
        let status = match self {
            Says(call) => call(stage, &mut error),
            Writes(call) => call(stage, &mut text, &mut error),
            Points(call) => return !call(stage).is_null(),
            Quiet(call) => {
                call(stage);
                return true;
            }
        };
        assert!(status == OK || status == PANIC, "{status}");
        assert!(status == OK || text.is_null());
        // SAFETY: any pointer; the text of an error lives as long as it.
        unsafe {
            if !error.is_null() {
                let message = CStr::from_ptr(mdnsreg_error_message(error)).to_str().unwrap();
                assert!(message.contains("src/drill.rs") && message.ends_with("a drill at Door"), "{message}");
            }
            mdnsreg_string_free(text);
            mdnsreg_error_free(error);
        }
        status == OK
    }
}

/// A call with user data, which is freed once, also when it fails.
fn frees_once(call: impl FnOnce() -> i32, end: impl FnOnce()) -> i32 {
    let before = FREED.load(Ordering::SeqCst);
    let status = call();
    if status == OK {
        end();
    }
    assert_eq!(FREED.load(Ordering::SeqCst), before + 1);
    status
}

/// Everything but `mdnsreg_version` and `mdnsreg_abi_version`, which return a constant.
// SAFETY of all calls: live handles of the stage, texts, and places.
const EXPORTS: &[(&str, Export)] = unsafe_calls! {
    mdnsreg_abi_check: Says(|_, err| mdnsreg_abi_check(MDNSREG_ABI_VERSION, err));
    mdnsreg_error_code: Says(|stage, _| match mdnsreg_error_code(stage.error) {
        code if code == Status::NULL.code() => OK,
        code => code,
    });
    mdnsreg_error_message: Points(|stage| mdnsreg_error_message(stage.error));
    mdnsreg_error_json: Points(|stage| mdnsreg_error_json(stage.error));
    mdnsreg_error_free: Quiet(|stage| mdnsreg_error_free(stage.error));
    mdnsreg_status_name: Points(|_| mdnsreg_status_name(0));
    mdnsreg_status_text: Points(|_| mdnsreg_status_text(0));
    mdnsreg_string_free: Quiet(|stage| mdnsreg_string_free(stage.string));
    mdnsreg_open: Says(|_, err| {
        let mut registry = null_mut();
        let status = mdnsreg_open(options(), &mut registry, err);
        assert_eq!(status == OK, mdnsreg_close(registry) == OK);
        status
    });
    mdnsreg_default: Says(|_, err| {
        let mut registry = null_mut();
        let status = mdnsreg_default(&mut registry, err);
        assert_eq!(status == OK, mdnsreg_close(registry) == OK);
        status
    });
    mdnsreg_init: Says(|stage, err| mdnsreg_init(stage.registry, options(), err));
    mdnsreg_options: Writes(|stage, out, err| mdnsreg_options(stage.registry, out, err));
    mdnsreg_string: Points(|stage| mdnsreg_string(stage.registry));
    mdnsreg_register: Says(|stage, err| mdnsreg_register(stage.registry, NODE.as_ptr(), null_mut(), err));
    mdnsreg_deregister: Says(|stage, err| mdnsreg_deregister(stage.registry, NODE.as_ptr(), err));
    mdnsreg_get_service: Writes(|stage, out, err| mdnsreg_get_service(stage.registry, c"greeter".as_ptr(), out, err));
    mdnsreg_list_services: Writes(|stage, out, err| mdnsreg_list_services(stage.registry, out, err));
    mdnsreg_stats: Writes(|stage, out, err| mdnsreg_stats(stage.registry, out, err));
    mdnsreg_close: Says(|stage, _| mdnsreg_close(stage.registry));
    mdnsreg_event_type: Points(|stage| mdnsreg_event_type(stage.event));
    mdnsreg_event_action: Points(|stage| mdnsreg_event_action(stage.event));
    mdnsreg_event_reason: Points(|stage| mdnsreg_event_reason(stage.event));
    mdnsreg_event_key: Points(|stage| mdnsreg_event_key(stage.event));
    mdnsreg_event_service: Points(|stage| mdnsreg_event_service(stage.event));
    mdnsreg_event_json: Points(|stage| mdnsreg_event_json(stage.event));
    mdnsreg_event_free: Says(|stage, _| mdnsreg_event_free(stage.event));
    mdnsreg_watch_open: Says(|stage, err| {
        let mut watch = null_mut();
        let status = mdnsreg_watch_open(stage.registry, null_mut(), &mut watch, err);
        assert_eq!(status == OK, mdnsreg_watch_close(watch) == OK);
        status
    });
    mdnsreg_watch_next: Says(|stage, err| {
        let mut event = null_mut();
        let status = mdnsreg_watch_next(stage.watch, 0, &mut event, err);
        assert_eq!(status == OK, mdnsreg_event_free(event) == OK);
        status
    });
    mdnsreg_watch_fd: Says(|stage, err| mdnsreg_watch_fd(stage.watch, &mut 0, err));
    mdnsreg_watch_dispatch: Says(|stage, err| {
        mdnsreg_watch_dispatch(stage.watch, -1, Some(on_event), null_mut(), null_mut(), err)
    });
    mdnsreg_watch_start: Says(|stage, err| frees_once(
        || mdnsreg_watch_start(stage.watch, Some(on_event), null_mut(), Some(on_free), err),
        || assert_eq!(mdnsreg_watch_stop(stage.watch, -1), OK),
    ));
    mdnsreg_watch_stop: Says(|stage, _| mdnsreg_watch_stop(stage.watch, -1));
    mdnsreg_watch_close: Says(|stage, _| mdnsreg_watch_close(stage.watch));
    mdnsreg_json_get: Writes(|_, out, err| mdnsreg_json_get(c"[7]".as_ptr(), c"/0".as_ptr(), out, err));
    mdnsreg_json_quote: Writes(|_, out, err| mdnsreg_json_quote(c"a".as_ptr(), out, err));
    mdnsreg_log_set: Says(|_, err| frees_once(
        || mdnsreg_log_set(MDNSREG_LOG_ERROR, Some(on_log), null_mut(), Some(on_free), err),
        || assert_eq!(mdnsreg_log_set(MDNSREG_LOG_OFF, None, null_mut(), None, null_mut()), OK),
    ));
};

#[test]
fn a_panic_in_any_export_is_a_status_and_the_next_call_works() {
    for (name, export) in EXPORTS {
        let stage = Stage::new();
        arm(Place::Door, Some(thread::current().id()));
        let worked = export.works(&stage);
        assert!(!is_armed(Place::Door), "{name} came past no door");
        assert!(!worked || matches!(export, Quiet(_)), "{name}");
        assert!(export.works(&stage), "{name}");
    }
}

#[test]
fn no_export_is_left_out_of_the_drills() {
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ffi")).unwrap().flatten();
    let text: String = sources.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    let exports = text.lines().filter_map(|line| line.strip_prefix("pub unsafe extern \"C\" fn "));
    let names: BTreeSet<&str> = exports.map(|line| line.split('(').next().unwrap()).collect();
    let drilled = EXPORTS.iter().map(|(name, _)| *name).chain(["mdnsreg_version", "mdnsreg_abi_version"]);
    assert_eq!(names, drilled.collect());
}

/// A second registry registers, and the stage's hears of it.
fn hears_of_others(stage: &Stage) {
    let other = open();
    assert_eq!(register(other, c"{\"name\":\"other\",\"nodes\":[{\"id\":\"2\",\"port\":2}]}"), OK);
    assert_eq!(next_that_says(stage.watch, "\"other\""), OK);
    // SAFETY: any pointer.
    assert_eq!(unsafe { mdnsreg_close(other) }, OK);
    assert_eq!(next_that_says(stage.watch, "\"delete\""), OK);
}

#[test]
fn a_panic_under_the_lock_of_a_registry_fails_one_call_only() {
    let stage = Stage::new();
    arm(Place::Verb, None);
    assert_eq!(register(stage.registry, NODE), PANIC);
    assert_eq!(register(stage.registry, NODE), OK);
    assert_eq!(look_up(stage.registry, c"greeter"), OK);
    hears_of_others(&stage);
}

#[test]
fn a_panic_in_a_thread_of_the_library_ends_nothing() {
    for place in [Place::Turn, Place::Due, Place::Datagram, Place::Link] {
        let stage = Stage::new();
        arm(place, None);
        hears_of_others(&stage);
        await_that(|| place, |place| !is_armed(*place));
        hears_of_others(&stage);
        assert_eq!(look_up(stage.registry, c"nobody"), Status::NOT_FOUND.code());
    }
}

#[test]
fn a_link_that_ends_by_itself_closes_its_registries() {
    let alone = lock(&STAGE);
    arm(Place::LinkThread, None);
    let registry = open();
    let statuses = || (register(registry, NODE), look_up(registry, c"nobody"));
    await_that(statuses, |now| *now == (Status::CLOSED.code(), Status::CLOSED.code()));
    // SAFETY: any pointer.
    assert_eq!(unsafe { mdnsreg_close(registry) }, OK);
    drop(alone);
    hears_of_others(&Stage::new());
}

#[test]
fn a_panic_in_the_callback_thread_ends_its_watch_and_frees_the_user_data() {
    let stage = Stage::new();
    let before = FREED.load(Ordering::SeqCst);
    arm(Place::Callback, None);
    // SAFETY: a live handle.
    unsafe {
        assert_eq!(mdnsreg_watch_start(stage.watch, Some(on_event), null_mut(), Some(on_free), null_mut()), OK);
        await_that(|| FREED.load(Ordering::SeqCst), |freed| *freed == before + 1);
        assert_eq!(mdnsreg_watch_stop(stage.watch, -1), OK);
    }
}

#[test]
fn a_panic_in_a_dispatch_leaves_the_watch_as_it_was() {
    let stage = Stage::new();
    arm(Place::Callback, None);
    // SAFETY: a live handle.
    unsafe {
        let dispatch = || mdnsreg_watch_dispatch(stage.watch, 1, Some(on_event), null_mut(), null_mut(), null_mut());
        assert_eq!(dispatch(), PANIC);
        await_that(dispatch, |status| *status == OK);
        assert_eq!(mdnsreg_watch_stop(stage.watch, 0), OK);
    }
}

#[test]
fn a_panic_while_a_registry_opens_or_closes_leaves_no_thread() {
    let alone = lock(&STAGE);
    let mut registry = null_mut();
    arm(Place::Open, None);
    // SAFETY: a text and places.
    assert_eq!(unsafe { mdnsreg_open(options(), &mut registry, null_mut()) }, PANIC);
    await_that(threads, |threads| *threads == 0);
    let registry = open();
    arm(Place::Close, None);
    // SAFETY: any pointer.
    assert_eq!(unsafe { mdnsreg_close(registry) }, OK);
    await_that(threads, |threads| *threads == 0);
    drop(alone);
    hears_of_others(&Stage::new());
}
