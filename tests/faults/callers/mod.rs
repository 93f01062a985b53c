//! Callers of the C ABI: processes that fork, that open and close without end, and whose callbacks do not return.

mod cycles;
mod forks;
mod stuck;

use std::ffi::{c_char, CString};
use std::ptr::{null, null_mut};
use std::time::Duration;

use mdns_registry::ffi::*;
use mdns_registry::Status;
use serde_json::{json, Value};

pub use cycles::{ten_thousand_cycles_on_8_threads, MEASURED};
pub use forks::processes_that_fork;
pub use stuck::callbacks_that_take_10_s_or_never_return;

use crate::lab::role::{is_played, tell};
use crate::lab::{Host, Lab, Process};
use crate::panics;
use crate::peer::{id, FLEET};

pub const ROLE: &str = "a_caller_of_the_c_abi_opens_and_closes";
const LONG: Duration = Duration::from_secs(300);

/// A program that calls the C ABI, with what it is to do.
pub fn caller(host: &Host, play: &str) -> Process {
    host.role_with(ROLE, &[("MDNSREG_CALLER", play)])
}

/// The body of the test `ROLE`.
pub fn play_or_check() {
    if !is_played(ROLE) {
        let lab = Lab::new("caller");
        let told = told(&mut caller(&lab.host("a"), "cycles 1 8")).expect("no panic inside");
        return assert_eq!(told["late"], 0, "{told}");
    }
    let play = std::env::var("MDNSREG_CALLER").expect("what to play");
    let words: Vec<&str> = play.split(' ').collect();
    let number = |i: usize| words[i].parse::<usize>().expect("a number");
    panics::record();
    tell_all(match words[0] {
        "forks" => forks::play(),
        "cycles" => cycles::play(number(1), number(2)),
        "stops" => cycles::play_stops(),
        _ => stuck::play(),
    });
}

fn tell_all(mut told: Value) {
    told["panics"] = json!(panics::seen());
    tell(&format!("\n{told}"));
}

/// What a caller tells at its end; that it has panicked inside (I7) is an error.
pub fn told(caller: &mut Process) -> Result<Value, String> {
    let told = caller
        .expect("what came of it", LONG, |line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object));
    match told["panics"].as_array().is_some_and(Vec::is_empty) {
        true => Ok(told),
        false => Err(format!("I7: {}", told["panics"])),
    }
}

/// Waits until it is told to go on.
fn await_a_line() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

fn open() -> *mut mdnsreg_registry {
    let (mut registry, options) = (null_mut(), text("{}"));
    // SAFETY: the arguments are live, as in each of these calls.
    let status = unsafe { mdnsreg_open(options.as_ptr(), &mut registry, null_mut()) };
    assert_eq!(status, Status::OK.code());
    registry
}

fn watch(registry: *mut mdnsreg_registry) -> *mut mdnsreg_watch {
    let mut watch = null_mut();
    // SAFETY: as above.
    assert_eq!(unsafe { mdnsreg_watch_open(registry, null(), &mut watch, null_mut()) }, Status::OK.code());
    watch
}

/// A service of one node, as JSON.
fn service(node: usize) -> String {
    let node = json!({"id": id(node as u32), "port": 10_000 + node % 50_000, "metadata": {"round": "0"}});
    json!({"name": FLEET, "version": "1.0.0", "nodes": [node]}).to_string()
}

fn lease(seconds: u64) -> String {
    json!({"ttl_ms": seconds * 1_000}).to_string()
}

/// For a lease of so many seconds.
fn register(registry: *mut mdnsreg_registry, node: usize, lease_s: u64) -> i32 {
    let (service, options) = (text(&service(node)), text(&lease(lease_s)));
    // SAFETY: as above.
    unsafe { mdnsreg_register(registry, service.as_ptr(), options.as_ptr(), null_mut()) }
}

fn found(registry: *mut mdnsreg_registry) -> i32 {
    let (mut json, name): (*mut c_char, _) = (null_mut(), text(FLEET));
    // SAFETY: as above; the text is freed once.
    unsafe {
        let status = mdnsreg_get_service(registry, name.as_ptr(), &mut json, null_mut());
        mdnsreg_string_free(json);
        status
    }
}
