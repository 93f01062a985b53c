//! Calls of the C ABI by three threads on the same handles, live, stale, foreign and invented: each returns a status that
//! its comment in the header lists, and nothing is left behind.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_char, c_void, CStr, CString};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use mdns_registry::ffi::*;
use mdns_registry::{options, Service};

use super::input::Input;

const THREADS: usize = 3;
const SLOTS: usize = 12;
/// Of one thread.
const CALLS: usize = 24;
const OPTIONS: &str = r#"{"addrs":["lo"],"timeout_ms":2}"#;
const OK: i32 = mdns_registry::Status::OK.code();
const DEFERRED: i32 = mdns_registry::Status::DEFERRED.code();
const NOT_TO_HAPPEN: [&str; 2] = ["FORKED", "PANIC"];

const TEXTS: [&str; 18] = [
    "",
    "{",
    "{}",
    "[]",
    "null",
    "greeter",
    r#"{"service":"greeter"}"#,
    r#"{"queue":1}"#,
    r#"{"service":""}"#,
    OPTIONS,
    r#"{"timeout_ms":-1}"#,
    r#"{"ttl_ms":5000,"auto_renew":false}"#,
    r#"{"name":"greeter"}"#,
    r#"{"name":"greeter","nodes":[]}"#,
    r#"{"name":"greeter","nodes":[{"id":"1","address":"127.0.0.1","port":4711}]}"#,
    r#"{"name":"greeter","version":"2","nodes":[{"id":"1","address":"127.0.0.1","port":4712}]}"#,
    r#"{"name":"other","nodes":[{"id":"x","address":"127.0.0.1","port":1,"metadata":{"a":"b"}}]}"#,
    "/0/nodes/0/id",
];

/// By function: the names of the statuses in its comment.
static LISTED: LazyLock<BTreeMap<&'static str, BTreeSet<&'static str>>> = LazyLock::new(|| {
    let header = include_str!("../../include/mdns_registry.h");
    let mut listed = BTreeMap::new();
    for part in header.split("/**").skip(1) {
        let Some((comment, declaration)) = part.split_once("*/") else { continue };
        let Some((before, _)) = declaration.split_once('(') else { continue };
        let Some(name) = before.split_whitespace().last().map(|name| name.trim_start_matches('*')) else { continue };
        let returned = comment.split("@return").nth(1).and_then(|rest| rest.split("Threads:").next()).unwrap_or("");
        let alone = |alternative: &&str| !alternative.contains("BUSY (inside the log callback)");
        let status = |alternative: &'static str| {
            let word = alternative.trim_start_matches([' ', '\n', '*']).split([' ', '\n', ',']).next()?;
            Some(word.strip_prefix("MDNSREG_")?.trim_start_matches("ERR_")).filter(|name| !NOT_TO_HAPPEN.contains(name))
        };
        listed.insert(name, returned.split('|').filter(alone).filter_map(status).collect());
    }
    listed
});

/// The registry of the process stays open: a reference to it costs no socket.
static BASE: LazyLock<usize> = LazyLock::new(|| {
    std::env::set_var(options::ENVIRONMENT, OPTIONS);
    default_registry() as usize
});

fn default_registry() -> *mut mdnsreg_registry {
    let mut registry = null_mut();
    // SAFETY: a place.
    assert_eq!(unsafe { mdnsreg_default(&mut registry, null_mut()) }, OK);
    registry
}

fn listed(call: &str, status: i32) -> bool {
    // SAFETY: any number; the text is static.
    let name = unsafe { mdnsreg_status_name(status) };
    assert!(!name.is_null(), "{call} gave {status}, which is no status");
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap();
    assert!(LISTED[call].contains(name), "{call} gave {name}, which its comment does not list");
    status == OK
}

/// What the threads share.
struct Table {
    slots: [AtomicPtr<c_void>; SLOTS],
    /// Every handle there was.
    ledger: Mutex<Vec<usize>>,
    names: Mutex<BTreeSet<String>>,
    opened: AtomicUsize,
    closed: AtomicUsize,
    opens: AtomicUsize,
    users: AtomicUsize,
    freed: AtomicUsize,
}

impl Table {
    fn put(&self, slot: u8, handle: *mut c_void) {
        if !handle.is_null() {
            self.ledger.lock().unwrap().push(handle as usize);
            self.slots[usize::from(slot) % SLOTS].store(handle, Ordering::SeqCst);
        }
    }

    fn pick(&self, input: &mut Input<'_>) -> *mut c_void {
        let which = input.byte();
        let slot = self.slots[usize::from(which) % SLOTS].load(Ordering::SeqCst);
        match which {
            0xf0..=0xf3 => null_mut(),
            0xf4..=0xf7 => (slot as usize).wrapping_add(usize::from(input.byte()) % 64).wrapping_sub(32) as *mut c_void,
            0xf8..=0xff => input.take(8).iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte)) as *mut c_void,
            _ => slot,
        }
    }

    fn close_registry(&self, handle: *mut c_void) {
        // SAFETY: any value.
        let status = unsafe { mdnsreg_close(handle.cast()) };
        listed("mdnsreg_close", status);
        self.closed.fetch_add(usize::from(status == OK || status == DEFERRED), Ordering::SeqCst);
    }

    fn close_watch(&self, handle: *mut c_void) {
        // SAFETY: any value.
        let ended = listed("mdnsreg_watch_close", unsafe { mdnsreg_watch_close(handle.cast()) });
        self.closed.fetch_add(usize::from(ended), Ordering::SeqCst);
    }

    fn opened(&self, slot: u8, status: bool, handle: *mut c_void) {
        assert_eq!(status, !handle.is_null());
        self.opened.fetch_add(usize::from(status), Ordering::SeqCst);
        self.put(slot, handle);
    }
}

/// The input in three parts, one a thread.
pub fn run(data: &[u8]) {
    let _base = *BASE;
    let table = Arc::new(Table {
        slots: Default::default(),
        ledger: Mutex::default(),
        names: Mutex::new(["greeter", "other"].map(str::to_owned).into()),
        opened: AtomicUsize::new(0),
        closed: AtomicUsize::new(0),
        opens: AtomicUsize::new(0),
        users: AtomicUsize::new(0),
        freed: AtomicUsize::new(0),
    });
    table.opened(0, true, default_registry().cast());
    let part = data.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let mut parts = data.chunks(part);
        let first = parts.next();
        for part in parts {
            scope.spawn(|| play(&table, part));
        }
        play(&table, first.unwrap_or_default());
    });
    end(&table);
}

fn end(table: &Arc<Table>) {
    for handle in std::mem::take(&mut *table.ledger.lock().unwrap()) {
        let handle = handle as *mut c_void;
        table.close_watch(handle);
        // SAFETY: any value.
        unsafe {
            listed("mdnsreg_event_free", mdnsreg_event_free(handle.cast()));
            mdnsreg_error_free(handle.cast());
        }
        table.close_registry(handle);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while table.users.load(Ordering::SeqCst) != table.freed.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "user data was not freed");
        std::thread::sleep(Duration::from_micros(100));
    }
    // Callbacks close too, and have returned by now.
    let counts = [&table.opened, &table.closed].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts[0], counts[1], "each is closed once, however many try");
    for name in std::mem::take(&mut *table.names.lock().unwrap()) {
        let selection = CString::new(serde_json::json!({ "name": name }).to_string()).unwrap();
        // SAFETY: a live registry and a text.
        unsafe { mdnsreg_deregister(*BASE as *mut mdnsreg_registry, selection.as_ptr(), null_mut()) };
    }
}

fn play(table: &Arc<Table>, part: &[u8]) {
    let mut input = Input(part);
    for _ in 0..CALLS {
        if input.is_empty() {
            return;
        }
        let mut err = null_mut();
        call(table, &mut input, &mut err);
        if !err.is_null() {
            // SAFETY: nobody else has it yet.
            unsafe {
                assert!(!mdnsreg_error_message(err).is_null() && !mdnsreg_error_json(err).is_null());
                assert!(listed_code(mdnsreg_error_code(err)));
            }
            match input.byte() & 1 {
                // Kept for others to misuse.
                0 => table.put(input.byte(), err.cast()),
                // SAFETY: as above.
                _ => unsafe { mdnsreg_error_free(err) },
            }
        }
    }
}

fn listed_code(code: i32) -> bool {
    // SAFETY: any number.
    code < 0 && !unsafe { mdnsreg_status_name(code) }.is_null()
}

/// NULL, one of ours, or what the fuzzer says.
fn text(input: &mut Input<'_>) -> Option<CString> {
    match input.byte() {
        255 => None,
        which @ 0..=127 => CString::new(TEXTS[usize::from(which) % TEXTS.len()]).ok(),
        _ => {
            let bytes = input.short();
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            CString::new(&bytes[..end]).ok()
        }
    }
}

/// Options of a registry: none that would make calls wait, or open what takes long to close.
fn options(input: &mut Input<'_>) -> Option<CString> {
    let text = text(input)?;
    let slow = [&b"timeout"[..], b"link", b"\\"];
    let is_slow = slow.iter().any(|word| text.as_bytes().windows(word.len()).any(|at| at == *word));
    match is_slow && text.as_bytes() != OPTIONS.as_bytes() {
        true => CString::new(OPTIONS).ok(),
        false => Some(text),
    }
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(null(), |text| text.as_ptr())
}

struct User {
    table: Arc<Table>,
    act: u8,
    /// Which calls back.
    watch: usize,
}

unsafe extern "C" fn on_free(user: *mut c_void) {
    // SAFETY: made by `start`, and freed once.
    let user = unsafe { Box::from_raw(user.cast::<User>()) };
    user.table.freed.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn on_event(event: *const mdnsreg_event, user: *mut c_void) {
    // SAFETY: the event lives during the call; so does what `start` gave.
    unsafe {
        assert!(!mdnsreg_event_type(event).is_null() && !mdnsreg_event_json(event).is_null());
        let Some(user) = user.cast::<User>().as_ref() else { return };
        let handle = user.table.slots[usize::from(user.act) % SLOTS].load(Ordering::SeqCst);
        match user.act >> 6 {
            0 => drop(listed("mdnsreg_watch_stop", mdnsreg_watch_stop(handle.cast(), 0))),
            1 => user.table.close_watch(handle),
            2 => drop(listed("mdnsreg_event_free", mdnsreg_event_free(event.cast_mut()))),
            _ if user.act & 32 == 0 => {}
            _ if user.act & 16 == 0 => user.table.close_registry(handle),
            _ => drop(listed("mdnsreg_watch_stop", mdnsreg_watch_stop(user.watch as *mut mdnsreg_watch, 0))),
        }
    }
}

/// Where a call is to write, or NULL.
fn place<T>(missing: bool, place: &mut T) -> *mut T {
    if missing {
        null_mut()
    } else {
        place
    }
}

fn call(table: &Arc<Table>, input: &mut Input<'_>, err: &mut *mut mdnsreg_error) {
    let (mut json, mut n) = (null_mut(), 0);
    let gave_text = |call: &str, status: i32, json: *mut c_char| {
        assert_eq!(listed(call, status), !json.is_null());
        // SAFETY: it is ours, and a second time it is a stale one.
        unsafe { (0..2).for_each(|_| mdnsreg_string_free(json)) };
    };
    let what = input.byte();
    let (kind, missing) = (what % 24, what / 24);
    let handle = table.pick(input);
    // Now and then NULL; without its output no call is done.
    let (err, no_output) = (place(missing == 9, err), missing == 10);
    let callback: mdnsreg_event_fn = if missing == 8 { None } else { Some(on_event) };
    // SAFETY: texts that live through the call, places, and handles of any value.
    unsafe {
        match kind {
            0 => {
                let mut registry = null_mut();
                let text = options(input);
                if table.opens.fetch_add(1, Ordering::SeqCst) == 0 {
                    let status =
                        listed("mdnsreg_open", mdnsreg_open(pointer(&text), place(no_output, &mut registry), err));
                    table.opened(input.byte(), status, registry.cast());
                }
            }
            1 => {
                let mut registry = null_mut();
                let status = listed("mdnsreg_default", mdnsreg_default(place(no_output, &mut registry), err));
                table.opened(input.byte(), status, registry.cast());
            }
            2..=4 => {
                let (mut watch, text) = (null_mut(), text(input));
                let status = mdnsreg_watch_open(handle.cast(), pointer(&text), place(no_output, &mut watch), err);
                table.opened(input.byte(), listed("mdnsreg_watch_open", status), watch.cast());
            }
            5 => table.close_registry(handle),
            6 | 7 => table.close_watch(handle),
            8 | 9 => {
                let (service, options) = (text(input), text(input));
                let read = service.as_ref().and_then(|text| Service::from_json(text.to_str().ok()?).ok());
                table.names.lock().unwrap().extend(read.map(|service| service.name));
                let status = mdnsreg_register(handle.cast(), pointer(&service), pointer(&options), err);
                listed("mdnsreg_register", status);
            }
            10 => {
                let text = text(input);
                listed("mdnsreg_deregister", mdnsreg_deregister(handle.cast(), pointer(&text), err));
            }
            11 => {
                let text = options(input);
                listed("mdnsreg_init", mdnsreg_init(handle.cast(), pointer(&text), err));
            }
            12 => {
                let status = mdnsreg_options(handle.cast(), place(no_output, &mut json), err);
                gave_text("mdnsreg_options", status, json);
            }
            13 => {
                let status = mdnsreg_stats(handle.cast(), place(no_output, &mut json), err);
                gave_text("mdnsreg_stats", status, json);
            }
            14 => {
                let status = mdnsreg_list_services(handle.cast(), place(no_output, &mut json), err);
                gave_text("mdnsreg_list_services", status, json);
            }
            15 => {
                let text = text(input);
                let status = mdnsreg_get_service(handle.cast(), pointer(&text), place(no_output, &mut json), err);
                gave_text("mdnsreg_get_service", status, json);
            }
            16 | 17 => {
                let mut event = null_mut();
                let status =
                    mdnsreg_watch_next(handle.cast(), input.pick(&[-2, 0, 1]), place(no_output, &mut event), err);
                assert_eq!(listed("mdnsreg_watch_next", status), !event.is_null());
                table.put(input.byte(), event.cast());
            }
            18 => {
                let most = i32::from(input.byte()) - 1;
                let status =
                    mdnsreg_watch_dispatch(handle.cast(), most, callback, null_mut(), place(no_output, &mut n), err);
                listed("mdnsreg_watch_dispatch", status);
            }
            19 => {
                let user = Box::new(User { table: table.clone(), act: input.byte(), watch: handle as usize });
                table.users.fetch_add(1, Ordering::SeqCst);
                let user = Box::into_raw(user).cast();
                let status = mdnsreg_watch_start(handle.cast(), callback, user, Some(on_free), err);
                listed("mdnsreg_watch_start", status);
            }
            20 => {
                let limit = input.pick(&[-2, 0, 1]);
                listed("mdnsreg_watch_stop", mdnsreg_watch_stop(handle.cast(), limit));
            }
            21 => {
                listed("mdnsreg_watch_fd", mdnsreg_watch_fd(handle.cast(), place(no_output, &mut n), err));
            }
            22 => {
                listed("mdnsreg_event_free", mdnsreg_event_free(handle.cast()));
                mdnsreg_event_key(handle.cast());
                mdnsreg_string(handle.cast());
                mdnsreg_error_free(handle.cast());
            }
            _ => {
                let (of, at) = (text(input), text(input));
                let status = mdnsreg_json_get(pointer(&of), pointer(&at), place(no_output, &mut json), err);
                gave_text("mdnsreg_json_get", status, json);
                if err.is_null() || (*err).is_null() {
                    json = null_mut();
                    let status = mdnsreg_json_quote(pointer(&at), place(no_output, &mut json), err);
                    gave_text("mdnsreg_json_quote", status, json);
                }
            }
        }
    }
}
