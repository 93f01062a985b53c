//! A link that loses packets, each receiver others.

use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, deleted, now, seconds, since, sound};
use crate::peer::{register, Peer};
use crate::report::Outcome;

const HOSTS: u32 = 10;
const NODES: u32 = 100;
const RUNS: usize = 20;
/// Every so many runs the processes are new ones, which were started while packets were lost.
const FRESH_EVERY: usize = 4;
const ALL: usize = NODES as usize;

pub fn a_link_that_loses_10_per_cent(link: LinkKind) -> Outcome {
    registered_at_once(link, 10, Duration::from_secs(3))
}

pub fn a_link_that_loses_30_per_cent(link: LinkKind) -> Outcome {
    registered_at_once(link, 30, Duration::from_secs(5))
}

pub fn a_link_that_loses_50_per_cent(link: LinkKind) -> Outcome {
    registered_at_once(link, 50, Duration::from_secs(15))
}

fn ten_hosts(lab: &Lab) -> Vec<Host> {
    (0..HOSTS).map(|i| lab.host(&format!("h{i}"))).collect()
}

/// A peer on each.
fn peers_on(hosts: &[Host], link: LinkKind) -> Vec<Peer> {
    hosts.iter().map(|host| Peer::start(host, link)).collect()
}

/// Each peer registers its share of the nodes, all at the same time.
fn register_all(peers: &mut [Peer], lease_s: impl Fn(usize) -> u64, round: u64) {
    let share = NODES / HOSTS;
    for (i, peer) in peers.iter_mut().enumerate() {
        let first = i as u32 * share;
        peer.tell(&register(first..first + share, lease_s(i), round));
    }
    peers.iter_mut().for_each(|peer| drop(peer.answer()));
}

fn registered_at_once(link: LinkKind, percent: u8, limit: Duration) -> Outcome {
    let lab = Lab::new("loss");
    let hosts = ten_hosts(&lab);
    let (mut peers, mut took, mut never) = (Vec::new(), Vec::new(), 0);
    for run in 0..RUNS {
        hosts.iter().for_each(|host| host.loss_to(percent));
        if run % FRESH_EVERY == 0 {
            if let Err(how) = sound(&mut peers) {
                return Outcome::missed(format!("run {run}: {how}"));
            }
            peers = peers_on(&hosts, link);
        }
        let began = now();
        register_all(&mut peers, |_| 120, run as u64);
        match all_see(&mut peers, ALL, began, limit * 3) {
            Some(time) => took.push(time),
            None => never += 1,
        }
        hosts.iter().for_each(Host::heal);
        peers.iter_mut().for_each(|peer| peer.deregister(0..NODES));
        if all_see(&mut peers, 0, began, Duration::from_secs(30)).is_none() {
            let left: Vec<usize> = peers.iter_mut().map(|peer| peer.state().visible).collect();
            return Outcome::missed(format!("run {run}: {left:?} are left 30 s after they were deregistered"));
        }
    }
    took.sort_unstable();
    let within = took.iter().filter(|time| **time <= limit).count();
    let (median, last) = (took.get(RUNS / 2).copied(), took.last().copied());
    let told = |time: Option<Duration>| time.map_or_else(|| "never".into(), seconds);
    let never = if never == 0 { String::new() } else { format!(", {never} not within {}", seconds(limit * 3)) };
    let fresh = RUNS / FRESH_EVERY;
    let measured = format!(
        "{within} of {RUNS}, {fresh} of them by new processes; median {}, longest {}{never}",
        told(median),
        told(last)
    );
    Outcome::new(within * 20 >= RUNS * 19, measured).and(sound(&mut peers))
}

pub fn ten_minutes_of_30_per_cent(link: LinkKind) -> Outcome {
    let lab = Lab::new("lossy");
    let hosts = ten_hosts(&lab);
    let mut peers = peers_on(&hosts, link);
    hosts.iter().for_each(|host| host.loss_to(30));
    register_all(&mut peers, |i| if i % 2 == 0 { 120 } else { 10 }, 0);
    let began = now();
    if all_see(&mut peers, ALL, began, Duration::from_secs(60)).is_none() {
        return Outcome::missed("not all were visible after a minute");
    }
    let before = deleted(&mut peers);
    thread::sleep(Duration::from_secs(600).saturating_sub(since(began)));
    let lost = deleted(&mut peers) - before;
    hosts.iter().for_each(Host::heal);
    Outcome::new(lost == 0, format!("{lost} deletions over 10 watchers")).and(sound(&mut peers))
}
