use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::engine::{Engine, WatchId};
use crate::event::{Action, Event, Reason};
use crate::link::{Patience, Scope, Station};
use crate::model::{Node, Service};
use crate::options::{Domain, WatchOptions, Wire, Wires};
use crate::record::{Interface, Key, Owner, Reach, Record, Sighting, Time};
use crate::wire::gomicro;

const PATIENCE: Patience =
    Patience { check_after: Duration::from_secs(90), grace: Duration::from_secs(1), answer: Duration::from_secs(1) };
const BOTH: Wires = Wires { dns_sd: true, go_micro: Some(Domain::Micro), named: false };
const NOW: Time = Time(1_000_000);

fn engine() -> (Engine, WatchId) {
    let station = Station { scope: Scope::Default, wires: BOTH };
    let mut engine = Engine::new(Owner::from("me"), station, PATIENCE);
    let addrs = vec!["10.0.0.1".parse().unwrap()];
    let interface = Interface { name: "eth0".into(), addrs, loopback: false, usable: true };
    engine.handle_sighting(NOW, &Sighting::Interfaces(vec![interface]));
    let watch = engine.watch(NOW, &WatchOptions { service: None, queue: 1_000 }, Duration::from_secs(1));
    (engine, watch)
}

/// A node heard: on go-micro's wire by its name, on DNS-SD under `label`.
fn node(wire: Wire, label: &str, id: &str, port: u16) -> Record {
    let key = match wire {
        Wire::DnsSd => Key::from(label),
        // Of our own kind there are such with a label for a key.
        Wire::GoMicro if label.starts_with("own") => Key::from(label),
        Wire::GoMicro => gomicro::key(id, "greeter", Domain::Micro),
    };
    let go_micro = (wire == Wire::GoMicro).then_some(Domain::Micro);
    let service = Service { name: "greeter".into(), version: "1".into(), ..Service::default() };
    let node = Node { id: id.into(), address: "10.0.0.2".into(), port, ..Node::default() };
    let node = (&node).into();
    Record { owner: key.clone(), key, revision: 0, lease: 90, go_micro, service: service.into(), node }
}

fn seen(engine: &mut Engine, record: &Record) {
    let reach = [Reach { ip: [10, 0, 0, 2].into(), interface: "eth0".into() }].into();
    engine.handle_sighting(NOW, &Sighting::Seen { record: record.clone().into(), reach });
}

fn gone(engine: &mut Engine, record: &Record) {
    engine.handle_sighting(NOW, &Sighting::Gone { key: record.key.clone(), reason: Reason::Goodbye });
}

fn told(engine: &mut Engine, watch: WatchId) -> Vec<(Action, Key)> {
    let change = |event: Event| event.change().map(|change| (change.action, change.key.clone()));
    std::iter::from_fn(|| engine.next_event(watch)).filter_map(change).collect()
}

fn ids(engine: &Engine) -> Vec<(String, u16)> {
    let services = engine.services("greeter");
    services.iter().flat_map(|service| &service.nodes).map(|node| (node.id.clone(), node.port)).collect()
}

#[test]
fn dns_sd_takes_the_place_of_go_micros_entry_without_a_gap_and_gives_it_back() {
    let (mut engine, watch) = engine();
    let (micro, dns_sd) = (node(Wire::GoMicro, "", "n", 80), node(Wire::DnsSd, "n-1", "n", 80));
    seen(&mut engine, &micro);
    assert_eq!(told(&mut engine, watch), [(Action::Create, micro.key.clone())]);
    seen(&mut engine, &dns_sd);
    let changed = [(Action::Create, dns_sd.key.clone()), (Action::Delete, micro.key.clone())];
    assert_eq!(told(&mut engine, watch), changed);
    assert_eq!(ids(&engine), [("n".to_owned(), 80)]);
    seen(&mut engine, &micro);
    assert_eq!(told(&mut engine, watch), []);
    gone(&mut engine, &dns_sd);
    let changed = [(Action::Create, micro.key.clone()), (Action::Delete, dns_sd.key.clone())];
    assert_eq!(told(&mut engine, watch), changed);
    gone(&mut engine, &micro);
    assert_eq!(told(&mut engine, watch), [(Action::Delete, micro.key)]);
    assert_eq!(ids(&engine), []);
}

#[test]
fn another_port_or_version_is_another_node() {
    let (mut engine, _) = engine();
    seen(&mut engine, &node(Wire::GoMicro, "", "n", 80));
    seen(&mut engine, &node(Wire::DnsSd, "n-1", "n", 81));
    let mut other = node(Wire::DnsSd, "n-2", "n", 80);
    other.service = Service { version: "2".into(), ..Service::clone(&other.service) }.into();
    seen(&mut engine, &other);
    assert_eq!(ids(&engine).len(), 3);
}

fn record() -> impl Strategy<Value = Record> {
    let wires = prop_oneof![Just(Wire::DnsSd), Just(Wire::GoMicro)];
    (wires, 0..3, any::<bool>(), 0..2, 80..82_u16).prop_map(|(wire, label, own, id, port)| {
        let own = if own { "own-micro" } else { "label" };
        let label = if wire == Wire::GoMicro { format!("{own}-{id}") } else { format!("label-{label}") };
        node(wire, &label, &format!("n{id}"), port)
    })
}

proptest! {
    #[test]
    fn in_whatever_order_they_come_and_go_each_is_listed_once_and_the_events_say_the_same(
        steps in proptest::collection::vec((record(), any::<bool>()), 0..40),
    ) {
        let (mut engine, watch) = engine();
        let (mut held, mut folded) = (BTreeMap::new(), BTreeMap::new());
        for (record, comes) in steps {
            match comes {
                true => {
                    seen(&mut engine, &record);
                    held.insert(record.key.clone(), record);
                }
                false => {
                    gone(&mut engine, &record);
                    held.remove(&record.key);
                }
            }
            let same = |one: &Record, two: &Record| (one.node.id(), one.node.port()) == (two.node.id(), two.node.port());
            let better = |record: &Record| {
                record.go_micro.is_some() && held.values().any(|o| o.go_micro.is_none() && same(o, record))
            };
            let listed: Vec<&Record> = held.values().filter(|record| !better(record)).collect();
            let mut expected: Vec<_> = listed.iter().map(|r| (r.node.id().to_owned(), r.node.port())).collect();
            expected.sort();
            let mut found = ids(&engine);
            found.sort();
            prop_assert_eq!(found, expected);
            while let Some(event) = engine.next_event(watch) {
                let Some(change) = event.change() else { continue };
                match change.action {
                    Action::Delete => prop_assert!(folded.remove(&change.key).is_some()),
                    Action::Create => prop_assert!(folded.insert(change.key.clone(), ()).is_none()),
                    _ => prop_assert!(folded.contains_key(&change.key)),
                }
            }
            let keys: Vec<Key> = listed.iter().map(|record| record.key.clone()).collect();
            prop_assert_eq!(folded.keys().cloned().collect::<Vec<_>>(), keys);
        }
    }
}
