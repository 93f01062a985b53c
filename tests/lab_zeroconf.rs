//! Beside python-zeroconf: it browses and resolves our nodes, and we find what it publishes under our type.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::agent::{shop, Agent};
use lab::{Host, Lab, Process, SOON};
use serde_json::{json, Value};

/// After the last event.
const QUIET: Duration = Duration::from_millis(500);

lab::agent::agents!();

/// The Python that `tests/python/setup.sh` made, with the packages of its requirements.
fn python() -> PathBuf {
    let tool = Path::new(env!("CARGO_BIN_EXE_mdns-registry"));
    let python = tool.parent().and_then(Path::parent).unwrap().join("python/main/bin/python");
    assert!(python.exists(), "{} is missing: tests/python/setup.sh makes it", python.display());
    python
}

fn zeroconf(host: &Host) -> Process {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/zeroconf_peer.py");
    let mut peer = host.spawn(python(), [script, &host.ipv4.to_string()]);
    peer.expect_line("it is ready", SOON, |line| line == "ready");
    peer
}

/// What it finds, one for each of these ports.
fn found(peer: &mut Process, ports: &[u16]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    while !ports.iter().all(|port| all.iter().any(|found| found["port"] == *port)) {
        all.push(peer.expect("a node", SOON, |line| serde_json::from_str(line.strip_prefix("found ")?).ok()));
    }
    all
}

fn assert_intact(found: &[Value], publisher: &Host) {
    for (id, label, port) in [("Till.One", "tillone-", 9090), ("till-2", "till-2-", 9091)] {
        let node = found.iter().find(|node| node["port"] == port).unwrap();
        assert!(node["label"].as_str().unwrap().starts_with(label), "{node}");
        assert_eq!(node["addresses"], json!([publisher.ipv4.to_string()]), "{node}");
        for (key, value) in [("txtvers", "1"), ("id", id), ("service", "shop"), ("version", "1.2.0"), ("lease", "120")]
        {
            assert_eq!(node["text"][key], value, "{key} of {node}");
        }
    }
}

#[test]
fn zeroconf_resolves_what_is_registered_after_it_and_loses_what_is_withdrawn() {
    let lab = Lab::new("after");
    let (a, c) = (lab.host("a"), lab.host("c"));
    let mut peer = zeroconf(&c);
    let mut agent = Agent::start(&a);
    agent.register(&shop());
    assert_intact(&found(&mut peer, &[9090, 9091]), &a);
    agent.deregister(&json!({"name": "shop"}));
    for label in ["gone tillone-", "gone till-2-"] {
        let said = peer.said().iter().any(|line| line.starts_with(label));
        if !said {
            peer.expect_line("the goodbye", SOON, |line| line.starts_with(label));
        }
    }
}

#[test]
fn zeroconf_resolves_what_was_registered_before_it() {
    let lab = Lab::new("before");
    let (a, c) = (lab.host("a"), lab.host("c"));
    let mut agent = Agent::start(&a);
    agent.register(&shop());
    lab::may_be_said_again();
    assert_intact(&found(&mut zeroconf(&c), &[9090, 9091]), &a);
}

#[test]
fn a_printer_of_zeroconf_is_found_with_its_port_and_lost_with_its_goodbye() {
    let lab = Lab::new("printer");
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let mut agent = Agent::start(&a);
    agent.watch(&json!({"service": "printer"}));
    let mut peer = zeroconf(&c);
    peer.say("publish Laser 631");
    let created = lab::eventually("a printer is created", SOON, || {
        agent.drain(QUIET).into_iter().find(|event| event["action"] == "create")
    });
    let node = &created["service"]["nodes"][0];
    assert_eq!((&node["port"], &node["address"]), (&json!(631), &json!(c.ipv4.to_string())), "{created}");
    assert_eq!(agent.get("printer")[0]["nodes"].as_array().unwrap().len(), 1);

    // An agent that has never asked before finds it as well.
    let mut late = Agent::start(&b);
    lab::eventually("the printer is found", SOON, || {
        late.get("printer").first().is_some_and(|service| service["nodes"][0]["port"] == 631).then_some(())
    });

    // What zeroconf has multicast within a second it multicasts again a second later, also after its goodbye.
    lab::may_be_said_again();
    peer.say("withdraw");
    let deleted = lab::eventually("the printer is deleted", SOON, || {
        agent.drain(QUIET).into_iter().find(|event| event["action"] != "update")
    });
    assert_eq!((&deleted["action"], &deleted["reason"]), (&json!("delete"), &json!("goodbye")), "{deleted}");
    assert_eq!(deleted["key"], created["key"]);
    assert!(agent.get("printer").is_empty());
}
