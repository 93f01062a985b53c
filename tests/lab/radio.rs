//! Sockets of who speaks multicast DNS without being a registry. Made where they are to be heard: `Host::inside`.

use std::net::{SocketAddr, UdpSocket};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::role::MDNS_GROUP;

/// In the group at `eth0`, at an address whose port it shares with others.
pub fn in_the_group(at: SocketAddr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_reuse_address(true).expect("a shared port");
    socket.bind(&at.into()).expect("the port");
    let interface = InterfaceIndexOrAddress::Index(if_nametoindex("eth0").expect("the interface"));
    socket.join_multicast_v4_n(&MDNS_GROUP.0, &interface).expect("the group");
    socket.set_multicast_ttl_v4(255).expect("the hop limit");
    socket.set_ttl_v4(255).expect("the hop limit");
    socket.into()
}
