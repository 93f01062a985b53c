//! What we put on the wire, captured on another host and decoded by a library that is not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use lab::agent::Agent;
use lab::capture::{labels, pairs, Capture, Message, Packet};
use lab::{Host, Lab, SOON};
use serde_json::{json, Value};
use simple_dns::rdata::RData;
use simple_dns::{ResourceRecord, OPCODE, RCODE};

const TYPE: &str = "_mdns-registry._tcp.local";

lab::agent::agents!();

fn till(port: u16) -> Value {
    json!({"name": "shop", "version": "1.2.0", "metadata": {"Team": "Front Desk"},
           "nodes": [{"id": "Till.One", "port": port, "metadata": {"Zone": "Hall A"}}]})
}

/// A DNS question of class IN, as hexadecimal for a radio.
fn question(name: &str, record_type: u8) -> String {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, record_type, 0, 1]);
    data_encoding::HEXLOWER.encode(&bytes)
}

fn is_type_pointer(record: &ResourceRecord) -> bool {
    matches!(record.rdata, RData::PTR(_)) && record.name.to_string() == TYPE
}

/// The responses from `source` that say something of our type, with a time to live (`alive`) or as a goodbye.
fn said(packets: &[Packet], source: IpAddr, alive: bool) -> Vec<(Packet, Message)> {
    let from = packets.iter().filter(|packet| packet.source.ip() == source);
    let messages = from.filter_map(|packet| Some((packet.clone(), packet.message.clone()?)));
    let says = |message: &Message| message.records().any(|record| is_type_pointer(record) && (record.ttl > 0) == alive);
    messages.filter(|(_, message)| message.is_response && says(message)).collect()
}

fn wait_for(
    capture: &Capture,
    what: &str,
    count: usize,
    source: impl Into<IpAddr>,
    alive: bool,
) -> Vec<(Packet, Message)> {
    let source = source.into();
    capture.expect(what, SOON, |packets| {
        let said = said(packets, source, alive);
        (said.len() >= count).then_some(said)
    })
}

/// Two hosts, an agent on the first, a capture on the second.
fn stage(name: &str) -> (Lab, Host, Host, Agent, Capture) {
    let lab = Lab::new(name);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let agent = Agent::start(&a);
    let capture = b.capture();
    (lab, a, b, agent, capture)
}

#[test]
fn messages_are_as_multicast_dns_has_them() {
    let (_lab, a, _b, mut agent, capture) = stage("form");
    agent.register(&till(9090));
    let groups: [(IpAddr, IpAddr); 2] = [
        (a.ipv4.into(), Ipv4Addr::new(224, 0, 0, 251).into()),
        (a.link_local.into(), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb).into()),
    ];
    for (source, group) in groups {
        for (packet, message) in wait_for(&capture, "an announcement", 1, source, true) {
            // RFC 6762 section 3 and 11: group, both ports, hop limit.
            assert_eq!((packet.destination.ip(), packet.destination.port()), (group, 5353));
            assert_eq!((packet.source.port(), packet.hop_limit), (5353, 255));
            // Section 18: header; section 6: no question in a response.
            assert_eq!((message.id, message.opcode, message.rcode), (0, OPCODE::StandardQuery, RCODE::NoError));
            assert!(message.is_authoritative && message.questions.is_empty(), "{message:#?}");
            // Section 17: it fits the MTU of Ethernet.
            assert!(packet.payload.len() <= 1452, "{} bytes", packet.payload.len());
        }
    }
}

#[test]
fn a_node_is_one_instance_whole_in_one_message() {
    let (_lab, a, _b, mut agent, capture) = stage("whole");
    agent.register(&till(9090));
    let (_, message) = wait_for(&capture, "an announcement", 1, a.ipv4, true).remove(0);
    let pointer = message.records().find(|record| is_type_pointer(record)).unwrap();
    let RData::PTR(instance) = &pointer.rdata else { unreachable!() };
    let instance = &instance.0;

    // The label: readable id without dots and capitals, then 16 of base32; at most 63 bytes, RFC 6763 section 4.1.1.
    let label = String::from_utf8(labels(instance)[0].clone()).unwrap();
    let (readable, unique) = label.rsplit_once('-').unwrap();
    assert_eq!((readable, unique.len()), ("tillone", 16), "{label}");
    assert!(unique.chars().all(|c| c.is_ascii_lowercase() || ('2'..='7').contains(&c)), "{label}");

    let of_instance = |record: &&ResourceRecord| &record.name == instance;
    let srv = message.records().filter(of_instance).find_map(|record| match &record.rdata {
        RData::SRV(srv) => Some((record, srv)),
        _ => None,
    });
    let (srv_record, srv) = srv.expect("SRV in the same message");
    assert_eq!((srv.priority, srv.weight, srv.port), (0, 0, 9090));
    let txt = message.records().filter(of_instance).find(|record| pairs(record).is_some());
    let txt = txt.expect("TXT in the same message");
    let addresses: Vec<(&ResourceRecord, Ipv4Addr)> = message
        .records()
        .filter(|record| record.name == srv.target)
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some((record, Ipv4Addr::from(a.address))),
            _ => None,
        })
        .collect();
    assert_eq!(addresses.iter().map(|(_, address)| *address).collect::<Vec<_>>(), [a.ipv4]);

    // RFC 6762 section 10.2: unique records flush, shared ones do not; section 10: times to live.
    assert!(!pointer.cache_flush);
    assert!(srv_record.cache_flush && txt.cache_flush && addresses[0].0.cache_flush);
    assert_eq!((srv_record.ttl, addresses[0].0.ttl), (120, 120));

    // RFC 6763 section 6.7: the version of the format comes first. Then what people read.
    let pairs = pairs(txt).unwrap();
    let text = |key: &str| {
        let value = pairs.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.clone());
        String::from_utf8(value.unwrap_or_else(|| panic!("no {key} in {pairs:?}"))).unwrap()
    };
    assert_eq!(pairs[0], ("txtvers".into(), Some(b"1".to_vec())));
    let read = ["id", "service", "version", "lease"].map(text);
    assert_eq!(read, ["Till.One", "shop", "1.2.0", "120"]);
}

#[test]
fn an_announcement_is_repeated_after_a_second() {
    let (_lab, a, _b, mut agent, capture) = stage("twice");
    agent.register(&till(9090));
    // RFC 6762 section 8.3: at least two, one second apart, at most eight.
    let announced = wait_for(&capture, "two announcements", 2, a.ipv4, true);
    let apart = announced[1].0.at - announced[0].0.at;
    assert!(apart >= Duration::from_millis(990), "{apart:?}");
}

#[test]
fn a_changed_port_replaces_the_record_and_withdraws_nothing() {
    let (_lab, a, _b, mut agent, capture) = stage("change");
    agent.register(&till(9090));
    wait_for(&capture, "two announcements", 2, a.ipv4, true);
    let changed = Instant::now();
    agent.register(&till(9091));
    capture.expect("SRV with the new port", SOON, |packets| {
        let later = said(packets, a.ipv4.into(), true).into_iter().filter(|(packet, _)| packet.at >= changed);
        later.flat_map(|(_, message)| message.records().cloned().collect::<Vec<_>>()).find(|record| {
            // RFC 6762 section 8.4: the flush bit takes the old data out of caches.
            matches!(&record.rdata, RData::SRV(srv) if srv.port == 9091) && record.cache_flush
        })
    });
    assert!(said(&capture.packets(), a.ipv4.into(), false).is_empty(), "a goodbye");
}

#[test]
fn a_goodbye_is_said_twice() {
    let (_lab, a, _b, mut agent, capture) = stage("bye");
    agent.register(&till(9090));
    wait_for(&capture, "two announcements", 2, a.ipv4, true);
    agent.deregister(&json!({"name": "shop"}));
    // RFC 6762 section 10.1: a time to live of 0.
    let goodbyes = wait_for(&capture, "two goodbyes", 2, a.ipv4, false);
    let pointed: Vec<String> = goodbyes
        .iter()
        .flat_map(|(_, message)| message.records())
        .filter(|record| is_type_pointer(record))
        .map(|record| format!("{:?}", record.rdata))
        .collect();
    assert_eq!(pointed[0], pointed[1]);
    let answered_after = said(&capture.packets(), a.ipv4.into(), true).last().unwrap().0.at;
    assert!(answered_after < goodbyes[0].0.at, "it was advertised after its goodbye");
}

#[test]
fn closing_says_goodbye_before_it_returns() {
    let (_lab, a, _b, mut agent, capture) = stage("close");
    agent.register(&till(9090));
    wait_for(&capture, "two announcements", 2, a.ipv4, true);
    let began = Instant::now();
    agent.close();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    agent.process.kill9();
    wait_for(&capture, "a goodbye", 1, a.ipv4, false);
}

#[test]
fn a_question_by_any_software_is_answered() {
    let (_lab, a, b, mut agent, capture) = stage("asked");
    agent.register(&till(9090));
    wait_for(&capture, "two announcements", 2, a.ipv4, true);
    lab::may_be_said_again();
    let mut radio = b.role(RADIO);
    radio.expect_line("it is ready", SOON, |line| line == "ready");
    for (name, what) in [(TYPE, "our type"), ("_services._dns-sd._udp.local", "all types, RFC 6763 section 9")] {
        let asked = Instant::now();
        radio.say(&question(name, 12));
        capture.expect_packet(what, SOON, |packet| {
            let answers = |message: &Message| {
                message.answers.iter().any(|record| record.name.to_string() == name && record.ttl > 0)
            };
            packet.at > asked && packet.source.ip() == a.ipv4 && packet.message.as_ref().is_some_and(answers)
        });
    }
}

const RADIO: &str = "a_radio_says_what_it_is_given";

#[test]
fn a_radio_says_what_it_is_given() {
    if lab::role::is_played(RADIO) {
        return lab::role::play_radio();
    }
    let lab = Lab::new("radio");
    let a = lab.host("a");
    let mut radio = a.role(RADIO);
    radio.expect_line("it is ready", SOON, |line| line == "ready");
    let capture = a.capture();
    radio.say(&question(TYPE, 12));
    let packet = capture.expect_packet("the question", SOON, |packet| packet.message.is_some());
    assert_eq!(packet.message.unwrap().questions[0].qname.to_string(), TYPE);
}
