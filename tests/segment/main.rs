//! Whole native endpoints on a simulated link, in virtual time.

mod fold;
mod gomicro;
mod hostile;
mod lessons;
mod net;
mod plans;
mod refused;
mod repeats;
mod room;
#[path = "../simulation/seeds.rs"]
mod seeds;
mod world;

use mdns_registry::link::native::Output;
use mdns_registry::link::{Command, Message, Scope};
use mdns_registry::options::Wires;
use mdns_registry::record::{Owner, Question, Sighting};
use mdns_registry::{Action, Selection};
use net::{service, Net, Weather};

#[test]
fn a_node_is_found_by_a_cold_lookup_within_30_ms() {
    let mut net = Net::new(1, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.register(one, &service("greeter", 0..1), 120);
    net.run(5_000);
    let (ms, found) = net.get(two, "greeter");
    assert!(found == 1 && ms <= 30, "{found} in {ms} ms");
}

#[test]
fn thousands_of_nodes_are_found_by_a_cold_lookup_from_one_host_and_from_many() {
    for (hosts, nodes) in [(1, 100), (1, 5_000), (20, 250)] {
        let mut net = Net::new(2, Weather::FAIR);
        for _ in 0..hosts {
            let host = net.host();
            for part in 0..nodes / 500 + 1 {
                let last = ((part + 1) * 500).min(nodes);
                let from = part * 500;
                if from < last {
                    net.register(host, &service("greeter", from..last), 120);
                }
            }
        }
        net.run(5_000);
        let asker = net.host();
        let (ms, found) = net.get(asker, "greeter");
        assert!(found == hosts * nodes && ms <= 60, "{hosts} x {nodes}: {found} in {ms} ms, {:?}", net.sent);
    }
}

#[test]
fn a_watcher_is_told_of_create_update_and_delete_at_once() {
    let mut net = Net::new(3, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    let watch = net.watch(two, None);
    net.run(1_000);
    net.register(one, &service("greeter", 0..1), 120);
    net.run(5);
    assert_eq!(net.events(two, watch), [(Action::Create, "greeter-0".into(), 8_000)]);
    let moved =
        mdns_registry::Service::from_json(r#"{"name":"greeter","nodes":[{"id":"greeter-0","port":9}]}"#).unwrap();
    let moved = mdns_registry::Service { version: "1.0.0".into(), ..moved };
    net.register(one, &moved, 120);
    net.run(5);
    assert_eq!(net.events(two, watch), [(Action::Update, "greeter-0".into(), 9)]);
    net.deregister(one, &Selection::from_json(r#"{"name":"greeter"}"#).unwrap());
    net.run(50);
    assert_eq!(net.events(two, watch), [(Action::Delete, "greeter-0".into(), 9)]);
}

#[test]
fn a_closed_registry_is_gone_within_50_ms_and_a_killed_one_after_its_lease() {
    for lease in [3, 10, 60] {
        let mut net = Net::new(4, Weather::FAIR);
        let (one, two, watcher) = (net.host(), net.host(), net.host());
        net.watch(watcher, Some("greeter"));
        net.register(one, &service("greeter", 0..5), lease);
        net.register(two, &service("greeter", 5..10), lease);
        net.run(20_000);
        assert_eq!(net.found(watcher, "greeter"), 10);
        net.close(one);
        net.run(50);
        assert_eq!(net.found(watcher, "greeter"), 5);
        net.kill(two);
        let killed = net.now;
        assert!(net.run_until(|net| net.found(watcher, "greeter") == 0, (lease + 2) * 1_000));
        assert!(net.now.0 - killed.0 <= (lease + 1) * 1_000, "lease {lease}: {} ms", net.now.0 - killed.0);
    }
}

#[test]
fn a_killed_node_lives_no_longer_when_another_registry_of_a_process_asks_for_it() {
    let mut net = Net::new(10, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.register(one, &service("greeter", 0..1), 30);
    net.watch(two, None);
    net.run(60_000);
    net.kill(one);
    net.run(20_000);
    let (now, another) = (net.now, Owner::from("bbbbbbbbbbbbbbbbbbbbbbbbba"));
    let endpoint = &mut net.hosts[two].endpoint;
    endpoint.submit(now, &another, Message::Join(Scope::Default.into()));
    let commands = vec![Command::Ask(Question::Everything)];
    endpoint.submit(now, &another, Message::Commands { commands, done: None });
    assert_eq!(net.found(two, "greeter"), 1);
    assert!(net.run_until(|net| net.found(two, "greeter") == 0, 11_000));
}

#[test]
fn a_node_that_goes_while_nobody_asks_for_it_is_not_found_by_who_asks_again() {
    let mut net = Net::new(14, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.register(one, &service("greeter", 0..3), 3_600);
    net.run(5_000);
    assert_eq!(net.get(two, "greeter").1, 3);
    net.run(65_000);
    net.deregister(one, &Selection::from_json(r#"{"name":"greeter","nodes":[{"id":"greeter-0"}]}"#).unwrap());
    net.run(5_000);
    assert_eq!(net.get(two, "greeter").1, 2);
    net.run(65_000);
    net.kill(one);
    assert_eq!(net.get(two, "greeter").1, 0);
}

#[test]
fn who_was_cut_off_when_the_last_node_of_a_registry_went_is_told_so_when_it_hears_again() {
    let mut net = Net::new(15, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.register(one, &service("greeter", 0..1), 3_600);
    net.watch(two, Some("greeter"));
    net.run(5_000);
    assert_eq!(net.found(two, "greeter"), 1);
    net.hosts[one].group = 1;
    net.run(10_000);
    net.deregister(one, &Selection::service("greeter"));
    net.run(600_000);
    assert_eq!(net.found(two, "greeter"), 1);
    net.hosts[one].group = 0;
    assert!(net.run_until(|net| net.found(two, "greeter") == 0, 11_000));
}

#[test]
fn a_watch_of_one_service_goes_on_when_the_watch_of_everything_that_it_was_answered_from_ends() {
    for wires in [Wires::DNS_SD, gomicro::MICRO] {
        let mut net = Net::new(11, Weather::FAIR);
        let (one, two) = (net.host_with(wires), net.host_with(wires));
        net.register(one, &service("greeter", 0..1), 12);
        let all = net.watch(two, None);
        net.run(3_000);
        let watch = net.watch(two, Some("greeter"));
        assert_eq!(net.events(two, watch), [(Action::Create, "greeter-0".into(), 8_000)]);
        net.unwatch(two, all);
        for _ in 0..100 {
            net.run(1_000);
            assert_eq!(net.events(two, watch), []);
        }
        net.register(one, &service("greeter", 1..2), 12);
        net.run(100);
        assert_eq!(net.events(two, watch), [(Action::Create, "greeter-1".into(), 8_001)]);
    }
}

#[test]
fn nothing_live_is_deleted_in_ten_minutes_of_30_percent_loss() {
    for lease in [3, 120] {
        let mut net = Net::new(5, Weather::lossy(0.3));
        let watcher = net.host();
        let watch = net.watch(watcher, None);
        for _ in 0..10 {
            let host = net.host();
            net.register(host, &service("greeter", 0..10), lease);
        }
        assert!(net.run_until(|net| net.found(watcher, "greeter") == 100, 5_000), "{}", net.found(watcher, "greeter"));
        net.run(600_000);
        let deleted = net.events(watcher, watch).iter().filter(|(action, ..)| *action == Action::Delete).count();
        assert_eq!((deleted, net.found(watcher, "greeter")), (0, 100), "lease {lease}");
    }
}

#[test]
fn a_node_that_is_registered_while_its_registry_is_asked_is_not_deleted_by_the_answer() {
    for seed in 0..200 {
        // An answer is overtaken by what was said after it.
        let mut net = Net::new(seed, Weather { delay: 200, ..Weather::FAIR });
        let (one, two) = (net.host(), net.host());
        let watch = net.watch(two, None);
        net.register(one, &service("guest", 0..3), 120);
        net.run(3_000);
        // A goodbye makes others ask.
        net.deregister(one, &Selection::from_json(r#"{"name":"guest","nodes":[{"id":"guest-0"}]}"#).unwrap());
        net.run(seed % 100);
        net.register(one, &service("printer", 0..1), 120);
        // What nobody reads is told as it came out.
        let mut events = Vec::new();
        for _ in 0..3_000 {
            net.run(1);
            events.extend(net.events(two, watch));
        }
        let lost = events.iter().filter(|(action, id, _)| *action == Action::Delete && id.starts_with("printer"));
        assert_eq!((seed, lost.count(), net.found(two, "printer")), (seed, 0, 1));
    }
}

#[test]
fn nodes_that_go_while_their_registry_is_asked_are_no_ghosts() {
    for seed in 0..300 {
        let mut net = Net::new(seed, Weather::FAIR);
        let (one, two) = (net.host(), net.host());
        net.watch(two, None);
        net.register(one, &service("guest", 0..11), 120);
        net.run(3_000);
        // An answer is overtaken by what was said after it.
        net.weather = Weather { loss: 0.5, delay: 200, ..Weather::FAIR };
        for node in 0..10 {
            let gone = serde_json::json!({"name": "guest", "nodes": [{"id": format!("guest-{node}")}]}).to_string();
            net.deregister(one, &Selection::from_json(&gone).unwrap());
            net.run(seed % 100);
        }
        assert!(net.run_until(|net| net.found(two, "guest") == 1, 20_000), "seed {seed}: a ghost");
    }
}

#[test]
fn nodes_that_inflate_to_more_than_is_read_at_once_are_all_found_in_the_end() {
    let mut net = Net::new(9, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    let shapes = (0..250).map(|i| serde_json::json!({"name": format!("field-{i}"), "type": "string"}));
    let request = serde_json::json!({"name": "request", "type": "object", "values": shapes.collect::<Vec<_>>()});
    let endpoints = serde_json::json!([{"name": "Say.Hello", "request": request}]).to_string();
    for part in 0..20 {
        let mut greeter = service("greeter", part * 100..(part + 1) * 100);
        let described = format!(r#"{{"name":"greeter","endpoints":{endpoints},"nodes":[{{"id":"n","port":1}}]}}"#);
        greeter.endpoints = mdns_registry::Service::from_json(&described).unwrap().endpoints;
        net.register(one, &greeter, 120);
    }
    net.run(20_000);
    net.watch(two, Some("greeter"));
    let began = net.now;
    assert!(net.run_until(|net| net.found(two, "greeter") == 2_000, 20_000), "{}", net.found(two, "greeter"));
    assert!(net.hosts[two].dropped.contains_key("reading-limited"), "after {} ms", net.now.0 - began.0);
}

#[test]
fn all_are_visible_within_3_s_after_a_partition_heals() {
    // Three hundred are more than are asked one by one whether they are back.
    for (hosts, seconds) in [(30, 10), (30, 130), (30, 600), (300, 130)] {
        let mut net = Net::new(6, Weather::lossy(0.05));
        let watchers: Vec<usize> = (0..3).map(|_| net.host()).collect();
        for i in 0..hosts {
            let (host, nodes) = (net.host(), 300 / hosts);
            net.hosts[host].group = 0;
            net.register(host, &service("greeter", i * nodes..(i + 1) * nodes), 120);
        }
        for watcher in &watchers {
            net.watch(*watcher, Some("greeter"));
        }
        let all = |net: &Net| watchers.iter().all(|watcher| net.found(*watcher, "greeter") == 300);
        assert!(net.run_until(all, 5_000));
        watchers.iter().for_each(|watcher| net.hosts[*watcher].group = 1);
        net.run(seconds * 1_000);
        watchers.iter().for_each(|watcher| net.hosts[*watcher].group = 0);
        assert!(
            net.run_until(all, 3_000),
            "{hosts} hosts, {seconds} s: {:?}",
            watchers.iter().map(|w| net.found(*w, "greeter")).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_lookup_through_30_percent_loss_is_complete_within_2_s() {
    for (nodes, limit) in [(1, 1_000), (100, 1_000), (1_000, 2_000)] {
        let mut worst = 0;
        for seed in 0..20 {
            let mut net = Net::new(seed, Weather::FAIR);
            let (one, two) = (net.host(), net.host());
            net.register(one, &service("greeter", 0..nodes), 120);
            net.run(3_000);
            net.weather = Weather::lossy(0.3);
            let start = net.now;
            net.get(two, "greeter");
            assert!(
                net.run_until(|net| net.found(two, "greeter") == nodes, limit),
                "seed {seed}: {}",
                net.found(two, "greeter")
            );
            worst = worst.max(net.now.0 - start.0);
        }
        println!("{nodes} nodes: at most {worst} ms");
    }
}

#[test]
fn a_registry_of_many_services_is_not_asked_about_each_at_every_sign_of_life() {
    let mut net = Net::new(8, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    for i in 0..40 {
        net.register(one, &service(&format!("s-{i}"), 0..1), 120);
    }
    for i in 0..100 {
        net.watch(two, Some(&format!("s-{i}")));
    }
    net.run(15_000);
    assert_eq!((0..40).map(|i| net.found(two, &format!("s-{i}"))).sum::<usize>(), 40);
    net.sent.clear();
    net.run(30_000);
    let unicast = net.sent.get("unicast").copied().unwrap_or(0);
    assert!(unicast <= 10, "{unicast} messages by unicast in half a minute of peace");
}

#[test]
fn a_registry_that_asks_more_than_another_of_its_process_is_told_what_that_has_heard() {
    let mut net = Net::new(12, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.register(one, &service("greeter", 0..2), 120);
    net.watch(two, Some("greeter"));
    net.run(5_000);
    let another = Owner::from("bbbbbbbbbbbbbbbbbbbbbbbbba");
    let (now, endpoint) = (net.now, &mut net.hosts[two].endpoint);
    endpoint.submit(now, &another, Message::Join(Scope::Default.into()));
    let commands = vec![Command::Ask(Question::Everything)];
    endpoint.submit(now, &another, Message::Commands { commands, done: None });
    let told = std::iter::from_fn(|| endpoint.poll_output());
    let held = told.filter(|output| matches!(output, Output::Sighting(Sighting::Held { .. })));
    assert_eq!(held.count(), 2);
}
