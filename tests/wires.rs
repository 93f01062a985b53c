//! Registries of one process that speak different wires, on loopback.

use std::time::Duration;

use mdns_registry::{
    Domain, Event, LinkKind, Next, Node, Options, RegisterOptions, Registry, Service, WatchOptions, Wire,
};

fn open(wire: Option<&[Wire]>, domain: Domain) -> Registry {
    let options = Options { addrs: vec!["127.0.0.1".into()], link: LinkKind::Native, ..Options::default() };
    Registry::open(Options { wire: wire.map(<[Wire]>::to_vec), domain, ..options }).unwrap()
}

fn register(registry: &Registry, name: &str, id: &str, ttl: u64) {
    let node = Node { id: id.into(), port: 80, ..Node::default() };
    let service = Service { name: name.into(), nodes: vec![node], ..Service::default() };
    let options = RegisterOptions { ttl: Duration::from_secs(ttl), ..RegisterOptions::default() };
    registry.register(&service, options).wait().unwrap();
}

fn found(registry: &Registry, name: &str) -> Vec<String> {
    let services = registry.get_service(name).wait().unwrap_or_default();
    let mut ids: Vec<String> = services.into_iter().flat_map(|service| service.nodes).map(|node| node.id).collect();
    ids.sort();
    ids
}

#[test]
fn each_sees_of_the_others_what_is_said_on_its_wires() {
    let both = open(None, Domain::Micro);
    let dns_sd = open(Some(&[Wire::DnsSd]), Domain::Micro);
    let micro = open(Some(&[Wire::GoMicro]), Domain::Micro);
    let local = open(Some(&[Wire::GoMicro]), Domain::Local);
    // Before and after the nodes are there.
    let early =
        [&both, &dns_sd, &micro, &local].map(|registry| registry.watch(WatchOptions::service("shared")).unwrap());
    for (registry, id) in [(&both, "both"), (&dns_sd, "dns-sd"), (&micro, "micro"), (&local, "local")] {
        register(registry, "shared", id, 120);
    }
    let expected: [(&Registry, &[&str]); 4] = [
        (&both, &["both", "dns-sd", "micro"]),
        (&dns_sd, &["both", "dns-sd"]),
        (&micro, &["both", "micro"]),
        (&local, &["local"]),
    ];
    for ((registry, ids), watcher) in expected.iter().zip(&early) {
        let mut told = Vec::new();
        while let Next::Event(event) = watcher.next_timeout(Some(Duration::from_millis(500))) {
            told.extend(event.change().map(|change| change.service.nodes[0].id.clone()));
        }
        told.sort();
        assert_eq!(
            (found(registry, "shared"), told),
            (ids.iter().map(|id| (*id).to_owned()).collect(), found(registry, "shared"))
        );
        let late = open(registry.options().wire.as_deref(), registry.options().domain);
        assert_eq!(found(&late, "shared"), *ids);
    }
}

#[test]
fn one_that_asks_by_another_wire_is_not_answered_from_what_was_asked_by_the_first() {
    let watcher = open(Some(&[Wire::DnsSd]), Domain::Micro);
    let watch = watcher.watch(WatchOptions::default()).unwrap();
    while watch.next_timeout(Some(Duration::from_secs(5))) != Next::Event(Event::Synced) {}
    let publisher = open(Some(&[Wire::GoMicro]), Domain::Micro);
    register(&publisher, "asked", "micro", 120);
    let asker = open(Some(&[Wire::GoMicro]), Domain::Micro);
    assert_eq!(found(&asker, "asked"), ["micro"]);
    let late = asker.watch(WatchOptions::service("asked")).unwrap();
    let Next::Event(Event::Service(change)) = late.next_timeout(Some(Duration::from_secs(5))) else {
        panic!("nodes come before `synced`")
    };
    assert_eq!(change.service.nodes[0].id, "micro");
}

#[test]
fn a_node_of_the_same_process_outlives_its_lease_on_go_micros_wire_alone() {
    let [one, two] = [(); 2].map(|()| open(Some(&[Wire::GoMicro]), Domain::Micro));
    register(&one, "lasting", "micro", 3);
    let watch = two.watch(WatchOptions::service("lasting")).unwrap();
    let mut told = Vec::new();
    while let Next::Event(event) = watch.next_timeout(Some(Duration::from_secs(7))) {
        told.extend(event.change().map(|change| change.action));
    }
    assert_eq!(told, [mdns_registry::Action::Create]);
    assert_eq!(found(&two, "lasting"), ["micro"]);
}
