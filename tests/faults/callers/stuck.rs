//! 16: a callback that takes 10 s, one that never returns, and one that wants to know.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::ffi::*;
use mdns_registry::{LinkKind, Status};
use serde_json::{json, Value};

use super::{await_a_line, caller, open, register, tell_all, told, watch, LONG};
use crate::lab::{eventually, Lab, SOON};
use crate::measure::{self, all_see, now, sound};
use crate::peer::Peer;
use crate::report::Outcome;

const CHANGES: usize = 50;
const ROUNDS: usize = 3;
/// Until another watcher is told, milliseconds: at the median of each round, and at most in the best of them: a delay that
/// is the library's comes in each round, one that is a busy machine's hardly.
const MEDIAN_MS: f64 = 5.0;
const MOST_MS: f64 = 100.0;
const LEASE_S: u64 = 120;

static BLOCKED: AtomicUsize = AtomicUsize::new(0);
static LAST_TOLD: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn block(_: *const mdnsreg_event, user_data: *mut c_void) {
    BLOCKED.fetch_add(1, Ordering::SeqCst);
    // Never, if there is no number of seconds.
    thread::sleep(if user_data.is_null() { LONG } else { Duration::from_secs(user_data as u64) });
}

unsafe extern "C" fn note(_: *const mdnsreg_event, _: *mut c_void) {
    LAST_TOLD.store(measure::now(), Ordering::SeqCst);
}

pub fn callbacks_that_take_10_s_or_never_return(link: LinkKind) -> Outcome {
    let lab = Lab::new("stuck");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watcher = Peer::start(&b, link);
    let mut caller = caller(&a, "stuck");
    let told = match told(&mut caller) {
        Ok(told) => told,
        Err(how) => return Outcome::missed(how),
    };
    let milliseconds = |us: &Value| us.as_f64().map_or(f64::INFINITY, |us| us / 1e3);
    let rounds: Vec<(f64, f64)> = told["rounds"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|round| (milliseconds(&round[0]), milliseconds(&round[1])))
        .collect();
    let best = rounds.iter().map(|round| round.1).fold(f64::INFINITY, f64::min);
    let list = |of: fn(&(f64, f64)) -> f64| {
        rounds.iter().map(|round| format!("{:.1}", of(round))).collect::<Vec<_>>().join(", ")
    };
    let measured = format!(
        "in {ROUNDS} rounds of {CHANGES} changes another watcher is told after {} ms at the median, {} ms at most; stop returns \
         {} after {} ms, and OK once the slow one is back",
        list(|round| round.0),
        list(|round| round.1),
        told["status"].as_str().unwrap_or_default(),
        told["stop_ms"],
    );
    let in_time = rounds.len() == ROUNDS && rounds.iter().all(|round| round.0 <= MEDIAN_MS) && best < MOST_MS;
    let held = in_time && told["blocked"] == true && told["status"] == "BUSY" && told["slow_stopped"] == true;
    let seen = all_see([&mut watcher], CHANGES * ROUNDS, now(), SOON).ok_or("another host does not see all".to_owned());
    Outcome::new(held, measured).and(seen).and(sound([&mut watcher]))
}

pub fn play() -> Value {
    let registry = open();
    let [slow, never, quick] = [watch(registry), watch(registry), watch(registry)];
    let start = |watch, callback: unsafe extern "C" fn(*const mdnsreg_event, *mut c_void), user_data: usize| {
        // SAFETY: as above.
        let status = unsafe { mdnsreg_watch_start(watch, Some(callback), user_data as *mut c_void, None, null_mut()) };
        assert_eq!(status, Status::OK.code());
    };
    let began = Instant::now();
    start(slow, block, 10);
    start(never, block, 0);
    start(quick, note, 0);
    eventually("both callbacks", SOON, || (BLOCKED.load(Ordering::SeqCst) == 2).then_some(()));
    let round = |round: usize| {
        let mut took: Vec<u64> =
            (round * CHANGES..(round + 1) * CHANGES).map(|node| told_after(registry, node)).collect();
        took.sort_unstable();
        json!([took[CHANGES / 2], took[CHANGES - 1]])
    };
    let rounds: Vec<Value> = (0..ROUNDS).map(round).collect();
    // Else it was not measured while both were blocked.
    let blocked = began.elapsed() < Duration::from_secs(10);
    let asked = Instant::now();
    // SAFETY: as above.
    let status = unsafe { mdnsreg_watch_stop(never, 200) };
    let stop_ms = asked.elapsed().as_millis() as u64;
    // SAFETY: as above.
    let slow_stopped = unsafe { mdnsreg_watch_stop(slow, 20_000) } == Status::OK.code();
    assert!(began.elapsed() >= Duration::from_secs(10), "the slow callback was not waited for");
    let name = Status::ALL.iter().find(|known| known.code() == status).map_or("?", |known| known.name());
    tell_all(json!({"rounds": rounds, "blocked": blocked, "status": name, "stop_ms": stop_ms,
           "slow_stopped": slow_stopped}));
    // Its nodes are looked at meanwhile, and the callback that never returns keeps it from ending by itself.
    await_a_line();
    json!({})
}

/// How long until the quick one is told of a change, microseconds.
fn told_after(registry: *mut mdnsreg_registry, node: usize) -> u64 {
    let changed = now();
    assert_eq!(register(registry, node, LEASE_S), Status::OK.code());
    let told =
        eventually("the change", SOON, || Some(LAST_TOLD.load(Ordering::SeqCst)).filter(|told| *told >= changed));
    (told - changed) / 1_000
}
