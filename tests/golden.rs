//! Packets captured from go-micro (tests/golden/gomicro): each is read as go-micro reads it, and what we say for the same
//! descriptors is the same, record by record.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::read::ZlibDecoder;
use mdns_registry::link::native::{Attached, Config, Datagram, Endpoint, Output, To, Via};
use mdns_registry::link::{Command, Message, Scope, Station};
use mdns_registry::options::Wires;
use mdns_registry::record::{Interface, Owner, Question, Record, Sighting, Time};
use mdns_registry::wire::{dnssd, gomicro};
use mdns_registry::{Domain, Service};
use serde_json::Value;

const CASES: [&str; 3] = ["small", "endpoints", "bigtxt"];
const AGES: [(&str, Domain); 2] = [("gmhead", Domain::Micro), ("gm2019", Domain::Local)];
const THEIR_HOST: [u8; 4] = [10, 78, 0, 1];
const ASKER: ([u8; 4], u16) = ([10, 78, 0, 2], 52_650);

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gomicro").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every payload of a case, and its kind.
fn payloads(age: &str, case: &str) -> Vec<(String, Vec<u8>)> {
    let text = file(&format!("{age}-{case}.hex"));
    let lines: Vec<&str> = text.lines().collect();
    let payload = |pair: &[&str]| {
        let kind = pair[0].split(": ").nth(1).unwrap().split([';', ' ']).next().unwrap().to_owned();
        (kind, data_encoding::HEXLOWER.decode(pair[1].trim().as_bytes()).unwrap())
    };
    lines.chunks(2).map(payload).collect()
}

/// A message by a reader that shares nothing with ours: header flags, question names, and all records.
struct Packet {
    flags: u16,
    questions: Vec<Vec<String>>,
    records: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: Vec<String>,
    rtype: u16,
    class: u16,
    ttl: u32,
    /// Names in it written in full.
    data: Vec<u8>,
}

fn packet(bytes: &[u8]) -> Packet {
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut at = 12;
    let mut questions = Vec::new();
    for _ in 0..word(4) {
        questions.push(name(bytes, &mut at));
        at += 4;
    }
    let mut records = Vec::new();
    for _ in 0..word(6) + word(8) + word(10) {
        let owner = name(bytes, &mut at);
        let (rtype, class, length) = (word(at), word(at + 2), usize::from(word(at + 8)));
        let ttl = u32::from(word(at + 4)) << 16 | u32::from(word(at + 6));
        at += 10;
        let mut inside = at;
        let data = match rtype {
            12 => name(bytes, &mut inside).join(".").into_bytes(),
            33 => {
                inside += 6;
                [&bytes[at..at + 6], name(bytes, &mut inside).join(".").as_bytes()].concat()
            }
            _ => bytes[at..at + length].to_vec(),
        };
        at += length;
        records.push(Row { name: owner, rtype, class, ttl, data });
    }
    assert_eq!(at, bytes.len());
    Packet { flags: word(2), questions, records }
}

fn name(bytes: &[u8], at: &mut usize) -> Vec<String> {
    let (mut labels, mut here, mut jumped) = (Vec::new(), *at, false);
    loop {
        let length = usize::from(bytes[here]);
        if length >= 0xc0 {
            let to = (length & 0x3f) << 8 | usize::from(bytes[here + 1]);
            if !std::mem::replace(&mut jumped, true) {
                *at = here + 2;
            }
            here = to;
            continue;
        }
        here += 1;
        if length == 0 {
            if !jumped {
                *at = here;
            }
            return labels;
        }
        labels.push(String::from_utf8(bytes[here..here + length].to_vec()).unwrap());
        here += length;
    }
}

fn strings(rdata: &[u8]) -> Vec<Vec<u8>> {
    let (mut strings, mut rest) = (Vec::new(), rdata);
    while let Some((length, tail)) = rest.split_first() {
        let (string, tail) = tail.split_at(usize::from(*length));
        strings.push(string.to_vec());
        rest = tail;
    }
    strings
}

fn json(txt: &[u8]) -> String {
    let deflated = data_encoding::HEXLOWER.decode(&strings(txt).concat()).unwrap();
    let mut text = String::new();
    ZlibDecoder::new(deflated.as_slice()).read_to_string(&mut text).unwrap();
    text
}

fn descriptor(case: &str) -> Service {
    Service::from_json(&file(&format!("desc/{case}.json"))).unwrap()
}

/// What go-micro itself returned for it.
fn expectation(age: &str, case: &str) -> Service {
    let services: Vec<Value> = serde_json::from_str(&file(&format!("{age}-{case}.expect.json"))).unwrap();
    assert_eq!(services.len(), 1);
    Service::from_json(&services[0].to_string()).unwrap()
}

#[test]
fn every_packet_is_read_as_go_micro_reads_it() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (age, domain) in AGES {
        for case in CASES {
            let expected = expectation(age, case);
            let node = &expected.nodes[0];
            let dotted =
                |labels: Vec<&[u8]>| labels.into_iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect();
            let instance: Vec<String> = dotted(gomicro::instance(&node.id, &expected.name, domain).unwrap());
            let service: Vec<String> = dotted(gomicro::service(&expected.name, domain).unwrap());
            let list: Vec<String> = dotted(gomicro::list(domain));
            let entry: Vec<String> = dotted(gomicro::list_entry(&expected.name, domain).unwrap());
            for (kind, bytes) in payloads(age, case) {
                *kinds.entry(kind.clone()).or_default() += 1;
                let packet = packet(&bytes);
                let (asked, named) = match &*kind {
                    "probe" => (Some(&instance), Some(&instance)),
                    "get-query" => (Some(&service), None),
                    "list-query" => (Some(&list), None),
                    "get-response" => (Some(&service), Some(&instance)),
                    "list-response" => (Some(&list), Some(&entry)),
                    _ => (None, Some(&instance)),
                };
                if let Some(question) = packet.questions.first() {
                    assert_eq!(Some(question), asked, "{age} {case} {kind}");
                }
                let row = |rtype: u16| packet.records.iter().find(|row| row.rtype == rtype);
                assert_eq!(row(33).map(|srv| &srv.name), named, "{age} {case} {kind}");
                let (Some(srv), Some(txt)) = (row(33), row(16)) else { continue };
                if kind == "list-response" {
                    assert!(txt.data.is_empty());
                    continue;
                }
                let labels: Vec<&[u8]> = srv.name.iter().map(String::as_bytes).collect();
                let port = u16::from_be_bytes([srv.data[4], srv.data[5]]);
                let address = row(1).map_or(IpAddr::from(THEIR_HOST), |a| {
                    IpAddr::from(<[u8; 4]>::try_from(a.data.as_slice()).unwrap())
                });
                let record = gomicro::decode(&labels, &strings(&txt.data), port, Some(address)).unwrap();
                let node = record.node.at(record.node.address());
                let heard = Service { nodes: vec![node], ..Service::clone(&record.service) };
                assert_eq!(heard, expected, "{age} {case} {kind}");
            }
        }
    }
    let all = ["announce", "get-query", "get-response", "goodbye", "list-query", "list-response", "probe"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all.map(|kind| (kind.to_owned(), 6)));
}

/// A registry on the host that was captured.
struct Host {
    endpoint: Endpoint,
    owner: Owner,
    now: Time,
}

impl Host {
    fn new(domain: Domain) -> Host {
        let config =
            Config { port: 5_353, direct_port_v4: 40_000, direct_port_v6: 0, host_name: "vm".into(), seed: [7; 32] };
        let mut endpoint = Endpoint::new(config);
        let (owner, now) = (Owner::from("aaaabbbbccccddddeeeeffff22"), Time(1_000_000));
        let addrs = vec![IpAddr::from(THEIR_HOST)];
        let interface = Interface { name: "eth0".into(), addrs: addrs.clone(), loopback: false, usable: true };
        endpoint.set_interfaces(now, vec![Attached { interface, index: 2, nets: vec![(addrs[0], 24)] }]);
        let wires = Wires { dns_sd: false, go_micro: Some(domain), named: true };
        endpoint.submit(now, &owner, Message::Join(Station { scope: Scope::Default, wires }));
        Host { endpoint, owner, now }
    }

    fn command(&mut self, command: Command) -> Vec<(To, Vec<u8>)> {
        let commands = Message::Commands { commands: vec![command], done: None };
        self.endpoint.submit(self.now, &self.owner, commands);
        self.sent()
    }

    fn asked(&mut self, bytes: &[u8]) -> Vec<(To, Vec<u8>)> {
        let to = IpAddr::from([224, 0, 0, 251]);
        let datagram = Datagram { bytes, via: Via::Group, from: SocketAddr::from(ASKER), to, interface: 2 };
        self.endpoint.handle_datagram(self.now, datagram);
        self.sent()
    }

    fn sent(&mut self) -> Vec<(To, Vec<u8>)> {
        let outputs = std::iter::from_fn(|| self.endpoint.poll_output());
        let sent = outputs.filter_map(|output| match output {
            Output::Transmit(transmit) => Some((transmit.to, transmit.bytes)),
            Output::Sighting(Sighting::Dropped(reason)) => panic!("{reason}"),
            _ => None,
        });
        sent.collect()
    }
}

fn record(service: &Service, owner: &Owner) -> Arc<Record> {
    let node = &service.nodes[0];
    Arc::new(Record {
        key: dnssd::instance_label(owner, &service.name, &node.id).into(),
        owner: owner.clone(),
        revision: 1,
        lease: 120,
        go_micro: Some(Domain::Micro),
        service: Arc::new(Service { nodes: vec![], ..service.clone() }),
        node: node.into(),
    })
}

/// The same records but for TXT, whose JSON is the same before our own keys.
fn assert_same(ours: &[u8], theirs: &[u8], what: &str) {
    let (ours, theirs) = (packet(ours), packet(theirs));
    assert_eq!(ours.flags & 0x8000, 0x8000, "{what}: a response");
    let split = |packet: &Packet| {
        let txt = |row: &&Row| row.rtype == 16;
        let texts: Vec<Row> = packet.records.iter().filter(txt).cloned().collect();
        let others: Vec<Row> = packet.records.iter().filter(|row| !txt(row)).cloned().collect();
        (texts, others)
    };
    let ((our_texts, our_others), (their_texts, their_others)) = (split(&ours), split(&theirs));
    assert_eq!(our_others, their_others, "{what}");
    assert_eq!(our_texts.len(), their_texts.len(), "{what}");
    for (our, their) in our_texts.iter().zip(&their_texts) {
        assert_eq!((&our.name, our.class, our.ttl), (&their.name, their.class, their.ttl), "{what}");
        if their.data.is_empty() {
            assert!(our.data.is_empty(), "{what}");
            continue;
        }
        assert!(strings(&our.data).iter().rev().skip(1).all(|string| string.len() == 255), "{what}");
        // Whether a list was nil or empty our model does not tell; go-micro's decoder takes either.
        let their = json(&their.data).replace(r#""Endpoints":[]"#, r#""Endpoints":null"#);
        let our = json(&our.data);
        let own = our.find(r#","Owner":"#).unwrap_or_else(|| panic!("{what}: {our}"));
        assert_eq!(our[..own].to_owned() + "}", their, "{what}");
        let own: Value = serde_json::from_str(&format!("{{{}", &our[own + 1..])).unwrap();
        for key in own.as_object().unwrap().keys() {
            assert!(["Owner", "Lease", "Revision", "ServiceMetadata"].contains(&&**key), "{what}: {key}");
        }
    }
}

#[test]
fn what_we_say_for_the_same_descriptors_is_the_same_record_by_record() {
    for (age, domain) in AGES {
        for case in CASES {
            let theirs: BTreeMap<String, Vec<u8>> = payloads(age, case).into_iter().collect();
            let mut host = Host::new(domain);
            let service = descriptor(case);
            let published = record(&service, &host.owner);
            let announced = host.command(Command::Publish(published.clone()));
            let group = To::Group { interface: 2, v6: false };
            let [(to, announcement)] = announced.as_slice() else { panic!("{}", announced.len()) };
            assert_eq!(*to, group);
            assert_same(announcement, &theirs["announce"], &format!("{age} {case} announce"));
            for (query, response) in [("get-query", "get-response"), ("list-query", "list-response")] {
                let answered = host.asked(&theirs[query]);
                let [(to, answer)] = answered.as_slice() else { panic!("{query}: {}", answered.len()) };
                assert_eq!(*to, To::Host { interface: 2, addr: SocketAddr::from(ASKER) });
                assert_same(answer, &theirs[response], &format!("{age} {case} {response}"));
                let packet = packet(answer);
                assert_eq!((packet.flags, packet.questions.len()), (0x8400, 1), "{age} {case} {response}");
            }
            let goodbyes = host.command(Command::Withdraw(published.key.clone()));
            let [(to, goodbye)] = goodbyes.as_slice() else { panic!("{}", goodbyes.len()) };
            assert_eq!(*to, group);
            assert_same(goodbye, &theirs["goodbye"], &format!("{age} {case} goodbye"));
            assert!(host.asked(&theirs["get-query"]).is_empty() && host.asked(&theirs["list-query"]).is_empty());
        }
    }
}

#[test]
fn garbled_packets_of_go_micro_never_panic() {
    let all: Vec<Vec<u8>> = AGES
        .iter()
        .flat_map(|(age, _)| CASES.iter().flat_map(move |case| payloads(age, case)))
        .map(|(_, bytes)| bytes)
        .collect();
    let mut rng = fastrand::Rng::with_seed(9);
    for domain in [Domain::Micro, Domain::Local] {
        let mut host = Host::new(domain);
        host.command(Command::Publish(record(&descriptor("endpoints"), &host.owner)));
        let commands = vec![Command::Ask(Question::Everything)];
        host.endpoint.submit(host.now, &host.owner, Message::Commands { commands, done: None });
        for _ in 0..30_000 {
            let mut bytes = rng.choice(&all).unwrap().clone();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..bytes.len());
                match rng.u8(..4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.extend_from_within(at..),
                    _ => bytes[at] = rng.u8(..),
                }
            }
            let via = if rng.bool() { Via::Group } else { Via::Direct };
            let to = if via == Via::Group { IpAddr::from([224, 0, 0, 251]) } else { IpAddr::from(THEIR_HOST) };
            let from = SocketAddr::from((ASKER.0, *rng.choice(&[5_353, ASKER.1]).unwrap()));
            host.now.0 += 1;
            host.endpoint.handle_datagram(host.now, Datagram { bytes: &bytes, via, from, to, interface: 2 });
            host.endpoint.handle_timeout(host.now);
            while host.endpoint.poll_output().is_some() {}
        }
        let counted: BTreeMap<&str, u64> = host.endpoint.counters().into_iter().collect();
        assert!(counted["go-micro-published"] == 1 && counted["malformed-records"] > 0, "{counted:?}");
    }
}
