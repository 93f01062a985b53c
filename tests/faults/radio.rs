//! A stranger that writes its own IP headers, so that what it says seems to come from anybody.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU32;

use etherparse::PacketBuilder;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::lab::role::MDNS_GROUP;

const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

pub struct Forger {
    v4: Socket,
    v6: Socket,
    interface: u32,
}

impl Forger {
    pub fn new() -> Forger {
        let interface = if_nametoindex("eth0").expect("the interface");
        let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).expect("a socket");
        let (v4, v6) = (raw(Domain::IPV4), raw(Domain::IPV6));
        v4.set_header_included_v4(true).expect("headers of our own");
        v4.bind_device_by_index_v4(NonZeroU32::new(interface)).expect("the interface");
        v6.set_header_included_v6(true).expect("headers of our own");
        Forger { v4, v6, interface }
    }

    /// Multicasts a message from an address and port that need not be its own.
    pub fn say(&self, from: IpAddr, port: u16, message: &[u8]) {
        let (headers, socket, to) = match from {
            IpAddr::V4(from) => {
                let headers = PacketBuilder::ipv4(from.octets(), MDNS_GROUP.0.octets(), 255);
                (headers, &self.v4, SockAddr::from(SocketAddrV4::new(MDNS_GROUP.0, 0)))
            }
            IpAddr::V6(from) => {
                let headers = PacketBuilder::ipv6(from.octets(), GROUP_V6.octets(), 255);
                (headers, &self.v6, SockAddr::from(SocketAddrV6::new(GROUP_V6, 0, 0, self.interface)))
            }
        };
        let packet = headers.udp(port, MDNS_GROUP.1);
        let mut bytes = Vec::with_capacity(packet.size(message.len()));
        packet.write(&mut bytes, message).expect("a packet");
        socket.send_to(&bytes, &to).expect("sent");
    }
}
