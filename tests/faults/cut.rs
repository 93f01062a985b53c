//! Hosts cut off from each other, which change meanwhile on both sides, and the link whole again.

use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;

use crate::lab::{Host, Lab};
use crate::measure::{now, seconds, Truth};
use crate::peer::Peer;
use crate::report::Outcome;

const HOSTS: u32 = 4;
/// Of each host.
const NODES: u32 = 25;
const LEASE_S: u64 = 120;
/// So many nodes of either side change, go and come while it is cut.
const TOUCHED: u32 = 5;
const WHOLE_WITHIN: Duration = Duration::from_secs(3);
/// How long it is waited for what is not promised.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a host that is cut off does not hear, and what is not heard of it.
struct Cut {
    apply: fn(&Host),
    deaf: bool,
    mute: bool,
}

pub fn a_partition_of_10_s(link: LinkKind) -> Outcome {
    cut_off(link, &Cut { apply: Host::partition, deaf: true, mute: true }, 10)
}

pub fn a_partition_of_130_s(link: LinkKind) -> Outcome {
    cut_off(link, &Cut { apply: Host::partition, deaf: true, mute: true }, 130)
}

pub fn a_host_that_hears_nothing_for_130_s(link: LinkKind) -> Outcome {
    cut_off(link, &Cut { apply: Host::deafen, deaf: true, mute: false }, 130)
}

pub fn a_host_that_nobody_hears_for_130_s(link: LinkKind) -> Outcome {
    cut_off(link, &Cut { apply: Host::mute, deaf: false, mute: true }, 130)
}

/// One of four hosts is cut off, and there and elsewhere nodes change, go and come.
fn cut_off(link: LinkKind, cut: &Cut, length_s: u64) -> Outcome {
    let lab = Lab::new("cut");
    let hosts: Vec<Host> = (0..HOSTS).map(|i| lab.host(&format!("h{i}"))).collect();
    let mut peers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    let mut truth = Truth::default();
    for (i, peer) in (0..).zip(&mut peers) {
        truth.register(peer, i * NODES..(i + 1) * NODES, LEASE_S, 0);
    }
    if truth.comes_to(&mut peers, now(), PATIENCE).is_none() {
        return Outcome::missed("not whole before the cut");
    }
    // What was registered has been said twice, and alive records have been heard.
    thread::sleep(Duration::from_secs(8));
    (cut.apply)(&hosts[0]);
    for (i, peer) in (0..).zip(&mut peers).take(2) {
        touch(&mut truth, peer, i * NODES, (HOSTS + i) * NODES);
    }
    thread::sleep(Duration::from_secs(length_s));
    hosts[0].heal();
    // On the other link it may take longer than a short scenario.
    let patience = if link == LinkKind::Native { PATIENCE.min(Duration::from_secs(length_s)) } else { PATIENCE };
    let took = truth.comes_to(&mut peers, now(), patience);
    let deletions: Vec<u64> = peers.iter_mut().map(|peer| peer.state().deleted).collect();
    let wanted = deletions_of(cut, length_s > LEASE_S);
    let counted = format!("deletions told on each host {deletions:?} of {wanted:?}");
    let Some(took) = took else {
        return Outcome::missed(format!("not right within {}; {counted}", seconds(patience)));
    };
    let held = took <= WHOLE_WITHIN && deletions == wanted;
    Outcome::new(held, format!("right after {}; {counted}", seconds(took))).and(truth.seen_by(&mut peers))
}

/// Of a peer's nodes from `first` on some change and some go; others come.
fn touch(truth: &mut Truth, peer: &mut Peer, first: u32, others: u32) {
    truth.register(peer, first..first + TOUCHED, LEASE_S, 1);
    truth.deregister(peer, first + TOUCHED..first + 2 * TOUCHED);
    truth.register(peer, others..others + TOUCHED, LEASE_S, 2);
}

/// Each node that was deregistered is told once as deleted, and so is each that was cut off for longer than its lease:
/// nothing else is.
fn deletions_of(cut: &Cut, outlived: bool) -> Vec<u64> {
    let on = |host: u32| {
        let gone = u64::from(2 * TOUCHED);
        let (lost, deregistered_there) = match host {
            0 if cut.deaf => ((HOSTS - 1) * NODES, TOUCHED),
            1.. if cut.mute => (NODES, TOUCHED),
            _ => (0, 0),
        };
        gone + if outlived { u64::from(lost - deregistered_there) } else { 0 }
    };
    (0..HOSTS).map(on).collect()
}
