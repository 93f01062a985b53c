//! Callers of the C ABI: processes that fork, that open and close without end, and whose callbacks do not return.

use std::ffi::{c_char, c_void, CString};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::ffi::*;
use mdns_registry::{LinkKind, Status};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};
use serde_json::{json, Value};

use crate::heap;
use crate::lab::role::{is_played, tell};
use crate::lab::{eventually, Host, Lab, Process, SOON};
use crate::measure::{self, seconds};
use crate::peer::{id, Peer, FLEET};
use crate::report::Outcome;

pub const ROLE: &str = "a_caller_of_the_c_abi_opens_and_closes";
const LONG: Duration = Duration::from_secs(300);

/// A program that calls the C ABI, with what it is to do.
fn caller(host: &Host, play: &str) -> Process {
    host.role_with(ROLE, &[("MDNSREG_CALLER", play)])
}

/// The body of the test `ROLE`.
pub fn play_or_check() {
    if !is_played(ROLE) {
        let lab = Lab::new("caller");
        let told = told(&mut caller(&lab.host("a"), "cycles 1 8"));
        return assert_eq!(told["late"], 0, "{told}");
    }
    let play = std::env::var("MDNSREG_CALLER").expect("what to play");
    let words: Vec<&str> = play.split(' ').collect();
    let number = |i: usize| words[i].parse::<usize>().expect("a number");
    let told = match words[0] {
        "forks" => forks(),
        "cycles" => cycles(number(1), number(2)),
        _ => stuck(),
    };
    tell(&format!("\n{told}"));
}

/// What a caller tells at its end.
fn told(caller: &mut Process) -> Value {
    caller.expect("what came of it", LONG, |line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object))
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

fn register(registry: *mut mdnsreg_registry, node: usize) -> i32 {
    let node = json!({"id": id(node as u32), "port": 10_000 + node % 50_000, "metadata": {"round": "0"}});
    let service = text(&json!({"name": FLEET, "version": "1.0.0", "nodes": [node]}).to_string());
    // SAFETY: as above.
    unsafe { mdnsreg_register(registry, service.as_ptr(), null(), null_mut()) }
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

/// 14: forks, with and without exec, and inside a callback, while a watcher on another host looks on.
pub fn processes_that_fork(link: LinkKind) -> Outcome {
    let lab = Lab::new("fork");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watcher = Peer::start(&b, link);
    let mut caller = caller(&a, "forks");
    let told = told(&mut caller);
    let wanted = json!({"forked": 2, "of": 2, "inherited": 0, "unharmed": true});
    thread::sleep(Duration::from_secs(2));
    let state = watcher.state();
    let measured = format!(
        "FORKED in {} of {} children, {} descriptors inherited through exec; {} deletions; the parent goes on: {}",
        told["forked"], told["of"], told["inherited"], state.deleted, told["unharmed"]
    );
    // The last node was registered after the forks.
    Outcome::new(told == wanted && state.deleted == 0 && state.visible == 2, measured)
}

/// Forks; whether the child found every call refused with FORKED, and ended as any program does.
fn child(registry: *mut mdnsreg_registry, watch: *mut mdnsreg_watch) -> bool {
    // SAFETY: the child calls the library, which refuses, and leaves.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            let forked = Status::FORKED.code();
            // SAFETY: as above.
            let more = unsafe { [mdnsreg_watch_stop(watch, -1), mdnsreg_watch_close(watch), mdnsreg_close(registry)] };
            let refused =
                [register(registry, 9), found(registry)].into_iter().chain(more).all(|status| status == forked);
            std::process::exit(if refused { 0 } else { 1 })
        }
        ForkResult::Parent { child } => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
    }
}

static FORKED_INSIDE: AtomicUsize = AtomicUsize::new(0);
const YES: usize = 1;
const NO: usize = 2;

struct Handles(*mut mdnsreg_registry, *mut mdnsreg_watch);

unsafe extern "C" fn fork_inside(_: *const mdnsreg_event, user_data: *mut c_void) {
    // SAFETY: the handles outlive the watch.
    let handles = unsafe { &*user_data.cast::<Handles>() };
    if FORKED_INSIDE.load(Ordering::SeqCst) == 0 {
        FORKED_INSIDE.store(if child(handles.0, handles.1) { YES } else { NO }, Ordering::SeqCst);
    }
}

/// How many descriptors a program that is started finds open.
fn inherited() -> i64 {
    let list = std::process::Command::new("sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().expect("a shell");
    String::from_utf8_lossy(&list.stdout).trim().parse().expect("a number")
}

fn forks() -> Value {
    let before = inherited();
    let registry = open();
    assert_eq!(register(registry, 0), Status::OK.code());
    let plain = child(registry, watch(registry));
    let inherited = inherited() - before;
    let pushed = watch(registry);
    let handles = Handles(registry, pushed);
    // SAFETY: as above.
    let status = unsafe {
        mdnsreg_watch_start(pushed, Some(fork_inside), (&raw const handles).cast_mut().cast(), None, null_mut())
    };
    assert_eq!(status, Status::OK.code());
    let inside = eventually("a fork inside the callback", SOON, || {
        Some(FORKED_INSIDE.load(Ordering::SeqCst)).filter(|forked| *forked != 0)
    }) == YES;
    let unharmed = register(registry, 1) == Status::OK.code() && found(registry) == Status::OK.code();
    // Long enough for what is said unasked to be heard.
    thread::sleep(Duration::from_secs(3));
    let forked = [plain, inside].into_iter().filter(|good| *good).count();
    let told = json!({"forked": forked, "of": 2, "inherited": inherited, "unharmed": unharmed});
    tell(&format!("\n{told}"));
    // Killed by the end of the scenario: it says no goodbye meanwhile.
    thread::sleep(LONG);
    told
}

const THREADS: usize = 8;
const CYCLES: usize = 10_000;

/// 15: open, register, watch, stop and close without end.
pub fn ten_thousand_cycles_on_8_threads(_: LinkKind) -> Outcome {
    let lab = Lab::new("cycles");
    let told = told(&mut caller(&lab.host("a"), &format!("cycles {THREADS} {CYCLES}")));
    let number = |key: &str| told[key].as_i64().expect("a number");
    let measured = format!(
        "{CYCLES} in {:.0} s; {} callbacks after stop returned; {:+} descriptors, {:+} threads, live heap {:+} kB",
        told["seconds"].as_f64().unwrap_or_default(),
        number("late"),
        number("descriptors"),
        number("threads"),
        number("heap") / 1_000
    );
    let held = ["late", "descriptors", "threads"].iter().all(|key| number(key) == 0) && number("heap") < 64_000;
    Outcome::new(held, measured)
}

/// What a callback of a cycle knows. It outlives the cycle, so that a callback that comes late finds it.
struct Cycle {
    stopped: AtomicBool,
    watch: *mut mdnsreg_watch,
    closes: bool,
}

// SAFETY: a handle may be used by any thread.
unsafe impl Send for Cycle {}

static LATE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn in_cycle(_: *const mdnsreg_event, user_data: *mut c_void) {
    // SAFETY: all cycles live until the last has ended.
    let cycle = unsafe { &*user_data.cast::<Cycle>() };
    LATE.fetch_add(cycle.stopped.load(Ordering::SeqCst).into(), Ordering::SeqCst);
    if cycle.closes {
        // SAFETY: a handle is checked, not trusted.
        unsafe { mdnsreg_watch_close(cycle.watch) };
    }
}

fn cycle(number: usize) -> Box<Cycle> {
    let (registry, ok) = (open(), Status::OK.code());
    if number.is_multiple_of(4) {
        assert_eq!(register(registry, number), ok);
    }
    let watch = watch(registry);
    let cycle = Box::new(Cycle { stopped: AtomicBool::new(false), watch, closes: number.is_multiple_of(5) });
    let user_data = (&raw const *cycle).cast_mut().cast();
    // SAFETY: the handles are live, and the cycle is until all have ended.
    unsafe {
        assert_eq!(mdnsreg_watch_start(watch, Some(in_cycle), user_data, None, null_mut()), ok);
        if number.is_multiple_of(2) {
            assert_eq!(mdnsreg_close(registry), ok);
        }
        let stopped = mdnsreg_watch_stop(watch, -1);
        cycle.stopped.store(true, Ordering::SeqCst);
        let closed = mdnsreg_watch_close(watch);
        // Where the callback closes the watch it may have been first.
        let first = if cycle.closes { Status::CLOSED.code() } else { ok };
        assert!([ok, first].contains(&stopped) && [ok, first].contains(&closed), "{stopped}, {closed}");
        if !number.is_multiple_of(2) {
            assert_eq!(mdnsreg_close(registry), ok);
        }
    }
    cycle
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

fn cycles(threads: usize, cycles: usize) -> Value {
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
    let (heap_before, began) = (heap::live(), Instant::now());
    let all = load();
    let seconds = began.elapsed().as_secs_f64();
    let after = settled();
    drop(all);
    json!({
        "late": LATE.load(Ordering::SeqCst),
        "descriptors": after.0 as i64 - before.0 as i64,
        "threads": after.1 as i64 - before.1 as i64,
        "heap": heap::live() - heap_before,
        "seconds": seconds,
    })
}

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

/// 16: one callback that takes 10 s, one that never returns, and one that wants to know.
pub fn callbacks_that_take_10_s_or_never_return(_: LinkKind) -> Outcome {
    let lab = Lab::new("stuck");
    let told = told(&mut caller(&lab.host("a"), "stuck"));
    let longest = Duration::from_micros(told["longest_us"].as_u64().expect("a number"));
    let measured = format!(
        "another watcher is told within {} in {} changes; stop returns {} after {} ms, and OK once the slow one is back",
        seconds(longest),
        told["changes"],
        told["status"].as_str().unwrap_or_default(),
        told["stop_ms"],
    );
    let held = longest < Duration::from_millis(100) && told["status"] == "BUSY" && told["slow_stopped"] == true;
    Outcome::new(held, measured)
}

fn stuck() -> Value {
    let registry = open();
    let [slow, never, quick] = [watch(registry), watch(registry), watch(registry)];
    let start = |watch, callback: unsafe extern "C" fn(*const mdnsreg_event, *mut c_void), user_data: usize| {
        // SAFETY: as above.
        let status = unsafe { mdnsreg_watch_start(watch, Some(callback), user_data as *mut c_void, None, null_mut()) };
        assert_eq!(status, Status::OK.code());
    };
    start(slow, block, 10);
    start(never, block, 0);
    start(quick, note, 0);
    let began = Instant::now();
    eventually("both callbacks", SOON, || (BLOCKED.load(Ordering::SeqCst) == 2).then_some(()));
    let mut longest = 0;
    const CHANGES: usize = 50;
    for node in 0..CHANGES {
        let changed = measure::now();
        assert_eq!(register(registry, node), Status::OK.code());
        let told =
            eventually("the change", SOON, || Some(LAST_TOLD.load(Ordering::SeqCst)).filter(|told| *told >= changed));
        longest = longest.max(told - changed);
    }
    let asked = Instant::now();
    // SAFETY: as above.
    let status = unsafe { mdnsreg_watch_stop(never, 200) };
    let stop_ms = asked.elapsed().as_millis() as u64;
    // SAFETY: as above.
    let slow_stopped = unsafe { mdnsreg_watch_stop(slow, 20_000) } == Status::OK.code();
    assert!(began.elapsed() >= Duration::from_secs(10), "the slow callback was not waited for");
    let name = Status::ALL.iter().find(|known| known.code() == status).map_or("?", |known| known.name());
    json!({"longest_us": longest / 1_000, "changes": CHANGES, "status": name, "stop_ms": stop_ms,
           "slow_stopped": slow_stopped})
}
