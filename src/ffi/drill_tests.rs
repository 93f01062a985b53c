//! A panic in every export, and at every lock that an export takes: a status, and the next call works.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void, CStr};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::drill::{self, Place};
use crate::error::Status;

const OPTIONS: &CStr = c"{\"addrs\":[\"127.0.0.1\"],\"timeout_ms\":20}";
const GREETER: &CStr = c"{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4711}]}";

/// What an export gave.
#[derive(Debug, PartialEq)]
enum Answer {
    Status(i32),
    /// Of `mdnsreg_error_code`: the error's.
    Code(i32),
    IsNull(bool),
    Nothing,
}

impl Answer {
    fn status(status: i32) -> Answer {
        Answer::Status(status)
    }

    fn code(status: i32) -> Answer {
        Answer::Code(status)
    }

    fn text(text: *const c_char) -> Answer {
        Answer::IsNull(text.is_null())
    }

    fn nothing((): ()) -> Answer {
        Answer::Nothing
    }

    /// The same export's answer when it panics.
    fn of_a_panic(&self) -> Answer {
        match self {
            Answer::Status(_) => Answer::Status(Status::PANIC.code()),
            Answer::Code(_) => Answer::Code(Status::PANIC.code()),
            Answer::IsNull(_) => Answer::IsNull(true),
            Answer::Nothing => Answer::Nothing,
        }
    }

    fn of_a_call_that_works(&self) -> Answer {
        match self {
            Answer::Status(_) => Answer::Status(Status::OK.code()),
            Answer::Code(_) => Answer::Code(Status::VERSION.code()),
            Answer::IsNull(_) => Answer::IsNull(false),
            Answer::Nothing => Answer::Nothing,
        }
    }
}

/// One live handle of each type, and where results go.
struct Stage {
    registry: *mut mdnsreg_registry,
    watch: *mut mdnsreg_watch,
    event: *mut mdnsreg_event,
    error: *mut mdnsreg_error,
    string: *mut c_char,
    out_registry: *mut mdnsreg_registry,
    out_watch: *mut mdnsreg_watch,
    out_event: *mut mdnsreg_event,
    out_text: *mut c_char,
    out_fd: i32,
    err: *mut mdnsreg_error,
}

/// User data that was handed over and freed.
static USERS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn free_user(user: *mut c_void) {
    // SAFETY: made by `user`, freed once.
    drop(unsafe { Box::from_raw(user.cast::<u64>()) });
    USERS.fetch_sub(1, Ordering::SeqCst);
}

fn user() -> *mut c_void {
    USERS.fetch_add(1, Ordering::SeqCst);
    Box::into_raw(Box::new(7_u64)).cast()
}

unsafe extern "C" fn on_event(_: *const mdnsreg_event, _: *mut c_void) {}

fn ok(status: mdnsreg_status) {
    assert_eq!(status, Status::OK.code());
}

impl Stage {
    fn new() -> Stage {
        let mut s = Stage {
            registry: null_mut(),
            watch: null_mut(),
            event: null_mut(),
            error: null_mut(),
            string: null_mut(),
            out_registry: null_mut(),
            out_watch: null_mut(),
            out_event: null_mut(),
            out_text: null_mut(),
            out_fd: -1,
            err: null_mut(),
        };
        let mut first = null_mut();
        // SAFETY: the arguments are live.
        unsafe {
            ok(mdnsreg_open(OPTIONS.as_ptr(), &mut s.registry, null_mut()));
            ok(mdnsreg_register(s.registry, GREETER.as_ptr(), null(), null_mut()));
            ok(mdnsreg_watch_open(s.registry, null(), &mut s.watch, null_mut()));
            ok(mdnsreg_watch_open(s.registry, null(), &mut first, null_mut()));
            ok(mdnsreg_watch_next(first, 5_000, &mut s.event, null_mut()));
            ok(mdnsreg_watch_close(first));
            ok(mdnsreg_json_quote(c"a".as_ptr(), &mut s.string, null_mut()));
            assert_eq!(mdnsreg_abi_check(99, &mut s.error), Status::VERSION.code());
        }
        s
    }

    /// Frees what a call gave, and its error.
    fn clear(&mut self) {
        // SAFETY: ours, or NULL, or what was never given.
        unsafe {
            mdnsreg_close(self.out_registry);
            mdnsreg_watch_close(self.out_watch);
            mdnsreg_event_free(self.out_event);
            mdnsreg_string_free(self.out_text);
            mdnsreg_error_free(self.err);
        }
        (self.out_registry, self.out_watch, self.out_event) = (null_mut(), null_mut(), null_mut());
        (self.out_text, self.err) = (null_mut(), null_mut());
    }

    fn nothing_came_out(&self) -> bool {
        self.out_registry.is_null() && self.out_watch.is_null() && self.out_event.is_null() && self.out_text.is_null()
    }

    /// The registry works, or says that it is over.
    fn answers(&mut self) -> bool {
        // SAFETY: the arguments are live or stale.
        let (found, registered) = unsafe {
            let found = mdnsreg_get_service(self.registry, c"greeter".as_ptr(), &mut self.out_text, null_mut());
            (found, mdnsreg_register(self.registry, GREETER.as_ptr(), null(), null_mut()))
        };
        self.clear();
        let over = [Status::CLOSED, Status::CANCELLED].map(|status| status.code());
        let works = [Status::OK, Status::NOT_FOUND].map(|status| status.code());
        (works.contains(&found) && registered == Status::OK.code())
            || over.contains(&found) && over.contains(&registered)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: ours, or freed by a drill.
        unsafe {
            mdnsreg_watch_close(self.watch);
            mdnsreg_close(self.registry);
            mdnsreg_event_free(self.event);
            mdnsreg_error_free(self.error);
            mdnsreg_string_free(self.string);
        }
    }
}

struct Export {
    name: &'static str,
    call: fn(&mut Stage) -> Answer,
}

/// Exports that return a constant: there is nothing in them to panic.
const CONSTANT: &[&str] = &["mdnsreg_version", "mdnsreg_abi_version"];

macro_rules! exports {
    ($s:ident; $($answer:ident $name:ident($($argument:expr),*);)*) => {
        const EXPORTS: &[Export] = &[$(Export {
            name: stringify!($name),
            #[allow(unused_variables)] // some need nothing of the stage
            // SAFETY: the arguments are the stage's, live or freed by this very call.
            call: |$s: &mut Stage| Answer::$answer(unsafe { $name($($argument),*) }),
        }),*];
    };
}

exports! { s;
    status mdnsreg_abi_check(MDNSREG_ABI_VERSION, &mut s.err);
    code mdnsreg_error_code(s.error);
    text mdnsreg_error_message(s.error);
    text mdnsreg_error_json(s.error);
    nothing mdnsreg_error_free(s.error);
    text mdnsreg_status_name(0);
    text mdnsreg_status_text(0);
    nothing mdnsreg_string_free(s.string);
    status mdnsreg_open(OPTIONS.as_ptr(), &mut s.out_registry, &mut s.err);
    status mdnsreg_default(&mut s.out_registry, &mut s.err);
    status mdnsreg_init(s.registry, c"{\"timeout_ms\":21}".as_ptr(), &mut s.err);
    status mdnsreg_options(s.registry, &mut s.out_text, &mut s.err);
    text mdnsreg_string(s.registry);
    status mdnsreg_register(s.registry, GREETER.as_ptr(), null(), &mut s.err);
    status mdnsreg_deregister(s.registry, GREETER.as_ptr(), &mut s.err);
    status mdnsreg_get_service(s.registry, c"greeter".as_ptr(), &mut s.out_text, &mut s.err);
    status mdnsreg_list_services(s.registry, &mut s.out_text, &mut s.err);
    status mdnsreg_stats(s.registry, &mut s.out_text, &mut s.err);
    status mdnsreg_close(s.registry);
    text mdnsreg_event_type(s.event);
    text mdnsreg_event_action(s.event);
    text mdnsreg_event_reason(s.event);
    text mdnsreg_event_key(s.event);
    text mdnsreg_event_service(s.event);
    text mdnsreg_event_json(s.event);
    status mdnsreg_event_free(s.event);
    status mdnsreg_watch_open(s.registry, null(), &mut s.out_watch, &mut s.err);
    status mdnsreg_watch_next(s.watch, 5_000, &mut s.out_event, &mut s.err);
    status mdnsreg_watch_fd(s.watch, &mut s.out_fd, &mut s.err);
    status mdnsreg_watch_dispatch(s.watch, 1, Some(on_event), null_mut(), null_mut(), &mut s.err);
    status mdnsreg_watch_start(s.watch, Some(on_event), user(), Some(free_user), &mut s.err);
    status mdnsreg_watch_stop(s.watch, 5_000);
    status mdnsreg_watch_close(s.watch);
    status mdnsreg_json_get(c"[1]".as_ptr(), c"/0".as_ptr(), &mut s.out_text, &mut s.err);
    status mdnsreg_json_quote(c"a".as_ptr(), &mut s.out_text, &mut s.err);
    status mdnsreg_log_set(MDNSREG_LOG_OFF, None, user(), Some(free_user), &mut s.err);
}

/// What must be as it was when all is closed: handles, strings, user data, descriptors, threads.
fn held() -> [usize; 5] {
    let count = |directory| std::fs::read_dir(directory).unwrap().count();
    let users = USERS.load(Ordering::SeqCst);
    [table::in_use(), text::given_out(), users, count("/proc/self/fd"), count("/proc/self/task")]
}

fn until(what: &str, held_then: impl Fn() -> bool) {
    let begun = Instant::now();
    while !held_then() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", held());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a test's body in a process where no other test holds anything, for as long as a hang would be told from work.
fn alone(test: &str, body: fn()) {
    const ALONE: &str = "MDNSREG_DRILL";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let name = format!("ffi::drill_tests::{test}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(ALONE, "1");
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(120) => {
                child.kill().unwrap();
                panic!("{test} hangs");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{test}: {status}");
}

#[test]
fn every_function_of_the_header_is_drilled() {
    let header = include_str!("../../include/mdns_registry.h");
    let declarations =
        header.lines().filter(|line| !line.starts_with([' ', '/', '#', '}', ')']) && !line.starts_with("typedef"));
    let declared: BTreeSet<&str> = declarations
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("mdnsreg_"))
        .collect();
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(
        EXPORTS.iter().map(|export| export.name).chain(CONSTANT.iter().copied()).collect::<BTreeSet<_>>(),
        declared
    );
}

#[test]
fn a_panic_in_any_export_is_a_status_and_leaves_nothing() {
    alone("a_panic_in_any_export_is_a_status_and_leaves_nothing", || {
        let before = held();
        for Export { name, call } in EXPORTS {
            let mut stage = Stage::new();
            drill::arm(Place::Call, 0);
            let answer = call(&mut stage);
            assert!(!drill::disarm(), "{name} does not come through the guard");
            assert_eq!(answer, answer.of_a_panic(), "{name}");
            assert!(stage.nothing_came_out(), "{name}");
            if !stage.err.is_null() {
                // SAFETY: live.
                let message = unsafe { CStr::from_ptr(mdnsreg_error_message(stage.err)) }.to_str().unwrap();
                assert!(message.contains("src/drill.rs") && message.contains("Call"), "{name}: {message}");
            }
            stage.clear();
            let answer = call(&mut stage);
            assert_eq!(answer, answer.of_a_call_that_works(), "{name}, the next call");
            drop(stage);
            until(name, || held() == before);
        }
    });
}

#[test]
fn a_panic_while_a_handle_or_a_lock_is_held_leaves_a_registry_that_answers() {
    alone("a_panic_while_a_handle_or_a_lock_is_held_leaves_a_registry_that_answers", || {
        let before = held();
        let (mut other, mut drills) = (Stage::new(), 0);
        for Export { name, call } in EXPORTS {
            for place in [Place::Pinned, Place::Locked, Place::Changed] {
                for skipped in 0.. {
                    let (before, mut stage) = (table::in_use(), Stage::new());
                    drill::arm(place, skipped);
                    let answer = call(&mut stage);
                    if drill::disarm() {
                        break;
                    }
                    drills += 1;
                    assert_eq!(answer, answer.of_a_panic(), "{name}, {place:?} {skipped}");
                    stage.clear();
                    assert!(stage.answers(), "{name}, {place:?} {skipped}");
                    assert!(other.answers(), "another registry after {name}, {place:?} {skipped}");
                    drop(stage);
                    until(name, || table::in_use() == before && USERS.load(Ordering::SeqCst) == 0);
                }
            }
        }
        assert!(drills > 50, "{drills}");
        drop(other);
        until("all is closed", || held() == before);
    });
}

#[test]
fn a_reader_that_waits_is_told_the_end_by_a_close_that_panics() {
    alone("a_reader_that_waits_is_told_the_end_by_a_close_that_panics", || {
        for place in [Place::Pinned, Place::Locked, Place::Changed] {
            for skipped in 0.. {
                let stage = Stage::new();
                let watch = stage.watch.expose_provenance();
                let reader = std::thread::spawn(move || loop {
                    let (mut event, watch) = (null_mut(), std::ptr::with_exposed_provenance_mut(watch));
                    // SAFETY: live until this thread has ended.
                    let status = unsafe { mdnsreg_watch_next(watch, -1, &mut event, null_mut()) };
                    if status == Status::END.code() {
                        return;
                    }
                    ok(status);
                    // SAFETY: ours.
                    ok(unsafe { mdnsreg_event_free(event) });
                });
                drill::arm(place, skipped);
                // SAFETY: live.
                unsafe { mdnsreg_close(stage.registry) };
                let came = !drill::disarm();
                until("the end", || reader.is_finished());
                reader.join().unwrap();
                if !came {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_panic_in_the_drivers_turn_ends_neither_the_registry_nor_a_call_that_waits() {
    alone("a_panic_in_the_drivers_turn_ends_neither_the_registry_nor_a_call_that_waits", || {
        let mut stage = Stage::new();
        drill::arm_threads(Place::Turn, 3);
        // SAFETY: live.
        let status =
            unsafe { mdnsreg_get_service(stage.registry, c"nobody".as_ptr(), &mut stage.out_text, null_mut()) };
        assert_eq!(status, Status::NOT_FOUND.code());
        until("turns that panic", || drill::threads_left() == 0);
        assert!(stage.answers());
    });
}

const OTHER: &CStr = c"{\"name\":\"other\",\"nodes\":[{\"id\":\"2\",\"address\":\"127.0.0.1\",\"port\":2}]}";

/// Reads events until one has these words, or the watch ends.
fn next_with(watch: *mut mdnsreg_watch, words: &str) -> i32 {
    loop {
        let mut event = null_mut();
        // SAFETY: the handle is live; the text is until the event is freed.
        unsafe {
            let status = mdnsreg_watch_next(watch, 10_000, &mut event, null_mut());
            if status != Status::OK.code() {
                return status;
            }
            let found = CStr::from_ptr(mdnsreg_event_json(event)).to_str().unwrap().contains(words);
            ok(mdnsreg_event_free(event));
            if found {
                return status;
            }
        }
    }
}

/// Another registry registers a node and closes; the stage's hears of both.
fn hears_of_others(stage: &Stage) {
    let mut other = null_mut();
    // SAFETY: the arguments are live.
    unsafe {
        ok(mdnsreg_open(OPTIONS.as_ptr(), &mut other, null_mut()));
        ok(mdnsreg_register(other, OTHER.as_ptr(), null(), null_mut()));
        ok(next_with(stage.watch, "\"other\""));
        ok(mdnsreg_close(other));
        ok(next_with(stage.watch, "\"delete\""));
    }
}

#[test]
fn a_panic_in_a_thread_of_the_library_ends_nothing() {
    alone("a_panic_in_a_thread_of_the_library_ends_nothing", || {
        let before = held();
        for place in [Place::Turn, Place::Due, Place::Datagram, Place::Link] {
            let stage = Stage::new();
            drill::arm_threads(place, 1);
            hears_of_others(&stage);
            until(&format!("a panic at {place:?}"), || drill::threads_left() == 0);
            hears_of_others(&stage);
        }
        until("all is closed", || held() == before);
    });
}

#[test]
fn a_link_that_ends_by_itself_closes_its_registries_and_the_next_works() {
    alone("a_link_that_ends_by_itself_closes_its_registries_and_the_next_works", || {
        let (before, mut registry) = (held(), null_mut());
        drill::arm_threads(Place::LinkThread, 1);
        let closed = |registry| {
            // SAFETY: live, or closed.
            (unsafe { mdnsreg_register(registry, GREETER.as_ptr(), null(), null_mut()) }) == Status::CLOSED.code()
        };
        // SAFETY: the arguments are live.
        unsafe {
            ok(mdnsreg_open(OPTIONS.as_ptr(), &mut registry, null_mut()));
            until("the registry is closed", || closed(registry));
            ok(mdnsreg_close(registry));
        }
        hears_of_others(&Stage::new());
        until("all is closed", || held() == before);
    });
}

#[test]
fn a_panic_where_c_is_called_back_frees_the_user_data_and_ends_the_pushed_watch_alone() {
    alone("a_panic_where_c_is_called_back_frees_the_user_data_and_ends_the_pushed_watch_alone", || {
        let before = held();
        let mut stage = Stage::new();
        drill::arm_threads(Place::Callback, 1);
        // SAFETY: the handles are live.
        unsafe {
            ok(mdnsreg_watch_start(stage.watch, Some(on_event), user(), Some(free_user), null_mut()));
            until("the user data are freed", || USERS.load(Ordering::SeqCst) == 0);
            ok(mdnsreg_watch_stop(stage.watch, -1));
        }
        assert!(stage.answers());
        let dispatched = Stage::new();
        drill::arm_threads(Place::Callback, 1);
        // SAFETY: the handles are live.
        let dispatch = || unsafe {
            mdnsreg_watch_dispatch(dispatched.watch, 1, Some(on_event), null_mut(), null_mut(), null_mut())
        };
        assert_eq!(dispatch(), Status::PANIC.code());
        // SAFETY: the arguments are live.
        ok(unsafe { mdnsreg_register(dispatched.registry, OTHER.as_ptr(), null(), null_mut()) });
        until("the next event", || dispatch() == Status::OK.code());
        // SAFETY: the handle is live.
        ok(unsafe { mdnsreg_watch_stop(dispatched.watch, 0) });
        drop((stage, dispatched));
        until("all is closed", || held() == before);
    });
}

#[test]
fn a_panic_while_the_only_registry_opens_leaves_no_thread() {
    alone("a_panic_while_the_only_registry_opens_leaves_no_thread", || {
        let (before, mut registry) = (held(), null_mut());
        drill::arm(Place::Joined, 0);
        // SAFETY: the arguments are live.
        let status = unsafe { mdnsreg_open(OPTIONS.as_ptr(), &mut registry, null_mut()) };
        assert!(!drill::disarm());
        assert_eq!(status, Status::PANIC.code());
        until("nothing is left", || held() == before);
        hears_of_others(&Stage::new());
    });
}
