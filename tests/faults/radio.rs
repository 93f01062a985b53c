//! A stranger that writes its own IP headers, so that what it says seems to come from anybody.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;

use etherparse::PacketBuilder;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::role::MDNS_GROUP;

pub struct Forger(Socket);

impl Forger {
    pub fn new() -> Forger {
        let socket =
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).expect("a raw socket");
        socket.set_header_included_v4(true).expect("headers of our own");
        let index = if_nametoindex("eth0").expect("the interface");
        socket.bind_device_by_index_v4(NonZeroU32::new(index)).expect("the interface");
        Forger(socket)
    }

    /// Multicasts a message from an address and port that need not be its own.
    pub fn say(&self, from: Ipv4Addr, port: u16, message: &[u8]) {
        let packet = PacketBuilder::ipv4(from.octets(), MDNS_GROUP.0.octets(), 255).udp(port, MDNS_GROUP.1);
        let mut bytes = Vec::with_capacity(packet.size(message.len()));
        packet.write(&mut bytes, message).expect("a packet");
        let to = SocketAddrV4::new(MDNS_GROUP.0, 0);
        self.0.send_to(&bytes, &to.into()).expect("sent");
    }
}
