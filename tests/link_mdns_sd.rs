//! Links on one host's loopback interface: what one says, the other hears.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "link/peer.rs"]
mod peer;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mdns_registry::clock;
use mdns_registry::event::Reason;
use mdns_registry::link::{mdns_sd, Command, Message, Scope};
use mdns_registry::record::{Question, Sighting};
use peer::Peer;

#[test]
fn what_one_publishes_changes_and_withdraws_the_other_hears() {
    let (one, mut two) = (Peer::open("one", 5401), Peer::open("two", 5401));
    two.ask();
    let said = one.record("go.micro.Node-1", 8080, 1);
    one.publish(&said);
    let (heard, reach) = two.wait_seen(&said.key, 1);
    assert_eq!(heard, said);
    assert_eq!(reach, ["127.0.0.1@lo"]);

    let changed = one.record("go.micro.Node-1", 9090, 2);
    one.publish(&changed);
    assert_eq!(two.wait_seen(&said.key, 2).0, changed);
    // Back to what the daemon may still have in its cache.
    let back = one.record("go.micro.Node-1", 8080, 3);
    one.publish(&back);
    assert_eq!(two.wait_seen(&said.key, 3).0.node.port(), 8080);

    let withdrawn = Instant::now();
    one.command(vec![Command::Withdraw(said.key.clone())]);
    assert_eq!(two.wait_gone(&said.key), Reason::Goodbye);
    assert!(withdrawn.elapsed() < Duration::from_secs(2), "{:?}", withdrawn.elapsed());
    one.shutdown();
    two.shutdown();
}

#[test]
fn a_newcomer_finds_what_was_just_published_and_its_lookup_settles_after_that() {
    let one = Peer::open("one", 5402);
    let said: Vec<_> = (0..20).map(|i| one.record(&format!("early-{i}"), 1, 1)).collect();
    one.command(said.iter().cloned().map(Command::Publish).collect());
    // What was multicast within the last second is not multicast again (RFC 6762 §6), and each is
    // multicast twice; whenever the newcomer comes, it has to find all.
    for _ in 0..5 {
        let mut newcomer = Peer::open("newcomer", 5402);
        let asked = Instant::now();
        newcomer.ask();
        let mut seen = BTreeSet::new();
        newcomer.wait(|sighting| {
            if let Sighting::Seen { record, .. } = &sighting {
                seen.insert(record.key.clone());
            }
            (sighting == Sighting::Settled(Question::Everything)).then_some(())
        });
        println!("{} found, settled after {:?}", seen.len(), asked.elapsed());
        assert_eq!(seen.len(), 20);
        newcomer.shutdown();
    }
    one.shutdown();
}

#[test]
fn a_lookup_that_nobody_answers_settles_too() {
    let mut one = Peer::open("one", 5403);
    one.ask();
    one.wait(|sighting| matches!(sighting, Sighting::Settled(_)).then_some(()));
    one.shutdown();
}

#[test]
fn a_check_is_answered_while_the_node_lives_and_not_after() {
    let (one, mut two) = (Peer::open("one", 5404), Peer::open("two", 5404));
    two.ask();
    let (dying, living) = (one.record("dying", 1, 1), two.record("living", 2, 1));
    one.publish(&dying);
    two.publish(&living);
    two.wait_seen(&dying.key, 1);
    two.wait_seen(&living.key, 1);
    let before = clock::now();
    two.command(vec![Command::Check(dying.key.clone())]);
    let at = two.wait(|sighting| match sighting {
        Sighting::Alive { keys, at } if keys == [dying.key.clone()] => Some(at),
        _ => None,
    });
    assert!(at >= before && at <= clock::now());

    // A host that is cut off: it says no goodbye, and answers no more.
    one.link.submit(&one.owner, Message::Join(Scope::Named(vec!["nowhere".into()]).into()));
    one.ask();
    two.command(vec![Command::Check(dying.key.clone()), Command::Check(living.key.clone())]);
    two.wait(|sighting| match sighting {
        Sighting::Alive { keys, .. } if keys == [living.key.clone()] => Some(()),
        Sighting::Alive { .. } | Sighting::Gone { .. } => panic!("{sighting:?}"),
        _ => None,
    });
    // It comes back, and is found again without being published again.
    one.link.submit(&one.owner, Message::Join(Scope::Default.into()));
    two.command(vec![Command::Check(dying.key.clone())]);
    two.wait_seen(&dying.key, 1);
    one.shutdown();
    two.shutdown();
}

#[test]
fn withdrawing_one_node_leaves_its_siblings_alone() {
    let (one, mut two) = (Peer::open("one", 5405), Peer::open("two", 5405));
    two.ask();
    let records: Vec<_> = (0..5).map(|i| one.record(&format!("sibling-{i}"), 1, 1)).collect();
    one.command(records.iter().cloned().map(Command::Publish).collect());
    records.iter().for_each(|record| drop(two.wait_seen(&record.key, 1)));
    one.command(vec![Command::Withdraw(records[0].key.clone())]);
    assert_eq!(two.wait_gone(&records[0].key), Reason::Goodbye);
    two.command(records[1..].iter().map(|r| Command::Check(r.key.clone())).collect());
    let mut alive = BTreeSet::new();
    two.wait(|sighting| match sighting {
        Sighting::Alive { keys, .. } => {
            alive.extend(keys);
            (alive.len() == 4).then_some(())
        }
        Sighting::Gone { .. } => panic!("{sighting:?}"),
        _ => None,
    });
    one.shutdown();
    two.shutdown();
}

#[test]
fn a_node_published_right_after_its_goodbye_stays() {
    let (one, mut two) = (Peer::open("one", 5406), Peer::open("two", 5406));
    two.ask();
    let said = one.record("again", 1, 1);
    one.publish(&said);
    two.wait_seen(&said.key, 1);
    one.command(vec![Command::Withdraw(said.key.clone())]);
    let again = one.record("again", 1, 2);
    one.publish(&again);
    // Whether it is gone in between depends on when the second announcement comes.
    two.wait(|sighting| matches!(sighting, Sighting::Seen { record, .. } if record.revision == 2).then_some(()));
    let settles = Instant::now() + Duration::from_secs(3);
    let mut present = true;
    while Instant::now() < settles {
        let left = settles.saturating_duration_since(Instant::now());
        match two.runtime.block_on(async { tokio::time::timeout(left, two.sightings.recv()).await }) {
            Ok(Some(Sighting::Gone { .. })) => present = false,
            Ok(Some(Sighting::Seen { .. })) => present = true,
            _ => {}
        }
    }
    assert!(present);
    one.shutdown();
    two.shutdown();
}

#[test]
fn two_hundred_nodes_published_at_once_are_all_heard_and_all_found() {
    let (one, mut two) = (Peer::open("one", 5407), Peer::open("two", 5407));
    two.ask();
    let records: Vec<_> = (0..200).map(|i| one.record(&format!("bulk-{i}"), 1, 1)).collect();
    one.command(records.iter().cloned().map(Command::Publish).collect());
    let all = |peer: &mut Peer| {
        let mut keys = BTreeSet::new();
        peer.wait(|sighting| {
            if let Sighting::Seen { record, .. } = sighting {
                keys.insert(record.key.clone());
            }
            (keys.len() == 200).then_some(())
        });
    };
    all(&mut two);
    let mut three = Peer::open("three", 5407);
    let asked = Instant::now();
    three.ask();
    all(&mut three);
    println!("200 nodes found by a fresh lookup after {:?}", asked.elapsed());
    one.command(records.iter().map(|r| Command::Withdraw(r.key.clone())).collect());
    let mut gone = BTreeSet::new();
    two.wait(|sighting| {
        if let Sighting::Gone { key, reason } = sighting {
            assert_eq!(reason, Reason::Goodbye);
            gone.insert(key);
        }
        (gone.len() == 200).then_some(())
    });
    [one, two, three].into_iter().for_each(Peer::shutdown);
}

#[test]
fn a_second_registry_of_a_process_is_told_what_the_link_knows() {
    let (one, mut two) = (Peer::open("one", 5408), Peer::open("two", 5408));
    let said = one.record("known", 1, 1);
    one.publish(&said);
    two.ask();
    two.wait_seen(&said.key, 1);
    two.link.submit(&"late".into(), Message::Join(Scope::Default.into()));
    let commands = vec![Command::Ask(Question::Everything)];
    two.link.submit(&"late".into(), Message::Commands { commands, done: None });
    two.wait(|sighting| match sighting {
        Sighting::Held { record, .. } => (record.key == said.key && record.revision == 1).then_some(()),
        _ => None,
    });
    one.shutdown();
    two.shutdown();
}

#[test]
fn a_port_that_cannot_be_bound_is_an_error() {
    let exclusive = std::net::UdpSocket::bind("0.0.0.0:5410").unwrap();
    let error = mdns_sd::open(5410).err().expect("an error");
    assert_eq!(error.status(), mdns_registry::Status::NETWORK, "{error}");
    assert!(error.to_string().contains("5410"), "{error}");
    drop(exclusive);
}
