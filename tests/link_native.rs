//! The native link's thread: what it hands over, and what it withstands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "link/peer.rs"]
mod peer;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command as Program;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{parse, rtype, Builder, Data, Question as Asked, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::link::native::{self, socket::GROUP_V4};
use mdns_registry::link::{Command, Link, Message, Scope};
use mdns_registry::record::{Interface, Key, Sighting};
use mdns_registry::{Options, Registry, WatchOptions};
use peer::{Peer, LONG};

fn open(name: &str, port: u16) -> Peer {
    Peer::open_on(native::open, name, port)
}

fn counter(link: &dyn Link, name: &str) -> u64 {
    link.counters().into_iter().find(|(counter, _)| counter == name).unwrap_or_else(|| panic!("no counter {name}")).1
}

fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let latest = Instant::now() + LONG;
    loop {
        match answer() {
            Some(answer) => return answer,
            None => assert!(Instant::now() < latest, "{what}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A plain socket that hears the group on loopback.
fn ears(port: u16) -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&std::net::SocketAddr::from((GROUP_V4, port)).into()).unwrap();
    socket.join_multicast_v4(&GROUP_V4, &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// A plain socket that speaks to the group on loopback.
fn mouth() -> UdpSocket {
    mouth_on(0)
}

/// The same from a port that is shared.
fn mouth_on(port: u16) -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket.into()
}

#[test]
fn commands_are_done_when_the_network_has_them() {
    let (peer, ears) = (open("one", 5601), ears(5601));
    let said = peer.record("node", 8080, 1);
    peer.publish(&said);
    let mut buffer = [0; 9_000];
    let length = ears.recv(&mut buffer).expect("the announcement is there");
    let message = parse(&buffer[..length]).unwrap();
    assert!(message.response && message.answers.iter().any(|record| record.name.first() == said.key.as_bytes()));
    peer.shutdown();
}

#[test]
fn a_slow_reader_gets_every_sighting_in_order_and_meanwhile_nothing_is_read_from_the_network() {
    let mut peer = open("one", 5602);
    peer.wait(|sighting| matches!(sighting, Sighting::Interfaces(_)).then_some(()));
    let keys: Vec<Key> = (0..5_000).map(|number| format!("node-{number}").into()).collect();
    // Done when all of them wait for the reader.
    peer.command(keys.iter().cloned().map(Command::Withdraw).collect());
    let before = until("the counters", || Some(counter(&*peer.link, "datagrams-in")));
    let mouth = mouth();
    for _ in 0..50 {
        mouth.send_to(&[0; 12], (GROUP_V4, 5602)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(counter(&*peer.link, "datagrams-in"), before);
    for expected in &keys {
        let gone = peer.wait(|sighting| match sighting {
            Sighting::Gone { key, .. } => Some(key),
            _ => None,
        });
        assert_eq!(gone, *expected);
    }
    until("what was sent meanwhile", || (counter(&*peer.link, "datagrams-in") >= before + 50).then_some(()));
    peer.shutdown();
}

#[test]
fn stats_show_what_the_link_and_the_registry_refuse() {
    let options = r#"{"link":"native","addrs":["127.0.0.1"],"port":5609}"#;
    let registry = Registry::open(Options::from_json(options).unwrap()).unwrap();
    let stats = || serde_json::from_str::<serde_json::Value>(&registry.stats().unwrap()).unwrap();
    assert_eq!(stats()["refused"], serde_json::json!({}));
    let _watcher = registry.watch(WatchOptions::default()).unwrap();
    // A node at port 0, as it would come from the port of multicast DNS.
    let mouth = mouth_on(5609);
    let name = Name::from_dotted("x._mdns-registry._tcp.local").unwrap();
    let mut node = Builder::response(0, 1_452);
    let texts = b"\x0fservice=printer\x06port=0".as_slice();
    node.answer(&Record { name, class: 1, flush: true, ttl: 120, data: Data::Txt(texts.into()) });
    let node = node.finish();
    let refused = until("what was refused", || {
        mouth.send_to(b"hello", (GROUP_V4, 5609)).unwrap();
        mouth.send_to(&node, (GROUP_V4, 5609)).unwrap();
        Some(stats()["refused"].clone()).filter(|refused| refused["malformed"].is_u64() && refused["port"].is_u64())
    });
    assert_eq!(refused.as_object().unwrap().len(), 2, "{refused}");
    let stats = stats();
    assert!(stats["link"]["counters"]["malformed"].is_u64() && stats["dropped"]["port"].is_u64(), "{stats}");
}

#[test]
fn an_address_that_comes_or_goes_is_told_at_once() {
    let mut peer = open("one", 5603);
    let has = |interfaces: &[Interface], ip: &str| {
        let ip: IpAddr = ip.parse().unwrap();
        interfaces.iter().any(|interface| interface.addrs.contains(&ip))
    };
    for (verb, wanted) in [("add", true), ("del", false)] {
        let begun = Instant::now();
        let run = Program::new("ip").args(["addr", verb, "127.9.0.1/8", "dev", "lo"]).status().unwrap();
        assert!(run.success());
        peer.wait(|sighting| match sighting {
            Sighting::Interfaces(interfaces) => (has(&interfaces, "127.9.0.1") == wanted).then_some(()),
            _ => None,
        });
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    peer.shutdown();
}

#[test]
fn after_shutdown_nothing_is_taken_and_whoever_waits_is_told() {
    let peer = open("one", 5604);
    let (first, second) = (peer.link.shutdown(), peer.link.shutdown());
    let begun = Instant::now();
    peer.within(first).unwrap();
    let _ = peer.within(second);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    let (done, told) = tokio::sync::oneshot::channel();
    peer.link.submit(&peer.owner, Message::Join(Scope::Default.into()));
    peer.link.submit(&peer.owner, Message::Commands { commands: Vec::new(), done: Some(done) });
    let _ = peer.within(told);
}

#[test]
fn a_port_in_use_is_an_error() {
    let _alone = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5605)).unwrap();
    let error = native::open(5605).map(drop).unwrap_err();
    assert_eq!(error.status().name(), "NETWORK");
    assert!(error.to_string().contains("UDP port 5605"), "{error}");
}

#[test]
fn no_datagram_makes_it_fall() {
    let (one, mut two) = (open("one", 5606), open("two", 5606));
    let (mouth, ears) = (mouth(), ears(5606));
    let said = one.record("node", 8080, 1);
    one.publish(&said);
    // What links really say, and a question, each damaged.
    let mut samples = Vec::new();
    let mut builder = Builder::query(1, 1_452);
    let name = Name::from_dotted("_services._dns-sd._udp.local").unwrap();
    builder.question(&Asked { name, rtype: rtype::PTR, class: 1, unicast: true });
    samples.push(builder.finish());
    let mut buffer = [0; 9_000];
    two.ask();
    two.wait_seen(&said.key, 1);
    while let Ok(length) = ears.recv(&mut buffer) {
        samples.push(buffer[..length].to_vec());
    }
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..20_000 {
        let mut sample = samples[random.usize(..samples.len())].clone();
        for _ in 0..random.usize(1..6) {
            let place = random.usize(..sample.len());
            sample[place] = random.u8(..);
        }
        sample.truncate(random.usize(..=sample.len()));
        let _ = mouth.send_to(&sample, (GROUP_V4, 5606));
    }
    let later = one.record("later", 9090, 1);
    one.publish(&later);
    assert_eq!(two.wait_seen(&later.key, 1).0, Arc::clone(&later));
    one.shutdown();
    two.shutdown();
}
