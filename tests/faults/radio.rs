//! Sockets of a stranger: on port 5353, on a port of its own, and one that writes its own IP headers, so that what it
//! says seems to come from anybody.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use etherparse::PacketBuilder;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::lab::role::MDNS_GROUP;

fn multicasts(socket: &Socket) -> io::Result<()> {
    let interface = InterfaceIndexOrAddress::Index(if_nametoindex("eth0").map_err(io::Error::from)?);
    socket.join_multicast_v4_n(&MDNS_GROUP.0, &interface)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_ttl_v4(255)
}

/// Port 5353, as mDNS speaks.
pub fn group() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_reuse_address(true).expect("a shared port");
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, MDNS_GROUP.1).into()).expect("the port");
    multicasts(&socket).expect("the group");
    socket.into()
}

/// A port of its own, as one-shot questions are asked from.
pub fn own_port() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    socket.set_multicast_ttl_v4(255).expect("the hop limit");
    socket
}

/// Says what seems to come from others.
pub struct Forger(Socket);

impl Forger {
    pub fn new() -> Forger {
        let socket =
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).expect("a raw socket");
        socket.set_header_included_v4(true).expect("headers of our own");
        multicasts(&socket).expect("the interface");
        let index = if_nametoindex("eth0").expect("the interface");
        socket.bind_device_by_index_v4(std::num::NonZeroU32::new(index)).expect("the interface");
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
