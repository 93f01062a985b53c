//! What a stranger on the link, or off it, says of nodes that are not its own.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mdns_registry::event::Action;
use mdns_registry::link::native::message::{parse, rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::link::native::{Datagram, Via};
use mdns_registry::options::Wires;
use mdns_registry::record::Key;
use mdns_registry::wire::dnssd::host_label;
use mdns_registry::Selection;

use super::net::{service, Net, Weather, INTERFACE};
use super::refused::{alive, answer_with, fetch, query};

pub const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 99, 99);

pub fn instance(key: &Key) -> Name {
    Name::from_labels([key.as_bytes(), b"_mdns-registry", b"_tcp", b"local"]).unwrap()
}

pub fn service_type() -> Name {
    Name::from_dotted("_mdns-registry._tcp.local.").unwrap()
}

pub fn response(records: &[Record]) -> Vec<u8> {
    let mut message = Builder::response(0, 1_452);
    records.iter().for_each(|record| assert!(message.answer(record)));
    message.finish()
}

pub fn record(name: Name, ttl: u32, data: Data) -> Record {
    let flush = !matches!(data, Data::Ptr(_));
    Record { name, class: 1, flush, ttl, data }
}

/// Strings as TXT data.
pub fn strings(texts: &[impl AsRef<str>]) -> Arc<[u8]> {
    texts.iter().map(AsRef::as_ref).flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect()
}

/// TXT data of a node as its registry would say it, but with another address and revision.
pub fn takeover(net: &Net, host: usize, key: &Key, revision: u64) -> Vec<Record> {
    let texts = [
        "txtvers=1".to_owned(),
        "id=greeter-0".into(),
        "service=greeter".into(),
        "version=1.0.0".into(),
        "lease=120".into(),
        format!("owner={}", net.hosts[host].owner),
        format!("seq={revision}"),
        "port=666".into(),
        "a=10.6.6.6".into(),
    ];
    let target = Name::from_dotted("evil.local.").unwrap();
    vec![
        record(service_type(), 120, Data::Ptr(instance(key))),
        record(instance(key), 120, Data::Srv { port: 666, target: target.clone() }),
        record(instance(key), 120, Data::Txt(strings(&texts))),
        record(target, 120, Data::A(Ipv4Addr::new(10, 6, 6, 6))),
    ]
}

/// A host that publishes one node, and one that watches it.
pub fn pair() -> (Net, usize, usize, Key) {
    pair_on(9, Wires::DNS_SD)
}

/// The same by a seed and on other wires.
pub fn pair_on(seed: u64, wires: Wires) -> (Net, usize, usize, Key) {
    let mut net = Net::new(seed, Weather::FAIR);
    let (one, two) = (net.host_with(wires), net.host_with(wires));
    net.watch(two, None);
    net.register(one, &service("greeter", 0..1), 120);
    net.run(5_000);
    assert_eq!(net.found(two, "greeter"), 1);
    let owner = net.hosts[one].owner.clone();
    let key = net.hosts[one].engine.keys_of(&owner)[0].clone();
    (net, one, two, key)
}

pub fn port(net: &Net, host: usize) -> Vec<u16> {
    net.hosts[host].engine.services("greeter").iter().flat_map(|s| &s.nodes).map(|node| node.port).collect()
}

#[test]
fn a_goodbye_for_a_live_node_is_not_believed_whoever_seems_to_say_it() {
    for from in [STRANGER, Ipv4Addr::new(10, 0, 0, 1)] {
        let (mut net, _, two, key) = pair();
        let watch = net.watch(two, Some("greeter"));
        net.run(100);
        net.events(two, watch);
        let goodbyes = response(&[
            record(service_type(), 0, Data::Ptr(instance(&key))),
            record(instance(&key), 0, Data::Txt(vec![0].into())),
        ]);
        net.inject(SocketAddr::from((from, 5_353)), None, goodbyes);
        net.run(10_000);
        assert_eq!((net.events(two, watch), port(&net, two)), (vec![], vec![8_000]), "{from}");
    }
}

/// Another address of the node's host, or none, and another host of the node, as if its own host said so.
fn moved(net: &Net, host: usize, key: &Key) -> [Vec<u8>; 3] {
    let own = host_of(net, host);
    let evil = Name::from_dotted("evil.local.").unwrap();
    let there = Ipv4Addr::new(10, 0, 66, 66);
    let conflict = record(instance(key), 120, Data::Srv { port: 666, target: evil.clone() });
    [
        vec![record(own.clone(), 120, Data::A(there))],
        vec![record(own, 0, Data::A(net.hosts[host].ip))],
        vec![conflict, record(evil, 120, Data::A(there))],
    ]
    .map(|records| response(&records))
}

/// The host of a registry's nodes.
fn host_of(net: &Net, host: usize) -> Name {
    let label = host_label(&net.hosts[host].owner, "");
    Name::from_labels([label.as_bytes(), b"local"]).unwrap()
}

fn address(net: &Net, host: usize) -> Vec<String> {
    net.hosts[host].engine.services("greeter").iter().flat_map(|s| &s.nodes).map(|n| n.address.clone()).collect()
}

#[test]
fn who_moves_the_host_of_a_node_in_its_name_is_not_believed_for_long() {
    for what in 0..3 {
        let (mut net, one, two, key) = pair();
        let right = address(&net, two);
        net.run(5_000);
        let forged = moved(&net, one, &key)[what].clone();
        net.inject(SocketAddr::from((net.hosts[one].ip, 5_353)), Some(two), forged);
        net.run(1_000);
        assert_eq!(address(&net, two), right, "{what}");
    }
}

#[test]
fn an_answer_of_a_registry_is_believed_about_its_own_nodes_alone() {
    let (mut net, one, two, key) = pair();
    let watch = net.watch(two, Some("greeter"));
    net.run(100);
    let (right, _) = (address(&net, two), net.events(two, watch));
    let (registry, direct) = (invented_tag(1), SocketAddr::from((STRANGER, 9)));
    let sign = alive(&registry, &["seq=1", "n=5", "h=0000000000000001", "p=9"]);
    net.inject(SocketAddr::from((STRANGER, 5_353)), Some(two), sign);
    net.run(1);
    let id = u16::from_be_bytes([net.last(two, "unicast")[0], net.last(two, "unicast")[1]]);
    for revision in [1, 99] {
        let mut records = takeover(&net, one, &key, revision);
        records.push(record(host_of(&net, one), 120, Data::A(STRANGER)));
        let bytes = answer_with(id, &registry, &records);
        let to = net.hosts[two].ip.into();
        net.deliver(two, Datagram { bytes: &bytes, via: Via::Direct, from: direct, to, interface: INTERFACE });
        net.run(10);
        assert_eq!((net.events(two, watch), port(&net, two), address(&net, two)), (vec![], vec![8_000], right.clone()));
    }
    assert_eq!(net.hosts[two].dropped.get("record-from-elsewhere"), Some(&10), "{:?}", net.hosts[two].dropped);
}

#[test]
fn who_runs_a_node_on_the_host_of_another_does_not_say_where_that_is() {
    let (mut net, one, two, _) = pair();
    let watch = net.watch(two, Some("greeter"));
    net.run(5_000);
    let (right, _) = (address(&net, two), net.events(two, watch));
    let (guest, host) = (service_type().child(b"!guest").unwrap(), host_of(&net, one));
    let node = response(&[
        record(guest.clone(), 120, Data::Srv { port: 80, target: host.clone() }),
        record(guest, 120, Data::Txt(strings(&["service=greeter"]))),
    ]);
    let stranger = SocketAddr::from((STRANGER, 5_353));
    net.inject(stranger, Some(two), node);
    net.run(10);
    net.inject(stranger, Some(two), response(&[record(host, 120, Data::A(STRANGER))]));
    net.run(10);
    assert!(net.hosts[two].dropped.contains_key("record-from-elsewhere"), "{:?}", net.hosts[two].dropped);
    let lost = net.events(two, watch).into_iter().filter(|(_, id, _)| id == "greeter-0");
    assert_eq!(lost.count(), 0);
    assert!(address(&net, two).contains(&right[0]) && !address(&net, two).iter().any(|at| at.contains("99.99")));
}

#[test]
fn a_node_is_what_its_revision_first_said() {
    let (mut net, one, two, key) = pair();
    let watch = net.watch(two, Some("greeter"));
    net.run(5_000);
    net.events(two, watch);
    let mut records = takeover(&net, one, &key, 1);
    records.retain(|record| matches!(record.data, Data::Txt(_)));
    net.inject(SocketAddr::from((net.hosts[one].ip, 5_353)), Some(two), response(&records));
    net.run(1_000);
    assert_eq!((net.events(two, watch), port(&net, two)), (vec![], vec![8_000]));
}

#[test]
fn a_node_whose_host_is_in_doubt_is_missed_when_it_is_gone() {
    let (mut net, one, two, key) = pair();
    net.run(5_000);
    // Nobody answers what is doubted, and the goodbye is lost.
    net.hosts[one].group = 1;
    let forged = moved(&net, one, &key)[0].clone();
    net.inject(SocketAddr::from((net.hosts[one].ip, 5_353)), Some(two), forged);
    net.run(2_000);
    net.deregister(one, &Selection::service("greeter"));
    net.run(1_000);
    assert_eq!(net.found(two, "greeter"), 1);
    net.hosts[one].group = 0;
    net.run(12_000);
    assert_eq!(net.found(two, "greeter"), 0);
}

#[test]
fn who_takes_a_node_over_is_not_believed_or_for_less_than_a_second() {
    for (from, revision) in [(STRANGER, 1), (STRANGER, 99), (Ipv4Addr::new(10, 0, 0, 1), 99)] {
        let (mut net, one, two, key) = pair();
        let forged = response(&takeover(&net, one, &key, revision));
        net.inject(SocketAddr::from((from, 5_353)), None, forged);
        net.run(1_000);
        assert_eq!(port(&net, two), [8_000], "{from} with revision {revision}");
    }
}

#[test]
fn a_forged_address_of_a_host_is_not_believed() {
    let (mut net, one, two, _) = pair();
    let owner = net.hosts[one].owner.clone();
    let host = Name::from_dotted(&format!("{}.local.", mdns_registry::wire::dnssd::host_label(&owner, ""))).unwrap();
    let forged = response(&[record(host, 120, Data::A(Ipv4Addr::new(10, 6, 6, 6)))]);
    net.inject(SocketAddr::from((STRANGER, 5_353)), None, forged);
    net.run(1_000);
    let nodes = net.hosts[two].engine.services("greeter")[0].nodes.clone();
    assert_eq!(nodes[0].address, "10.0.0.1");
}

#[test]
fn what_comes_from_off_the_link_or_another_port_or_is_no_plain_answer_changes_nothing() {
    let (mut net, one, two, key) = pair();
    let forged = takeover(&net, one, &key, 99);
    let plain = response(&forged);
    let (mut rcode, mut opcode) = (plain.clone(), plain.clone());
    rcode[3] |= 3;
    opcode[2] |= 5 << 3;
    let class = response(&forged.iter().map(|r| Record { class: 3, ..r.clone() }).collect::<Vec<_>>());
    let own = Ipv4Addr::new(10, 0, 0, 1);
    // The watcher's network is 2001:db8::/32.
    net.add_nets(two, &[(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).into(), 32)]);
    for (from, bytes) in [
        (SocketAddr::from(([198, 51, 100, 9], 5_353)), plain.clone()),
        (SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb9, 0, 0, 0, 0, 0, 1), 5_353)), plain.clone()),
        (SocketAddr::from((own, 40_404)), plain.clone()),
        (SocketAddr::from((own, 5_353)), rcode),
        (SocketAddr::from((own, 5_353)), opcode),
        (SocketAddr::from((own, 5_353)), class),
    ] {
        // Only to the watcher: the owner is not to mend it.
        net.inject(from, Some(two), bytes);
        net.run(10);
        assert_eq!(port(&net, two), [8_000], "{from}");
    }
    let counted = net.hosts[two].endpoint.counters();
    for (what, times) in [("off-link", 2), ("response-from-other-port", 1), ("opcode-or-rcode", 2)] {
        assert!(counted.contains(&(what, times)), "{what}: {counted:?}");
    }
}

#[test]
fn three_hundred_copies_of_a_question_cost_what_one_costs() {
    let (mut net, _, _, _) = pair();
    net.run(3_000);
    let mut message = Builder::query(0, 9_000);
    let question = Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: false };
    (0..60).for_each(|_| assert!(message.question(&question)));
    let bytes = message.finish();
    net.sent.clear();
    for _ in 0..5 {
        net.inject(SocketAddr::from((STRANGER, 5_353)), Some(0), bytes.clone());
    }
    net.run(500);
    assert_eq!(net.sent.get("multicast").copied().unwrap_or(0), 1, "{:?}", net.sent);
}

#[test]
fn who_has_not_proven_its_address_is_answered_fifty_times_a_second_at_most() {
    let (one_shot, lookup) = (query(service_type(), rtype::PTR, &[]), query(service_type(), rtype::PTR, &[1, 1]));
    for (kinds, a_second) in [(vec![&one_shot], 20), (vec![&lookup], 50), (vec![&one_shot, &lookup], 50)] {
        let (mut net, _, _, _) = pair();
        net.run(3_000);
        net.sent.clear();
        for i in 0..20_000_u32 {
            let from = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_6300 + i % 200), 30_000));
            kinds.iter().for_each(|bytes| net.inject(from, Some(0), bytes.to_vec()));
            net.run(u64::from(i % 10 == 0));
        }
        // In two seconds, and as many at once.
        let answers = net.sent.get("unicast").copied().unwrap_or(0);
        assert!((3 * a_second - 2..=3 * a_second).contains(&answers), "{answers} answers in 2 s");
    }
}

#[test]
fn who_has_proven_its_address_gets_64_messages_a_question_and_all_such_16384_a_second() {
    let (mut net, one) = (Net::new(10, Weather::FAIR), 0);
    net.host();
    net.register(one, &service("greeter", 0..1_000), 120);
    net.run(30_000);
    let owner = net.hosts[one].owner.clone();
    // By a port of its own, as the exchange is asked.
    let ask = |net: &mut Net, asker: u32, bytes: &[u8]| {
        let from = SocketAddr::from((Ipv4Addr::from_bits(STRANGER.to_bits() + asker), 40_000));
        let datagram = Datagram { bytes, via: Via::Direct, from, to: net.hosts[one].ip.into(), interface: INTERFACE };
        net.sent.remove("unicast");
        net.deliver(one, datagram);
        net.sent.get("unicast").copied().unwrap_or(0)
    };
    let lookup = query(service_type(), rtype::PTR, &[1, 1]);
    let fetches: Vec<Vec<u8>> = (0..3)
        .map(|asker| {
            assert_eq!(ask(&mut net, asker, &lookup), 1);
            let option = parse(net.last(one, "unicast")).unwrap().option.unwrap();
            fetch(&owner, u64::from_be_bytes(option[2..10].try_into().unwrap()), &[(0, u64::MAX)], u8::MAX)
        })
        .collect();
    // The same records, twice within a moment; and to who has the token of another's address one message.
    assert_eq!([0, 0, 1, 2].map(|asker| ask(&mut net, asker, &fetches[asker as usize])), [64; 4]);
    assert_eq!(ask(&mut net, 1, &fetches[0]), 1);
    net.run(1_000);
    let mut sent = Vec::new();
    for second in 0..2 {
        sent.push(0);
        for _ in 0..1_000 {
            net.run(1);
            (0..3).for_each(|asker| sent[second] += ask(&mut net, asker, &fetches[asker as usize]));
        }
    }
    // The first second with what had been left over.
    assert!((16_384..=16_384 + 2_048).contains(&sent[0]) && (16_300..=16_384).contains(&sent[1]), "{sent:?}");
    assert!(net.last(one, "unicast").len() <= 1_452);
    assert_eq!(ask(&mut net, 9, &lookup), 1, "who asks first is answered still");
}

#[test]
fn questions_about_nothing_of_ours_keep_nobody_from_an_answer() {
    let (mut net, _, _, _) = pair();
    net.run(3_000);
    let ask = |name: Name, rtype: u16, unicast: bool| {
        let mut message = Builder::query(7, 1_452);
        message.question(&Question { name, rtype, class: 1, unicast });
        message.finish()
    };
    let stranger = Name::from_dotted("printer._ipp._tcp.local.").unwrap();
    for i in 0..2_000_u16 {
        for (port, rtype, name) in [
            (30_000 + i, rtype::PTR, stranger.clone()),
            (30_000 + i, rtype::A, service_type()),
            (5_353, rtype::TXT, service_type()),
            (5_353, rtype::PTR, stranger.clone()),
        ] {
            net.inject(SocketAddr::from((STRANGER, port)), Some(0), ask(name, rtype, port == 5_353));
        }
    }
    net.run(150);
    net.sent.clear();
    net.inject(SocketAddr::from((STRANGER, 30_000)), Some(0), ask(service_type(), rtype::PTR, false));
    net.inject(SocketAddr::from((STRANGER, 5_353)), Some(0), ask(service_type(), rtype::PTR, false));
    net.run(150);
    assert_eq!((net.sent.get("unicast"), net.sent.get("multicast")), (Some(&1), Some(&1)), "{:?}", net.sent);
}

#[test]
fn a_question_is_answered_although_hundreds_wait_for_known_answers_that_never_come() {
    let (mut net, _, _, key) = pair();
    net.run(3_000);
    let question = Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: false };
    let known = record(service_type(), 120, Data::Ptr(instance(&key)));
    let mut unfinished = Builder::query(0, 9_000);
    unfinished.question(&question);
    while unfinished.answer(&known) {}
    unfinished.truncated(true);
    let unfinished = unfinished.finish();
    for i in 0..5_000_u32 {
        let from = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_6300 + i), 5_353));
        net.inject(from, Some(0), unfinished.clone());
    }
    let mut message = Builder::query(0, 1_452);
    message.question(&question);
    net.sent.clear();
    net.inject(SocketAddr::from((STRANGER, 5_353)), Some(0), message.finish());
    net.run(150);
    assert_eq!(net.sent.get("multicast"), Some(&1), "{:?}", net.sent);
}

#[test]
fn a_question_in_parts_is_answered_although_strangers_have_filled_the_room_for_such() {
    let (mut net, one, _, key) = pair();
    net.register(one, &service("greeter", 1..2), 120);
    net.run(3_000);
    // The asker knows one of the two nodes.
    let part = |questions: bool, answers: usize| {
        let mut message = Builder::query(0, 9_000);
        if questions {
            message.question(&Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: false });
        }
        let known = record(service_type(), 120, Data::Ptr(instance(&key)));
        for _ in 0..answers {
            message.answer(&known);
        }
        message.truncated(true);
        message.finish()
    };
    let asker = SocketAddr::from((STRANGER, 5_353));
    net.inject(asker, Some(0), part(true, 0));
    for i in 0..600_u32 {
        net.inject(SocketAddr::from((Ipv4Addr::from_bits(0x0a00_6400 + i), 5_353)), Some(0), part(true, 340));
    }
    net.sent.clear();
    net.inject(asker, Some(0), part(false, 40));
    net.run(150);
    assert_eq!(net.sent.get("multicast"), Some(&1), "{:?}", net.sent);
}

#[test]
fn a_response_by_unicast_that_nobody_asked_for_changes_nothing() {
    let (mut net, one, two, key) = pair();
    let forged = response(&takeover(&net, one, &key, 99));
    net.inject_unicast(SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 5_353)), two, forged);
    net.run(10);
    assert_eq!(port(&net, two), [8_000]);
    let counted = net.hosts[two].endpoint.counters();
    assert!(counted.contains(&("response-unasked", 1)), "{counted:?}");
}

#[test]
fn invented_registries_make_us_send_a_few_messages_each_and_a_bounded_number_in_all() {
    let (mut net, _, two, _) = pair();
    net.sent.clear();
    for i in 0..10_000_u32 {
        let label = format!("{}-120", invented_tag(i));
        let name = Name::from_labels([label.as_bytes(), b"_alive", b"_mdns-registry", b"_tcp", b"local"]).unwrap();
        let texts = ["seq=1", "n=5", "h=0000000000000001", "p=9"];
        let forged = response(&[record(name, 120, Data::Other(rtype::ALIVE, strings(&texts)))]);
        net.inject(SocketAddr::from((STRANGER, 5_353)), Some(two), forged);
    }
    net.run(5_000);
    let sent = net.sent.get("unicast").copied().unwrap_or(0);
    assert!(sent <= 256 * 10 + 100, "{sent} messages to one address");
    assert!(net.hosts[two].dropped.contains_key("too-many-strangers"), "{:?}", net.hosts[two].dropped);
    assert_eq!(port(&net, two), [8_000]);
}

/// The tag of a registry that does not exist.
pub fn invented_tag(number: u32) -> String {
    let digits = b"abcdefghijklmnopqrstuvwxyz234567";
    let digit = |i: u32| char::from(digits[(number >> (5 * i.min(6)) & 31) as usize]);
    (0..25).map(digit).chain(['a']).collect()
}

#[test]
fn strangers_by_the_hundred_thousand_are_bounded() {
    let (mut net, _, two, _) = pair();
    for i in 0..40_000_u32 {
        let name = Name::from_labels([format!("x{i}").as_bytes(), b"_mdns-registry", b"_tcp", b"local"]).unwrap();
        let host = Name::from_dotted("h.local.").unwrap();
        let txt: Vec<u8> = [&[15_u8][..], b"service=printer"].concat();
        let records = [
            record(service_type(), 4_500, Data::Ptr(name.clone())),
            record(name.clone(), 4_500, Data::Srv { port: 80, target: host.clone() }),
            record(name, 4_500, Data::Txt(txt.into())),
            record(host, 4_500, Data::A(STRANGER)),
        ];
        net.inject(SocketAddr::from((STRANGER, 5_353)), Some(two), response(&records));
        net.run(u64::from(i % 50 == 0));
    }
    let counts = net.hosts[two].engine.counts();
    assert!(counts.nodes <= mdns_registry::limits::VIEW_NODES, "{}", counts.nodes);
    assert!(net.hosts[two].dropped.contains_key("sender-full"), "{:?}", net.hosts[two].dropped);
    let three = net.host();
    net.register(three, &service("greeter", 1..2), 120);
    net.run(1_000);
    assert_eq!(port(&net, two), [8_000, 8_001]);
}

#[test]
fn a_watcher_sees_each_change_once_through_duplicates_and_disorder() {
    let mut net = Net::new(11, Weather { loss: 0.1, duplicates: 0.3, delay: 40 });
    let (one, two) = (net.host(), net.host());
    let watch = net.watch(two, None);
    net.run(500);
    let mut last: std::collections::BTreeMap<String, Action> = std::collections::BTreeMap::new();
    for round in 0..50 {
        net.register(one, &service("greeter", round % 5..round % 5 + 6), 120);
        net.run(300);
        for (action, id, _) in net.events(two, watch) {
            let before = last.insert(id.clone(), action);
            let alternates = match action {
                Action::Create => before.is_none_or(|before| before == Action::Delete),
                _ => before.is_some_and(|before| before != Action::Delete),
            };
            assert!(alternates, "{id}: {before:?} then {action:?}");
        }
    }
    net.weather = Weather::FAIR;
    net.run(12_000);
    assert_eq!(net.found(two, "greeter"), net.found(one, "greeter"));
}

#[test]
fn an_alive_record_that_somebody_else_says_neither_moves_a_registry_nor_silences_it() {
    for from in [STRANGER, Ipv4Addr::new(10, 0, 0, 1)] {
        let (mut net, one, two, _) = pair();
        let watch = net.watch(two, Some("greeter"));
        net.run(100);
        net.events(two, watch);
        let label = format!("{}-120", net.hosts[one].owner);
        let name = Name::from_labels([label.as_bytes(), b"_alive", b"_mdns-registry", b"_tcp", b"local"]).unwrap();
        for (n, port) in [(0, 1), (0, 40_000), (7, 1), (1, 1)] {
            let texts =
                [format!("seq={}", u64::MAX), format!("n={n}"), "h=0000000000000000".into(), format!("p={port}")];
            let forged = response(&[record(name.clone(), 120, Data::Other(rtype::ALIVE, strings(&texts)))]);
            net.inject(SocketAddr::from((from, 5_353)), Some(two), forged);
            net.run(2_000);
        }
        net.run(400_000);
        assert_eq!((net.events(two, watch), port(&net, two)), (vec![], vec![8_000]), "{from}");
    }
}
