//! What nodes cost who publishes and who watches them: live heap, in virtual time.

#[path = "segment/net.rs"]
#[allow(dead_code)]
mod net;

use std::alloc::System;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::{Action, Metadata, Node, Selection, Service};
use net::{Net, Weather};
use stats_alloc::{StatsAlloc, INSTRUMENTED_SYSTEM};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
/// The heap is that of all tests.
static TURN: Mutex<()> = Mutex::new(());

const NODES: usize = 2_000;
/// What a node may take of a publisher and of a watcher, and 2,000 may leave behind, bytes: as measured and a tenth.
const PUBLISHER: i64 = 1_105;
const WATCHER: i64 = 860;
const LEFT: i64 = 11_500;
/// What a watch may take, bytes, and what strangers may fill of two hosts, kB.
const WATCH: i64 = 1_000;
const FLOODED_KB: i64 = 120_000;

fn live() -> i64 {
    let stats = HEAP.stats();
    i64::try_from(stats.bytes_allocated).unwrap() - i64::try_from(stats.bytes_deallocated).unwrap()
}

/// Nodes as in the benchmarks, each with three keys of metadata.
fn fleet(from: usize, to: usize) -> Service {
    let node = |i: usize| {
        let metadata = [
            ("zone", "north".to_owned()),
            ("rack", format!("r-{:02}", i % 100)),
            ("started", format!("2026-11-22T19:45:{:02}Z", i % 60)),
        ];
        let metadata: Metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Node { id: format!("n-{i:05}"), address: String::new(), port: 10_000, metadata }
    };
    Service {
        name: "fleet".into(),
        version: "1.0.0".into(),
        nodes: (from..to).map(node).collect(),
        ..Service::default()
    }
}

/// A network in which each host has published and watched before.
fn net(lease: u64) -> (Net, usize, usize) {
    let mut net = Net::new(1, Weather::FAIR);
    let (publisher, watcher) = (net.host(), net.host());
    net.watch(watcher, Some("fleet"));
    net.register(publisher, &fleet(0, 10), lease);
    net.run(5_000);
    assert_eq!(known(&net, watcher), 10);
    withdraw(&mut net, publisher);
    (net, publisher, watcher)
}

/// How many nodes a host knows, without the answer that a lookup keeps.
fn known(net: &Net, host: usize) -> usize {
    net.hosts[host].engine.counts().nodes
}

fn publish(net: &mut Net, publisher: usize, lease: u64) {
    for from in (0..NODES).step_by(1_000) {
        net.register(publisher, &fleet(from, from + 1_000), lease);
    }
    net.run(10_000);
}

fn withdraw(net: &mut Net, publisher: usize) {
    net.deregister(publisher, &Selection::service("fleet"));
    net.run(10_000);
}

#[test]
fn a_node_costs_its_publisher_1_kb_and_a_watcher_three_quarters_and_leaves_nothing() {
    let _turn = TURN.lock();
    let (mut net, publisher, watcher) = net(120);
    let empty = live();
    net.hosts[watcher].up = false;
    publish(&mut net, publisher, 120);
    let published = live() - empty;
    net.hosts[watcher].up = true;
    let watch = net.watch(watcher, Some("fleet"));
    assert!(net.run_until(|net| known(net, watcher) == NODES, 20_000), "{}", known(&net, watcher));
    let told = net.events(watcher, watch);
    assert_eq!(told.iter().filter(|(action, ..)| *action == Action::Create).count(), NODES);
    drop(told);
    net.run(5_000);
    let watched = live() - empty - published;
    let each = |bytes: i64| bytes / i64::try_from(NODES).unwrap();
    println!("publisher: {} bytes a node, watcher: {}", each(published), each(watched));
    withdraw(&mut net, publisher);
    assert_eq!(net.events(watcher, watch).len(), NODES);
    let left = live() - empty;
    println!("left: {left}");
    assert!(each(published) <= PUBLISHER, "{} bytes a node of the publisher", each(published));
    assert!(each(watched) <= WATCHER, "{} bytes a node of the watcher", each(watched));
    assert!(left <= LEFT, "{left} bytes left");
}

#[test]
fn nodes_that_were_killed_leave_a_watcher_nothing() {
    let _turn = TURN.lock();
    let (mut net, publisher, watcher) = net(3);
    net.hosts[watcher].up = false;
    publish(&mut net, publisher, 3);
    let empty = live();
    net.hosts[watcher].up = true;
    assert!(net.run_until(|net| known(net, watcher) == NODES, 20_000));
    net.kill(publisher);
    assert!(net.run_until(|net| known(net, watcher) == 0, 10_000));
    net.run(10_000);
    let left = live() - empty;
    println!("left: {left}");
    assert!(left <= LEFT, "{left} bytes left");
}

/// Ten minutes of it: whatever may be kept of strangers is kept, and no more.
#[test]
fn a_flood_of_ten_minutes_fills_what_is_bounded_and_then_nothing_more() {
    let _turn = TURN.lock();
    let mut net = Net::new(2, Weather::FAIR);
    let (publisher, watcher) = (net.host(), net.host());
    net.watch(watcher, None);
    net.register(publisher, &fleet(0, 10), 120);
    net.run(5_000);
    let empty = live();
    let mut flood = Flood { net: &mut net, rng: fastrand::Rng::with_seed(3), to: [publisher, watcher] };
    let mut after: Vec<i64> = Vec::new();
    for _minute in 0..10 {
        for _ in 0..60 {
            flood.second();
        }
        after.push((live() - empty) / 1_024);
    }
    println!("kB after each minute: {after:?}");
    let (half, end) = (after[5], after[9]);
    assert!(end <= FLOODED_KB, "{end} kB");
    assert!(end - half <= 1_024, "{half} kB after 6 minutes, {end} after 10");
    // One node of its own is kept of whoever is not a stranger.
    let registered = known(&net, publisher).min(10);
    assert_eq!(registered, 10);
}

/// What a hostile link says.
struct Flood<'a> {
    net: &'a mut Net,
    rng: fastrand::Rng,
    to: [usize; 2],
}

impl Flood<'_> {
    fn say(&mut self, from_port: u16, bytes: &[u8]) {
        // Of addresses there are many.
        let from = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 | self.rng.u32(..) & 0xffff), from_port));
        for to in self.to {
            self.net.inject(from, Some(to), bytes.to_vec());
        }
    }

    fn name(&mut self, under: &[&[u8]]) -> Name {
        let label = format!("{:016x}", self.rng.u64(..));
        Name::from_labels([label.as_bytes()].into_iter().chain(under.iter().copied())).unwrap()
    }

    fn record(name: Name, data: Data) -> Record {
        Record { name, class: 1, flush: true, ttl: u32::MAX, data }
    }

    /// Twenty messages of nodes, and of each other kind a few.
    fn second(&mut self) {
        const TYPE: [&[u8]; 3] = [b"_mdns-registry", b"_tcp", b"local"];
        let service_type = Name::from_labels(TYPE).unwrap();
        for _ in 0..20 {
            let mut nodes = Builder::response(0, 8_952);
            for _ in 0..20 {
                let (name, host) = (self.name(&TYPE), self.name(&[b"local"]));
                let ip = Ipv4Addr::from_bits(0x0a01_0000 | self.rng.u32(..) & 0xffff);
                nodes.answer(&Flood::record(name.clone(), Data::Srv { port: 9, target: host.clone() }));
                nodes.answer(&Flood::record(name, Data::Txt(b"\x0fservice=printer".as_slice().into())));
                nodes.answer(&Flood::record(host, Data::A(ip)));
            }
            self.say(5_353, &nodes.finish());
        }
        for _ in 0..20 {
            let question = |name: &Name, rtype| Question { name: name.clone(), rtype, class: 1, unicast: false };
            // Known answers that never come, from a port that is another each time.
            let mut unfinished = Builder::query(0, 1_452);
            unfinished.question(&question(&service_type, rtype::PTR));
            let known = self.name(&TYPE);
            unfinished.answer(&Flood::record(service_type.clone(), Data::Ptr(known)));
            unfinished.truncated(true);
            self.say(5_353, &unfinished.finish());
            // Pointers, aliases, denials and garbage.
            let (pointed, other) = (self.name(&TYPE), self.name(&[b"local"]));
            let mut response = Builder::response(0, 1_452);
            response.answer(&Flood::record(service_type.clone(), Data::Ptr(pointed)));
            response.answer(&Flood::record(other.clone(), Data::Other(5, other.as_wire().into())));
            response.answer(&Flood::record(other.clone(), Data::Nsec { next: other, types: vec![1] }));
            self.say(5_353, &response.finish());
            let garbage: Vec<u8> = (0..40).map(|_| self.rng.u8(..)).collect();
            self.say(5_353, &garbage);
            // Questions of the exchange, and registries that do not exist.
            let mut lookup = Builder::query(self.rng.u16(..), 1_452);
            lookup.question(&question(&service_type, rtype::PTR));
            lookup.option(&[1, 1]);
            let port = self.rng.u16(1_024..);
            self.say(port, &lookup.finish());
            let digits = b"abcdefghijklmnopqrstuvwxyz234567";
            let tag: String = (0..25).map(|_| char::from(*self.rng.choice(digits).unwrap())).chain(['a']).collect();
            let label = format!("{tag}-120");
            let alive = Name::from_labels([label.as_bytes(), b"_alive"].into_iter().chain(TYPE)).unwrap();
            let said = b"\x05seq=9\x03n=5\x12h=0000000000000001\x03p=9".as_slice();
            let mut message = Builder::response(0, 1_452);
            message.answer(&Flood::record(alive, Data::Other(rtype::ALIVE, said.into())));
            self.say(5_353, &message.finish());
        }
        self.net.run(1_000);
    }
}

#[test]
fn ten_thousand_watches_are_told_and_leave_nothing() {
    let _turn = TURN.lock();
    let (mut net, publisher, watcher) = net(120);
    let empty = live();
    let watches: Vec<_> = (0..10_000).map(|_| net.watch(watcher, Some("fleet"))).collect();
    net.run(1_000);
    net.register(publisher, &fleet(0, 1), 120);
    net.run(1_000);
    let each = (live() - empty) / 10_000;
    println!("a watch: {each} bytes");
    for watch in &watches {
        assert_eq!(net.events(watcher, *watch).len(), 1);
    }
    let now = net.now;
    watches.into_iter().for_each(|watch| net.hosts[watcher].engine.unwatch(now, watch));
    withdraw(&mut net, publisher);
    let left = live() - empty;
    println!("left: {left}");
    assert!(each <= WATCH, "{each} bytes a watch");
    assert!(left <= LEFT, "{left} bytes left");
}
