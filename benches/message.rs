//! How long it takes to build the messages of 10,000 nodes, three records each, and to read them.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use mdns_registry::link::native::message::{self, Builder, Data, Record};
use mdns_registry::link::native::name::Name;

const NODES: usize = 10_000;
/// What fits an Ethernet frame.
const LIMIT: usize = 1_452;

fn nodes() -> Option<Vec<[Record; 3]>> {
    let service_type = Name::from_dotted("_mreg._tcp.local")?;
    let host = Name::from_dotted("host.local")?;
    let strings = ["id=greeter-7f3c9a1e", "owner=aaaaaaaaaaaaaaaaaaaaaaaaaa", "version=1.2.3", "port=8080"];
    let strings = strings.map(|text| [&[text.len() as u8], text.as_bytes()].concat()).concat();
    let node = |number: usize| {
        let instance = service_type.child(format!("greeter-{number:026}").as_bytes())?;
        let record = |name: &Name, flush, data| Record { name: name.clone(), class: 1, flush, ttl: 120, data };
        Some([
            record(&service_type, false, Data::Ptr(instance.clone())),
            record(&instance, true, Data::Srv { port: 8080, target: host.clone() }),
            record(&instance, true, Data::Txt(strings.as_slice().into())),
        ])
    };
    (0..NODES).map(node).collect()
}

fn build(nodes: &[[Record; 3]]) -> Vec<Vec<u8>> {
    let (mut messages, mut builder) = (Vec::new(), Builder::response(0, LIMIT));
    for node in nodes {
        let group = [&node[0], &node[1], &node[2]];
        if !builder.answers(&group) {
            messages.push(std::mem::replace(&mut builder, Builder::response(0, LIMIT)).finish());
            builder.answers(&group);
        }
    }
    messages.push(builder.finish());
    messages
}

fn messages(c: &mut Criterion) {
    let nodes = nodes().unwrap_or_default();
    let built = build(&nodes);
    let read = || built.iter().filter_map(|bytes| message::parse(black_box(bytes))).map(|m| m.answers.len()).sum();
    assert_eq!(read(), NODES * 3);
    c.bench_function("build 10,000 nodes", |b| b.iter(|| build(black_box(&nodes))));
    c.bench_function("read 10,000 nodes", |b| b.iter(|| -> usize { read() }));
}

criterion_group!(benches, messages);
criterion_main!(benches);
