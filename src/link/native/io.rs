//! What crosses the border between the endpoint and its sockets.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::oneshot;

use crate::record::{Interface, Sighting};

/// An interface with what its packets need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Name and addresses.
    pub interface: Interface,
    /// As the kernel counts it.
    pub index: u32,
    /// Its networks: address and prefix length.
    pub nets: Vec<(IpAddr, u8)>,
}

/// One of our sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The multicast DNS port, shared with others.
    Group,
    /// A port of our own.
    Direct,
}

/// A datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its payload.
    pub bytes: &'a [u8],
    /// On which socket.
    pub via: Via,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom to: this host or a group.
    pub to: IpAddr,
    /// Index of the interface.
    pub interface: u32,
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// 224.0.0.251 or ff02::fb on an interface.
    Group {
        /// Its index.
        interface: u32,
        /// ff02::fb.
        v6: bool,
    },
    /// One host.
    Host {
        /// Index of the interface.
        interface: u32,
        /// Address and port.
        addr: SocketAddr,
    },
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From which socket.
    pub via: Via,
    /// Whom to.
    pub to: To,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// What the endpoint wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Tell the registries.
    Sighting(Sighting),
    /// What was asked for has been handed to the network.
    Done(oneshot::Sender<()>),
}

/// What an endpoint is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The multicast DNS port.
    pub port: u16,
    /// Our own port, IPv4; 0 without IPv4.
    pub direct_port_v4: u16,
    /// Our own port, IPv6; 0 without IPv6.
    pub direct_port_v6: u16,
    /// What the system calls this host.
    pub host_name: String,
    /// Randomness for tokens, ids and delays.
    pub seed: [u8; 32],
}
