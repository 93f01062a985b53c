//! How often a record is multicast, whatever is asked (RFC 6762 §6).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use mdns_registry::link::native::message::{self, rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::record::Time;
use mdns_registry::Service;

use super::hostile::{instance, record, service_type, strings, STRANGER};
use super::net::{service, Net, Weather};
use super::refused::query;

/// What a stranger asks of the first host, a few questions a millisecond for three seconds.
struct Asker {
    names: Vec<Name>,
    known: Vec<Record>,
    probes: bool,
    rng: fastrand::Rng,
}

const TYPES: [u16; 7] = [rtype::PTR, rtype::SRV, rtype::TXT, rtype::A, rtype::AAAA, rtype::NSEC, rtype::ANY];

impl Asker {
    fn question(&mut self) -> Vec<u8> {
        let mut message = Builder::query(0, 1_452);
        let names: Vec<Name> =
            (0..self.rng.usize(1..3)).filter_map(|_| self.rng.choice(&self.names).cloned()).collect();
        for name in &names {
            let rtype = *self.rng.choice(&TYPES).unwrap();
            assert!(message.question(&Question { name: name.clone(), rtype, class: 1, unicast: false }));
        }
        if self.rng.u8(..3) == 0 {
            message.answer(self.rng.choice(&self.known).unwrap());
        }
        if self.probes && self.rng.bool() {
            message.authority(&record(names[0].clone(), 120, Data::Txt(strings(&["mine"]))));
        }
        message.finish()
    }
}

/// How often each record was said, and when last.
#[derive(Default)]
struct Heard {
    last: HashMap<(Name, u16, Vec<u8>), Time>,
    answers: HashMap<u16, usize>,
}

impl Heard {
    /// A record comes again after `shared` or `unique` milliseconds at the soonest, but addresses, and additional records that
    /// make the message of a pointer, or one that names no instance, whole.
    fn take(&mut self, now: Time, bytes: &[u8], shared: u64, unique: u64) {
        let Some(message) = message::parse(bytes).filter(|message| message.response) else { return };
        let of = |record: &Record| (record.name.clone(), record.data.rtype(), record.data.rdata().to_vec());
        let pointed: HashSet<&Name> = message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                Data::Ptr(target) => Some(target),
                _ => None,
            })
            .collect();
        let names_instance = message.answers.iter().any(|record| {
            record.data.rtype() == rtype::SRV
                || record.data.rtype() == rtype::TXT
                || matches!(&record.data, Data::Ptr(target) if target.parent() == Some(service_type()))
        });
        let all = message.answers.iter().map(|record| (record, true));
        let all = all.chain(message.additionals.iter().map(|record| (record, false)));
        for (record, is_answer) in all.filter(|(record, _)| record.ttl > 0) {
            let said = of(record);
            let ms = if record.flush { unique } else { shared };
            let is_address = matches!(record.data.rtype(), rtype::A | rtype::AAAA);
            let completes = !is_answer && (is_address || pointed.contains(&record.name) || !names_instance);
            if let Some(last) = self.last.get(&said).filter(|_| !completes) {
                let gap = now.0 - last.0;
                assert!(gap >= ms, "{gap} ms after the last: {said:?}");
            }
            *self.answers.entry(said.1).or_default() += usize::from(is_answer);
            if !is_address || is_answer {
                self.last.insert(said, now);
            }
        }
    }
}

fn play(seed: u64, probes: bool) -> HashMap<u16, usize> {
    let mut net = Net::new(seed, Weather::FAIR);
    let one = net.host();
    net.register(one, &service("greeter", 0..3), 120);
    net.register(one, &service("printer", 0..2), 120);
    net.log = Some(Vec::new());
    net.run(5_000);
    let announced = std::mem::take(net.log.as_mut().unwrap());
    let owner = net.hosts[one].owner.clone();
    let keys = net.hosts[one].engine.keys_of(&owner);
    let dotted = |name: &str| Name::from_dotted(name).unwrap();
    let known: Vec<Record> = keys.iter().map(|key| record(service_type(), 120, Data::Ptr(instance(key)))).collect();
    let mut names: Vec<Name> = keys.iter().map(instance).collect();
    names.extend([service_type(), dotted("_services._dns-sd._udp.local.")]);
    let announced = announced.iter().filter_map(|(_, bytes)| message::parse(bytes));
    names.extend(announced.flat_map(|message| message.answers).map(|record| record.name));
    names.sort();
    names.dedup();
    let mut asker = Asker { names, known, probes, rng: fastrand::Rng::with_seed(seed) };
    let mut heard = Heard::default();
    let unique = if probes { 250 } else { 1_000 };
    for _ in 0..3_000 {
        for _ in 0..2 {
            let question = asker.question();
            net.inject(SocketAddr::from((STRANGER, 5_353)), Some(one), question);
        }
        net.run(1);
        for (_, bytes) in std::mem::take(net.log.as_mut().unwrap()) {
            heard.take(net.now, &bytes, 1_000, unique);
        }
    }
    heard.answers
}

#[test]
fn a_record_is_multicast_once_a_second_whatever_mix_of_questions_asks_for_it() {
    for seed in 0..10 {
        let answers = play(seed, false);
        for rtype in [rtype::PTR, rtype::SRV, rtype::TXT, rtype::A, rtype::NSEC] {
            assert!(answers.get(&rtype).is_some_and(|count| *count > 0), "{rtype}: {answers:?}");
        }
    }
}

#[test]
fn who_probes_without_end_gets_what_is_ours_alone_at_most_four_times_a_second_and_all_else_once() {
    for seed in 0..10 {
        let (probed, asked) = (play(seed, true), play(seed, false));
        assert!(probed[&rtype::SRV] > 2 * asked[&rtype::SRV], "{probed:?}, {asked:?}");
    }
}

#[test]
fn what_was_just_answered_is_not_announced_again_within_a_second() {
    for asked_after in (900..1_100).step_by(10) {
        let mut net = Net::new(asked_after, Weather::FAIR);
        let one = net.host();
        net.log = Some(Vec::new());
        net.register(one, &service("greeter", 0..1), 120);
        let mut heard = Heard::default();
        for ms in 0..3_000 {
            if ms == asked_after {
                net.inject(SocketAddr::from((STRANGER, 5_353)), Some(one), query(service_type(), rtype::PTR, &[]));
            }
            net.run(1);
            for (_, bytes) in std::mem::take(net.log.as_mut().unwrap()) {
                heard.take(net.now, &bytes, 1_000, 1_000);
            }
        }
        assert!(heard.answers[&rtype::PTR] >= 2, "{:?}", heard.answers);
    }
}

#[test]
fn who_was_stopped_says_again_what_it_publishes_and_once() {
    let mut net = Net::new(13, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.watch(one, None);
    net.register(one, &service("greeter", 0..3), 120);
    net.run(5_000);
    net.log = Some(Vec::new());
    net.stop(one);
    // It wakes with a receive buffer that is full.
    for port in 8_000..8_060_u16 {
        let node = format!(r#"{{"name":"printer","version":"1.0.0","nodes":[{{"id":"printer-0","port":{port}}}]}}"#);
        net.register(two, &Service::from_json(&node).unwrap(), 120);
        net.run(1_000);
    }
    net.log.as_mut().unwrap().clear();
    // The first thing that it does is to register more.
    net.register(one, &service("greeter", 3..4), 120);
    net.go_on(one);
    let mut heard = Heard::default();
    for _ in 0..3_000 {
        for (_, bytes) in std::mem::take(net.log.as_mut().unwrap()).into_iter().filter(|(from, _)| *from == one) {
            heard.take(net.now, &bytes, 1_000, 1_000);
        }
        net.run(1);
    }
    let woke = net.hosts[one].endpoint.counters().into_iter().find(|(name, _)| *name == "woke");
    assert_eq!(woke, Some(("woke", 1)));
    assert!(heard.answers[&rtype::TXT] == 8, "{:?}", heard.answers);
}
