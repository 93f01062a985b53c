//! Processes that are killed, and that stop for a while.

use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;
use nix::sys::signal::Signal;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, deleted, now, seconds, sound};
use crate::peer::Peer;
use crate::report::Outcome;

const NODES: u32 = 10;
const ALL: usize = NODES as usize;
const PATIENCE: Duration = Duration::from_secs(60);
const BACK_WITHIN: Duration = Duration::from_secs(3);

pub fn a_process_killed_with_a_lease_of_3_s(link: LinkKind) -> Outcome {
    killed(link, 3, 3)
}

pub fn a_process_killed_with_a_lease_of_10_s(link: LinkKind) -> Outcome {
    killed(link, 10, 1)
}

pub fn a_process_killed_with_a_lease_of_60_s(link: LinkKind) -> Outcome {
    killed(link, 60, 1)
}

/// A publisher and two watchers; the publisher is killed. The longest of so many times.
fn killed(link: LinkKind, lease_s: u64, times: usize) -> Outcome {
    let lab = Lab::new("killed");
    let (a, hosts) = (lab.host("a"), [lab.host("b"), lab.host("c")]);
    let mut watchers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let mut publisher = Peer::start(&a, link);
        publisher.register(0..NODES, lease_s, 0);
        if all_see(&mut watchers, ALL, now(), PATIENCE).is_none() {
            return Outcome::missed("not visible before the kill");
        }
        // The lease is renewed at least once.
        thread::sleep(Duration::from_secs(lease_s.min(12)));
        let killed = now();
        publisher.process.kill9();
        let limit = Duration::from_secs(lease_s.max(120) + 30);
        match all_see(&mut watchers, 0, killed, limit) {
            Some(took) => longest = longest.max(took),
            None => return Outcome::missed(format!("there after {}", seconds(limit))),
        }
    }
    let held = longest <= Duration::from_secs(lease_s + 1);
    Outcome::new(held, format!("gone after {}", seconds(longest))).and(sound(&mut watchers))
}

pub fn a_publisher_stopped_for_5_s(link: LinkKind) -> Outcome {
    stopped(link, 5, false)
}

pub fn a_publisher_stopped_for_60_s(link: LinkKind) -> Outcome {
    stopped(link, 60, false)
}

pub fn a_publisher_stopped_for_200_s(link: LinkKind) -> Outcome {
    stopped(link, 200, false)
}

pub fn a_watcher_stopped_for_5_s(link: LinkKind) -> Outcome {
    stopped(link, 5, true)
}

pub fn a_watcher_stopped_for_200_s(link: LinkKind) -> Outcome {
    stopped(link, 200, true)
}

/// A publisher and a watcher, one of which is stopped.
fn stopped(link: LinkKind, length_s: u64, watcher: bool) -> Outcome {
    let lab = Lab::new("stopped");
    let hosts: [Host; 2] = [lab.host("a"), lab.host("b")];
    let mut peers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    peers[0].register(0..NODES, 120, 0);
    if all_see(&mut peers, ALL, now(), PATIENCE).is_none() {
        return Outcome::missed("not visible before the stop");
    }
    thread::sleep(Duration::from_secs(3));
    let process = &peers[usize::from(watcher)].process;
    process.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(length_s));
    process.signal(Signal::SIGCONT);
    let continued = now();
    // What was missed may first have to be noticed: a watcher that sees all at once may be about to lose it.
    thread::sleep(Duration::from_secs(2));
    let Some(took) = all_see(&mut peers, ALL, continued, PATIENCE) else {
        return Outcome::missed(format!("not back {} after it went on", seconds(PATIENCE)));
    };
    let deletions = deleted(&mut peers);
    // Shorter than the lease, nothing has died.
    let held = took <= BACK_WITHIN && (length_s >= 120 || deletions == 0);
    let back = if took.is_zero() { "never away".into() } else { format!("back after {}", seconds(took)) };
    Outcome::new(held, format!("{back}, {deletions} deletions")).and(sound(&mut peers))
}
