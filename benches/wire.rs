//! How long it takes to say a record and to hear one.

#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{criterion_group, criterion_main, Criterion};
use mdns_registry::record::Record;
use mdns_registry::wire::dnssd;
use mdns_registry::{Endpoint, Metadata, Node, Service, Value};

fn record(endpoints: usize) -> Record {
    let field = |name: &str, values| Value { name: name.into(), r#type: "string".into(), values };
    let endpoint = |i: usize| Endpoint {
        name: format!("Greeter.Method{i}"),
        request: Some(field("Request", vec![field("name", vec![]), field("language", vec![])])),
        response: Some(field("Response", vec![field("message", vec![])])),
        metadata: Metadata::from([("stream".into(), "false".into())]),
    };
    let service = Service {
        name: "greeter".into(),
        version: "1.2.3".into(),
        metadata: Metadata::from([("team".into(), "front".into())]),
        endpoints: (0..endpoints).map(endpoint).collect(),
        nodes: vec![],
    };
    let metadata = Metadata::from([("zone".into(), "eu-1".into()), ("transport".into(), "grpc".into())]);
    let node = Node { id: "greeter-7f3c9a1e".into(), address: String::new(), port: 8080, metadata };
    let owner = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let key = dnssd::instance_label(owner, &service.name, &node.id).into();
    Record {
        key,
        owner: owner.into(),
        revision: 1,
        lease: 120,
        go_micro: None,
        service: Arc::new(service),
        node: (&node).into(),
    }
}

fn wire(c: &mut Criterion) {
    for endpoints in [0, 1, 20] {
        let said = record(endpoints);
        let txt = dnssd::encode(&said).unwrap_or_default();
        c.bench_function(&format!("encode, {endpoints} endpoints"), |b| b.iter(|| dnssd::encode(black_box(&said))));
        c.bench_function(&format!("decode, {endpoints} endpoints"), |b| {
            b.iter(|| dnssd::decode(&said.key, black_box(&txt), 8080));
        });
    }
}

criterion_group!(benches, wire);
criterion_main!(benches);
