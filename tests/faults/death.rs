//! Processes that are killed, and that stop for a while.

use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;
use nix::sys::signal::Signal;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, now, seconds, sound, Truth};
use crate::peer::Peer;
use crate::report::Outcome;

const NODES: u32 = 10;
const ALL: usize = NODES as usize;
const PATIENCE: Duration = Duration::from_secs(15);
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
    stopped(link, 5, PUBLISHER)
}

pub fn a_publisher_stopped_for_60_s(link: LinkKind) -> Outcome {
    stopped(link, 60, PUBLISHER)
}

pub fn a_publisher_stopped_for_200_s(link: LinkKind) -> Outcome {
    stopped(link, 200, PUBLISHER)
}

pub fn a_watcher_stopped_for_5_s(link: LinkKind) -> Outcome {
    stopped(link, 5, WATCHER)
}

pub fn a_watcher_stopped_for_60_s(link: LinkKind) -> Outcome {
    stopped(link, 60, WATCHER)
}

pub fn a_watcher_stopped_for_200_s(link: LinkKind) -> Outcome {
    stopped(link, 200, WATCHER)
}

const PUBLISHER: usize = 0;
const WATCHER: usize = 1;
const LEASE_S: u64 = 120;
/// So many nodes of either change, go and come meanwhile.
const TOUCHED: u32 = 3;

/// Changes some of a peer's nodes, which are told of, not waited for.
fn touch(truth: &mut Truth, peer: &mut Peer, first: u32) {
    truth.tell_register(peer, first..first + TOUCHED, LEASE_S, 1);
    truth.tell_deregister(peer, first + TOUCHED..first + 2 * TOUCHED);
    truth.tell_register(peer, 1_000 + first..1_000 + first + TOUCHED, LEASE_S, 2);
}

fn touched(peer: &mut Peer) {
    (0..3).for_each(|_| drop(peer.answer()));
}

/// Two with nodes of their own and one that only looks; of the two one is stopped, and what it is told then it does when
/// it goes on.
fn stopped(link: LinkKind, length_s: u64, which: usize) -> Outcome {
    let lab = Lab::new("stopped");
    let hosts: [Host; 3] = [lab.host("a"), lab.host("b"), lab.host("c")];
    let mut peers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    let mut truth = Truth::default();
    truth.register(&mut peers[PUBLISHER], 0..NODES, LEASE_S, 0);
    // Who is stopped as a watcher publishes nothing.
    let other = if which == PUBLISHER { WATCHER } else { PUBLISHER };
    if which == PUBLISHER {
        truth.register(&mut peers[WATCHER], NODES..2 * NODES, LEASE_S, 0);
    }
    if truth.comes_to(&mut peers, now(), PATIENCE).is_none() {
        return Outcome::missed("not visible before the stop");
    }
    thread::sleep(Duration::from_secs(3));
    peers[which].process.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(1));
    let of_other = if which == PUBLISHER { NODES } else { 0 };
    touch(&mut truth, &mut peers[other], of_other);
    touched(&mut peers[other]);
    thread::sleep(Duration::from_secs(length_s - 1));
    if which == PUBLISHER {
        touch(&mut truth, &mut peers[which], 0);
    }
    peers[which].process.signal(Signal::SIGCONT);
    let continued = now();
    if which == PUBLISHER {
        touched(&mut peers[which]);
    }
    // What was missed may first have to be noticed: who sees all at once may be about to lose it.
    thread::sleep(Duration::from_secs(2));
    let Some(took) = truth.comes_to(&mut peers, continued, PATIENCE) else {
        return Outcome::missed(format!("not right {} after it went on", seconds(PATIENCE)));
    };
    let deletions: Vec<u64> = peers.iter_mut().map(|peer| peer.state().deleted).collect();
    let outlived = length_s > LEASE_S;
    let most: Vec<u64> = (0..3).map(|on| deletions_of(which, on, outlived)).collect();
    let least = u64::from(if which == PUBLISHER { 2 * TOUCHED } else { TOUCHED });
    // What the stopped one deregisters when it goes on may first be told as come back.
    let again = if outlived && which == PUBLISHER { u64::from(TOUCHED) } else { 0 };
    let counted = deletions.iter().zip(&most).enumerate().all(|(on, (told, most))| match on == which {
        // It may have kept what it had, or let go of it.
        true => (least..=*most).contains(told),
        false => (*most..=*most + again).contains(told),
    });
    let measured = format!("right after {}; deletions told on each host {deletions:?} of {most:?}", seconds(took));
    Outcome::new(took <= BACK_WITHIN && counted, measured).and(truth.seen_by(&mut peers))
}

/// Each node that was deregistered, and each of the other side that was not heard of for longer than its lease, once.
fn deletions_of(which: usize, on: usize, outlived: bool) -> u64 {
    let deregistered = u64::from(if which == PUBLISHER { 2 * TOUCHED } else { TOUCHED });
    // What the stopped one had, and those of the other that it may have let go of.
    let lost = which == PUBLISHER || on == which;
    deregistered + if outlived && lost { u64::from(NODES - TOUCHED) } else { 0 }
}
