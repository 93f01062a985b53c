//! One datagram, put to an endpoint: what it then sends is sound, stays on its link, and is little.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mdns_registry::link::native::message::{self, LARGEST_BUILT};
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
/// Of a network with a prefix of 64 bits.
const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 2);
const OFF_LINK_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, 2);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// The first byte says how the others come.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let way = input.byte();
    let ip: IpAddr = match (way & 64 == 0, way & 1 == 0) {
        (true, true) => PEER.into(),
        (true, false) => OFF_LINK.into(),
        (false, true) => PEER_V6.into(),
        (false, false) => OFF_LINK_V6.into(),
    };
    let from = SocketAddr::from((ip, if way & 2 == 0 { 5_353 } else { 40_404 }));
    let via = if way & 4 == 0 { Via::Group } else { Via::Direct };
    let to = IpAddr::V4(if way & 8 == 0 { GROUP } else { HOST });
    deliver(Datagram { bytes: input.0, via, from, to, interface: 2 });
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
                    assert!(![OFF_LINK.into(), OFF_LINK_V6.into()].contains(&addr.ip()), "a message off the link");
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
        Config { port: 5_353, direct_port_v4: 40_000, direct_port_v6: 40_000, host_name: "vm".into(), seed: [7; 32] };
    let mut endpoint = Endpoint::new(config);
    let now = Time(1_000_000);
    let interface =
        Interface { name: "eth0".into(), addrs: vec![HOST.into(), HOST_V6.into()], loopback: false, usable: true };
    endpoint.set_interfaces(
        now,
        vec![Attached { interface, index: 2, nets: vec![(HOST.into(), 24), (HOST_V6.into(), 64)] }],
    );
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
