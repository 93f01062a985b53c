//! The registry between hosts: what one registers the other gets back, and is told of as it changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::agent::Agent;
use lab::cli::{address, port, register, Watch, QUIET, TOOL};
use lab::fold::{nodes_of, Fold};
use lab::{Lab, SOON};
use nix::sys::signal::Signal;
use serde_json::{json, Value};

/// Than the shortest there is, 3 s, and what is allowed on top until a node is gone.
const LONGER_THAN_THE_LEASE: Duration = Duration::from_secs(8);

lab::agent::agents!();

fn greeter(port: u16) -> Value {
    json!({"name": "greeter", "version": "1.0.0", "nodes": [{"id": "greeter-1", "address": "", "port": port}]})
}

/// A value with every key, and metadata as nobody would write them but all may.
fn elaborate(version: &str, this_host: &str) -> Value {
    let leaf = |name: &str| json!({"name": name, "type": "string", "values": []});
    let place = json!({"name": "place", "type": "Place", "values": [leaf("city"), leaf("Straße 7")]});
    json!({
        "name": "greeter", "version": version,
        "metadata": {"Team": "Front Desk", "a=b": "=", "with space": " both ends ", "emoji": "👋🏽", "empty": ""},
        "endpoints": [
            {"name": "Greeter.Hello", "metadata": {"Stream": "false"},
             "request": {"name": "HelloRequest", "type": "HelloRequest", "values": [place, leaf("name")]},
             "response": {"name": "HelloResponse", "type": "HelloResponse", "values": [leaf("greeting")]}},
            {"name": "Greeter.Wave", "request": null, "response": null, "metadata": {}}],
        "nodes": [
            {"id": "Node.With.Dots", "address": this_host, "port": 9090, "metadata": {"Zone": "Hall A=1", "🚪": "4"}},
            {"id": "box", "address": "box.example.com", "port": 443, "metadata": {}},
            {"id": "elsewhere", "address": "192.0.2.7", "port": 65535, "metadata": {"k": "v"}},
            {"id": "x".repeat(200), "address": this_host, "port": 1, "metadata": {}}]})
}

#[test]
fn another_host_gets_back_exactly_what_was_registered() {
    let lab = Lab::new("exact");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _one = register(&a, &elaborate("1.2.0", ""), &[]);
    let _two = register(&a, &elaborate("2.0.0-rc.1", "0.0.0.0"), &["--ttl", "30s"]);
    lab::may_be_said_again();
    let found = b.run(TOOL, ["get", "greeter", "--json"], SOON).success();
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let a_address = a.ipv4.to_string();
    assert_eq!(found, [elaborate("1.2.0", &a_address), elaborate("2.0.0-rc.1", &a_address)]);
    let names = b.run(TOOL, ["list"], SOON).success();
    assert_eq!(names, "greeter\n");
}

#[test]
fn a_node_as_large_as_the_limit_allows_is_found_on_another_host() {
    let lab = Lab::new("large");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    let mut random = fastrand::Rng::with_seed(6762);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(20_000).collect();
    let node_of = |length: usize| {
        let node = json!({"id": "i".repeat(60), "address": "", "port": 4711, "metadata": {"noise": noise[..length]}});
        json!({"name": "greeter", "version": "1.0.0", "nodes": [node]})
    };
    let (mut fits, mut too_large) = (0, noise.len());
    while too_large - fits > 1 {
        let length = (fits + too_large) / 2;
        match agent.try_register(&node_of(length)) {
            Ok(()) => fits = length,
            Err(error) => {
                assert!(error.contains("bytes of TXT"), "{error}");
                too_large = length;
            }
        }
    }
    assert!(fits > 7_000, "{fits}");
    let mut largest = node_of(fits);
    agent.register(&largest);
    lab::may_be_said_again();
    let found = b.run(TOOL, ["get", "greeter", "--json"], SOON).success();
    largest["nodes"][0]["address"] = json!(a.ipv4.to_string());
    largest["metadata"] = json!({});
    largest["endpoints"] = json!([]);
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), largest);
}

#[test]
fn the_tool_finds_what_was_registered_or_asked_for_just_now() {
    let lab = Lab::new("now");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _registered = register(&a, &greeter(4711), &[]);
    for _ in 0..3 {
        let found = b.run(TOOL, ["get", "greeter", "--json"], SOON).success();
        assert_eq!(port(&serde_json::from_str(&found).unwrap()), 4711);
    }
}

#[test]
fn hosts_see_each_other_both_ways() {
    let lab = Lab::new("both");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, mut on_b) = (Agent::start(&a), Agent::start(&b));
    on_a.register(&json!({"name": "of-a", "nodes": [{"id": "1", "port": 1}]}));
    on_b.register(&json!({"name": "of-b", "nodes": [{"id": "1", "port": 2}]}));
    lab::may_be_said_again();
    assert_eq!(address(&on_a.get("of-b")[0]), b.ipv4.to_string());
    lab::may_be_said_again();
    assert_eq!(address(&on_b.get("of-a")[0]), a.ipv4.to_string());
    assert_eq!(on_b.get("of-nobody"), Vec::<Value>::new());
}

#[test]
fn a_changed_port_is_one_update_and_no_delete() {
    let lab = Lab::new("port");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    let mut watch = Watch::start(&b, "greeter");
    agent.register(&greeter(4711));
    let created = watch.only("create", "announced", SOON);
    agent.register(&greeter(4712));
    let updated = watch.only("update", "changed", SOON);
    assert_eq!((port(&created["service"]), port(&updated["service"])), (4711, 4712));
    assert_eq!(created["key"], updated["key"]);
    agent.register(&greeter(4712));
    watch.nothing_for(QUIET);
}

#[test]
fn a_changed_version_is_a_delete_and_a_create() {
    let lab = Lab::new("version");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    let mut watch = Watch::start(&b, "greeter");
    agent.register(&greeter(4711));
    watch.only("create", "announced", SOON);
    let mut newer = greeter(4711);
    newer["version"] = json!("2.0.0");
    agent.register(&newer);
    let (gone, come) = (watch.next("delete", SOON), watch.next("create", SOON));
    assert_eq!((&gone["action"], &gone["service"]["version"]), (&json!("delete"), &json!("1.0.0")), "{gone}");
    assert_eq!((&come["action"], &come["service"]["version"]), (&json!("create"), &json!("2.0.0")), "{come}");
    watch.nothing_for(QUIET);
}

#[test]
fn deregistering_is_one_delete_within_two_seconds() {
    let lab = Lab::new("dereg");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    agent.register(&greeter(4711));
    let mut watch = Watch::of_greeter(&b, &a);
    agent.deregister(&json!({"name": "greeter"}));
    watch.only("delete", "goodbye", Duration::from_secs(2));
}

#[test]
fn the_tool_withdraws_when_it_is_asked_to_end() {
    let lab = Lab::new("term");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut registered = register(&a, &greeter(4711), &[]);
    let mut watch = Watch::of_greeter(&b, &a);
    registered.signal(Signal::SIGTERM);
    assert_eq!(registered.wait(SOON).code(), Some(0));
    watch.only("delete", "goodbye", Duration::from_secs(2));
}

#[test]
fn a_killed_process_is_gone_soon_after_its_lease() {
    let lab = Lab::new("kill");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut registered = register(&a, &greeter(4711), &["--ttl", "3s"]);
    let mut watch = Watch::of_greeter(&b, &a);
    // While the process lives the lease is renewed, however short.
    watch.nothing_for(Duration::from_secs(7));
    registered.kill9();
    let killed = Instant::now();
    watch.only("delete", "expired", Duration::from_secs(8));
    println!("gone {:?} after the kill", killed.elapsed().saturating_sub(QUIET));
    assert_eq!(b.run(TOOL, ["get", "greeter"], SOON).status.code(), Some(1));
}

#[test]
fn a_watcher_that_was_stopped_longer_than_the_lease_sees_the_living_again() {
    let lab = Lab::new("asleep");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _registered = register(&a, &greeter(4711), &["--ttl", "3s"]);
    let mut watch = Watch::of_greeter(&b, &a);
    watch.0.signal(Signal::SIGSTOP);
    watch.nothing_for(LONGER_THAN_THE_LEASE);
    watch.0.signal(Signal::SIGCONT);
    watch.nothing_for(LONGER_THAN_THE_LEASE);
    let mut fold = Fold::default();
    watch.0.said().iter().for_each(|line| fold.take(&serde_json::from_str(line).unwrap()));
    let found: Value = serde_json::from_str(&b.run(TOOL, ["get", "greeter", "--json"], SOON).success()).unwrap();
    assert_eq!(fold.nodes(), nodes_of([&found]));
}

#[test]
fn a_watcher_that_was_stopped_is_told_of_a_death_meanwhile() {
    let lab = Lab::new("missed");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut registered = register(&a, &greeter(4711), &["--ttl", "3s"]);
    let mut watch = Watch::of_greeter(&b, &a);
    watch.0.signal(Signal::SIGSTOP);
    registered.kill9();
    watch.nothing_for(LONGER_THAN_THE_LEASE);
    watch.0.signal(Signal::SIGCONT);
    watch.only("delete", "expired", Duration::from_secs(13));
}

#[test]
fn an_address_that_changes_reaches_other_hosts() {
    let lab = Lab::new("moves");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    agent.register(&greeter(4711));
    let mut watch = Watch::of_greeter(&b, &a);
    let [_, _, subnet, _] = a.ipv4.octets();
    let new = Ipv4Addr::new(10, 78, subnet, 77);
    // RFC 6762 section 10.2: the flush bit spares what came less than a second ago.
    watch.nothing_for(QUIET);
    a.del_addr(a.ipv4, 24);
    a.add_addr(new, 24);
    watch.comes_to("the new address", &new.to_string(), 4711, Duration::from_secs(5));
    let late = b.run(TOOL, ["get", "greeter", "--json"], SOON).success();
    assert_eq!(address(&serde_json::from_str(&late).unwrap()), new.to_string());
}

#[test]
fn an_interface_that_went_down_and_up_is_spoken_on_again() {
    let lab = Lab::new("updown");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    agent.register(&greeter(4711));
    let mut watch = Watch::of_greeter(&b, &a);
    a.link_down();
    watch.nothing_for(Duration::from_secs(4));
    a.link_up();
    a.await_link();
    lab::eventually("another process on b finds it", Duration::from_secs(12), || {
        b.run(TOOL, ["get", "greeter"], SOON).status.success().then_some(())
    });
    agent.register(&greeter(4712));
    watch.comes_to("the new port at the same address", &a.ipv4.to_string(), 4712, SOON);
}

#[test]
fn a_registry_opened_before_the_network_is_up_speaks_when_it_is() {
    let lab = Lab::new("early");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watch = Watch::start(&b, "greeter");
    a.link_down();
    let mut agent = Agent::start(&a);
    agent.register(&greeter(4711));
    assert_eq!(port(&agent.get("greeter")[0]), 4711);
    a.link_up();
    watch.comes_to("the node", &a.ipv4.to_string(), 4711, Duration::from_secs(12));
}

#[test]
fn an_interface_asked_for_while_it_is_down_is_spoken_on_once_it_is_up() {
    let lab = Lab::new("asked");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watch = Watch::start(&b, "greeter");
    a.link_down();
    let _registered = register(&a, &greeter(4711), &["--addrs", "eth0"]);
    a.link_up();
    watch.comes_to("the node", &a.ipv4.to_string(), 4711, Duration::from_secs(12));
}

#[test]
fn a_partition_of_ten_seconds_deletes_nothing() {
    let lab = Lab::new("part");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut agent = Agent::start(&a);
    agent.register(&greeter(4711));
    let mut watch = Watch::of_greeter(&b, &a);
    a.partition();
    watch.nothing_for(Duration::from_secs(10));
    a.heal();
    agent.register(&greeter(4712));
    watch.only("update", "changed", SOON);
}
