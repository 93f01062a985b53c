//! Each reason for which something that was heard is not taken, provoked, and that nothing else is counted then.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::link::native::{Datagram, Via};
use mdns_registry::options::Wires;
use mdns_registry::record::{Key, Reach, Record as Node, Sighting};
use mdns_registry::refused::Refused;
use mdns_registry::wire::dnssd;
use mdns_registry::{limits, Domain, Selection};

use super::hostile::{instance, invented_tag, pair_on, record, response, service_type, strings, takeover, STRANGER};
use super::net::{service, Net};

const MICRO: Wires = Wires { dns_sd: false, go_micro: Some(Domain::Micro), named: true };
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));
const ONCE: RangeInclusive<u64> = 1..=1;

/// A host that publishes a node and one that watches everything, on both wires apart.
struct Scene {
    net: Net,
    one: usize,
    two: usize,
    key: Key,
}

impl Scene {
    fn on(wires: Wires) -> Scene {
        let (net, one, two, key) = pair_on(60, wires);
        Scene { net, one, two, key }
    }

    /// What was refused on all hosts.
    fn refused(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for host in &self.net.hosts {
            let of_link = host.endpoint.counters().into_iter().filter(|(name, _)| Refused::named(name).is_some());
            for (name, count) in of_link.chain(host.engine.counts().dropped) {
                *all.entry(name).or_default() += count;
            }
        }
        all
    }

    /// The watcher hears it from a stranger.
    fn say(&mut self, bytes: Vec<u8>) {
        self.say_from(stranger(0), bytes);
    }

    fn say_from(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.net.inject(from, Some(self.two), bytes);
        self.net.run(0);
    }

    /// The publisher hears it.
    fn ask(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.net.inject(from, Some(self.one), bytes);
        self.net.run(0);
    }

    /// The watcher hears it on a port of its own.
    fn say_direct(&mut self, from: SocketAddr, bytes: &[u8]) {
        let to = self.net.hosts[self.two].ip.into();
        let datagram = Datagram { bytes, via: Via::Direct, from, to, interface: 2 };
        self.net.deliver(self.two, datagram);
    }

    /// A node of other software with these strings.
    fn describe(&mut self, label: &[u8], texts: &[&[u8]]) {
        let data = texts.iter().flat_map(|text| [&[text.len() as u8], *text].concat()).collect();
        self.say(response_of(&printer(label, STRANGER, data)));
    }

    fn owner(&self) -> &str {
        &self.net.hosts[self.one].owner
    }
}

pub fn stranger(number: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(STRANGER.to_bits() + u32::from(number)), 5_353))
}

/// Like `response`, of any size.
pub fn response_of(records: &[Record]) -> Vec<u8> {
    let mut message = Builder::response(0, 8_952);
    records.iter().for_each(|record| assert!(message.answer(record)));
    message.finish()
}

pub fn query(name: Name, rtype: u16, option: &[u8]) -> Vec<u8> {
    let mut message = Builder::query(7, 8_952);
    message.question(&Question { name, rtype, class: 1, unicast: false });
    if !option.is_empty() {
        message.option(option);
    }
    message.finish()
}

pub fn printer(label: &[u8], at: Ipv4Addr, txt: Arc<[u8]>) -> Vec<Record> {
    let name = service_type().child(label).unwrap();
    let host = Name::from_dotted("printer.local").unwrap();
    let srv = Data::Srv { port: 80, target: host.clone() };
    vec![record(name.clone(), 120, srv), record(name, 120, Data::Txt(txt)), record(host, 120, Data::A(at))]
}

/// Printers with these numbers, forty a message.
fn say_printers(scene: &mut Scene, from: u16, numbers: std::ops::Range<usize>, host: impl Fn(usize) -> Option<Name>) {
    let txt = strings(&["service=printer"]);
    for chunk in numbers.collect::<Vec<_>>().chunks(40) {
        let mut records = printer(b"x", STRANGER, txt.clone()).split_off(2);
        for i in chunk {
            let mut described = printer(format!("x{i}").as_bytes(), STRANGER, txt.clone());
            described.truncate(2);
            if let (Some(host), Data::Srv { target, .. }) = (host(*i), &mut described[0].data) {
                *target = host;
            }
            records.extend(described);
        }
        scene.say_from(stranger(from), response_of(&records));
    }
}

pub fn alive(owner: &str, texts: &[&str]) -> Vec<u8> {
    let label = format!("{owner}-120");
    let name = Name::from_labels([label.as_bytes(), b"_alive", b"_mdns-registry", b"_tcp", b"local"]).unwrap();
    response(&[record(name, 120, Data::Other(rtype::ALIVE, strings(texts)))])
}

const WHOLE: [&str; 4] = ["seq=99", "n=5", "h=0000000000000001", "p=9"];

fn tag(owner: &str) -> Vec<u8> {
    data_encoding::BASE32_NOPAD.decode(owner.to_uppercase().as_bytes()).unwrap()
}

/// A fetch of the exchange for ranges of which nothing is held, in so many messages.
pub fn fetch(owner: &str, token: u64, ranges: &[(u64, u64)], budget: u8) -> Vec<u8> {
    let ranges =
        ranges.iter().flat_map(|(first, last)| [&first.to_be_bytes()[..], &last.to_be_bytes(), &[0; 12]].concat());
    let option = [&[1, 2][..], &token.to_be_bytes(), &tag(owner), &[budget]].concat();
    query(service_type(), rtype::PTR, &option.into_iter().chain(ranges).collect::<Vec<u8>>())
}

fn answer(owner: &str) -> Vec<u8> {
    answer_with(7, owner, &[])
}

/// An answer of the exchange.
pub fn answer_with(id: u16, owner: &str, records: &[Record]) -> Vec<u8> {
    let mut message = Builder::response(id, 1_452);
    message.question(&Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: false });
    records.iter().for_each(|record| assert!(message.answer(record)));
    message.option(&[&[1, 3][..], &[0; 8], &tag(owner), &[1]].concat());
    message.finish()
}

pub fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A go-micro node with this TXT data.
fn micro_node(name: &str, txt: Arc<[u8]>) -> Vec<Record> {
    let (name, host) = (Name::from_dotted(name).unwrap(), Name::from_dotted("vm").unwrap());
    vec![
        record(name.clone(), 120, Data::Srv { port: 80, target: host.clone() }),
        record(name, 120, Data::Txt(txt)),
        record(host, 120, Data::A(STRANGER)),
    ]
}

fn provoke(reason: Refused, wires: Wires, by: fn(&mut Scene) -> RangeInclusive<u64>) {
    let mut scene = Scene::on(wires);
    assert_eq!(scene.refused(), BTreeMap::new(), "in peace");
    let expected = by(&mut scene);
    let refused = scene.refused();
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [reason.name()], "{refused:?}");
    assert!(expected.contains(&refused[reason.name()]), "{refused:?}, not {expected:?}");
}

#[test]
fn among_our_own_kind_nothing_is_refused_in_peace() {
    let both = Wires { dns_sd: true, ..MICRO };
    let mut scene = Scene::on(both);
    let (one, two) = (scene.one, scene.two);
    let others: Vec<usize> = [both, Wires::DNS_SD, MICRO].map(|wires| scene.net.host_with(wires)).into();
    for host in &others {
        scene.net.watch(*host, None);
    }
    for round in 0..10 {
        scene.net.register(one, &service("greeter", round..round + 40), 30);
        scene.net.register(two, &service("printer", 0..round + 1), 120);
        scene.net.get(others[round % 3], "printer");
        scene.net.run(40_000);
    }
    scene.net.deregister(two, &Selection::service("printer"));
    scene.net.close(one);
    scene.net.run(120_000);
    assert_eq!(scene.refused(), BTreeMap::new());
}

macro_rules! provoked {
    ($($reason:ident on $wires:expr; $test:ident: $by:expr)*) => {
        $(#[test] fn $test() {
            provoke(Refused::$reason, $wires, $by);
        })*
        const HERE: &[Refused] = &[$(Refused::$reason),*];
    };
}

/// What needs a socket or the other link: the test that provokes it.
const ELSEWHERE: [(Refused, &str, &str); 4] = [
    (Refused::KernelDrops, "tests/lab_sockets.rs", "what_the_kernel_drops_is_counted"),
    (Refused::MemoryDrops, "tests/lab_sockets.rs", "what_there_is_no_memory_to_read_is_dropped_and_counted"),
    (Refused::ReceiveErrors, "tests/lab_sockets.rs", "what_the_kernel_says_too_little_of_is_not_taken_and_counted"),
    (Refused::LinkFull, "src/link/mdns_sd/hearing_tests.rs", "a_node_too_many_is_refused"),
];

#[test]
fn every_reason_is_provoked_by_a_test() {
    for (reason, file, test) in ELSEWHERE {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let body =
            text.split_once(&format!("#[test]\nfn {test}()")).unwrap_or_else(|| panic!("{file} has no {test}")).1;
        let body = body.split_once("\n}\n").unwrap().0;
        assert!(body.contains(&format!("Refused::{reason:?}")), "{test} does not speak of {reason}");
    }
    let provoked: BTreeSet<Refused> = HERE.iter().copied().chain(ELSEWHERE.map(|(reason, ..)| reason)).collect();
    let missing: Vec<Refused> = Refused::ALL.into_iter().filter(|reason| !provoked.contains(reason)).collect();
    assert!(missing.is_empty(), "nothing provokes {missing:?}");
}

provoked! {
    OtherInterface on Wires::DNS_SD; what_comes_where_nobody_speaks: |scene| {
        let (bytes, from) = (query(service_type(), rtype::PTR, &[]), stranger(0));
        let datagram = Datagram { bytes: &bytes, via: Via::Group, from, to: GROUP, interface: 9 };
        scene.net.deliver(scene.two, datagram);
        ONCE
    }
    OffLink on Wires::DNS_SD; what_comes_from_another_network: |scene| {
        scene.say_from(SocketAddr::from(([198, 51, 100, 9], 5_353)), query(service_type(), rtype::PTR, &[]));
        ONCE
    }
    Oversized on Wires::DNS_SD; a_datagram_of_9001_bytes: |scene| {
        scene.say(vec![0; 9_001]);
        ONCE
    }
    Malformed on Wires::DNS_SD; a_datagram_without_a_whole_header: |scene| {
        scene.say(vec![0; 9_000][..11].to_vec());
        ONCE
    }
    MalformedRecords on Wires::DNS_SD; a_record_that_is_cut_and_a_question_too_many: |scene| {
        let mut cut = response(&[record(Name::from_dotted("h.local").unwrap(), 120, Data::A(STRANGER))]);
        cut.pop();
        scene.say(cut);
        let mut many = Builder::query(0, 9_000);
        let question = Question { name: Name::from_dotted("h.local").unwrap(), rtype: rtype::A, class: 1, unicast: false };
        (0..65).for_each(|_| assert!(many.question(&question)));
        scene.say(many.finish());
        2..=2
    }
    OpcodeOrRcode on Wires::DNS_SD; an_update_and_an_error: |scene| {
        for (byte, bits) in [(2, 5 << 3), (3, 3)] {
            let mut bytes = response(&printer(b"x", STRANGER, strings(&["service=printer"])));
            bytes[byte] |= bits;
            scene.say(bytes);
        }
        2..=2
    }
    OtherClass on Wires::DNS_SD; a_question_and_a_record_of_class_chaos: |scene| {
        scene.say(response(&[Record { class: 3, ..record(service_type(), 120, Data::Ptr(service_type())) }]));
        let mut question = query(service_type(), rtype::PTR, &[]);
        *question.last_mut().unwrap() = 3;
        scene.say(question);
        2..=2
    }
    ResponseFromOtherPort on Wires::DNS_SD; a_response_from_port_40000: |scene| {
        let from = SocketAddr::from((STRANGER, 40_000));
        scene.say_from(from, response(&printer(b"x", STRANGER, strings(&["service=printer"]))));
        ONCE
    }
    ResponseUnasked on Wires::DNS_SD; a_response_by_unicast_to_port_5353: |scene| {
        let bytes = response(&printer(b"x", STRANGER, strings(&["service=printer"])));
        scene.net.inject_unicast(stranger(0), scene.two, bytes);
        scene.net.run(0);
        ONCE
    }
    OwnNodeFromElsewhere on Wires::DNS_SD; what_another_host_says_of_our_own_node: |scene| {
        let forged = response(&[record(service_type(), 0, Data::Ptr(instance(&scene.key)))]);
        scene.ask(stranger(0), forged);
        ONCE
    }
    QuestionMisplaced on Wires::DNS_SD; a_plain_question_to_our_own_port: |scene| {
        scene.say_direct(stranger(0), &query(service_type(), rtype::PTR, &[]));
        ONCE
    }
    OneShotLimited on Wires::DNS_SD; a_hundred_one_shot_questions_at_once: |scene| {
        for port in 0..100 {
            scene.ask(SocketAddr::from((STRANGER, 30_000 + port)), query(service_type(), rtype::PTR, &[]));
        }
        80..=80
    }
    EnumerationsLimited on Wires::DNS_SD; a_hundred_questions_for_all_nodes_by_one_who_knows_them: |scene| {
        let mut message = Builder::query(0, 1_452);
        message.question(&Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: false });
        message.answer(&record(service_type(), 120, Data::Ptr(instance(&scene.key))));
        let message = message.finish();
        (0..100).for_each(|i| scene.ask(stranger(i), message.clone()));
        80..=80
    }
    KnownAnswersFull on Wires::DNS_SD; six_hundred_whose_known_answers_go_on: |scene| {
        let mut message = Builder::query(0, 1_452);
        message.question(&Question { name: service_type(), rtype: rtype::PTR, class: 1, unicast: false });
        message.truncated(true);
        let message = message.finish();
        (0..600).for_each(|i| scene.ask(stranger(i), message.clone()));
        88..=88
    }
    QuestionsFull on Wires::DNS_SD; thousands_of_nodes_without_an_address: |scene| {
        say_printers(scene, 0, 0..4_200, |i| Name::from_dotted(&format!("h{i}.local")));
        1..=400
    }
    ExchangeMalformed on Wires::DNS_SD; options_that_are_cut_or_of_another_version: |scene| {
        for option in [&[2, 1][..], &[1], &[1, 5, 1], &[1, 9], &[1, 1, 0]] {
            scene.ask(stranger(0), query(Name::from_dotted("h.local").unwrap(), rtype::A, option));
        }
        5..=5
    }
    ExchangeMisplaced on Wires::DNS_SD; an_announcements_option_in_a_question_and_a_questions_in_an_announcement: |scene| {
        scene.ask(stranger(0), query(service_type(), rtype::PTR, &[1, 5, 0, 1]));
        let mut announcement = Builder::response(0, 1_452);
        announcement.option(&[1, 1]);
        scene.say(announcement.finish());
        2..=2
    }
    AsksRefused on Wires::DNS_SD; a_hundred_lookups_at_once: |scene| {
        for port in 0..100 {
            scene.ask(SocketAddr::from((STRANGER, 30_000 + port)), query(service_type(), rtype::PTR, &[1, 1]));
        }
        50..=50
    }
    FetchesRefused on Wires::DNS_SD; a_range_twice_and_too_many_fetches_without_a_token: |scene| {
        let owner = scene.owner().to_owned();
        scene.ask(stranger(0), fetch(&owner, 0, &[(0, 9), (9, 20)], 1));
        (0..60).for_each(|_| scene.ask(stranger(0), fetch(&owner, 0, &[(0, u64::MAX)], 1)));
        11..=11
    }
    FetchOfUnknownRegistry on Wires::DNS_SD; a_fetch_from_a_registry_that_is_not_here: |scene| {
        scene.ask(stranger(0), fetch(&invented_tag(1), 0, &[(0, u64::MAX)], 1));
        ONCE
    }
    WrongToken on Wires::DNS_SD; a_token_of_another_address: |scene| {
        let owner = scene.owner().to_owned();
        scene.net.sent.clear();
        scene.ask(stranger(0), fetch(&owner, 7, &[(0, u64::MAX)], 1));
        assert_eq!(scene.net.sent["unicast"], 1);
        ONCE
    }
    GoMicroAsksRefused on MICRO; more_questions_of_one_address_than_are_answered_at_once: |scene| {
        scene.net.register(scene.one, &service("greeter", 0..500), 120);
        scene.net.run(5_000);
        for port in 0..20 {
            scene.ask(SocketAddr::from((STRANGER, 30_000 + port)), query(Name::from_dotted("greeter.micro").unwrap(), rtype::PTR, &[]));
        }
        12..=12
    }
    GoMicroTooManyQuestions on MICRO; six_questions_of_go_micros_in_a_message: |scene| {
        let mut message = Builder::query(7, 1_452);
        let name = Name::from_dotted("greeter.micro").unwrap();
        (0..6).for_each(|_| assert!(message.question(&Question { name: name.clone(), rtype: rtype::PTR, class: 1, unicast: false })));
        scene.ask(SocketAddr::from((STRANGER, 30_000)), message.finish());
        2..=2
    }
    GoMicroTooManyEntries on MICRO; twenty_nodes_of_go_micros_in_a_message: |scene| {
        // Names without a service are nobody's nodes.
        let nodes = (0..20).flat_map(|i| micro_node(&format!("x{i}.micro"), strings(&["00"])));
        scene.say(response_of(&nodes.collect::<Vec<_>>()));
        4..=4
    }
    GoMicroServicesRefused on MICRO; more_services_than_are_asked_for: |scene| {
        for chunk in (0..1_200).collect::<Vec<usize>>().chunks(16) {
            let listed = chunk.iter().flat_map(|i| micro_node(&format!("s{i}._services.micro"), strings(&["00"])));
            scene.say_direct(stranger(0), &response_of(&listed.collect::<Vec<_>>()));
        }
        178..=178
    }
    AnswerUnasked on Wires::DNS_SD; an_answer_of_the_exchange_that_nobody_waits_for: |scene| {
        scene.say_direct(SocketAddr::from((STRANGER, 40_000)), &answer(&invented_tag(1)));
        ONCE
    }
    AnswerFromElsewhere on Wires::DNS_SD; an_answer_of_the_exchange_in_the_name_of_another: |scene| {
        let forged = answer(scene.owner());
        scene.say_direct(SocketAddr::from((STRANGER, 40_000)), &forged);
        ONCE
    }
    RecordFromElsewhere on Wires::DNS_SD; records_of_a_node_from_another_address: |scene| {
        let forged = response(&takeover(&scene.net, scene.one, &scene.key, 99));
        scene.say(forged);
        3..=3
    }
    AliveFromElsewhere on Wires::DNS_SD; an_alive_record_from_another_address: |scene| {
        let forged = alive(scene.owner(), &WHOLE);
        scene.say(forged);
        ONCE
    }
    Alive on Wires::DNS_SD; an_alive_record_without_its_sum: |scene| {
        scene.say(alive(&invented_tag(1), &WHOLE[..1]));
        ONCE
    }
    TooManyStrangers on Wires::DNS_SD; three_hundred_registries_that_appear_at_once: |scene| {
        (0..300).for_each(|i| scene.say(alive(&invented_tag(i), &WHOLE)));
        44..=44
    }
    RegistriesFull on Wires::DNS_SD; seventeen_thousand_registries_with_a_node_each: |scene| {
        for (from, chunk) in (0..17_000_u32).collect::<Vec<_>>().chunks(30).enumerate() {
            let mut message = Builder::response(0, 8_952);
            message.reserve_option(4);
            let sender = u16::try_from(from % 2).unwrap();
            let host = Name::from_dotted(&format!("many-{sender}.local")).unwrap();
            for i in chunk {
                let owner = invented_tag(*i);
                let name = instance(&dnssd::instance_label(&owner, "s", "n").into());
                let texts = ["service=s".to_owned(), "id=n".into(), format!("owner={owner}"), "port=9".into()];
                assert!(message.answer(&record(name.clone(), 120, Data::Srv { port: 9, target: host.clone() })));
                assert!(message.answer(&record(name, 120, Data::Txt(strings(&texts)))));
            }
            assert!(message.answer(&record(host, 120, Data::A(STRANGER))));
            message.option(&[1, 5, 0, 9]);
            scene.say_from(stranger(sender), message.finish());
        }
        617..=617
    }
    Pointer on Wires::DNS_SD; a_pointer_to_another_type: |scene| {
        scene.say(response(&[record(service_type(), 120, Data::Ptr(Name::from_dotted("x._ipp._tcp.local").unwrap()))]));
        ONCE
    }
    TooManyAddresses on Wires::DNS_SD; a_host_with_twenty_addresses: |scene| {
        let mut records = printer(b"x", STRANGER, strings(&["service=printer"]));
        let host = records[2].name.clone();
        records.extend((1..20).map(|i| record(host.clone(), 120, Data::A(Ipv4Addr::new(10, 0, 98, i)))));
        scene.say(response_of(&records));
        4..=4
    }
    CacheFull on Wires::DNS_SD; a_node_beyond_those_that_are_kept: |scene| {
        // The one that is published is kept, too.
        for (from, numbers) in [(0, 0..11_000), (1, 11_000..22_000), (2, 22_000..limits::VIEW_NODES)] {
            say_printers(scene, from, numbers, |_| None);
        }
        2..=2
    }
    SenderFull on Wires::DNS_SD; a_node_beyond_those_that_are_kept_of_one_address: |scene| {
        say_printers(scene, 0, 0..limits::SENDER_NODES + 1, |_| None);
        2..=2
    }
    ReadingLimited on Wires::DNS_SD; more_of_one_address_than_is_read_at_once: |scene| {
        // A node that changes takes no more room.
        for i in 0..100 {
            let payload = deflated(format!(r#"{{"m":{{"{i}":"{}"}}}}"#, "a".repeat(200_000)).as_bytes());
            scene.describe(b"x", &[b"service=printer", &[b"z0=", &payload[..]].concat()]);
        }
        15..=17
    }
    TooManyIncomplete on Wires::DNS_SD; a_node_too_many_that_is_only_pointed_to: |scene| {
        for chunk in (0..4_100).collect::<Vec<usize>>().chunks(100) {
            let pointer = |i: &usize| record(service_type(), 120, Data::Ptr(instance(&format!("x{i}").into())));
            scene.say(response_of(&chunk.iter().map(pointer).collect::<Vec<_>>()));
        }
        4..=4
    }
    OlderRevision on Wires::DNS_SD; a_record_of_an_earlier_revision: |scene| {
        let forged = takeover(&scene.net, scene.one, &scene.key, 0).swap_remove(2);
        let from = SocketAddr::from((scene.net.hosts[scene.one].ip, 5_353));
        scene.say_from(from, response(&[forged]));
        ONCE
    }
    GoMicroFromElsewhere on MICRO; a_go_micro_node_that_another_host_changes: |scene| {
        scene.net.register(scene.one, &service("greeter", 0..1), 60);
        scene.net.run(3_000);
        let mut said = scene.net.last(scene.one, "multicast").to_vec();
        let port = said.windows(2).position(|pair| pair == 8_000_u16.to_be_bytes()).unwrap();
        said[port..port + 2].copy_from_slice(&9_u16.to_be_bytes());
        scene.say(said);
        ONCE
    }
    ViewFull on Wires::DNS_SD; a_node_beyond_those_that_are_listed: |scene| {
        let (now, host) = (scene.net.now, &mut scene.net.hosts[scene.two].engine);
        let mut record = dnssd::decode("x", &["service=printer"], 80).unwrap();
        let reach: Arc<[Reach]> = [Reach { ip: STRANGER.into(), interface: "eth0".into() }].into();
        for i in 0..limits::VIEW_NODES {
            record.key = format!("x{i}").into();
            let sighting = Sighting::Seen { record: Arc::new(Node::clone(&record)), reach: reach.clone() };
            host.handle_sighting(now, &sighting);
        }
        ONCE
    }
    LoopbackAddress on Wires::DNS_SD; a_node_at_127_0_0_1_of_another_host: |scene| {
        scene.describe(b"x", &[b"service=printer", b"a=127.0.0.1"]);
        ONCE
    }
    Unreachable on Wires::DNS_SD; a_node_at_the_address_of_a_group: |scene| {
        scene.say(response(&printer(b"x", Ipv4Addr::new(224, 0, 0, 9), strings(&["service=printer"]))));
        ONCE
    }
    TxtSize on Wires::DNS_SD; txt_of_more_than_8000_bytes: |scene| {
        scene.describe(b"x", &[&[b"service=printer".as_slice()][..], &[[b'x'; 255].as_slice(); 32]].concat());
        ONCE
    }
    TxtVersion on Wires::DNS_SD; txt_of_version_2: |scene| {
        scene.describe(b"x", &[b"txtvers=2", b"service=printer"]);
        ONCE
    }
    TxtHex on MICRO; txt_of_go_micros_that_is_no_hex: |scene| {
        scene.say(response(&micro_node("x.printer.micro", strings(&["xyz0"]))));
        ONCE
    }
    TxtDeflate on Wires::DNS_SD; txt_that_does_not_inflate: |scene| {
        scene.describe(b"x", &[b"service=printer", b"z0=what?"]);
        ONCE
    }
    TxtInflatedSize on Wires::DNS_SD; txt_that_inflates_beyond_a_quarter_of_a_megabyte: |scene| {
        let bomb = deflated(&vec![b' '; limits::INFLATED_BYTES + 1]);
        let (first, second) = bomb.split_at(200);
        scene.describe(b"x", &[b"service=printer", &[b"z0=", first].concat(), &[b"z1=", second].concat()]);
        ONCE
    }
    Utf8 on Wires::DNS_SD; a_service_name_that_is_not_utf_8: |scene| {
        scene.describe(b"x", &[b"service=\xff"]);
        ONCE
    }
    Json on Wires::DNS_SD; json_that_is_cut: |scene| {
        scene.describe(b"x", &[b"service=printer", b"j0={\"m\":"]);
        ONCE
    }
    JsonBound on Wires::DNS_SD; json_33_deep: |scene| {
        let deep = format!("j0={}1{}", "[".repeat(33), "]".repeat(33));
        scene.describe(b"x", &[b"service=printer", deep.as_bytes()]);
        ONCE
    }
    JsonField on Wires::DNS_SD; metadata_that_are_a_number: |scene| {
        scene.describe(b"x", &[b"service=printer", b"j0={\"m\":1}"]);
        ONCE
    }
    Label on Wires::DNS_SD; a_label_that_ends_in_a_dot: |scene| {
        scene.describe(b"x.", &[b"service=printer"]);
        ONCE
    }
    LabelMismatch on Wires::DNS_SD; a_label_that_is_not_of_its_registry: |scene| {
        scene.describe(b"x", &[b"service=printer", b"owner=abcdefghijklmnopqrstuvwxyz"]);
        ONCE
    }
    NoService on Wires::DNS_SD; txt_that_names_no_service: |scene| {
        scene.describe(b"x", &[b"id=x"]);
        ONCE
    }
    Name on Wires::DNS_SD; a_service_name_with_a_control_character: |scene| {
        scene.describe(b"x", &[b"service=a\nb"]);
        ONCE
    }
    Address on Wires::DNS_SD; an_address_that_is_none: |scene| {
        scene.describe(b"x", &[b"service=printer", b"a=10.0.0.1:80"]);
        ONCE
    }
    Port on Wires::DNS_SD; port_0: |scene| {
        scene.describe(b"x", &[b"service=printer", b"port=0"]);
        ONCE
    }
}
