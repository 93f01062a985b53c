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
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// After it no new run begins: where much is broken, as on the other link, they would take half an hour.
const PATIENCE: Duration = Duration::from_secs(600);

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

/// What breaks in a run is told, and the next begins with new processes.
fn registered_at_once(link: LinkKind, percent: u8, limit: Duration) -> Outcome {
    let lab = Lab::new("loss");
    let hosts = ten_hosts(&lab);
    let (mut peers, mut took, mut never) = (Vec::new(), Vec::new(), 0);
    let (mut broken, mut runs, mut fresh, start) = (Vec::new(), 0, 0, now());
    for run in 0..RUNS {
        if since(start) > PATIENCE {
            break;
        }
        runs += 1;
        hosts.iter().for_each(|host| host.loss_to(percent));
        if run % FRESH_EVERY == 0 || peers.is_empty() {
            broken.extend(sound(&mut peers).err().map(|how| format!("before run {run} {how}")));
            peers = peers_on(&hosts, link);
            fresh += 1;
        }
        let began = now();
        register_all(&mut peers, |_| 120, run as u64);
        match all_see(&mut peers, ALL, began, limit * 3) {
            Some(time) => took.push(time),
            None => never += 1,
        }
        hosts.iter().for_each(Host::heal);
        peers.iter_mut().for_each(|peer| peer.deregister(0..NODES));
        if all_see(&mut peers, 0, began, GONE_WITHIN).is_none() {
            let left: Vec<usize> = peers.iter_mut().map(|peer| peer.state().visible).collect();
            let gone = seconds(GONE_WITHIN);
            broken.push(format!("in run {run} {left:?} were left {gone} after they were deregistered"));
            peers.clear();
        }
    }
    took.sort_unstable();
    let within = took.iter().filter(|time| **time <= limit).count();
    let (median, last) = (took.get(runs / 2).copied(), took.last().copied());
    let told = |time: Option<Duration>| time.map_or_else(|| "never".into(), seconds);
    let never = if never == 0 { String::new() } else { format!(", {never} not within {}", seconds(limit * 3)) };
    let measured = format!(
        "{within} of {runs}, {fresh} of them by new processes; median {}, longest {}{never}",
        told(median),
        told(last)
    );
    broken.extend(sound(&mut peers).err());
    let whole = match broken.first() {
        None => Ok(()),
        Some(first) => Err(format!("broken {} times, first {first}", broken.len())),
    };
    Outcome::new(within * 20 >= RUNS * 19, measured).and(whole)
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
