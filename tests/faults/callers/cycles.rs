//! 15: open, register, watch, stop and close without end.

use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::ffi::*;
use mdns_registry::{LinkKind, Options, RegisterOptions, Registry, Service, Status, WatchOptions};
use serde_json::{json, Value};

use super::{await_a_line, caller, lease, open, register, service, told, watch};
use crate::heap;
use crate::lab::role::tell;
use crate::lab::{eventually, Lab, SOON};
use crate::measure::{self, now, seconds, since, sound, Held, HEAP_LEFT};
use crate::peer::{Peer, FLEET};
use crate::report::Outcome;

const THREADS: usize = 8;
const CYCLES: usize = 10_000;
/// After it no ghost is left, whatever was lost.
const LEASE_S: u64 = 10;
/// How often the Rust API is used, and what was opened dropped.
const DROPS_EVERY: usize = 8;
/// How often the callback closes the watch.
const CLOSES_EVERY: usize = 5;
/// How often it closes the registry as well, which is waited for.
const CLOSES_ALL_EVERY: usize = 2 * CLOSES_EVERY;
/// How often a watch is stopped while its callback runs, which then takes so long.
const RUNS_EVERY: usize = 3;
const RUNS_FOR: Duration = Duration::from_millis(2);
/// Of so many cycles one at least is called back, and of so many one at least is stopped while its callback runs.
const CALLED_OF: usize = 4;
const RUNNING_OF: usize = 10;

pub fn ten_thousand_cycles_on_8_threads(link: LinkKind) -> Outcome {
    let lab = Lab::new("cycles");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watcher = Peer::start(&b, link);
    let told = match told(&mut caller(&a, &format!("cycles {THREADS} {CYCLES}"))) {
        Ok(told) => told,
        Err(how) => return Outcome::missed(how),
    };
    let number = |key: &str| told[key].as_i64().expect("a number");
    let measured = format!(
        "{CYCLES} in {:.0} s, of which {} dropped a registry and a watcher as they were; {} were called back, {} stopped \
         while their callback ran; {} closed their watch in it, {} of them the registry as well (DEFERRED); {} callbacks \
         after stop returned; {:+} descriptors, {:+} threads, live heap {:+} kB",
        told["seconds"].as_f64().unwrap_or_default(),
        number("dropped"),
        number("called"),
        number("running"),
        number("closed_inside"),
        number("closed_all"),
        number("late"),
        number("descriptors"),
        number("threads"),
        number("heap") / 1_000
    );
    let left = ["late", "descriptors", "threads"].iter().all(|key| number(key) == 0) && number("heap") < HEAP_LEFT;
    let closed_all = number("closed_all") == (CYCLES / CLOSES_ALL_EVERY) as i64;
    let one_of = |key: &str, of: usize| number(key) >= (CYCLES / of) as i64;
    let done = number("dropped") >= 1_000 && one_of("called", CALLED_OF) && one_of("running", RUNNING_OF) && closed_all;
    Outcome::new(left && done, measured).and(forgotten(&mut watcher)).and(sound([&mut watcher]))
}

/// That a watcher on another host was told of the nodes, and after the last of none longer than its lease and a second: it
/// reads late, as more comes than it can read.
fn forgotten(watcher: &mut Peer) -> Result<(), String> {
    let (mut created, mut last) = (0, now());
    loop {
        let state = watcher.state();
        if state.created != created {
            (created, last) = (state.created, now());
        }
        match (state.visible, created) {
            (_, 0) => return Err("another host was told of no node".into()),
            (0, _) if since(last) > Duration::from_secs(1) => return Ok(()),
            (nodes, _) if since(last) > Duration::from_secs(LEASE_S + 1) => {
                return Err(format!("I2: {nodes} nodes are there on another host {} later", seconds(since(last))))
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// What a callback of a cycle knows. It outlives the cycle, so that a callback that comes late finds it.
struct Cycle {
    called: AtomicBool,
    running: AtomicBool,
    stopped: AtomicBool,
    watch: *mut mdnsreg_watch,
    /// It takes a while.
    lingers: bool,
    /// It closes the watch.
    closes: bool,
    /// It closes this registry as well, which is then closed.
    closes_all: Option<*mut mdnsreg_registry>,
    closed_all: AtomicBool,
}

// SAFETY: a handle may be used by any thread.
unsafe impl Send for Cycle {}

static LATE: AtomicUsize = AtomicUsize::new(0);
static CALLBACKS: AtomicUsize = AtomicUsize::new(0);
/// Cycles that were called back, and those that were stopped meanwhile.
static CALLED: AtomicUsize = AtomicUsize::new(0);
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static CLOSED_INSIDE: AtomicUsize = AtomicUsize::new(0);
static CLOSED_ALL: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn in_cycle(_: *const mdnsreg_event, user_data: *mut c_void) {
    // SAFETY: all cycles live until the last has ended.
    let cycle = unsafe { &*user_data.cast::<Cycle>() };
    LATE.fetch_add(cycle.stopped.load(Ordering::SeqCst).into(), Ordering::SeqCst);
    CALLBACKS.fetch_add(1, Ordering::SeqCst);
    cycle.running.store(true, Ordering::SeqCst);
    CALLED.fetch_add((!cycle.called.swap(true, Ordering::SeqCst)).into(), Ordering::SeqCst);
    if cycle.lingers {
        thread::sleep(RUNS_FOR);
    }
    close_inside(cycle);
    cycle.running.store(false, Ordering::SeqCst);
}

fn close_inside(cycle: &Cycle) {
    // SAFETY: a handle is checked, not trusted.
    if cycle.closes && unsafe { mdnsreg_watch_close(cycle.watch) } == Status::OK.code() {
        CLOSED_INSIDE.fetch_add(1, Ordering::SeqCst);
        let Some(registry) = cycle.closes_all else { return };
        // SAFETY: as above.
        let deferred = unsafe { mdnsreg_close(registry) } == Status::DEFERRED.code();
        CLOSED_ALL.fetch_add(deferred.into(), Ordering::SeqCst);
        cycle.closed_all.store(true, Ordering::SeqCst);
    }
}

fn of(watch: *mut mdnsreg_watch) -> Cycle {
    let [called, running, stopped, closed_all] = [(); 4].map(|()| AtomicBool::new(false));
    Cycle { called, running, stopped, watch, lingers: false, closes: false, closes_all: None, closed_all }
}

fn start(cycle: Cycle) -> Box<Cycle> {
    let (watch, cycle) = (cycle.watch, Box::new(cycle));
    let user_data = (&raw const *cycle).cast_mut().cast();
    // SAFETY: the handle is live, and the cycle is until all have ended.
    let status = unsafe { mdnsreg_watch_start(watch, Some(in_cycle), user_data, None, null_mut()) };
    assert_eq!(status, Status::OK.code());
    cycle
}

/// Stops it; from here on no callback may come.
fn stop(cycle: &Cycle) {
    RUNNING.fetch_add(cycle.running.load(Ordering::SeqCst).into(), Ordering::SeqCst);
    // SAFETY: as above.
    let stopped = unsafe { mdnsreg_watch_stop(cycle.watch, -1) };
    cycle.stopped.store(true, Ordering::SeqCst);
    // SAFETY: as above.
    let closed = unsafe { mdnsreg_watch_close(cycle.watch) };
    let ok = Status::OK.code();
    // Where the callback closes the watch it may have been first.
    let first = if cycle.closes { Status::CLOSED.code() } else { ok };
    assert!([ok, first].contains(&stopped) && [ok, first].contains(&closed), "{stopped}, {closed}");
}

fn close(registry: *mut mdnsreg_registry, wanted: Status) {
    // SAFETY: as above.
    assert_eq!(unsafe { mdnsreg_close(registry) }, wanted.code());
}

fn cycle(number: usize) -> Option<Box<Cycle>> {
    if number % DROPS_EVERY == 1 {
        drop_all(number);
        return None;
    }
    let registry = open();
    assert_eq!(register(registry, number, LEASE_S), Status::OK.code());
    let closes_all = number.is_multiple_of(CLOSES_ALL_EVERY).then_some(registry);
    let (lingers, closes) = (number.is_multiple_of(RUNS_EVERY), number.is_multiple_of(CLOSES_EVERY));
    let cycle = start(Cycle { lingers, closes, closes_all, ..of(watch(registry)) });
    if closes_all.is_some() {
        eventually("a callback that closes", SOON, || cycle.closed_all.load(Ordering::SeqCst).then_some(()));
    } else if lingers {
        let began = Instant::now();
        while !cycle.called.load(Ordering::SeqCst) && began.elapsed() < SOON {
            thread::sleep(RUNS_FOR / 20);
        }
    }
    let wanted = if closes_all.is_some() { Status::CLOSED } else { Status::OK };
    let before = number.is_multiple_of(2);
    if before {
        close(registry, wanted);
    }
    stop(&cycle);
    if !before {
        close(registry, wanted);
    }
    Some(cycle)
}

/// Neither closes nor stops anything.
fn drop_all(number: usize) {
    let registry = Registry::open(Options::default()).expect("a registry");
    let options = RegisterOptions::from_json(&lease(LEASE_S)).expect("options");
    let service = Service::from_json(&service(number)).expect("a service");
    registry.register(&service, options).wait().expect("registered");
    let watcher = registry.watch(WatchOptions::service(FLEET)).expect("a watcher");
    if number % (2 * DROPS_EVERY) == 1 {
        drop(registry);
        drop(watcher);
    } else {
        drop(watcher);
        drop(registry);
    }
    DROPPED.fetch_add(1, Ordering::SeqCst);
}

/// The table of handles takes what it ever takes when each of its 65,536 cells has been used.
fn use_every_handle() {
    for _ in 0..1 << 16 {
        let mut error = null_mut();
        // SAFETY: as above.
        unsafe {
            assert_eq!(mdnsreg_open(null(), null_mut(), &mut error), Status::NULL.code());
            mdnsreg_error_free(error);
        }
    }
}

pub fn play(threads: usize, cycles: usize) -> Value {
    // What is made once and kept is made now.
    drop((0..8).map(cycle).collect::<Vec<_>>());
    let settled = || {
        let mut last = (0, 0);
        eventually("threads and descriptors settle", SOON, || {
            let now = (measure::descriptors(), measure::threads());
            thread::sleep(Duration::from_millis(100));
            (std::mem::replace(&mut last, now) == now).then_some(now)
        })
    };
    let before = settled();
    let load = || {
        let play = |thread| move || (0..cycles / threads).map(|i| cycle(i * threads + thread)).collect::<Vec<_>>();
        thread::scope(|scope| {
            let played: Vec<_> = (0..threads).map(|thread| scope.spawn(play(thread))).collect();
            played.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        })
    };
    use_every_handle();
    let all = load();
    settled();
    drop(all);
    [&CALLED, &RUNNING, &CLOSED_INSIDE, &CLOSED_ALL, &DROPPED]
        .into_iter()
        .for_each(|count| count.store(0, Ordering::SeqCst));
    let (heap_before, began) = (heap::live(), Instant::now());
    let all = load();
    let seconds = began.elapsed().as_secs_f64();
    let after = settled();
    drop(all);
    json!({
        "late": LATE.load(Ordering::SeqCst),
        "called": CALLED.load(Ordering::SeqCst),
        "running": RUNNING.load(Ordering::SeqCst),
        "closed_inside": CLOSED_INSIDE.load(Ordering::SeqCst),
        "closed_all": CLOSED_ALL.load(Ordering::SeqCst),
        "dropped": DROPPED.load(Ordering::SeqCst),
        "descriptors": after.0 as i64 - before.0 as i64,
        "threads": after.1 as i64 - before.1 as i64,
        "heap": heap::live() - heap_before,
        "seconds": seconds,
    })
}

/// What `play_stops` says when it has measured what it holds.
pub const MEASURED: &str = "measured";

/// Until a second line comes: watches for two seconds, and for one more looks whether a callback still comes; what it holds
/// when the first came, and in the end.
pub fn play_stops() -> Value {
    let lines = Arc::new(AtomicUsize::new(0));
    let come = lines.clone();
    thread::spawn(move || {
        for _ in 0..2 {
            await_a_line();
            come.fetch_add(1, Ordering::SeqCst);
        }
    });
    use_every_handle();
    let (registry, mut all) = (open(), Vec::new());
    let watch_and_stop = || {
        let cycle = start(of(watch(registry)));
        thread::sleep(Duration::from_secs(2));
        stop(&cycle);
        thread::sleep(Duration::from_secs(1));
        cycle
    };
    let mut first = None;
    while lines.load(Ordering::SeqCst) < 2 {
        all.push(watch_and_stop());
        if lines.load(Ordering::SeqCst) == 1 && first.is_none() {
            first = Some(Held::now());
            tell(&format!("\n{MEASURED}"));
        }
    }
    let stops = all.len();
    drop(all);
    let last = Held::now();
    close(registry, Status::OK);
    let [called, late] = [&CALLBACKS, &LATE].map(|count| count.load(Ordering::SeqCst));
    json!({"held": [first, last], "stops": stops, "called": called, "late": late})
}
