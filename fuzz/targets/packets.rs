//! One datagram: what is read of it builds a message that reads the same, and an endpoint bears it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mdns_registry::link::native::message::{self, Builder, Message, LARGEST, LARGEST_BUILT};
use mdns_registry::link::native::name::Case;
use mdns_registry::link::native::{Attached, Config, Datagram, Endpoint, Output, To, Via};
use mdns_registry::link::{Command, Message as Submitted, Scope, Station};
use mdns_registry::options::Wires;
use mdns_registry::record::{Interface, Owner, Question, Record, Time};
use mdns_registry::wire::dnssd;
use mdns_registry::{Domain, Service};

use super::input::Input;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OFF_LINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// The first byte says how the others come.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let way = input.byte();
    if let Some(read) = message::parse(input.0) {
        assert!(input.0.len() <= LARGEST && read.questions.len() <= 64);
        assert!(read.answers.len() + read.authorities.len() + read.additionals.len() <= 512);
        // Names that differ in case alone share what is compressed (RFC 1035 §2.3.3).
        let kept = message::parse_as(input.0, Case::Kept).expect("what can be read in one case can in the other");
        let expected = rebuilt(&read).1;
        for of in [&read, &kept] {
            assert!(message::parse(&rebuilt(of).0).as_ref() == Some(&expected), "{of:?} is read as something else");
        }
    }
    let from =
        SocketAddr::from((if way & 1 == 0 { PEER } else { OFF_LINK }, if way & 2 == 0 { 5_353 } else { 40_404 }));
    let via = if way & 4 == 0 { Via::Group } else { Via::Direct };
    let to = IpAddr::V4(if way & 8 == 0 { GROUP } else { HOST });
    // Half of the inputs are for the endpoint, which takes ten times as long.
    if way & 16 != 0 {
        deliver(Datagram { bytes: input.0, via, from, to, interface: 2 });
    }
}

/// What can be built of a message, and as what that is to be read.
fn rebuilt(read: &Message) -> (Vec<u8>, Message) {
    let mut built = if read.response { Builder::response(read.id, 8_000) } else { Builder::query(read.id, 8_000) };
    built.truncated(read.truncated);
    let expected = Message {
        id: read.id,
        response: read.response,
        authoritative: read.response,
        truncated: read.truncated,
        questions: read.questions.iter().filter(|question| built.question(question)).cloned().collect(),
        answers: read.answers.iter().filter(|record| built.answer(record)).cloned().collect(),
        authorities: read.authorities.iter().filter(|record| built.authority(record)).cloned().collect(),
        additionals: read.additionals.iter().filter(|record| built.additional(record)).cloned().collect(),
        option: read.option.clone().filter(|option| built.option(option)),
        ..Message::default()
    };
    let bytes = built.finish();
    assert!(bytes.len() <= LARGEST_BUILT);
    (bytes, expected)
}

fn deliver(datagram: Datagram<'_>) {
    let (mut endpoint, mut now) = (endpoint(), Time(1_000_000));
    let mut sent = 0;
    for _ in 0..2 {
        endpoint.handle_datagram(now, datagram);
        for _ in 0..6 {
            while let Some(output) = endpoint.poll_output() {
                let Output::Transmit(transmit) = output else { continue };
                if let To::Host { addr, .. } = transmit.to {
                    assert!(addr.ip() != IpAddr::V4(OFF_LINK), "a message off the link");
                }
                assert!(transmit.bytes.len() <= LARGEST_BUILT && message::parse(&transmit.bytes).is_some());
                sent += 1;
            }
            let Some(due) = endpoint.next_due().filter(|due| due.0 < now.0 + 1_500) else { break };
            now = now.max(due);
            endpoint.handle_timeout(now);
        }
        now = Time(now.0 + 200);
    }
    assert!(sent <= 100, "{sent} messages");
}

/// One that publishes a node on both wires, and wants to know everything.
fn endpoint() -> Endpoint {
    let config =
        Config { port: 5_353, direct_port_v4: 40_000, direct_port_v6: 0, host_name: "vm".into(), seed: [7; 32] };
    let mut endpoint = Endpoint::new(config);
    let now = Time(1_000_000);
    let interface = Interface { name: "eth0".into(), addrs: vec![HOST.into()], loopback: false, usable: true };
    endpoint.set_interfaces(now, vec![Attached { interface, index: 2, nets: vec![(HOST.into(), 24)] }]);
    let owner: Owner = Arc::from("aaaaaaaaaaaaaaaaaaaaaaaaaa");
    let wires = Wires { dns_sd: true, go_micro: Some(Domain::Micro), named: false };
    endpoint.submit(now, &owner, Submitted::Join(Station { scope: Scope::Default, wires }));
    let commands = vec![Command::Ask(Question::Everything), Command::Publish(node(&owner))];
    endpoint.submit(now, &owner, Submitted::Commands { commands, done: None });
    endpoint
}

fn node(owner: &Owner) -> Arc<Record> {
    let json = r#"{"name":"greeter","version":"1","nodes":[{"id":"greeter-1","port":8000,"metadata":{"zone":"a"}}]}"#;
    let service = Service::from_json(json).unwrap();
    let node = (&service.nodes[0]).into();
    let key = Arc::from(dnssd::instance_label(owner, "greeter", "greeter-1"));
    let service = Arc::new(Service { nodes: Vec::new(), ..service });
    Arc::new(Record { key, owner: owner.clone(), revision: 1, lease: 120, go_micro: None, service, node })
}
