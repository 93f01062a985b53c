//! Datagrams, calls and time in any order, put to a host in virtual time: what it promises holds after each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record, OPTION_CODE};
use mdns_registry::link::native::name::Name;
use mdns_registry::link::native::Via;
use mdns_registry::options::Wires;
use mdns_registry::record;
use mdns_registry::wire::{dnssd, gomicro};
use mdns_registry::{Domain, RegisterOptions, Service, WatchOptions};

use super::input::Input;
use super::world::{Flying, Who, World, GLOBAL, GROUP, LINK, MDNS};

/// Steps of one input and their time, at most: one more input finds more than a longer one.
const STEPS: usize = 32;
const LONGEST_MS: u64 = 200_000;
const STEP_MS: [u64; 16] =
    [0, 1, 5, 20, 60, 110, 250, 500, 1_000, 1_100, 2_000, 3_500, 10_000, 31_000, 95_000, 125_000];
const SERVICES: [&str; 3] = ["greeter", "go.micro.store", "mail"];
const IDS: [&str; 3] = ["greeter-1", "two.dots", "3"];
/// Owners, as `World` has them, and one that nobody is.
const OWNERS: [&str; 3] = ["bbbbbbbbbbbbbbbbbbbbbbbbba", "ccccccccccccccccccccccccca", "ddddddddddddddddddddddddda"];

/// The first byte says how the hosts speak.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let how = input.byte();
    let queue = if how & 16 == 0 { 1_024 } else { 1 };
    let mut world = World::new((wires(how), wires(how >> 2)), queue);
    world.register(Who::Subject, &service(0, 0, 8_000), RegisterOptions::default());
    if how & 32 == 0 {
        world.register(Who::Peer, &service(0, 1, 8_001), RegisterOptions::default());
    } else {
        world.kill_peer();
    }
    world.check();
    let end = world.now.0 + LONGEST_MS;
    for _ in 0..STEPS {
        if input.is_empty() || world.now.0 >= end {
            break;
        }
        step(&mut world, &mut input);
        world.check();
    }
    let (ours, theirs) = (wires(how), wires(how >> 2));
    let one_tongue = ours.dns_sd && theirs.dns_sd || ours.go_micro.is_some() && ours.go_micro == theirs.go_micro;
    if how & 0xc0 == 0xc0 && one_tongue {
        in_peace(&mut world, ours.dns_sd && theirs.dns_sd);
    }
}

fn wires(how: u8) -> Wires {
    match how % 4 {
        0 => Wires::DNS_SD,
        1 => Wires { dns_sd: true, go_micro: Some(Domain::Micro), named: false },
        2 => Wires { dns_sd: false, go_micro: Some(Domain::Micro), named: true },
        _ => Wires { dns_sd: true, go_micro: Some(Domain::Local), named: false },
    }
}

fn service(name: u8, id: u8, port: u16) -> Service {
    let node = mdns_registry::Node {
        id: IDS[usize::from(id) % IDS.len()].to_owned(),
        port: port.max(1),
        ..mdns_registry::Node::default()
    };
    let version = ["1", "2"][usize::from(id) / 8 % 2].to_owned();
    let name = SERVICES[usize::from(name) % SERVICES.len()].to_owned();
    Service { name, version, nodes: vec![node], ..Service::default() }
}

/// When nobody forges and loses anything any more, what the peer has registered is there, and nothing else of the peer's: at
/// once, if both speak DNS-SD and it lives; else when the leases are over, which `World::check` looks for.
fn in_peace(world: &mut World, dns_sd: bool) {
    world.reaches = (true, true);
    world.readdress(&[world.subject.ip.into()]);
    world.advance(45_000);
    world.check();
    if !world.peer.up {
        world.advance(80_000);
        return world.check();
    }
    world.assert_lists(Who::Peer);
    if dns_sd {
        world.assert_no_ghosts();
    }
}

fn step(world: &mut World, input: &mut Input<'_>) {
    match input.byte() % 16 {
        0 | 1 => {
            let way = way(input);
            let bytes = input.long().to_vec();
            world.inject(&Flying { bytes, ..way });
        }
        2..=4 => {
            let way = way(input);
            let bytes = structured(world, input);
            world.inject(&Flying { bytes, ..way });
        }
        5 => {
            let way = way(input);
            let bytes = crowd(input);
            world.inject(&Flying { bytes, ..way });
        }
        6 | 7 => replay(world, input),
        8 | 9 => {
            let step = input.byte();
            world.advance(STEP_MS[usize::from(step) % STEP_MS.len()]);
        }
        10 => {
            let (who, name, id, port) = (who(input), input.byte(), input.byte(), input.word());
            let (ttl, auto_renew) = ([120, 3, 30, 86_400][usize::from(id) / 16 % 4], id < 128);
            let options = RegisterOptions { ttl: Duration::from_secs(ttl), auto_renew };
            world.register(who, &service(name, id, port), options);
        }
        11 => {
            let (who, name, id) = (who(input), input.pick(&SERVICES), input.pick(&IDS));
            world.deregister(who, name, id);
        }
        12 => {
            let question = match input.byte() % 4 {
                0 => record::Question::Everything,
                1 => record::Question::Names,
                2 => record::Question::Service(input.pick(&SERVICES).into()),
                _ => record::Question::Service(format!("s{}", input.byte()).into()),
            };
            world.look_up(&question);
        }
        13 => {
            let options = WatchOptions::service(input.pick(&SERVICES));
            world.watch(&options, input.byte() & 1 == 0);
        }
        14 => {
            let v6 = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
            let v4 = IpAddr::V4(world.subject.ip);
            let more = IpAddr::from([10, 0, 0, 9]);
            let addrs = input.pick(&[vec![], vec![v4], vec![v4, v6], vec![v6, GLOBAL.into()], vec![more, v4]]);
            world.readdress(&addrs);
        }
        _ => match input.byte() {
            255 => world.close_peer(),
            254 => world.kill_peer(),
            bits => world.reaches = (bits & 1 == 0, bits & 2 == 0),
        },
    }
}

fn who(input: &mut Input<'_>) -> Who {
    input.pick(&[Who::Subject, Who::Peer])
}

/// Who sends, whom to, on which socket it comes.
fn way(input: &mut Input<'_>) -> Flying {
    let (source, bits) = (input.byte(), input.byte());
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66);
    let from: SocketAddr = match source % 10 {
        0 => ([10, 0, 0, 2], MDNS).into(),
        1 => ([10, 0, 0, 2], super::world::DIRECT).into(),
        2 | 3 => ([10, 0, 0, 66], MDNS).into(),
        4 => ([10, 0, 0, 66], 40_404).into(),
        5 => ([10, 0, 0, 67 + source / 16], MDNS).into(),
        6 => (off_link(bits), if source & 16 == 0 { MDNS } else { 40_404 }).into(),
        7 => ([10, 0, 0, 1], MDNS).into(),
        8 if bits & 16 == 0 => (link_local, MDNS).into(),
        8 => (Ipv6Addr::from_bits(GLOBAL.to_bits() + 1), MDNS).into(),
        _ => ([10, 0, 0, 67 + source / 16], 30_000).into(),
    };
    let via = if bits & 1 == 0 { Via::Group } else { Via::Direct };
    let to = if bits & 2 == 0 { GROUP } else { IpAddr::from([10, 0, 0, 1]) };
    let interface = if bits & 0xe0 == 0xe0 { 7 } else { LINK };
    Flying { via, from, to, interface, bytes: Vec::new() }
}

/// An address of no network of the subject's; by IPv6 also of the one beside its own.
fn off_link(bits: u8) -> IpAddr {
    let beside = Ipv6Addr::from_bits(GLOBAL.to_bits() ^ 1 << 64);
    let far = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 9);
    match bits >> 2 & 3 {
        0 | 1 => IpAddr::from([198, 51, 100, 9]),
        2 => far.into(),
        _ => beside.into(),
    }
}

/// A datagram that one of the hosts sent, with a few bytes changed.
fn replay(world: &mut World, input: &mut Input<'_>) {
    let (which, way, changes) = (input.byte(), way(input), input.byte());
    let Some(kept) = world.kept.get(usize::from(which) % world.kept.len().max(1)) else { return };
    let mut bytes = kept.bytes.clone();
    for _ in 0..changes % 5 {
        let (at, other) = (usize::from(input.word()) % bytes.len().max(1), input.byte());
        bytes[at] ^= other;
    }
    if changes & 8 != 0 {
        bytes.truncate(usize::from(input.word()));
    }
    // From where it came, or from elsewhere.
    let (from, via) = if changes & 16 == 0 { (kept.from, kept.via) } else { (way.from, way.via) };
    world.inject(&Flying { bytes, from, via, ..way });
}

/// A message about names that matter here.
fn structured(world: &World, input: &mut Input<'_>) -> Vec<u8> {
    let bits = input.byte();
    let mut message = if bits & 1 == 0 { Builder::response(0, 8_000) } else { Builder::query(input.word(), 8_000) };
    message.truncated(bits & 2 != 0);
    for _ in 0..bits >> 2 & 3 {
        let (name, rtype, class) = (name(world, input), rtype_of(input), input.byte());
        message.question(&Question { name, rtype, class: 1, unicast: class & 1 != 0 });
    }
    for _ in 0..bits >> 4 & 3 {
        let record = record_of(world, input);
        match input.byte() % 8 {
            0 => message.authority(&record),
            1 => message.additional(&record),
            _ => message.answer(&record),
        };
    }
    if bits & 64 != 0 {
        let data = option(input);
        message.option(&data);
    }
    let mut bytes = message.finish();
    if bits & 128 != 0 {
        let (at, other) = (usize::from(input.word()) % bytes.len(), input.byte());
        bytes[at] ^= other;
    }
    bytes
}

/// Nodes of a registry that nobody is, whole or in name alone, and more than there is room for.
fn crowd(input: &mut Input<'_>) -> Vec<u8> {
    let (bits, count, first) = (input.byte(), input.byte() % 32, input.byte());
    let (owner, service) = (OWNERS[2], SERVICES[usize::from(bits >> 1) % SERVICES.len()]);
    let mut message = Builder::response(0, 8_000);
    let host = dotted(&format!("{}.local", dnssd::host_label(owner, "")));
    let said = |name: Name, data| Record { name, class: 1, flush: false, ttl: 120, data };
    for id in (0..count).map(|i| first.wrapping_add(i).to_string()) {
        let name = instance(owner, service, &id);
        message.answer(&said(dotted(dnssd::SERVICE_TYPE), Data::Ptr(name.clone())));
        if bits & 1 == 0 {
            let texts =
                [format!("id={id}"), format!("service={service}"), format!("owner={owner}"), "seq=1".to_owned()];
            message.answer(&said(name.clone(), Data::Txt(rdata(&texts.map(String::into_bytes)))));
            message.answer(&said(name, Data::Srv { port: 80, target: host.clone() }));
        }
    }
    message.answer(&said(host, Data::A(Ipv4Addr::new(10, 0, 0, 66))));
    message.finish()
}

fn rtype_of(input: &mut Input<'_>) -> u16 {
    let types = [
        rtype::PTR,
        rtype::SRV,
        rtype::TXT,
        rtype::A,
        rtype::AAAA,
        rtype::ANY,
        rtype::NSEC,
        rtype::CNAME,
        rtype::ALIVE,
    ];
    input.pick(&types)
}

fn dotted(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

fn instance(owner: &str, service: &str, id: &str) -> Name {
    dotted(dnssd::SERVICE_TYPE).child(dnssd::instance_label(owner, service, id).as_bytes()).unwrap()
}

fn name(world: &World, input: &mut Input<'_>) -> Name {
    let (kind, of) = (input.byte() % 12, input.byte());
    let at = |list: &[&'static str], shift: u8| list[usize::from(of >> shift & 3) % list.len()];
    let (owner, service, id) = (at(&OWNERS, 0), at(&SERVICES, 2), at(&IDS, 4));
    let micro = |labels: Result<Vec<&[u8]>, &str>| Name::from_labels(labels.unwrap()).unwrap();
    match kind {
        0 => dotted(dnssd::SERVICE_TYPE),
        1 => dotted(&dnssd::subtype(service)),
        2 | 3 => instance(owner, service, id),
        4 => {
            let lease = [120, 3, 30, 86_400][usize::from(of >> 2 & 3)];
            dotted(&format!("{owner}-{lease}._alive.{}", dnssd::SERVICE_TYPE))
        }
        5 => dotted(&format!("{}.local", dnssd::host_label(owner, ""))),
        6 => dotted(if of & 1 == 0 { "_services._dns-sd._udp.local" } else { "_names._mdns-registry._tcp.local" }),
        7 => micro(gomicro::service(service, Domain::Micro)),
        8 => micro(gomicro::instance(id, service, Domain::Micro)),
        9 => dotted(if of & 1 == 0 { "_services.micro" } else { "vm.micro" }),
        10 => world.kept.back().map_or_else(|| dotted("local"), |kept| owner_name(&kept.bytes)),
        _ => {
            let labels: Vec<&[u8]> = (0..of % 4).map(|_| input.short()).collect();
            Name::from_labels(labels).unwrap_or_else(|| dotted("printer._ipp._tcp.local"))
        }
    }
}

/// The first name of a message that has one.
fn owner_name(bytes: &[u8]) -> Name {
    let read = mdns_registry::link::native::message::parse(bytes).unwrap_or_default();
    let first = read.answers.first().map(|record| record.name.clone());
    first.or(read.questions.first().map(|question| question.name.clone())).unwrap_or_else(|| dotted("local"))
}

fn record_of(world: &World, input: &mut Input<'_>) -> Record {
    let (name, kind, ttl) = (name(world, input), input.byte(), input.byte());
    let ttl = [0, 1, 10, 120, 4_500, u32::MAX, 120, 120][usize::from(ttl) % 8];
    let data = match kind % 12 {
        0 | 1 => Data::Ptr(self::name(world, input)),
        2 => Data::Srv { port: input.word(), target: self::name(world, input) },
        3 | 4 => Data::Txt(txt(input)),
        5 => Data::Txt(GO_MICRO[usize::from(input.byte()) % GO_MICRO.len()].clone()),
        6 => Data::A(Ipv4Addr::new(10, 0, 0, input.byte())),
        7 => Data::Aaaa(Ipv6Addr::from_bits(u128::from(input.word()) << 112 | 0x66)),
        8 => Data::Nsec { next: self::name(world, input), types: vec![u16::from(input.byte())] },
        9 => Data::Other(rtype::ALIVE, alive(input)),
        10 => Data::Other(rtype::CNAME, self::name(world, input).as_wire().into()),
        _ => Data::Other(input.word() | 256, input.short().into()),
    };
    Record { name, class: if kind >= 240 { 3 } else { 1 }, flush: kind & 1 == 0, ttl, data }
}

fn rdata(strings: &[Vec<u8>]) -> Arc<[u8]> {
    strings.iter().filter(|s| s.len() < 256).flat_map(|s| [&[s.len() as u8], s.as_slice()].concat()).collect()
}

/// As a registry of ours says a node, with what it takes to be believed or not.
fn txt(input: &mut Input<'_>) -> Arc<[u8]> {
    let of = input.byte();
    if of == 255 {
        return input.short().into();
    }
    let at = |list: &[&'static str], shift: u8| list[usize::from(of >> shift & 3) % list.len()];
    let (revision, port) = (input.pick(&[0, 1, 2, 99, u64::MAX - 1, u64::MAX]), input.word());
    let texts = [
        format!("id={}", at(&IDS, 4)),
        format!("service={}", at(&SERVICES, 2)),
        format!("owner={}", at(&OWNERS, 0)),
        format!("seq={revision}"),
        format!("port={port}"),
        format!("lease={}", [120, 3, 30, 0][usize::from(of >> 6)]),
    ];
    let kept = usize::from(input.byte());
    let mut strings: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    if kept < strings.len() {
        strings.remove(kept);
    }
    strings.push(input.short().to_vec());
    rdata(&strings)
}

fn alive(input: &mut Input<'_>) -> Arc<[u8]> {
    let (sequence, count, port) = (input.pick(&[0, 1, 50, u64::MAX]), input.byte(), input.word());
    let texts =
        [format!("seq={sequence}"), format!("n={count}"), format!("h={:016x}", input.byte()), format!("p={port}")];
    let mut strings: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    if count & 1 != 0 {
        strings.push([b"s0=", input.take(20)].concat());
    }
    rdata(&strings)
}

/// TXT of go-micro's wire.
static GO_MICRO: LazyLock<Vec<Arc<[u8]>>> = LazyLock::new(|| {
    let owners = [None, Some(OWNERS[0]), Some(OWNERS[1]), Some(OWNERS[2])];
    let texts = SERVICES.iter().flat_map(|service| {
        let said = |owner: Option<&str>| match owner {
            Some(owner) => {
                format!(r#"{{"Service":"{service}","Version":"1","Owner":"{owner}","Lease":30,"Revision":9}}"#)
            }
            None => format!(r#"{{"Service":"{service}","Version":"1","Endpoints":null,"Metadata":{{"a":"b"}}}}"#),
        };
        owners.map(said)
    });
    let rdata = |text: String| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        gomicro::strings(&encoder.finish().unwrap()).into()
    };
    texts.map(rdata).collect()
});

/// The private option: all that the exchange says, and what it does not.
fn option(input: &mut Input<'_>) -> Vec<u8> {
    let (kind, of) = (input.byte(), input.byte());
    let tag = |of: u8| data_encoding::BASE32_NOPAD.decode(OWNERS[usize::from(of) % 3].to_ascii_uppercase().as_bytes());
    let mut data = vec![1];
    match kind % 8 {
        0 | 1 => {
            data.push(1);
            (0..of % 3).for_each(|i| data.extend(tag(i).unwrap()));
        }
        2 | 3 => {
            data.push(2);
            data.extend([0; 7]);
            data.push(input.byte());
            data.extend(tag(of).unwrap());
            data.push(input.byte());
            (0..of >> 2 & 3).for_each(|i| held(input, u64::from(i), &mut data));
        }
        4 => {
            data.push(3);
            data.extend([9; 8]);
            data.extend(tag(of).unwrap());
            data.push(of >> 7);
            for i in 0..of >> 2 & 3 {
                let verdict = input.byte() % 3;
                data.push(verdict);
                match verdict {
                    2 => held(input, u64::from(i), &mut data),
                    _ => range(input, u64::from(i), &mut data),
                }
            }
        }
        5 => data.extend([5, 0x9c, 0x40]),
        6 => data.push(4),
        _ => data = input.short().to_vec(),
    }
    debug_assert_eq!(OPTION_CODE, 65_283);
    data
}

fn range(input: &mut Input<'_>, i: u64, data: &mut Vec<u8>) {
    let quarter = u64::MAX / 4;
    let (first, last) = match input.byte() {
        0 => (0, u64::MAX),
        bits => (i * quarter + u64::from(bits), i * quarter + quarter - 1),
    };
    data.extend(first.to_be_bytes());
    data.extend(last.to_be_bytes());
}

fn held(input: &mut Input<'_>, i: u64, data: &mut Vec<u8>) {
    range(input, i, data);
    data.extend([0, 0, 0, input.byte()]);
    data.extend([0, 0, 0, 0, 0, 0, 0, input.byte()]);
}

/// What two hosts that find each other say, for others to begin with.
pub fn datagrams() -> Vec<Vec<u8>> {
    let mut world = World::new((wires(1), wires(1)), 1_024);
    world.register(Who::Subject, &service(0, 0, 8_000), RegisterOptions::default());
    world.register(Who::Peer, &service(1, 1, 8_001), RegisterOptions::default());
    world.advance(1_500);
    world.close_peer();
    world.kept.iter().map(|kept| kept.bytes.clone()).collect()
}
