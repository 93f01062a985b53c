//! What a hostile link and callers without number cost: live heap, in virtual time. Apart from `memory.rs`, which counts
//! in bytes, so that nothing of this is counted there.

mod heap;
#[path = "segment/net.rs"]
#[allow(dead_code)]
mod net;

use std::net::{Ipv4Addr, SocketAddr};

use heap::{live, TURN};
use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::Selection;
use net::{service, Net, Weather};

/// What a watch may take and all may leave, bytes, and what strangers may fill of two hosts, kB: as measured and a tenth.
const WATCH: i64 = 410;
const LEFT: i64 = 31_000;
const FLOODED_KB: i64 = 60_000;

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
