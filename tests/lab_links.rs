//! The two links on one network: what one publishes the other finds, follows and loses, whichever is which.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::time::Duration;

use lab::cli::TOOL;
use lab::{Lab, Process, SOON};
use nix::sys::signal::Signal;
use serde_json::{json, Value};

fn event(watch: &mut Process, action: &str) -> Value {
    watch.expect(action, SOON, |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["action"] == action).then_some(event)
    })
}

/// One host publishes by one link, another looks by the other.
fn pair(publisher: &str, reader: &str) {
    let lab = Lab::new(&format!("{}{}", &publisher[..2], &reader[..2]));
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watch = b.spawn(TOOL, ["watch", "greeter", "--json", "--link", reader]);
    watch.expect_line("it is in line", SOON, |line| line.contains("synced"));
    let node =
        ["register", "greeter", ":9090", "--id", "Go.1", "--version", "1.2.0", "--meta", "zone=Halle ä", "--ttl", "3s"];
    let register = a.spawn(TOOL, node.into_iter().chain(["--link", publisher]));

    let created = event(&mut watch, "create");
    let told = &created["service"]["nodes"][0];
    let (address, port) = (a.ipv4.to_string(), 9090);
    assert_eq!(*told, json!({"id": "Go.1", "address": address, "port": port, "metadata": {"zone": "Halle ä"}}));
    let found = b.run(TOOL, ["get", "greeter", "--json", "--link", reader], SOON).success();
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["nodes"][0], *told);
    assert_eq!(b.run(TOOL, ["list", "--link", reader], SOON).success(), "greeter\n");

    // It outlives its lease of three seconds, and is then withdrawn.
    std::thread::sleep(Duration::from_secs(7));
    register.signal(Signal::SIGTERM);
    let deleted = event(&mut watch, "delete");
    assert_eq!((&deleted["reason"], &deleted["key"]), (&json!("goodbye"), &created["key"]));
}

#[test]
fn native_finds_native() {
    pair("native", "native");
}

#[test]
fn mdns_sd_finds_native() {
    pair("native", "mdns-sd");
}

#[test]
fn native_finds_mdns_sd() {
    pair("mdns-sd", "native");
}

#[test]
fn mdns_sd_finds_mdns_sd() {
    pair("mdns-sd", "mdns-sd");
}
