//! What strangers fill is not lost to others for good.

use std::sync::Arc;

use mdns_registry::event::Action;
use mdns_registry::link::native::message::Record;
use mdns_registry::Service;

use super::hostile::{strings, STRANGER};
use super::net::{service, Net, Weather};
use super::refused::{deflated, printer, response_of, stranger};

/// TXT of other software, with metadata of a quarter of a megabyte.
fn heavy(number: u32, more: &[&str]) -> Arc<[u8]> {
    let payload = deflated(format!(r#"{{"n":{{"{number}":"{}"}}}}"#, "a".repeat(250_000)).as_bytes());
    let parts = payload.chunks(200).enumerate().map(|(i, part)| [format!("z{i}=").as_bytes(), part].concat());
    let parts: Vec<u8> = parts.flat_map(|part| [&[part.len() as u8], &part[..]].concat()).collect();
    [&strings(more)[..], &parts].concat().into()
}

/// Ten strangers say more nodes of the service than there is room for, each `as_it_is` said.
fn fill(net: &mut Net, to: usize, more: &[&str], as_it_is: impl Fn(Vec<Record>) -> Vec<Record>) {
    for number in 0..400 {
        let described = printer(format!("x{number}").as_bytes(), STRANGER, heavy(number, more));
        net.inject(stranger(number as u16 % 10), Some(to), response_of(&as_it_is(described)));
        net.run(20);
    }
    assert!(net.hosts[to].dropped.contains_key("cache-full"), "{:?}", net.hosts[to].dropped);
}

/// A node as heavy as theirs.
fn another() -> Service {
    let mut another = service("printer", 1..2);
    another.nodes[0].metadata.insert("m".into(), "a".repeat(250_000));
    another
}

#[test]
fn what_is_said_in_part_and_never_told_makes_room_for_others() {
    let mut net = Net::new(71, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.watch(two, Some("printer"));
    net.run(3_000);
    fill(&mut net, two, &["service=printer", "port=9"], |described| described[1..2].to_vec());
    assert_eq!(net.found(two, "printer"), 0);
    net.run(11_000);
    net.register(one, &another(), 120);
    assert!(net.run_until(|net| net.found(two, "printer") == 1, 12_000), "{:?}", net.hosts[two].dropped);
}

#[test]
fn a_node_for_which_there_was_no_room_is_found_when_there_is() {
    let mut net = Net::new(72, Weather::FAIR);
    let (one, two) = (net.host(), net.host());
    net.register(one, &service("printer", 0..1), 120);
    net.watch(two, Some("printer"));
    net.run(3_000);
    fill(&mut net, two, &["service=printer", "lease=10"], |described| described);
    // It is known already, and there is one more.
    net.register(one, &another(), 120);
    net.run(1_000);
    let seen = |net: &Net, id: &str| net.has(two, "printer", id);
    assert!(seen(&net, "printer-0") && !seen(&net, "printer-1"), "{:?}", net.hosts[two].dropped);
    assert!(net.run_until(|net| seen(net, "printer-1"), 40_000), "{:?}", net.hosts[two].dropped);
}

#[test]
fn a_node_that_is_of_another_service_now_is_told_as_deleted() {
    let mut net = Net::new(73, Weather::FAIR);
    let two = net.host();
    let watch = net.watch(two, Some("printer"));
    net.run(3_000);
    let say = |net: &mut Net, text: &str| {
        let described = printer(b"x", STRANGER, strings(&[text, "port=9"]));
        net.inject(stranger(0), Some(two), response_of(&described));
        net.run(5);
    };
    say(&mut net, "service=printer");
    assert_eq!(net.events(two, watch), [(Action::Create, "x".into(), 9)]);
    say(&mut net, "service=scanner");
    assert_eq!(net.events(two, watch), [(Action::Delete, "x".into(), 9)]);
    assert_eq!(net.found(two, "printer"), 0);
}

#[test]
fn another_port_that_could_not_be_read_is_read_when_it_is_said_again() {
    let mut net = Net::new(74, Weather::FAIR);
    let two = net.host();
    let watch = net.watch(two, Some("printer"));
    net.run(3_000);
    let say = |net: &mut Net, port: u16| {
        let mut described = printer(b"x", STRANGER, heavy(0, &["service=printer"]));
        if let mdns_registry::link::native::message::Data::Srv { port: said, .. } = &mut described[0].data {
            *said = port;
        }
        net.inject(stranger(0), Some(two), response_of(&described));
        net.run(5);
    };
    say(&mut net, 80);
    // So much that nothing is read for a while.
    for number in 0..120 {
        let described = printer(b"y", STRANGER, heavy(number, &["service=printer"]));
        net.inject(stranger(0), Some(two), response_of(&described));
    }
    net.run(5);
    net.events(two, watch);
    say(&mut net, 81);
    assert_eq!(net.events(two, watch), [], "it is not read yet");
    net.run(10_000);
    say(&mut net, 81);
    assert_eq!(net.events(two, watch), [(Action::Update, "x".into(), 81)]);
}
