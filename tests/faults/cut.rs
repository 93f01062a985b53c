//! Hosts cut off from each other, and the link whole again.

use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, deleted, now, seconds, sound};
use crate::peer::Peer;
use crate::report::Outcome;

const NODES: u32 = 100;
const ALL: usize = NODES as usize;
const WHOLE_WITHIN: Duration = Duration::from_secs(3);
/// How long it is waited for what is not promised.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn a_partition_of_10_s(link: LinkKind) -> Outcome {
    cut_off(link, Host::partition, Duration::from_secs(10))
}

pub fn a_partition_of_130_s(link: LinkKind) -> Outcome {
    cut_off(link, Host::partition, Duration::from_secs(130))
}

pub fn a_host_that_hears_nothing_for_130_s(link: LinkKind) -> Outcome {
    cut_off(link, Host::deafen, Duration::from_secs(130))
}

pub fn a_host_that_nobody_hears_for_130_s(link: LinkKind) -> Outcome {
    cut_off(link, Host::mute, Duration::from_secs(130))
}

/// One of four hosts is cut off; each has a quarter of the nodes.
fn cut_off(link: LinkKind, cut: fn(&Host), length: Duration) -> Outcome {
    let lab = Lab::new("cut");
    let hosts: Vec<Host> = (0..4).map(|i| lab.host(&format!("h{i}"))).collect();
    let mut peers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    for (i, peer) in (0..).zip(&mut peers) {
        peer.register(i * NODES / 4..(i + 1) * NODES / 4, 120, 0);
    }
    if all_see(&mut peers, ALL, now(), PATIENCE).is_none() {
        return Outcome::missed("not whole before the cut");
    }
    // What was registered has been said twice, and alive records have been heard.
    thread::sleep(Duration::from_secs(12));
    cut(&hosts[0]);
    thread::sleep(length);
    let lost = deleted(&mut peers);
    hosts[0].heal();
    let measured = |how: String| format!("{how}; {lost} deletions while cut off");
    match all_see(&mut peers, ALL, now(), PATIENCE) {
        Some(took) => {
            Outcome::new(took <= WHOLE_WITHIN, measured(format!("after {}", seconds(took)))).and(sound(&mut peers))
        }
        None => Outcome::missed(measured(format!("not within {}", seconds(PATIENCE)))),
    }
}
