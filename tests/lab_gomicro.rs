//! Beside go-micro's own mDNS registry, of today and of January 2019: what it registers ours sees as its own do, and
//! the other way round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "lab/faces.rs"]
mod faces;
mod lab;
mod programs;

use std::time::{Duration, Instant};

use faces::Face;
use lab::agent::Agent;
use lab::cli::QUIET;
use lab::fold::Fold;
use lab::gomicro::{crossing, nodes_with_services, view_of, Age, GoMicro};
use lab::{Host, Lab, Process, SOON};
use serde_json::{json, Value};
use simple_dns::rdata::RData;

lab::agent::agents!();

/// go-micro announces three times within 3.75 s, in both families.
const ANNOUNCED: Duration = Duration::from_secs(5);
/// A node that was killed says nothing; it lives on for 90 s, and one more.
const MISSED_WITHIN: Duration = Duration::from_secs(95);
const ROUTABLE: &str = "fd00:78::1";

lab::gomicro::for_both_ages! {
    what_go_micro_registers_is_seen_by_every_face_as_by_go_micro;
    a_text_of_five_strings_is_read_whole;
    a_go_micro_node_comes_once_and_goes_once;
    a_killed_go_micro_node_goes_once_within_95_seconds;
    what_ours_registers_is_seen_by_go_micro;
    go_micro_is_told_when_ours_withdraws;
    a_go_micro_node_of_ipv6_is_read;
}

/// A service with all that go-micro carries, its own metadata, which go-micro does not, and nodes with ids of its kind.
fn greeter(version: &str, nodes: Value) -> Value {
    let leaf = |name: &str| json!({"name": name, "type": "string", "values": null});
    let place = json!({"name": "place", "type": "Place", "values": [leaf("city"), leaf("Straße 7")]});
    json!({
        "name": "go.micro.srv.greeter", "version": version, "metadata": {"team": "front desk"}, "nodes": nodes,
        "endpoints": [
            {"name": "Greeter.Hello", "metadata": {"stream": "false", "emoji": "👋🏽", "": "a=b"},
             "request": {"name": "HelloRequest", "type": "HelloRequest", "values": [place, leaf("name")]},
             "response": {"name": "HelloResponse", "type": "HelloResponse", "values": [leaf("greeting")]}},
            {"name": "Greeter.Wave", "request": null, "response": null, "metadata": {}}]})
}

fn node(id: &str, address: &str, port: u16) -> Value {
    let metadata = json!({"broker": "http", "protocol": "mucp", "registry": "mdns", "zone": "Hall A=1 🚪"});
    json!({"id": id, "address": address, "port": port, "metadata": metadata})
}

/// Two versions, three nodes; ids with dots and without.
fn versions(address: &str) -> [Value; 2] {
    let first = json!([
        node("go.micro.srv.greeter-a1b2c3", address, 9090),
        node("greeter-7f3e9c52-6f0b-4a8e-8d3c-0123456789ab", address, 65535)
    ]);
    [greeter("1.2.0", first), greeter("2.0.0-rc.1", json!([node("greeter.new", address, 1)]))]
}

/// A go-micro on a host, with these registered and known to another.
fn registered(host: &Host, age: Age, services: &[Value]) -> GoMicro {
    let mut go_micro = GoMicro::start(host, age);
    services.iter().for_each(|service| go_micro.register(service));
    go_micro
}

fn events(process: &Process) -> impl Iterator<Item = Value> + '_ {
    process.said().iter().map(|line| serde_json::from_str(line).expect("JSON"))
}

/// Reads a watch until `synced`, and says what is present then.
fn present(watch: &mut Process) -> Fold {
    watch.expect_line("synced", SOON, |line| line.contains(r#""synced""#));
    let mut fold = Fold::default();
    events(watch).for_each(|event| fold.take(&event));
    fold
}

/// Waits for so many events of an action, and that no more of any come for `quiet`; the nodes they are about.
fn only(watch: &mut Process, action: &str, count: usize, limit: Duration, quiet: Duration) -> Vec<Value> {
    let next = |watch: &mut Process| watch.expect(action, limit, |line| serde_json::from_str::<Value>(line).ok());
    let told: Vec<Value> = (0..count).map(|_| next(watch)).collect();
    assert!(told.iter().all(|event| event["action"] == action), "{told:#?}");
    assert_eq!(watch.lines_for(quiet), Vec::<String>::new(), "after {told:#?}");
    nodes_with_services(told.iter().map(|event| &event["service"]))
}

fn what_go_micro_registers_is_seen_by_every_face_as_by_go_micro(age: Age) {
    let lab = Lab::new("theirs");
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let (services, options) = (versions(&a.ipv4.to_string()), age.options());
    let _go_micro = registered(&a, age, &services);
    let (mut third, name) = (GoMicro::start(&c, age), "go.micro.srv.greeter");
    let theirs = third.get(name);
    assert_eq!(theirs, crossing(&services));
    // January 2019's lists what is announced while it asks.
    third.watch(name);
    third.events_for(ANNOUNCED);
    assert_eq!(third.list(), [name]);

    let mut agent = Agent::start_with(&b, &options);
    assert_eq!(view_of(&agent.get(name)), theirs);
    for face in Face::ALL {
        assert_eq!(view_of(&face.services(&b, &options, &["get", name])), theirs, "{face:?}");
        let names = face.services(&b, &options, &["list"]);
        assert_eq!(names.iter().map(|service| &service["name"]).collect::<Vec<_>>(), [name], "{face:?}");
    }
    // Nodes that were up before it: each once.
    for face in Face::ALL {
        let mut watch = face.start(&b, &options, &["watch", name]);
        let fold = present(&mut watch);
        assert_eq!(nodes_with_services(fold.services()), nodes_with_services(&theirs), "{face:?}");
        assert_eq!(watch.lines_for(QUIET), Vec::<String>::new(), "{face:?}");
    }
}

fn a_text_of_five_strings_is_read_whole(age: Age) {
    let lab = Lab::new("strings");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut random = fastrand::Rng::with_seed(5);
    let blob: String = std::iter::repeat_with(|| random.alphanumeric()).take(600).collect();
    let address = a.ipv4.to_string();
    let node = json!({"id": "bigtxt-1", "address": address, "port": 7001, "metadata": {"blob": blob}});
    let service = json!({"name": "bigtxt", "version": "1.0.0", "endpoints": [], "nodes": [node]});
    let capture = b.capture();
    let _go_micro = registered(&a, age, std::slice::from_ref(&service));
    let strings = capture.expect("its TXT", SOON, |packets| {
        let records = packets.iter().filter_map(|packet| packet.message.as_ref()).flat_map(|message| message.records());
        records.into_iter().find_map(|record| match &record.rdata {
            RData::TXT(text) => Some(text.iter_raw().count()),
            _ => None,
        })
    });
    assert_eq!(strings, 5);
    assert_eq!(GoMicro::start(&b, age).get("bigtxt"), crossing([&service]));
    assert_eq!(view_of(&Agent::start_with(&b, &age.options()).get("bigtxt")), crossing([&service]));
}

fn a_go_micro_node_comes_once_and_goes_once(age: Age) {
    let lab = Lab::new("once");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let [service, _] = versions(&a.ipv4.to_string());
    let expected = nodes_with_services(&crossing([&service]));
    let mut watches = Face::ALL.map(|face| face.start(&b, &age.options(), &["watch", "go.micro.srv.greeter"]));
    for watch in &mut watches {
        assert_eq!(present(watch).services().count(), 0);
    }
    let mut own = GoMicro::start(&b, age);
    own.watch("go.micro.srv.greeter");
    let mut go_micro = registered(&a, age, std::slice::from_ref(&service));
    let theirs = own.events_for(ANNOUNCED);
    assert_eq!(theirs.iter().filter(|event| event["event"] == "create").count(), 2 * 6, "{theirs:#?}");
    for watch in &mut watches {
        assert_eq!(only(watch, "create", 2, SOON, QUIET), expected);
    }
    go_micro.deregister(&service);
    for watch in &mut watches {
        assert_eq!(only(watch, "delete", 2, SOON, QUIET), expected);
    }
}

fn a_killed_go_micro_node_goes_once_within_95_seconds(age: Age) {
    let lab = Lab::new("killed");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let service = greeter("1.2.0", json!([node("greeter-1", &a.ipv4.to_string(), 9090)]));
    let mut go_micro = registered(&a, age, std::slice::from_ref(&service));
    let mut watch = Face::Tool.start(&b, &age.options(), &["watch", "go.micro.srv.greeter"]);
    assert_eq!(present(&mut watch).services().count(), 1);
    go_micro.process.kill9();
    let killed = Instant::now();
    only(&mut watch, "delete", 1, MISSED_WITHIN, QUIET);
    println!("gone {:?} after the kill", killed.elapsed().saturating_sub(QUIET));
    assert_eq!(Agent::start_with(&b, &age.options()).get("go.micro.srv.greeter"), Vec::<Value>::new());
}

/// What ours registers: its own address, another's, and of IPv6 where go-micro can read that.
fn ours(age: Age) -> [Value; 2] {
    let mut first = vec![node("Greeter.With.Dots", "", 9090), node("elsewhere", "192.0.2.7", 65535)];
    if age == Age::Today {
        first.push(node("routable", ROUTABLE, 7201));
    }
    [greeter("1.2.0", json!(first)), greeter("2.0.0-rc.1", json!([node("greeter.new", "", 1)]))]
}

/// The same as others have it.
fn ours_seen(age: Age, on: &Host) -> Vec<Value> {
    let mut seen = crossing(&ours(age));
    for node in seen.iter_mut().flat_map(|service| service["nodes"].as_array_mut().unwrap()) {
        if node["address"] == "" {
            node["address"] = json!(on.ipv4.to_string());
        }
    }
    seen
}

fn what_ours_registers_is_seen_by_go_micro(age: Age) {
    let lab = Lab::new("ours");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut watching = GoMicro::start(&b, age);
    watching.watch("");
    let mut agent = Agent::start_with(&a, &age.options());
    ours(age).iter().for_each(|service| agent.register(service));
    let expected = ours_seen(age, &a);
    let mut created = Vec::new();
    while created.len() < nodes_with_services(&expected).len() {
        let event = watching.next_event(SOON);
        assert_eq!(event["event"], "create", "{event}");
        let told = nodes_with_services([&event["service"]]).remove(0);
        if !created.contains(&told) {
            created.push(told);
        }
    }
    created.sort_by_key(Value::to_string);
    assert_eq!(created, nodes_with_services(&expected));
    let mut asking = GoMicro::start(&b, age);
    for _ in 0..3 {
        assert_eq!(asking.get("go.micro.srv.greeter"), expected);
        assert_eq!(asking.list(), ["go.micro.srv.greeter"]);
    }
}

fn go_micro_is_told_when_ours_withdraws(age: Age) {
    let lab = Lab::new("withdraws");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut go_micro = GoMicro::start(&b, age);
    go_micro.watch("go.micro.srv.greeter");
    let mut agent = Agent::start_with(&a, &age.options());
    ours(age).iter().for_each(|service| agent.register(service));
    go_micro.events_for(ANNOUNCED);
    agent.deregister(&json!({"name": "go.micro.srv.greeter", "version": "1.2.0"}));
    let told = go_micro.events_for(QUIET);
    assert!(told.iter().all(|event| event["event"] == "delete"), "{told:#?}");
    let mut gone = nodes_with_services(told.iter().map(|event| &event["service"]));
    gone.dedup();
    let (kept, expected): (Vec<_>, Vec<_>) =
        ours_seen(age, &a).into_iter().partition(|service| service["version"] == "2.0.0-rc.1");
    assert_eq!(gone, nodes_with_services(&expected));
    assert_eq!(go_micro.get("go.micro.srv.greeter"), kept);
    agent.close();
    assert_eq!(go_micro.next_event(SOON)["event"], "delete");
    assert_eq!((go_micro.get("go.micro.srv.greeter"), go_micro.list()), (vec![], vec![]));
}

#[test]
fn a_node_on_both_wires_is_one() {
    let lab = Lab::new("wires");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let options = [json!({}), json!({"wire": ["dns-sd"]}), json!({"wire": ["go-micro"]})];
    let mut others = options.map(|options| Agent::start_with(&b, &options));
    others.iter_mut().for_each(|other| other.watch(&json!({"service": "shop"})));
    let mut agent = Agent::start_with(&a, &json!({}));
    for (port, action) in [(9090, "create"), (9091, "update"), (0, "delete")] {
        if action == "delete" {
            agent.deregister(&json!({"name": "shop"}));
        } else {
            agent.register(&json!({"name": "shop", "version": "1.2.0", "metadata": {"Team": "Front Desk"},
                                   "nodes": [{"id": "Till.One", "port": port}]}));
        }
        for other in &mut others {
            let told = other.drain(QUIET);
            let told: Vec<_> = told.iter().filter(|event| event["type"] == "service").collect();
            assert_eq!(told.iter().map(|event| &event["action"]).collect::<Vec<_>>(), [action], "{told:#?}");
            let found = other.get("shop");
            if action == "delete" {
                assert_eq!(found, Vec::<Value>::new());
            } else {
                assert_eq!(found, [told[0]["service"].clone()]);
                assert_eq!(found[0]["metadata"], json!({"Team": "Front Desk"}));
                assert_eq!(
                    found[0]["nodes"],
                    json!([{"id": "Till.One", "address": a.ipv4.to_string(), "port": port,
                                                      "metadata": {}}])
                );
            }
        }
    }
}

/// January 2019's sends it and has `<nil>` for one that it gets.
fn a_go_micro_node_of_ipv6_is_read(age: Age) {
    let lab = Lab::new("ipv6");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let service = greeter("1.2.0", json!([node("routable", ROUTABLE, 7201)]));
    let _go_micro = registered(&a, age, std::slice::from_ref(&service));
    if age == Age::Today {
        assert_eq!(GoMicro::start(&b, age).get("go.micro.srv.greeter"), crossing([&service]));
    }
    let mut agent = Agent::start_with(&b, &age.options());
    assert_eq!(view_of(&agent.get("go.micro.srv.greeter")), crossing([&service]));
}
