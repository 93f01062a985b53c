//! As many nodes as one link must carry, and a reader that does not keep up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::thread;
use std::time::{Duration, Instant};

use lab::agent::Agent;
use lab::fold::{nodes_of, Fold};
use lab::Lab;
use serde_json::{json, Value};

const NODES: u16 = 200;
const ROUNDS: u16 = 20;

lab::agent::agents!();

/// The service whose nodes all carry the number of the round.
fn fleet(round: u16) -> Value {
    let node = |number: u16| {
        json!({"id": format!("ship-{number:03}"), "address": "", "port": 10_000 + number,
               "metadata": {"round": round.to_string(), "zone": "north"}})
    };
    json!({"name": "fleet", "version": "1.0.0", "nodes": (0..NODES).map(node).collect::<Vec<_>>()})
}

/// What others see of it.
fn seen(round: u16, address: &str) -> Vec<Value> {
    let mut fleet = fleet(round);
    for node in fleet["nodes"].as_array_mut().unwrap() {
        node["address"] = json!(address);
    }
    nodes_of([&fleet])
}

#[test]
fn a_fresh_lookup_finds_all_of_two_hundred_nodes() {
    let lab = Lab::new("many");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut on_a = Agent::start(&a);
    on_a.register(&fleet(0));
    lab::may_be_said_again();
    let mut on_b = Agent::start(&b);
    let asked = Instant::now();
    let found = on_b.get("fleet");
    println!("found {} in {:?}", nodes_of(&found).len(), asked.elapsed());
    assert_eq!(nodes_of(&found), seen(0, &a.ipv4.to_string()));
}

#[test]
fn a_reader_that_falls_behind_loses_history_but_not_the_truth() {
    let lab = Lab::new("behind");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, mut on_b) = (Agent::start(&a), Agent::start(&b));
    on_a.register(&fleet(0));
    on_b.watch(&json!({"service": "fleet"}));
    let mut fold = Fold::default();
    while !fold.synced || fold.nodes().len() < usize::from(NODES) {
        let events = on_b.drain(Duration::from_secs(1));
        assert!(!events.is_empty(), "only {} nodes came", fold.nodes().len());
        events.iter().for_each(|event| fold.take(event));
    }
    assert_eq!(fold.resyncs, 0);

    let began = Instant::now();
    for round in 1..=ROUNDS {
        on_a.register(&fleet(round));
        // Spread over the 5 s in which nothing is read; this is load, not waiting for something.
        thread::sleep((Duration::from_secs(5) / u32::from(ROUNDS) * u32::from(round)).saturating_sub(began.elapsed()));
    }
    let expected = seen(ROUNDS, &a.ipv4.to_string());
    lab::eventually("the reader has the present state", Duration::from_secs(15), || {
        on_b.drain(Duration::from_secs(1)).iter().for_each(|event| fold.take(event));
        (fold.nodes() == expected).then_some(())
    });
    assert!(fold.resyncs > 0, "200 nodes changed 20 times, and 1,024 changes were enough");
    assert!(fold.synced);
    assert_eq!(nodes_of(&on_b.get("fleet")), expected);
}
