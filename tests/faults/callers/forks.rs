//! 14: a process that forks, with and without exec, and inside a callback.

use std::ffi::c_void;
use std::net::IpAddr;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::ffi::*;
use mdns_registry::{LinkKind, Status};
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, getppid, ForkResult, Pid};
use serde_json::{json, Value};

use super::{await_a_line, caller, found, open, register, tell_all, told, watch};
use crate::lab::capture::{Capture, Packet};
use crate::lab::role::tell;
use crate::lab::{eventually, Host, Lab, Process, SOON};
use crate::measure::{all_see, all_threads_are, now, sound};
use crate::peer::Peer;
use crate::report::Outcome;

const LEASE_S: u64 = 120;
/// Forks of which the child goes on as this program.
const FORKS: usize = 2;
/// What a child says first, with its process id.
const FORKED: &str = "forked";
/// What a host sends has come to the other by then.
const UNDER_WAY: Duration = Duration::from_millis(100);

pub fn processes_that_fork(link: LinkKind) -> Outcome {
    let lab = Lab::new("fork");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut watcher, capture) = (Peer::start(&b, link), b.capture());
    let mut caller = caller(&a, "forks");
    let sent: usize = (0..FORKS).map(|_| sent_by_the_child(&mut caller, &a, &capture)).sum();
    let told = match told(&mut caller) {
        Ok(told) => told,
        Err(how) => return Outcome::missed(how),
    };
    // The last node was registered after the forks.
    let seen = all_see([&mut watcher], 2, now(), SOON);
    let (deleted, goodbyes) = (watcher.state().deleted, capture.packets().iter().filter(|p| is_goodbye(p, &a)).count());
    let while_open = sound([&mut watcher]);
    caller.say("close");
    let closed = capture.wait_for(SOON, |packets| packets.iter().any(|packet| is_goodbye(packet, &a)).then_some(()));
    let gone = all_see([&mut watcher], 0, now(), SOON);
    let wanted = json!({"forked": FORKS, "inherited": 0, "unharmed": true, "panics": []});
    let measured = format!(
        "FORKED in {} of {FORKS} children, {} descriptors inherited through exec; {sent} packets from the children, {goodbyes} \
         goodbyes before the parent closes, then some: {}; {deleted} deletions; the parent goes on: {}",
        told["forked"], told["inherited"], closed.is_some(), told["unharmed"]
    );
    let silent = (sent, goodbyes, deleted) == (0, 0, 0);
    let held = told == wanted && silent && closed.is_some() && seen.is_some() && gone.is_some();
    Outcome::new(held, measured).and(while_open).and(sound([&mut watcher]))
}

fn is_from(packet: &Packet, host: &Host) -> bool {
    [IpAddr::from(host.ipv4), host.link_local.into()].contains(&packet.source.ip())
}

fn is_goodbye(packet: &Packet, host: &Host) -> bool {
    let message = packet.message.as_ref().filter(|message| is_from(packet, host) && message.is_response);
    message.is_some_and(|message| message.records().any(|record| record.ttl == 0))
}

/// What the host sends from the time on when the parent is stopped until its child has ended.
fn sent_by_the_child(caller: &mut Process, host: &Host, capture: &Capture) -> usize {
    let child = caller.expect("a child", SOON, |line| line.strip_prefix(FORKED)?.trim().parse::<i32>().ok());
    caller.signal(Signal::SIGSTOP);
    let parent = i32::try_from(caller.pid()).expect("a process id");
    eventually("the parent is stopped", SOON, || all_threads_are(parent, 'T').then_some(()));
    thread::sleep(UNDER_WAY);
    let stopped = Instant::now();
    // The child sees it stopped, too, and waits longer before it does anything.
    eventually("the end of the child", SOON, || all_threads_are(child, 'Z').then_some(()));
    thread::sleep(UNDER_WAY);
    let packets = capture.packets();
    caller.signal(Signal::SIGCONT);
    packets.iter().filter(|packet| packet.at > stopped && is_from(packet, host)).count()
}

/// Forks; whether the child found every call refused with FORKED, and ended as any program does.
fn child(registry: *mut mdnsreg_registry, watch: *mut mdnsreg_watch) -> bool {
    let parent = Pid::this();
    // SAFETY: the child calls the library, which refuses, and leaves.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            tell(&format!("\n{FORKED} {}", Pid::this()));
            eventually("the parent is stopped", SOON, || all_threads_are(parent.as_raw(), 'T').then_some(()));
            assert_eq!(getppid(), parent);
            thread::sleep(UNDER_WAY * 3);
            let forked = Status::FORKED.code();
            // SAFETY: as above.
            let more = unsafe { [mdnsreg_watch_stop(watch, -1), mdnsreg_watch_close(watch), mdnsreg_close(registry)] };
            let calls = [register(registry, 9, LEASE_S), found(registry)];
            std::process::exit(i32::from(!calls.into_iter().chain(more).all(|status| status == forked)))
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
    let list = Command::new("sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().expect("a shell");
    String::from_utf8_lossy(&list.stdout).trim().parse().expect("a number")
}

pub fn play() -> Value {
    let before = inherited();
    let registry = open();
    assert_eq!(register(registry, 0, LEASE_S), Status::OK.code());
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
    let unharmed = register(registry, 1, LEASE_S) == Status::OK.code() && found(registry) == Status::OK.code();
    // Long enough for what is said unasked to be heard.
    thread::sleep(Duration::from_secs(3));
    let forked = [plain, inside].into_iter().filter(|good| *good).count();
    tell_all(json!({"forked": forked, "inherited": inherited, "unharmed": unharmed}));
    await_a_line();
    // SAFETY: as above.
    let closed = unsafe { mdnsreg_close(registry) };
    json!({ "closed": closed == Status::OK.code() })
}
