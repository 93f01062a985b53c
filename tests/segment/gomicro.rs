//! go-micro's dialect on the simulated link: among ourselves, and with captured packets of go-micro.

use std::net::SocketAddr;

use mdns_registry::link::native::message;
use mdns_registry::options::Wires;
use mdns_registry::{Action, Domain, Selection};

use crate::net::{service, Net, Weather};

pub const BOTH: Wires = Wires { dns_sd: true, go_micro: Some(Domain::Micro), named: false };
pub const MICRO: Wires = Wires { dns_sd: false, go_micro: Some(Domain::Micro), named: true };
const LOCAL: Wires = Wires { dns_sd: false, go_micro: Some(Domain::Local), named: true };

/// What is heard of a node of go-micro that was captured, by its kind: announce, goodbye, ….
fn captured(case: &str, kind: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/gomicro/{case}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut lines = text.lines();
    while let Some(heading) = lines.next() {
        let hex = lines.next().unwrap();
        if heading.split(": ").nth(1).unwrap().starts_with(kind) {
            return data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).unwrap();
        }
    }
    panic!("{case} has no {kind}")
}

fn is_of_go_micro(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|name| name == b"\x05micro")
}

fn its_host() -> SocketAddr {
    "10.78.0.1:5353".parse().unwrap()
}

const GREETER: &str = "go.micro.srv.greeter";
const GREETER_ID: &str = "go.micro.srv.greeter-a1b2c3";

#[test]
fn registries_that_speak_only_go_micros_wire_find_each_other_by_it() {
    let mut net = Net::new(41, Weather::FAIR);
    let (one, two) = (net.host_with(MICRO), net.host_with(MICRO));
    net.register(one, &service("greeter", 0..3), 120);
    net.run(5_000);
    let (ms, found) = net.get(two, "greeter");
    assert!(found == 3 && ms <= 60, "{found} in {ms} ms");
    let watch = net.watch(two, None);
    net.run(1_000);
    assert_eq!(net.events(two, watch).len(), 3);
    net.register(one, &service("greeter", 3..4), 120);
    net.run(10_000);
    assert_eq!(net.events(two, watch), [(Action::Create, "greeter-3".into(), 8_003)]);
    net.deregister(one, &Selection::from_json(r#"{"name":"greeter","nodes":[{"id":"greeter-0"}]}"#).unwrap());
    net.run(2_000);
    assert_eq!(net.events(two, watch), [(Action::Delete, "greeter-0".into(), 8_000)]);
}

#[test]
fn a_node_on_both_wires_is_told_once_and_goes_once() {
    let mut net = Net::new(42, Weather::FAIR);
    let (one, two) = (net.host_with(BOTH), net.host_with(BOTH));
    let watch = net.watch(two, None);
    net.run(1_000);
    net.register(one, &service("greeter", 0..2), 120);
    net.run(100_000);
    assert_eq!(net.events(two, watch).len(), 2);
    assert_eq!(net.found(two, "greeter"), 2);
    net.close(one);
    net.run(100_000);
    let left = net.events(two, watch);
    assert!(left.len() == 2 && left.iter().all(|(action, ..)| *action == Action::Delete), "{left:?}");
}

#[test]
fn what_go_micros_wire_doubts_is_not_gone_when_dns_sd_has_it() {
    let mut net = Net::new(44, Weather::FAIR);
    let one = net.host_with(BOTH);
    net.log = Some(Vec::new());
    net.register(one, &service("greeter", 0..1), 120);
    net.run(3_000);
    net.deregister(one, &Selection::service("greeter"));
    let two = net.host_with(BOTH);
    net.watch(two, Some("greeter"));
    net.run(3_000);
    let said = net.log.take().unwrap();
    let (_, late) = said.iter().find(|(host, bytes)| *host == one && is_of_go_micro(bytes)).unwrap();
    // On the other wire both come late: that it is there, and that it goes.
    let from = SocketAddr::from((net.hosts[one].ip, 5_353));
    net.inject(from, Some(two), late.to_vec());
    net.run(1);
    assert_eq!(net.found(two, "greeter"), 1);
    net.inject(from, Some(two), goodbye_of(late));
    net.register(one, &service("greeter", 0..1), 120);
    net.run(5_000);
    assert_eq!(net.found(two, "greeter"), 1);
}

#[test]
fn a_node_that_goes_from_go_micros_wire_stays_by_dns_sd_where_another_registry_speaks_that_wire_alone() {
    let mut net = Net::new(56, Weather::FAIR);
    let (one, two) = (net.host_with(BOTH), net.host_with(MICRO));
    net.watch(two, Some("greeter"));
    net.open_beside(two, BOTH);
    let watch = net.watch(two, Some("greeter"));
    net.register(one, &service("greeter", 0..1), 120);
    net.run(3_000);
    assert_eq!(net.events(two, watch), [(Action::Create, "greeter-0".into(), 8_000)]);
    // go-micro's wire has no place for the name of a host.
    let mut elsewhere = service("greeter", 0..1);
    elsewhere.nodes[0].address = "greeter.example".into();
    net.register(one, &elsewhere, 120);
    net.run(5_000);
    assert_eq!(net.events(two, watch), [(Action::Update, "greeter-0".into(), 8_000)]);
    assert_eq!(net.found(two, "greeter"), 1);
}

#[test]
fn a_registry_that_speaks_go_micros_wire_alone_finds_what_another_of_its_process_has_by_dns_sd() {
    let mut net = Net::new(57, Weather::FAIR);
    let (one, two) = (net.host_with(BOTH), net.host_with(BOTH));
    net.register(one, &service("greeter", 0..3), 120);
    net.watch(two, Some("greeter"));
    net.run(5_000);
    net.open_beside(two, MICRO);
    let (ms, found) = net.get(two, "greeter");
    assert!(found == 3 && ms <= 60, "{found} in {ms} ms");
}

#[test]
fn another_domain_or_wire_is_not_heard() {
    let mut net = Net::new(43, Weather::FAIR);
    let publishers = [net.host_with(MICRO), net.host_with(LOCAL), net.host()];
    for (i, host) in publishers.into_iter().enumerate() {
        net.register(host, &service("greeter", i * 10..i * 10 + 1 + i), 120);
    }
    net.run(3_000);
    for (wires, found) in [(MICRO, 1), (LOCAL, 2), (Wires::DNS_SD, 3), (BOTH, 4)] {
        let asker = net.host_with(wires);
        assert_eq!(net.get(asker, "greeter").1, found, "{wires:?}");
    }
}

#[test]
fn six_announcements_are_one_create_and_a_goodbye_is_one_delete() {
    for (case, wires) in [("gmhead-small", BOTH), ("gm2019-small", LOCAL)] {
        let mut net = Net::new(44, Weather::FAIR);
        let host = net.host_with(wires);
        let watch = net.watch(host, Some(GREETER));
        net.run(2_000);
        for _ in 0..6 {
            net.inject(its_host(), Some(host), captured(case, "announce"));
            net.run(300);
        }
        assert_eq!(net.events(host, watch), [(Action::Create, GREETER_ID.into(), 8_080)], "{case}");
        for _ in 0..2 {
            net.inject(its_host(), Some(host), captured(case, "goodbye"));
        }
        net.run(1_500);
        assert_eq!(net.events(host, watch), [(Action::Delete, GREETER_ID.into(), 8_080)], "{case}");
    }
}

#[test]
fn a_goodbye_is_not_believed_of_a_node_that_answers_when_it_is_asked() {
    let mut net = Net::new(45, Weather::FAIR);
    let (one, two) = (net.host_with(MICRO), net.host_with(MICRO));
    net.register(one, &service("greeter", 0..1), 120);
    let watch = net.watch(two, None);
    net.run(3_000);
    assert_eq!(net.events(two, watch).len(), 1);
    let goodbye = goodbye_of(net.last(one, "multicast"));
    let from = SocketAddr::from((net.hosts[one].ip, 5_353));
    net.inject(from, Some(two), goodbye);
    net.run(5_000);
    assert_eq!(net.events(two, watch), []);
    assert_eq!(net.found(two, "greeter"), 1);
}

/// The same message with every time to live 0.
fn goodbye_of(announcement: &[u8]) -> Vec<u8> {
    let mut bytes = announcement.to_vec();
    let ttl = [0, 0, 0, 120];
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == ttl).collect();
    assert_eq!(places.len(), 3);
    places.into_iter().for_each(|at| bytes[at + 3] = 0);
    bytes
}

#[test]
fn a_killed_node_is_gone_with_its_lease_and_a_live_one_stays() {
    let mut net = Net::new(46, Weather::lossy(0.05));
    let (one, two, watcher) = (net.host_with(MICRO), net.host_with(MICRO), net.host_with(BOTH));
    net.register(one, &service("greeter", 0..5), 120);
    net.register(two, &service("greeter", 5..10), 120);
    let watch = net.watch(watcher, Some("greeter"));
    net.run(600_000);
    assert_eq!(net.events(watcher, watch).len(), 10);
    net.kill(two);
    net.run(121_000);
    let gone = net.events(watcher, watch);
    assert!(gone.len() == 5 && gone.iter().all(|(action, ..)| *action == Action::Delete), "{gone:?}");
    assert_eq!(net.found(watcher, "greeter"), 5);
}

#[test]
fn a_node_with_a_short_lease_stays_for_who_watches_everything_and_has_heard_of_it_since_it_last_asked() {
    let mut net = Net::new(56, Weather::FAIR);
    let (one, watcher) = (net.host_with(MICRO), net.host_with(BOTH));
    let watch = net.watch(watcher, None);
    net.run(5_000);
    net.register(one, &service("greeter", 0..1), 3);
    let mut events = Vec::new();
    for _ in 0..60 {
        net.run(1_000);
        events.extend(net.events(watcher, watch));
    }
    assert_eq!(events, [(Action::Create, "greeter-0".into(), 8_000)]);
}

#[test]
fn who_asks_anew_for_what_is_held_does_not_make_a_killed_node_live_longer() {
    let mut net = Net::new(57, Weather::FAIR);
    let (one, two) = (net.host_with(MICRO), net.host_with(BOTH));
    net.register(one, &service("greeter", 0..1), 30);
    net.watch(two, Some("greeter"));
    net.run(3_000);
    net.kill(one);
    net.run(20_000);
    net.watch(two, None);
    assert_eq!(net.found(two, "greeter"), 1);
    assert!(net.run_until(|net| net.found(two, "greeter") == 0, 11_000));
}

#[test]
fn a_silent_node_of_go_micro_is_gone_within_91_s() {
    let mut net = Net::new(47, Weather::FAIR);
    let host = net.host_with(BOTH);
    net.watch(host, Some(GREETER));
    net.run(2_000);
    net.inject(its_host(), Some(host), captured("gmhead-small", "announce"));
    net.run(1);
    assert_eq!(net.found(host, GREETER), 1);
    net.run(89_900);
    assert_eq!(net.found(host, GREETER), 1);
    net.run(1_200);
    assert_eq!(net.found(host, GREETER), 0);
}

#[test]
fn a_thousand_nodes_are_found_at_once_and_through_loss_all_but_a_few_and_then_all() {
    for loss in [0.0, 0.3] {
        let mut net = Net::new(48, Weather::lossy(loss));
        for i in 0..10 {
            let host = net.host_with(MICRO);
            net.register(host, &service("greeter", i * 100..(i + 1) * 100), 120);
        }
        net.run(5_000);
        let asker = net.host_with(MICRO);
        let (ms, found) = net.get(asker, "greeter");
        let expected = if loss == 0.0 { 1_000 } else { 990 };
        assert!(found >= expected && ms <= 400, "loss {loss}: {found} in {ms} ms");
        net.watch(asker, Some("greeter"));
        assert!(net.run_until(|net| net.found(asker, "greeter") == 1_000, 125_000), "{}", net.found(asker, "greeter"));
    }
}

#[test]
fn who_asks_without_end_gets_four_megabytes_a_second() {
    let mut net = Net::new(49, Weather::FAIR);
    let host = net.host_with(MICRO);
    for part in 0..10 {
        net.register(host, &service("greeter", part * 100..(part + 1) * 100), 120);
    }
    net.run(10_000);
    let question = captured("gmhead-endpoints", "get-query");
    let before = net.sent["bytes"];
    for i in 0..2_000_u16 {
        net.inject(SocketAddr::from(([10, 9, 9, 9], 40_000 + i)), Some(host), question.clone());
        net.run(1);
    }
    let sent = net.sent["bytes"] - before;
    assert!((6 << 20..=9 << 20).contains(&sent), "{sent} bytes in 2 s");
}

#[test]
fn a_question_from_port_5353_is_answered_without_a_question_section() {
    let mut net = Net::new(50, Weather::FAIR);
    let host = net.host_with(MICRO);
    net.register(host, &service("greeter", 0..1), 120);
    net.run(5_000);
    let question = captured("gmhead-endpoints", "get-query");
    for (port, questions) in [(40_001, 1), (5_353, 0)] {
        net.inject(SocketAddr::from(([10, 9, 9, 9], port)), Some(host), question.clone());
        net.run(10);
        let answer = message::parse(net.last(host, "unicast")).unwrap();
        assert_eq!((answer.questions.len(), answer.answers.len()), (questions, 4), "asked from port {port}");
    }
    let unicasts = net.sent["unicast"];
    let answer = captured("gmhead-endpoints", "get-response");
    net.inject(SocketAddr::from(([10, 9, 9, 9], 40_001)), Some(host), answer);
    net.run(100);
    assert_eq!(net.sent["unicast"], unicasts, "a response is never answered");
}

#[test]
fn a_node_that_was_heard_by_go_micros_wire_first_is_back_after_a_partition_longer_than_its_lease() {
    let mut net = Net::new(51, Weather::FAIR);
    let (one, two) = (net.host_with(BOTH), net.host_with(BOTH));
    net.register(one, &service("greeter", 0..5), 30);
    net.run(5_000);
    assert_eq!(net.get(two, "greeter").1, 5);
    net.watch(two, Some("greeter"));
    net.run(5_000);
    net.hosts[one].group = 1;
    net.run(60_000);
    assert_eq!(net.found(two, "greeter"), 0);
    net.hosts[one].group = 0;
    assert!(net.run_until(|net| net.found(two, "greeter") == 5, 15_000), "{}", net.found(two, "greeter"));
}

#[test]
fn a_node_that_was_heard_by_go_micros_wire_first_does_not_come_back_when_it_has_gone_by_dns_sd() {
    let mut net = Net::new(55, Weather::FAIR);
    let one = net.host_with(BOTH);
    net.log = Some(Vec::new());
    net.register(one, &service("greeter", 0..1), 120);
    net.run(3_000);
    let said = net.log.take().unwrap();
    let (_, first) = said.iter().find(|(_, bytes)| is_of_go_micro(bytes)).unwrap();
    let two = net.host_with(BOTH);
    net.cut.insert((one, two));
    net.watch(two, Some("greeter"));
    net.inject(SocketAddr::from((net.hosts[one].ip, 5_353)), Some(two), first.to_vec());
    net.run(1);
    assert_eq!(net.found(two, "greeter"), 1, "by go-micro's wire");
    net.cut.clear();
    net.run(30_000);
    // What is said of its end but once is lost.
    net.cut.insert((one, two));
    net.deregister(one, &Selection::service("greeter"));
    net.run(500);
    net.cut.clear();
    assert!(net.run_until(|net| net.found(two, "greeter") == 0, 15_000));
    let watch = net.watch(two, None);
    net.run(1_000);
    assert_eq!(net.events(two, watch), []);
    // A copy of what was said first comes late.
    net.inject(SocketAddr::from((net.hosts[one].ip, 5_353)), Some(two), first.to_vec());
    net.run(1_000);
    assert_eq!(net.events(two, watch), []);
}

#[test]
fn our_own_kind_does_not_say_here_what_it_says_by_dns_sd() {
    let mut net = Net::new(52, Weather::FAIR);
    let publisher = net.host_with(BOTH);
    net.register(publisher, &service("greeter", 0..100), 120);
    let watchers: Vec<usize> = (0..5).map(|_| net.host_with(BOTH)).collect();
    for watcher in &watchers {
        net.watch(*watcher, Some("greeter"));
    }
    net.run(10_000);
    net.sent.clear();
    net.run(300_000);
    assert_eq!(net.sent.get("unicast"), None, "{:?}", net.sent);
    assert!(watchers.iter().all(|watcher| net.found(*watcher, "greeter") == 100));
}

#[test]
fn who_repeats_a_nodes_packets_from_elsewhere_cannot_change_it() {
    let mut net = Net::new(53, Weather::FAIR);
    let (one, two) = (net.host_with(MICRO), net.host_with(MICRO));
    let watch = net.watch(two, Some("greeter"));
    net.register(one, &service("greeter", 0..1), 120);
    net.run(3_000);
    assert_eq!(net.events(two, watch).len(), 1);
    let said = net.last(one, "multicast").to_vec();
    let port = said.windows(2).position(|pair| pair == 8_000_u16.to_be_bytes()).unwrap();
    let mut otherwise = said.clone();
    otherwise[port..port + 2].copy_from_slice(&9_u16.to_be_bytes());
    let stranger = SocketAddr::from(([10, 9, 9, 9], 5_353));
    for _ in 0..10 {
        net.inject(stranger, Some(two), said.clone());
        net.inject(stranger, Some(two), otherwise.clone());
        net.run(500);
    }
    assert_eq!(net.events(two, watch), []);
    net.kill(one);
    net.inject(stranger, Some(two), otherwise.clone());
    net.run(1_500);
    net.inject(stranger, Some(two), otherwise);
    net.run(1);
    let moved = [(Action::Delete, "greeter-0".into(), 8_000), (Action::Create, "greeter-0".into(), 9)];
    assert_eq!(net.events(two, watch), moved, "nobody is where it was");
}

#[test]
fn a_flood_of_goodbyes_makes_us_ask_a_bounded_number_of_questions() {
    let mut net = Net::new(54, Weather::FAIR);
    let (one, two) = (net.host_with(MICRO), net.host_with(MICRO));
    net.register(one, &service("greeter", 0..500), 120);
    net.watch(two, Some("greeter"));
    net.run(10_000);
    let goodbye = goodbye_of(net.last(one, "multicast"));
    net.sent.clear();
    for _ in 0..20_000 {
        net.inject(SocketAddr::from(([10, 9, 9, 9], 5_353)), Some(two), goodbye.clone());
    }
    net.run(2_000);
    assert!(net.sent["asks"] <= 10, "{:?}", net.sent);
    net.sent.clear();
    net.deregister(one, &Selection::from_json(r#"{"name":"greeter"}"#).unwrap());
    net.run(3_000);
    assert_eq!(net.found(two, "greeter"), 0);
    assert!(net.sent["asks"] <= 300, "{:?}", net.sent);
}

#[test]
fn another_version_takes_the_place_of_the_one_before_for_go_micro_too() {
    let mut net = Net::new(55, Weather::FAIR);
    let host = net.host_with(BOTH);
    net.register(host, &service("greeter", 0..1), 120);
    net.run(3_000);
    let sent = net.sent["multicast"];
    let mut next = service("greeter", 0..1);
    next.version = "2.0.0".into();
    net.register(host, &next, 120);
    net.run(0);
    let goodbyes = net.goodbyes(host);
    assert!(net.sent["multicast"] > sent && goodbyes == 1, "{goodbyes}");
}
