//! What a hostile link and callers without number cost: live heap, in virtual time. Apart from `memory.rs`, which counts
//! in bytes, so that nothing of this is counted there.

mod heap;
#[path = "segment/net.rs"]
#[allow(dead_code)]
mod net;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use flate2::write::ZlibEncoder;
use flate2::Compression;
use heap::{live, TURN};
use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::options::{Domain, Wires};
use mdns_registry::{limits, Selection};
use net::{service, Net, Weather};
use serde_json::json;

/// What a watch may take and all may leave, bytes, and what strangers may fill of two hosts, kB: as measured and a tenth.
const WATCH: i64 = 460;
const LEFT: i64 = 31_000;
const FLOODED_KB: i64 = 60_000;

const MICRO: Wires = Wires { dns_sd: false, go_micro: Some(Domain::Micro), named: true };

/// Ten minutes of it: whatever may be kept of strangers is kept, and no more.
#[test]
fn a_flood_of_ten_minutes_fills_what_is_bounded_and_then_nothing_more() {
    let _turn = TURN.lock();
    let mut net = Net::new(2, Weather::FAIR);
    let (publisher, watcher) = (net.host(), net.host());
    net.watch(watcher, None);
    net.register(publisher, &service("greeter", 0..10), 120);
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
    let (full, end) = (after[5], after[9]);
    assert!(end <= FLOODED_KB, "{end} kB");
    assert!(end - full <= 1_024, "{full} kB after 6 minutes, {end} after 10");
    assert_eq!(net.found(watcher, "greeter"), 10);
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

    /// Eight messages of twenty nodes, and of each other kind a few.
    fn second(&mut self) {
        const TYPE: [&[u8]; 3] = [b"_mdns-registry", b"_tcp", b"local"];
        let service_type = Name::from_labels(TYPE).unwrap();
        for _ in 0..8 {
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
        for _ in 0..10 {
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

/// What one node holds more than its data, and what reading one takes for the moment, bytes.
const NODE: i64 = 4_000;
const READING: i64 = 4 << 20;

#[test]
fn nodes_that_inflate_to_a_thousand_times_their_size_fill_what_is_bounded_in_bytes() {
    let _turn = TURN.lock();
    for (wire, wires) in [("DNS-SD", Wires::DNS_SD), ("go-micro's wire", MICRO)] {
        for (senders, bound) in [(1, limits::SENDER_BYTES), (300, limits::VIEW_BYTES)] {
            let mut net = Net::new(4, Weather::FAIR);
            let (publisher, watcher) = (net.host_with(wires), net.host_with(wires));
            net.watch(watcher, None);
            net.register(publisher, &service("greeter", 0..10), 120);
            net.run(5_000);
            let empty = live();
            // Each changes once more, while the one who watches does not read.
            for round in 0..2 {
                let txt = [0, 1, 2].map(|kind| heavy_txt(wires, kind, round));
                for number in 0..300 {
                    let from = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 + number % senders), 5_353));
                    net.inject(from, Some(watcher), node(wires, number, txt[number as usize % 3].clone()));
                    net.run(10);
                }
            }
            let (held, dropped) = (live() - empty, net.hosts[watcher].dropped.clone());
            println!("{wire}, {senders} senders: {} MB, {dropped:?}", held >> 20);
            // The view, and what waits in the watch of what was before.
            let most = 2 * bound as i64 * 5 / 4 + 300 * NODE + READING;
            assert!(held <= most, "{wire}, {senders} senders: {held} bytes held, {most} at most");
            let full = if senders == 1 { "sender-full" } else { "cache-full" };
            assert!(dropped.contains_key(full) && dropped.contains_key("reading-limited"), "{wire}: {dropped:?}");
            assert_eq!(net.found(watcher, "greeter"), 10);
        }
    }
}

/// TXT of a few hundred bytes that inflates to a quarter of a megabyte: of text in the service's or the node's metadata, or of
/// values.
fn heavy_txt(wires: Wires, kind: u32, round: u32) -> Arc<[u8]> {
    let text = json!({"m": format!("{round}{}", "a".repeat(250_000))});
    let request = || json!({"name": "r", "type": "t", "values": vec![json!({"name": "v", "type": "t"}); 8_000]});
    let (of_service, of_node, endpoints) = match kind {
        0 => (text, json!({}), vec![]),
        1 => (json!({}), text, vec![]),
        _ => (json!({}), json!({}), vec![json!({"name": format!("e{round}"), "request": request()})]),
    };
    let strings: Vec<Vec<u8>> = if wires == MICRO {
        let said = json!({"Service": "printer", "Version": "1", "Metadata": of_node, "ServiceMetadata": of_service, "Endpoints": endpoints, "Owner": "x", "Lease": 120, "Revision": round});
        let hex = data_encoding::HEXLOWER.encode(&deflated(said.to_string().as_bytes()));
        hex.as_bytes().chunks(255).map(<[u8]>::to_vec).collect()
    } else {
        let deflated = deflated(json!({"m": of_service, "n": of_node, "e": endpoints}).to_string().as_bytes());
        let payload = deflated.chunks(250).enumerate().map(|(i, chunk)| [format!("z{i}=").as_bytes(), chunk].concat());
        [b"service=printer".to_vec()].into_iter().chain(payload).collect()
    };
    strings.iter().flat_map(|text| [&[text.len() as u8], &text[..]].concat()).collect()
}

fn node(wires: Wires, number: u32, txt: Arc<[u8]>) -> Vec<u8> {
    let under = if wires == MICRO { "printer.micro" } else { "_mdns-registry._tcp.local" };
    let name = Name::from_dotted(&format!("x{number}.{under}")).unwrap();
    let host = Name::from_dotted("stranger.local").unwrap();
    let mut message = Builder::response(0, 8_952);
    message.answer(&Flood::record(name.clone(), Data::Srv { port: 9, target: host.clone() }));
    assert!(message.answer(&Flood::record(name, Data::Txt(txt))));
    message.answer(&Flood::record(host, Data::A(Ipv4Addr::new(10, 1, 2, 3))));
    message.finish()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap()
}

#[test]
fn ten_thousand_watches_are_told_and_leave_nothing() {
    let _turn = TURN.lock();
    let mut net = Net::new(1, Weather::FAIR);
    let (publisher, watcher) = (net.host(), net.host());
    net.watch(watcher, Some("greeter"));
    net.run(5_000);
    let empty = live();
    let watches: Vec<_> = (0..10_000).map(|_| net.watch(watcher, Some("greeter"))).collect();
    net.run(1_000);
    net.register(publisher, &service("greeter", 0..1), 120);
    net.run(1_000);
    let each = (live() - empty) / 10_000;
    println!("a watch: {each} bytes");
    for watch in &watches {
        assert_eq!(net.events(watcher, *watch).len(), 1);
    }
    let now = net.now;
    watches.into_iter().for_each(|watch| net.hosts[watcher].engine.unwatch(now, watch));
    net.deregister(publisher, &Selection::service("greeter"));
    net.run(10_000);
    let left = live() - empty;
    println!("left: {left}");
    assert!(each <= WATCH, "{each} bytes a watch");
    assert!(left <= LEFT, "{left} bytes left");
}
