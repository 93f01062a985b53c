//! As many nodes as a link carries, on few hosts and on many.

use std::time::Duration;

use mdns_registry::LinkKind;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, megabytes, now, seconds, sound};
use crate::peer::Peer;
use crate::report::Outcome;

const PATIENCE: Duration = Duration::from_secs(60);

pub fn a_thousand_nodes_on_one_host(link: LinkKind) -> Outcome {
    found_by_a_newcomer(link, 1, 1_000, Duration::from_secs(1))
}

pub fn a_thousand_nodes_on_50_hosts(link: LinkKind) -> Outcome {
    found_by_a_newcomer(link, 50, 20, Duration::from_secs(1))
}

pub fn ten_thousand_nodes_on_one_host(link: LinkKind) -> Outcome {
    found_by_a_newcomer(link, 1, 10_000, Duration::from_secs(3))
}

pub fn ten_thousand_nodes_on_20_hosts(link: LinkKind) -> Outcome {
    found_by_a_newcomer(link, 20, 500, Duration::from_secs(3))
}

/// Hosts with so many nodes each, and a process that comes later and watches.
fn found_by_a_newcomer(link: LinkKind, hosts: u32, nodes: u32, limit: Duration) -> Outcome {
    let lab = Lab::new("crowd");
    let on: Vec<Host> = (0..hosts).map(|i| lab.host(&format!("h{i}"))).collect();
    let newcomer = lab.host("new");
    let mut peers: Vec<Peer> = on.iter().map(|host| Peer::start(host, link)).collect();
    for (i, peer) in (0..).zip(&mut peers) {
        peer.register(i * nodes..(i + 1) * nodes, 120, 0);
    }
    let all = (hosts * nodes) as usize;
    if all_see(&mut peers, all, now(), PATIENCE * 2).is_none() {
        return Outcome::missed("those who were there do not see all");
    }
    let began = now();
    let mut new = [Peer::start(&newcomer, link)];
    let Some(took) = all_see(&mut new, all, began, PATIENCE) else {
        let seen = new[0].state().visible;
        return Outcome::missed(format!("{seen} of {all} after {}", seconds(PATIENCE)));
    };
    let resident = new[0].state().resident;
    Outcome::new(
        took <= limit,
        format!("all seen {} after the start of the process, resident {}", seconds(took), megabytes(resident)),
    )
    .and(sound(peers.iter_mut().chain(&mut new)))
}
