//! As many nodes as go-micro can find of ours, and all that we can find of go-micro's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use lab::agent::Agent;
use lab::cli::TOOL;
use lab::fold::nodes_of;
use lab::gomicro::{view_of, Age, GoMicro};
use lab::{Lab, SOON};
use serde_json::{json, Value};

lab::agent::agents!();

/// What is measured here is a machine's own.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// A thousand sockets of one process need longer for their answers than a lookup waits by default, where it shares two
/// cores with who asks.
const PATIENCE: &str = "3s";
/// The last of a registration's announcements; a machine that is behind with them loses answers.
const SETTLED: Duration = Duration::from_secs(5);

/// A service of so many nodes, each about 540 bytes on go-micro's wire.
fn fleet(name: &str, nodes: u16, address: Ipv4Addr) -> Value {
    let node = |number: u16| {
        json!({"id": format!("{name}-{number:04}"), "address": address.to_string(), "port": 10_000 + number,
               "metadata": {"broker": "http", "protocol": "mucp", "registry": "mdns", "server": "mucp",
                            "started": format!("2026-11-22T19:{:02}:{:02}Z", number / 60 % 60, number % 60)}})
    };
    let leaf = json!({"name": "name", "type": "string", "values": []});
    let request = json!({"name": "Request", "type": "Request", "values": [leaf]});
    json!({"name": name, "version": "1.0.0", "nodes": (0..nodes).map(node).collect::<Vec<_>>(),
           "endpoints": [{"name": "Say.Hello", "request": request, "response": request, "metadata": {}}]})
}

fn median(mut counts: Vec<usize>) -> usize {
    counts.sort_unstable();
    counts[counts.len() / 2]
}

/// How many nodes each of ten calls of go-micro's `GetService` finds of two services, in turn.
fn go_micro_finds(asker: &mut GoMicro, names: [&str; 2]) -> [Vec<usize>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..10 {
        for (name, found) in names.iter().zip(&mut found) {
            found.push(nodes_of(&asker.get(name)).len());
        }
    }
    found
}

fn go_micro_finds_as_many_of_300_of_ours_as_of_its_own(age: Age) {
    let _turn = ONE_AT_A_TIME.lock();
    let lab = Lab::new("fleet");
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let mut agent = Agent::start_with(&a, &age.options());
    agent.register(&fleet("ours", 300, a.ipv4));
    let mut go_micro = GoMicro::start(&b, age);
    go_micro.register(&fleet("theirs", 300, b.ipv4));
    thread::sleep(SETTLED);
    let [ours, theirs] = go_micro_finds(&mut GoMicro::start(&c, age), ["ours", "theirs"]);
    println!("{age:?}: of 300 of ours {ours:?}, of its own {theirs:?}");
    let (ours, theirs) = (median(ours), median(theirs));
    assert!(theirs > 0 && ours >= theirs, "{ours} of ours, {theirs} of its own");
}

fn a_fresh_process_finds_each_of_1000_go_micro_nodes(age: Age) {
    let _turn = ONE_AT_A_TIME.lock();
    let lab = Lab::new("thousand");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let registered = fleet("theirs", 1_000, a.ipv4);
    let expected = view_of([&registered]);
    let mut go_micro = GoMicro::start(&a, age);
    let began = Instant::now();
    go_micro.register(&registered);
    println!("{age:?}: 1,000 nodes registered in {:?}", began.elapsed());
    thread::sleep(SETTLED);
    println!("{age:?}: go-micro finds {}", nodes_of(&GoMicro::start(&b, age).get("theirs")).len());
    for _ in 0..5 {
        let began = Instant::now();
        let found =
            b.run(TOOL, ["get", "theirs", "--json", "--domain", age.domain(), "--timeout", PATIENCE], SOON).success();
        let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        println!("{age:?}: ours finds {} in {:?}", nodes_of(&found).len(), began.elapsed());
        assert_eq!(view_of(&found), expected);
    }
}

lab::gomicro::for_both_ages! {
    go_micro_finds_as_many_of_300_of_ours_as_of_its_own;
    a_fresh_process_finds_each_of_1000_go_micro_nodes;
}
