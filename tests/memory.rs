//! What nodes cost who publishes and who watches them: live heap, in virtual time.

mod heap;
#[path = "segment/net.rs"]
#[allow(dead_code)]
mod net;

use std::net::{Ipv4Addr, SocketAddr};

use heap::{live, TURN};
use mdns_registry::link::native::message::{Builder, Data, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::{Action, Metadata, Node, Selection, Service};
use net::{Net, Weather};

const NODES: usize = 2_000;
/// What a node may take of a publisher and of a watcher, and 2,000 may leave behind, bytes: as measured and a tenth.
const PUBLISHER: i64 = 1_105;
const WATCHER: i64 = 860;
const LEFT: i64 = 11_500;

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

/// A node of other software, of the service that is watched, on a host of its own, that lives for ten seconds.
fn stranger(number: u32) -> Vec<u8> {
    let name = |labels: [&[u8]; 4]| Name::from_labels(labels).unwrap();
    let instance = name([format!("x{number}").as_bytes(), b"_mdns-registry", b"_tcp", b"local"]);
    let host = Name::from_dotted(&format!("h{number}.local.")).unwrap();
    let mut message = Builder::response(0, 1_452);
    for (name, data) in [
        (instance.clone(), Data::Srv { port: 9, target: host.clone() }),
        (instance, Data::Txt(b"\x0dservice=fleet".as_slice().into())),
        (host, Data::A(Ipv4Addr::from_bits(0x0a01_0000 + number))),
    ] {
        assert!(message.answer(&Record { name, class: 1, flush: true, ttl: 10, data }));
    }
    message.finish()
}

#[test]
fn nodes_of_strangers_that_have_ended_leave_a_watcher_nothing() {
    let _turn = TURN.lock();
    let (mut net, publisher, watcher) = net(120);
    let watch = net.watch(watcher, Some("fleet"));
    net.register(publisher, &fleet(0, 10), 120);
    net.run(5_000);
    net.events(watcher, watch);
    let empty = live();
    for number in 0..100_000_u32 {
        let from = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_6300 + number % 100), 5_353));
        net.inject(from, Some(watcher), stranger(number));
        if number % 100 == 0 {
            net.run(3);
            net.events(watcher, watch);
        }
    }
    println!("{} nodes, {} bytes", known(&net, watcher), live() - empty);
    assert!(net.run_until(|net| known(net, watcher) == 10, 20_000));
    net.run(20_000);
    net.events(watcher, watch);
    let left = live() - empty;
    println!("left: {left}");
    assert!(left <= LEFT, "{left} bytes left");
}
