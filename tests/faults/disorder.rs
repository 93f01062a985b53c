//! Packets that come twice, late and out of order; and a peer that is not ours on the same port.

use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::LinkKind;

use crate::lab::avahi::Avahi;
use crate::lab::{Host, Lab, SOON};
use crate::measure::{now, seconds, since, sound_of_ours, within, Truth};
use crate::peer::Peer;
use crate::relay::{Relay, Weather};
use crate::report::Outcome;

const NODES: u32 = 40;
const CHANGES: u32 = 100;
const EVERY: Duration = Duration::from_millis(100);
const QUIET: Duration = Duration::from_secs(12);

/// Two hosts whose packets come twice, late and in another order, and that change their nodes all the while.
pub fn packets_doubled_late_and_out_of_order(link: LinkKind) -> Outcome {
    let (here, there) = (Lab::new("here"), Lab::new("there"));
    let (a, b, between) = (here.host("a"), there.host("b"), here.host("between"));
    between.plug_into(&there);
    // One network, as far as addresses tell.
    let [_, _, subnet, _] = a.ipv4.octets();
    b.del_addr(b.ipv4, 24);
    b.add_addr(std::net::Ipv4Addr::new(10, 78, subnet, 77), 24);
    b.del_addr(b.link_local, 64);
    b.add_addr("fe80::77".parse::<std::net::Ipv6Addr>().expect("an address"), 64);
    let weather = Weather { doubled: 50, delay: Duration::from_millis(200) };
    let _relay = Relay::start(&between, weather);
    let mut peers = [Peer::start(&a, link), Peer::start(&b, link)];
    let (mut rng, mut truth) = (fastrand::Rng::with_seed(11), Truth::default());
    let began = Instant::now();
    for round in 0..CHANGES {
        let first = rng.u32(0..NODES / 2);
        let side = rng.usize(0..2);
        let own = side as u32 * NODES + first..side as u32 * NODES + first + rng.u32(1..NODES / 2);
        match rng.u8(0..3) {
            0 => truth.deregister(&mut peers[side], own),
            _ => truth.register(&mut peers[side], own, 120, round.into()),
        }
        thread::sleep((EVERY * (round + 1)).saturating_sub(began.elapsed()));
    }
    // What was said last is under way for as long, and what was said before it may come later.
    thread::sleep(2 * weather.delay);
    let quiet = now();
    let right = truth.comes_to(&mut peers, quiet, QUIET);
    let events: u64 = peers.iter_mut().map(|peer| peer.state().events()).sum();
    let measured = match right {
        Some(took) => format!("the {} nodes that there are {} later", truth.len(), seconds(took)),
        None => format!("not what there is within {}", seconds(QUIET)),
    };
    let measured = format!("{CHANGES} changes, {events} events; {measured}");
    Outcome::new(right.is_some(), measured).and(truth.seen_by(&mut peers))
}

pub fn avahi_first_on_the_same_host(link: LinkKind) -> Outcome {
    beside_avahi(link, true)
}

pub fn avahi_later_on_the_same_host(link: LinkKind) -> Outcome {
    beside_avahi(link, false)
}

const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// What avahi is asked to publish: a node of the fleet, as other software would say one.
const PRINTER: [&str; 5] = ["-s", "printer", "_mdns-registry._tcp", "631", "service=fleet"];

/// A host with both, and one with either: each sees what the other publishes.
fn beside_avahi(link: LinkKind, avahi_first: bool) -> Outcome {
    let lab = Lab::new("beside");
    let (a, b, c): (Host, Host, Host) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let early = avahi_first.then(|| Avahi::start(&a));
    let mut peers = [Peer::start(&a, link), Peer::start(&b, link)];
    peers[0].register(0..2, 120, 0);
    let on_a = early.unwrap_or_else(|| Avahi::start(&a));
    let on_c = Avahi::start(&c);
    let mut publisher = on_a.spawn("avahi-publish", &PRINTER);
    publisher.expect_line("it is published", SOON, |line| line.starts_with("Established"));
    let began = now();
    let ours = within(SEEN_WITHIN, || {
        let seen = [&on_a, &on_c].map(|avahi| {
            let found = avahi.browse("_mdns-registry._tcp", SOON);
            found.iter().filter(|shown| shown.protocol == "IPv4" && (10_000..10_002).contains(&shown.port)).count()
        });
        (seen == [2, 2]).then(|| since(began)).ok_or(seen)
    });
    let theirs = within(SEEN_WITHIN.saturating_sub(since(began)), || {
        let seen = peers.each_mut().map(|peer| peer.state().visible);
        (seen == [3, 3]).then(|| since(began)).ok_or(seen)
    });
    let (ours, theirs) = match (ours, theirs) {
        (Err(seen), _) => return Outcome::missed(format!("avahi on either host sees {seen:?} of our 2 nodes")),
        (_, Err(seen)) => return Outcome::missed(format!("we see {seen:?} nodes, not 3, one of them of avahi")),
        (Ok(ours), Ok(theirs)) => (ours, theirs),
    };
    let measured = format!("avahi sees ours after {}, we see its after {}", seconds(ours), seconds(theirs));
    Outcome::new(true, measured).and(sound_of_ours(&mut peers).and_then(|present| match present.len() {
        2 => Ok(()),
        count => Err(format!("{count} of our 2 nodes are seen")),
    }))
}
