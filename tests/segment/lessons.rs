//! What others' vulnerabilities teach: each was a defect of another implementation of multicast DNS or of DNS, and is
//! tried here on whole endpoints. SECURITY.md says which test is for which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{self, rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::{Case, Name};
use mdns_registry::link::native::{Attached, Config, Datagram, Endpoint, Output, Via};
use mdns_registry::link::{Command, Message, Scope, Station};
use mdns_registry::options::Wires;
use mdns_registry::record::{Interface, Owner, Record as Node, Time};
use mdns_registry::wire::dnssd;
use mdns_registry::{Domain, Service};

use super::hostile::{instance, invented_tag, pair, port, record, response, service_type, strings, STRANGER};
use super::net::{service, Net, Weather};

const BOTH: Wires = Wires { dns_sd: true, go_micro: Some(Domain::Micro), named: false };
const CNAME: u16 = 5;
/// Of the network 2001:db8:1:8::/61.
const GLOBAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 8, 0, 0, 0, 1));

fn stranger(port: u16) -> SocketAddr {
    SocketAddr::from((STRANGER, port))
}

fn question(name: Name, rtype: u16) -> Vec<u8> {
    let mut message = Builder::query(7, 1_452);
    message.question(&Question { name, rtype, class: 1, unicast: false });
    message.finish()
}

/// A response written by hand: records as owner, type, the length that is said, and data.
fn raw(records: &[(&[u8], u16, usize, &[u8])]) -> Vec<u8> {
    let mut bytes = [&[0, 0, 0x84, 0, 0, 0][..], &(records.len() as u16).to_be_bytes(), &[0; 4]].concat();
    for (owner, rtype, length, data) in records {
        let head = [owner, &rtype.to_be_bytes()[..], &[0, 1, 0, 0, 0, 120]].concat();
        bytes.extend([&head[..], &(*length as u16).to_be_bytes(), data].concat());
    }
    bytes
}

/// How a printer of another host is described, without its address.
fn printer(port: u16) -> [Record; 2] {
    let name = service_type().child(b"printer").unwrap();
    let srv = Data::Srv { port, target: Name::from_dotted("printer.local").unwrap() };
    [record(name.clone(), 120, srv), record(name, 120, Data::Txt(strings(&["service=printer"])))]
}

fn its_address(ip: Ipv4Addr) -> Record {
    record(Name::from_dotted("printer.local").unwrap(), 120, Data::A(ip))
}

/// The watcher still sees the node, and what comes is still taken.
fn is_unharmed(net: &mut Net, watcher: usize) {
    assert_eq!(port(net, watcher), [8_000]);
    let [srv, txt] = printer(631);
    net.inject(stranger(5_353), Some(watcher), response(&[srv, txt, its_address(STRANGER)]));
    net.run(1_000);
    let found = net.hosts[watcher].engine.services("printer");
    assert_eq!((found[0].nodes[0].port, &*found[0].nodes[0].address), (631, "10.0.99.99"));
}

#[test]
fn whoever_sends_every_packet_back_starts_no_storm() {
    let sent = |reflects: bool| {
        let mut net = Net::new(70, Weather::FAIR);
        let (one, two) = (net.host_with(BOTH), net.host_with(BOTH));
        for (host, nodes) in [(one, 0..5), (two, 5..10)] {
            net.watch(host, None);
            net.register(host, &service("greeter", nodes), 120);
        }
        net.log = Some(Vec::new());
        let (mut sent, mut reflected) = (0, 0);
        for _ in 0..600 {
            net.run(100);
            let said = net.log.replace(Vec::new()).unwrap_or_default();
            sent += said.len();
            for (host, bytes) in said.iter().filter(|_| reflects) {
                // To the sender alone, in its own name and in a stranger's.
                for from in [SocketAddr::from((net.hosts[*host].ip, 5_353)), stranger(5_353), stranger(30_000)] {
                    net.inject(from, Some(*host), bytes.to_vec());
                    reflected += 1;
                }
            }
        }
        assert_eq!(net.found(two, "greeter"), 10);
        (sent, reflected)
    };
    let (in_peace, _) = sent(false);
    let (with_echo, reflected) = sent(true);
    println!("{in_peace} in peace, {with_echo} with {reflected} sent back");
    assert!(with_echo <= reflected && with_echo <= 2 * in_peace, "{with_echo} of {in_peace}, {reflected} sent back");
}

/// What a host sends that is asked in every way from an address, or by nobody.
fn sent_to_who_asks(from: Option<IpAddr>) -> BTreeMap<&'static str, u64> {
    let mut net = Net::new(71, Weather::FAIR);
    let one = net.host_with(BOTH);
    net.add_nets(one, &[(GLOBAL, 61)]);
    net.register(one, &service("greeter", 0..5), 120);
    net.run(30_000);
    let node = net.hosts[one].engine.keys_of(&net.hosts[one].owner.clone())[0].clone();
    let mut lookup = Builder::query(7, 1_452);
    lookup.question(&Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: true });
    lookup.option(&[1, 1]);
    let asked = [
        question(service_type(), rtype::PTR),
        question(instance(&node), rtype::ANY),
        question(Name::from_dotted("greeter.micro").unwrap(), rtype::PTR),
        question(Name::from_dotted("_services.micro").unwrap(), rtype::PTR),
        lookup.finish(),
    ];
    net.sent.clear();
    for (from, bytes) in from.iter().flat_map(|from| asked.iter().map(move |bytes| (*from, bytes))) {
        net.inject(SocketAddr::from((from, 30_000)), Some(one), bytes.clone());
        net.inject(SocketAddr::from((from, 5_353)), Some(one), bytes.clone());
        net.inject_unicast(SocketAddr::from((from, 30_000)), one, bytes.clone());
    }
    net.run(60_000);
    net.sent
}

#[test]
fn nobody_off_the_link_gets_a_byte_on_either_wire() {
    let in_peace = sent_to_who_asks(None);
    // Of another network, of the one beside ours, of the whole of our bits but not of our family, and nearly link-local.
    for from in [
        "198.51.100.9",
        "11.0.0.1",
        "2001:db8:ffff::9",
        "2001:db8:1:10::9",
        "2001:db8:1:7::9",
        "::ffff:10.0.99.99",
        "fec0::9",
    ] {
        assert_eq!(sent_to_who_asks(Some(from.parse().unwrap())), in_peace, "{from}");
    }
    for from in ["10.0.99.99", "10.255.255.254", "2001:db8:1:8::9", "2001:db8:1:f:ffff::9", "fe80::9", "febf::9"] {
        let on_link = sent_to_who_asks(Some(from.parse().unwrap()));
        assert!(on_link["unicast"] >= 8 && on_link["multicast"] > in_peace["multicast"], "{from}: {on_link:?}");
    }
}

#[test]
fn a_record_without_data_harms_nothing_whatever_its_type() {
    let (mut net, one, two, _) = pair();
    for rtype in (0..300).chain((300..u16::MAX).step_by(97)) {
        let bytes = raw(&[(b"\x01x\x0e_mdns-registry\x04_tcp\x05local\0", rtype, 0, b"")]);
        let mut asked = bytes.clone();
        // The same as a known answer, as an authority and as an additional record of a question.
        for counts in [[0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]] {
            asked[2] = 0;
            asked[4..12].copy_from_slice(&counts);
            net.inject(stranger(5_353), None, asked.clone());
        }
        net.inject(stranger(5_353), None, bytes);
        net.run(u64::from(rtype % 10 == 0));
    }
    net.run(1_000);
    assert_eq!(net.found(one, "greeter"), 1);
    is_unharmed(&mut net, two);
}

#[test]
fn aliases_that_end_soon_follow_each_other_or_lead_to_themselves_harm_nothing() {
    let (mut net, one, two, key) = pair();
    let names = [service_type(), instance(&key), Name::from_dotted("printer.local").unwrap()];
    net.sent.clear();
    for ttl in [0, 1, 120, u32::MAX] {
        for name in &names {
            for target in &names {
                let alias = |ttl| record(name.clone(), ttl, Data::Other(CNAME, name_data(target)));
                net.inject(stranger(5_353), None, response(&[alias(ttl), alias(ttl)]));
                net.run(2_000);
                net.inject(stranger(5_353), None, response(&[alias(ttl)]));
                net.inject(stranger(5_353), None, question(name.clone(), CNAME));
                net.inject(stranger(30_000), None, question(name.clone(), CNAME));
                net.run(1_500);
            }
        }
    }
    let sent: u64 = net.sent.iter().filter(|(kind, _)| **kind != "bytes").map(|(_, count)| count).sum();
    assert!(sent <= 400, "{:?} in {} s", net.sent, 4 * 9 * 7 / 2);
    assert_eq!(net.found(one, "greeter"), 1);
    is_unharmed(&mut net, two);
}

fn name_data(name: &Name) -> std::sync::Arc<[u8]> {
    name.as_wire().into()
}

#[test]
fn every_pair_of_flags_is_withstood() {
    let (mut net, one, two, key) = pair();
    let response = response(&[record(service_type(), 120, Data::Ptr(instance(&key)))]);
    let question = question(service_type(), rtype::PTR);
    let pairs = (0..16).flat_map(|one| (0..16).map(move |other| 1_u16 << one | 1 << other));
    for flags in pairs.flat_map(|pair| [pair, !pair]) {
        for bytes in [&response, &question] {
            let mut bytes = bytes.clone();
            bytes[2..4].copy_from_slice(&flags.to_be_bytes());
            net.inject(stranger(5_353), None, bytes.clone());
            net.inject(stranger(30_000), None, bytes);
        }
        net.run(10);
    }
    net.run(1_000);
    assert_eq!(net.found(one, "greeter"), 1);
    is_unharmed(&mut net, two);
}

#[test]
fn a_bitmap_of_types_in_another_window_or_without_a_byte_costs_its_record_only() {
    let (mut net, _, two, _) = pair();
    let name = b"\x07printer\x05local\0";
    for window in 0..=u8::MAX {
        for length in [0, 1, 32, 33, 255] {
            let bitmap = [&[window, length][..], &vec![0xff; usize::from(length)]].concat();
            for times in [1, 2, 12] {
                let data = [&name[..], &bitmap.repeat(times)].concat();
                net.inject(stranger(5_353), Some(two), raw(&[(name, rtype::NSEC, data.len(), &data)]));
            }
            net.run(0);
        }
    }
    is_unharmed(&mut net, two);
}

#[test]
fn chains_of_pointers_cost_no_stack_and_no_time() {
    let (mut net, _, two, _) = pair();
    for length in [1_500_usize, 4_000] {
        // The data of one record are pointers, each to the one before; the owners of hundreds more begin at the last.
        let begin = 12 + 1 + 10;
        let links = (0..length).flat_map(|link| match link {
            0 => [0, 0],
            link => (0xc000 | (begin + 2 * (link - 1)) as u16).to_be_bytes(),
        });
        let chain: Vec<u8> = links.collect();
        let last = (0xc000 | (begin + chain.len() - 2) as u16).to_be_bytes();
        let mut records: Vec<(&[u8], u16, usize, &[u8])> = vec![(b"\0", 99, chain.len(), &chain)];
        let more = (8_900 - chain.len()) / 16;
        records.extend(vec![(&last[..], rtype::A, 4, &[10, 6, 6, 6][..]); more.min(300)]);
        let bytes = raw(&records);
        assert!(bytes.len() <= 9_000);
        let begun = Instant::now();
        net.inject(stranger(5_353), Some(two), bytes);
        net.run(0);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?} for {more} chains of {length}", begun.elapsed());
    }
    is_unharmed(&mut net, two);
}

#[test]
fn a_record_longer_than_it_should_be_takes_nothing_from_the_next() {
    let (mut net, _, two, _) = pair();
    let [srv, txt] = printer(631);
    let host = b"\x07printer\x05local\0";
    let forged = &raw(&[(host, rtype::A, 4, &[10, 6, 6, 6])])[12..];
    let name = b"\x07printer\x0e_mdns-registry\x04_tcp\x05local\0";
    for (rtype, data) in [
        (rtype::A, &[10, 0, 99, 1][..]),
        (rtype::AAAA, &[0xfd; 16]),
        (rtype::PTR, name),
        (rtype::SRV, &[&[0, 0, 0, 0, 0, 9][..], host].concat()),
        (rtype::NSEC, &[&host[..], &[0, 1, 0x40]].concat()),
        (rtype::TXT, b"\x0fservice=printer"),
        (CNAME, host),
    ] {
        // What it swallows is no record, and what it would leave over is not one either.
        let swallowed = [data, forged].concat();
        let longer = raw(&[(name, rtype, swallowed.len(), &swallowed), (host, rtype::A, 4, &[10, 0, 99, 99])]);
        let shorter = raw(&[(name, rtype, data.len() - 1, data), (host, rtype::A, 4, &[10, 6, 6, 6])]);
        net.inject(stranger(5_353), Some(two), response(&[srv.clone(), txt.clone()]));
        net.inject(stranger(5_353), Some(two), longer);
        net.run(0);
        let addresses: Vec<String> = net.hosts[two]
            .engine
            .services("printer")
            .iter()
            .flat_map(|s| &s.nodes)
            .map(|n| n.address.clone())
            .collect();
        assert_eq!(addresses, ["10.0.99.99"], "type {rtype}");
        net.inject(stranger(5_353), Some(two), shorter);
        net.run(0);
    }
    assert_eq!(port(&net, two), [8_000]);
}

#[test]
fn txt_of_every_length_and_every_lie_about_it_is_taken_or_refused() {
    let (mut net, _, two, _) = pair();
    let name = b"\x07printer\x0e_mdns-registry\x04_tcp\x05local\0";
    for length in (0..8_900).step_by(89).chain([254, 255, 256, 257, 511, 512]) {
        for string in [0, 1, 15, 254, 255] {
            let data: Vec<u8> = (0..length).map(|i| if i % (string + 1) == 0 { string as u8 } else { b'=' }).collect();
            net.inject(stranger(5_353), Some(two), raw(&[(name, rtype::TXT, length, &data)]));
        }
        net.run(0);
    }
    is_unharmed(&mut net, two);
}

#[test]
fn any_label_is_read_as_it_was_written() {
    let mut rng = fastrand::Rng::with_seed(72);
    for _ in 0..20_000 {
        let labels: Vec<Vec<u8>> =
            (0..rng.usize(1..4)).map(|_| (0..rng.usize(1..=63)).map(|_| rng.u8(..)).collect()).collect();
        let name = Name::of(labels.iter().map(Vec::as_slice), Case::Kept).unwrap();
        let read = message::parse_as(&question(name, rtype::PTR), Case::Kept).unwrap();
        assert!(read.questions[0].name.labels().eq(labels.iter().map(Vec::as_slice)), "{labels:?}");
    }
}

#[test]
fn a_label_is_within_63_bytes_and_its_own_whatever_the_id() {
    let mut labels = BTreeSet::new();
    let parts = ["a", ".", "\\", "\\.", "\\046", "é", "日", "🦀", " (2)", "-2", "A", "\u{7f}", "\0"];
    let ids = parts.iter().flat_map(|part| (1..=255 / part.len()).map(|times| part.repeat(times)));
    let ids: Vec<String> = ids.collect();
    for id in &ids {
        let label = dnssd::instance_label("owner", "service", id);
        assert!(label.len() <= 63 && !label.contains(['.', '\\']) && !label.chars().any(char::is_control), "{label:?}");
        assert!(labels.insert(label), "another id has the label of {id:?}");
    }
    assert_eq!(labels.len(), ids.len());
}

/// An endpoint alone, on a host of this name, that speaks both wires and publishes one node; what it says.
fn said_on(host_name: &str) -> Vec<Vec<u8>> {
    let (now, ip) = (Time(1_000_000), IpAddr::from([10, 0, 0, 1]));
    let (owner, seed) = (Owner::from(invented_tag(3)), [9; 32]);
    let config = Config { port: 5_353, direct_port_v4: 40_000, direct_port_v6: 0, host_name: host_name.into(), seed };
    let mut endpoint = Endpoint::new(config);
    let interface = Interface { name: "eth0".into(), addrs: vec![ip], loopback: false, usable: true };
    endpoint.set_interfaces(now, vec![Attached { interface, index: 2, nets: vec![(ip, 8)] }]);
    endpoint.submit(now, &owner, Message::Join(Station { scope: Scope::Default, wires: BOTH }));
    let label = dnssd::instance_label(&owner, "greeter", "one");
    let texts = ["service=greeter".to_owned(), "id=one".into(), format!("owner={owner}")];
    let node: Node = dnssd::decode(&label, &texts, 80).unwrap();
    endpoint.submit(now, &owner, Message::Commands { commands: vec![Command::Publish(node.into())], done: None });
    endpoint.handle_timeout(Time(now.0 + 2_000));
    let ask = question(Name::from_dotted("greeter.micro").unwrap(), rtype::PTR);
    let (from, to) = (stranger(30_000), IpAddr::from([224, 0, 0, 251]));
    endpoint.handle_datagram(Time(now.0 + 2_001), Datagram { bytes: &ask, via: Via::Group, from, to, interface: 2 });
    let outputs = std::iter::from_fn(|| endpoint.poll_output());
    let bytes = |output| match output {
        Output::Transmit(transmit) => Some(transmit.bytes),
        _ => None,
    };
    outputs.filter_map(bytes).collect()
}

#[test]
fn whatever_the_host_is_called_what_is_said_can_be_read() {
    let long = "x".repeat(300);
    for name in ["", ".", "..", ".local", "a.b.c.local", "a\\.b", "\\", "\\046", "\0", "büro", " ", "-", &long] {
        let said = said_on(name);
        assert!(said.len() >= 3, "{name:?}: {} messages", said.len());
        for bytes in said {
            let message = message::parse(&bytes).unwrap();
            assert_eq!(message.malformed, 0, "{name:?}");
        }
    }
}

#[test]
fn odd_names_are_looked_up_like_any_other() {
    let mut net = Net::new(73, Weather::FAIR);
    let host = net.host_with(BOTH);
    let long = "x.".repeat(127);
    for name in
        [".local", ".", "..", "a..b", "\\", "\\.", "\\999", "*", "_tcp", "_services", "local", "micro", " ", &long]
    {
        assert_eq!(net.get(host, name).1, 0, "{name:?}");
        assert_eq!(net.get(host, name).1, 0, "{name:?}, from the view");
        let odd = Service { name: name.into(), ..service("greeter", 0..1) };
        net.register(host, &odd, 120);
        assert_eq!(net.get(host, name).1, 1, "{name:?}, registered");
    }
    let asker = net.host_with(BOTH);
    net.run(5_000);
    for name in [".local", "..", "\\999", "_tcp", &long] {
        assert_eq!(net.get(asker, name).1, 1, "{name:?}, by another");
    }
}

#[test]
fn nobody_guesses_the_id_of_our_next_question() {
    let (mut of_fetches, mut others) = (Vec::new(), Vec::new());
    // What is lost is asked for again.
    let mut net = Net::new(74, Weather::lossy(0.3));
    let (host, large) = (net.host_with(BOTH), net.host_with(BOTH));
    net.register(large, &service("large", 0..1_000), 120);
    net.log = Some(Vec::new());
    for name in (0..50).map(|i| format!("s{i}")).chain(["large".to_owned()]) {
        net.get(host, &name);
        let said = net.log.replace(Vec::new()).unwrap_or_default();
        for message in said.iter().filter(|(of, _)| *of == host).filter_map(|(_, bytes)| message::parse(bytes)) {
            match message.option.as_deref().and_then(|option| option.get(1)) {
                Some(2) => of_fetches.push(message.id),
                _ => others.extend(Some(message.id).filter(|id| *id != 0)),
            }
        }
    }
    assert_eq!(net.found(host, "large"), 1_000);
    for (ids, least) in [(of_fetches, 10), (others, 200)] {
        let distinct: BTreeSet<u16> = ids.iter().copied().collect();
        let steps: BTreeSet<u16> = ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        let bits = distinct.iter().map(|id| id.count_ones()).sum::<u32>() as f32 / distinct.len() as f32;
        println!("{} ids, {} distinct, {} steps, {bits} bits", ids.len(), distinct.len(), steps.len());
        assert!(ids.len() >= least && distinct.len() * 10 >= ids.len() * 9, "{} of {}", distinct.len(), ids.len());
        assert!(steps.len() * 10 >= ids.len() * 9 - 10, "{} steps between {} ids", steps.len(), ids.len());
        assert!((7.0..9.0).contains(&bits), "{bits} bits");
    }
}
