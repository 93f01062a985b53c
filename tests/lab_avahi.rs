//! Beside avahi-daemon: it shows our nodes as it shows any DNS-SD service, on another host and on the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use lab::agent::{shop, Agent};
use lab::avahi::{Avahi, Resolved};
use lab::{Host, Lab, SOON};
use serde_json::json;

const TYPE: &str = "_mdns-registry._tcp";

lab::agent::agents!();

/// Panics unless both nodes of `shop` were resolved by IPv4, to this host's address and readable.
fn assert_shown(found: &[Resolved], publisher: &Host) {
    for (id, label, port) in [("Till.One", "tillone-", 9090), ("till-2", "till-2-", 9091)] {
        let shown = found.iter().find(|shown| shown.port == port && shown.protocol == "IPv4");
        let shown = shown.unwrap_or_else(|| panic!("{id} was not resolved: {found:#?}"));
        assert!(shown.name.starts_with(label), "{shown:#?}");
        assert_eq!(shown.address, publisher.ipv4);
        for pair in ["txtvers=1", &format!("id={id}"), "service=shop", "version=1.2.0", "lease=120"] {
            assert!(shown.txt.iter().any(|text| text == pair), "{pair:?} is not in {shown:#?}");
        }
    }
}

/// Browses until both nodes are there: avahi-browse ends when it believes to know all, which may be too early.
fn browse(avahi: &Avahi, publisher: &Host) {
    let found = lab::eventually("avahi-browse resolves two nodes by IPv4", SOON, || {
        let found = avahi.browse(TYPE, SOON);
        (found.iter().filter(|shown| shown.protocol == "IPv4").count() == 2).then_some(found)
    });
    assert_shown(&found, publisher);
}

#[test]
fn avahi_browse_on_another_host_resolves_our_nodes() {
    let lab = Lab::new("other");
    let (a, c) = (lab.host("a"), lab.host("c"));
    let on_c = Avahi::start(&c);
    let mut agent = Agent::start(&a);
    agent.register(&shop());
    browse(&on_c, &a);
    agent.deregister(&json!({"name": "shop"}));
    lab::eventually("avahi-browse shows none", SOON, || on_c.browse(TYPE, SOON).is_empty().then_some(()));
}

#[test]
fn an_avahi_that_starts_later_resolves_our_nodes() {
    let lab = Lab::new("later");
    let (a, c) = (lab.host("a"), lab.host("c"));
    let mut agent = Agent::start(&a);
    agent.register(&shop());
    browse(&Avahi::start(&c), &a);
}

/// `a` has both an Avahi and an agent; everyone sees everyone's services.
fn share_a_host(avahi_first: bool) {
    let lab = Lab::new("shared");
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let early = avahi_first.then(|| Avahi::start(&a));
    let mut on_a = Agent::start(&a);
    on_a.register(&shop());
    let on_a_avahi = early.unwrap_or_else(|| Avahi::start(&a));
    let on_c = Avahi::start(&c);

    browse(&on_c, &a);
    browse(&on_a_avahi, &a);
    let mut on_b = Agent::start(&b);
    let found = on_b.get("shop");
    assert_eq!(found[0]["nodes"].as_array().unwrap().len(), 2, "{found:#?}");
    on_b.register(&json!({"name": "bank", "nodes": [{"id": "b-1", "port": 7}]}));
    lab::may_be_said_again();
    assert_eq!(on_a.get("bank")[0]["nodes"][0]["address"], b.ipv4.to_string());

    let mut publisher = on_a_avahi.spawn("avahi-publish", &["-s", "printer", "_lab._tcp", "631"]);
    publisher.expect_line("it is published", SOON, |line| line.starts_with("Established"));
    lab::eventually("c sees what avahi on a publishes", SOON, || {
        on_c.browse("_lab._tcp", SOON).iter().any(|shown| shown.name == "printer").then_some(())
    });
}

#[test]
fn a_registry_shares_its_host_with_an_avahi_that_was_there_first() {
    share_a_host(true);
}

#[test]
fn a_registry_shares_its_host_with_an_avahi_that_came_later() {
    share_a_host(false);
}
