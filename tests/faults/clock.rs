//! The clocks of a process step; the machine's own are never touched.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;

use crate::lab::{tool, Host, Lab};
use crate::measure::{now, seconds, Truth};
use crate::peer::Peer;
use crate::report::Outcome;

/// Of each process.
const NODES: u32 = 10;
const HOUR_S: i64 = 3_600;
/// Where the wall clock steps; whoever heeds it loses a lease, or fails to renew one, while it is looked on.
const LEASE_S: u64 = 10;
const LOOKED_FOR: Duration = Duration::from_secs(16);
const PATIENCE: Duration = Duration::from_secs(10);

/// The library that moves the clock, built once.
fn shifting() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/clock.c");
        let library_text = library.to_str().expect("a path in UTF-8");
        tool("cc", &["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library_text, source, "-ldl"], "");
        library
    })
}

/// A process whose clocks can be set.
struct Shifted {
    peer: Peer,
    offsets: File,
}

impl Shifted {
    fn start(host: &Host, link: LinkKind, wall_s: i64) -> Shifted {
        let path = PathBuf::from(format!("/run/clock-{}-{}", host.name(), link.as_str()));
        fs::write(&path, [0; 16]).expect("a file");
        let offsets = OpenOptions::new().write(true).open(&path).expect("the file");
        let (library, file) = (shifting().to_str().expect("a path"), path.to_str().expect("a path"));
        set(&offsets, wall_s, 0);
        let environment = [("LD_PRELOAD", library), ("MDNSREG_CLOCK", file)];
        let peer = Peer::start_with(host, link, &environment);
        Shifted { peer, offsets }
    }

    /// Seconds of its wall clock.
    fn wall(&mut self) -> i64 {
        self.peer.ask(&serde_json::json!({"do": "wall"})).as_i64().expect("seconds")
    }
}

/// In place: the process has it mapped.
fn set(offsets: &File, wall_s: i64, boot_s: i64) {
    offsets.write_all_at(&[wall_s.to_ne_bytes(), boot_s.to_ne_bytes()].concat(), 0).expect("written");
}

/// Where the wall clock of a process stands, and whither it steps.
const STEPS: [(&str, i64, i64); 4] =
    [("ahead", 0, HOUR_S), ("behind", 0, -HOUR_S), ("back", HOUR_S, 0), ("still", 0, 0)];

/// Each publishes and watches; one that is killed meanwhile must be gone in time for all.
pub fn a_wall_clock_that_steps_by_an_hour(link: LinkKind) -> Outcome {
    let lab = Lab::new("clock");
    let mut shifted: Vec<Shifted> =
        STEPS.iter().map(|(name, from, _)| Shifted::start(&lab.host(name), link, *from)).collect();
    let mut killed = Peer::start(&lab.host("killed"), link);
    let mut truth = Truth::default();
    for (i, one) in (0..).zip(&mut shifted) {
        truth.register(&mut one.peer, i * NODES..(i + 1) * NODES, LEASE_S, 0);
    }
    let of_killed = 4 * NODES..5 * NODES;
    truth.register(&mut killed, of_killed.clone(), LEASE_S, 0);
    if truth.comes_to(shifted.iter_mut().map(|one| &mut one.peer), now(), PATIENCE).is_none() {
        return Outcome::missed("not visible before the step");
    }
    thread::sleep(Duration::from_secs(3));
    let counts = |shifted: &mut [Shifted]| -> Vec<[u64; 3]> {
        let count = |one: &mut Shifted| one.peer.state();
        shifted.iter_mut().map(count).map(|state| [state.created, state.updated, state.deleted]).collect()
    };
    let before = counts(&mut shifted);
    for (one, (name, from, to)) in shifted.iter_mut().zip(STEPS) {
        let was = one.wall();
        set(&one.offsets, to, 0);
        let stepped = one.wall() - was - (to - from);
        assert!(stepped.abs() < 60, "the wall clock of {name} did not step");
    }
    let began = now();
    killed.process.kill9();
    truth.forget(of_killed);
    thread::sleep(Duration::from_secs(1));
    let gone = truth.comes_to(shifted.iter_mut().map(|one| &mut one.peer), began, LOOKED_FOR - Duration::from_secs(1));
    thread::sleep(LOOKED_FOR.saturating_sub(crate::measure::since(began)));
    let mut events = 0;
    for (before, after) in before.iter().zip(counts(&mut shifted)) {
        let [created, updated, deleted] = [0, 1, 2].map(|i| after[i] - before[i]);
        events += created + updated + deleted.abs_diff(NODES.into());
    }
    let told = gone.map_or_else(|| "never".into(), seconds);
    let measured = format!("{events} events in {}; a killed process is gone after {told}", seconds(LOOKED_FOR));
    let in_time = gone.is_some_and(|gone| gone <= Duration::from_secs(LEASE_S + 1));
    Outcome::new(events == 0 && in_time, measured).and(truth.seen_by(shifted.iter_mut().map(|one| &mut one.peer)))
}

const SUSPENDED_LEASE_S: u64 = 120;
const SEEN_WITHIN: Duration = Duration::from_secs(3);
const STAYS_FOR: Duration = Duration::from_secs(8);

/// For a watcher an hour passes at once, as when its host was suspended. Meanwhile one process has died, another lives.
pub fn a_suspend_of_an_hour(link: LinkKind) -> Outcome {
    let lab = Lab::new("suspend");
    let (mut alive, mut dead) = (Peer::start(&lab.host("a"), link), Peer::start(&lab.host("b"), link));
    let mut watcher = Shifted::start(&lab.host("c"), link, 0);
    let mut truth = Truth::default();
    truth.register(&mut alive, 0..NODES, SUSPENDED_LEASE_S, 0);
    truth.register(&mut dead, NODES..2 * NODES, SUSPENDED_LEASE_S, 0);
    if truth.comes_to([&mut alive, &mut watcher.peer], now(), PATIENCE).is_none() {
        return Outcome::missed("not visible before the suspend");
    }
    thread::sleep(Duration::from_secs(3));
    dead.process.kill9();
    truth.forget(NODES..2 * NODES);
    set(&watcher.offsets, 0, HOUR_S);
    let began = now();
    // Who sees all at once may be about to lose it.
    thread::sleep(Duration::from_millis(1_500));
    let took = truth.comes_to([&mut watcher.peer], began, PATIENCE);
    thread::sleep(STAYS_FOR);
    let deleted = watcher.peer.state().deleted;
    let told = took.map_or_else(|| "not within 10 s".into(), |took| format!("{} after it went on", seconds(took)));
    let measured = format!("the dead gone and the living seen {told}; {deleted} deletions");
    // Each that was there may have been lost once.
    let held = took.is_some_and(|took| took <= SEEN_WITHIN) && deleted <= u64::from(2 * NODES);
    Outcome::new(held, measured).and(truth.seen_by([&mut watcher.peer]))
}
