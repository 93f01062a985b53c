//! What it costs to take records into a view, to find that nothing changed, and to tell a watch.

use std::sync::Arc;
use std::time::Duration;

use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion, Throughput};
use mdns_registry::engine::Engine;
use mdns_registry::link::{Patience, Scope};
use mdns_registry::record::{Interface, Key, Owner, Reach, Record, Sighting, Time};
use mdns_registry::{Metadata, Node, Service, WatchOptions};

const NOW: Time = Time(1_000_000);

fn engine() -> Engine {
    let (check_after, grace) = (Duration::from_secs(90), Duration::from_secs(2));
    let patience = Patience { check_after, grace, answer: grace };
    let mut engine = Engine::new(Owner::from("reader"), Scope::Default, patience);
    let addrs = vec![[10, 0, 0, 1].into()];
    let interface = Interface { name: Arc::from("net0"), addrs, loopback: false, usable: true };
    engine.handle_sighting(NOW, &Sighting::Interfaces(vec![interface]));
    engine
}

fn sighting(i: usize, revision: u64) -> Sighting {
    let service = Service { name: format!("service-{}", i % 20), version: "1".into(), ..Service::default() };
    let metadata =
        Metadata::from([("zone".to_owned(), format!("z{i}")), ("revision".to_owned(), revision.to_string())]);
    let node = Node { id: format!("node-{i}"), address: String::new(), port: 8_080, metadata };
    let record = Record {
        key: Key::from(format!("node-{i}-key")),
        owner: Owner::from(format!("owner-{}", i / 100)),
        revision,
        lease: 120,
        go_micro: None,
        service: Arc::new(service),
        node: (&node).into(),
    };
    let reach = [Reach { ip: [10, 0, 0, 2].into(), interface: Arc::from("net0") }].into();
    Sighting::Seen { record: Arc::new(record), reach }
}

fn take_in(engine: &mut Engine, sightings: &[Sighting]) {
    for sighting in sightings {
        engine.handle_sighting(NOW, sighting);
        while engine.poll_output().is_some() {}
    }
}

fn merge(c: &mut Criterion) {
    let mut group = c.benchmark_group("view");
    for n in [100, 1_000, 10_000] {
        group.throughput(Throughput::Elements(n as u64));
        let first: Vec<Sighting> = (0..n).map(|i| sighting(i, 1)).collect();
        let second: Vec<Sighting> = (0..n).map(|i| sighting(i, 2)).collect();
        let full = || {
            let mut engine = engine();
            take_in(&mut engine, &first);
            engine
        };
        group.bench_function(BenchmarkId::new("merge new", n), |b| {
            b.iter_batched_ref(engine, |engine| take_in(engine, &first), BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("merge unchanged", n), |b| {
            b.iter_batched_ref(full, |engine| take_in(engine, &first), BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("diff changed, one watch", n), |b| {
            let watched = || {
                let mut engine = full();
                let options = WatchOptions { service: None, queue: n + 1 };
                let id = engine.watch(NOW, &options, Duration::ZERO);
                engine.handle_timeout(NOW);
                while engine.next_event(id).is_some() {}
                (engine, id)
            };
            b.iter_batched_ref(
                watched,
                |(engine, id)| {
                    take_in(engine, &second);
                    while engine.next_event(*id).is_some() {}
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, merge);
criterion_main!(benches);
