//! The sockets of multicast DNS, and what the kernel says of the interfaces. No other file of the link names either.
//!
//! Two sockets a family: one on the multicast DNS port, shared with whoever else uses it on this host, and one on a port
//! of our own, to which nobody else's answers go. Packet info says over which interface a datagram came, and names the
//! one it is to leave by.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    bind, recv, recvmsg, sendmsg, setsockopt, socket, sockopt, AddressFamily, ControlMessage, ControlMessageOwned,
    MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::io::{Attached, Datagram, To, Transmit, Via};
use super::message::LARGEST;
use crate::error::Result;
use crate::refused::Refused;
use crate::{interfaces, system};

/// RFC 6762 §3.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// RFC 6762 §3.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Asked for as receive buffer, bytes: thousands answer at once. Without privilege the system grants less.
const BUFFER: usize = 4 << 20;
/// What reading so many datagrams takes at most but once in a while, bytes.
const READING: usize = 1 << 20;
/// Datagrams taken of a socket before anything else is looked at.
const BUDGET: usize = 64;
/// How long one batch of datagrams may wait, in all, for room to send.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);

/// What the sockets have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub datagrams_in: u64,
    pub bytes_in: u64,
    pub datagrams_out: u64,
    pub bytes_out: u64,
    pub receive_errors: u64,
    pub send_errors: u64,
    /// Dropped by the kernel, as the receive buffer was full.
    pub kernel_drops: u64,
    /// Dropped by us, as there was no memory to read them.
    pub memory_drops: u64,
    /// The kernel would not join the group, so often.
    pub joins_refused: u64,
    /// 1 if there are no sockets of IPv6.
    pub ipv6_unavailable: u64,
}

impl Counts {
    /// For `stats`.
    pub fn list(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("datagrams-in", self.datagrams_in),
            ("bytes-in", self.bytes_in),
            ("datagrams-out", self.datagrams_out),
            ("bytes-out", self.bytes_out),
            (Refused::ReceiveErrors.name(), self.receive_errors),
            ("send-errors", self.send_errors),
            (Refused::KernelDrops.name(), self.kernel_drops),
            (Refused::MemoryDrops.name(), self.memory_drops),
            ("joins-refused", self.joins_refused),
            ("ipv6-unavailable", self.ipv6_unavailable),
        ]
    }
}

/// The sockets of one endpoint.
#[derive(Debug)]
pub struct Sockets {
    port: u16,
    open: Vec<Port>,
    /// Interface and whether IPv6: where we are in the group.
    joined: BTreeSet<(u32, bool)>,
    /// The address to speak from on loopback, which the kernel would not choose for a group.
    loopbacks: BTreeMap<u32, Ipv4Addr>,
    counts: Counts,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

#[derive(Debug)]
struct Port {
    via: Via,
    v6: bool,
    socket: Socket,
    number: u16,
    /// Datagrams dropped in it since it is open.
    dropped: u32,
}

impl Sockets {
    /// Opens the sockets; without IPv6 where the host has none.
    ///
    /// # Errors
    /// `NETWORK` if the port cannot be bound, or no descriptor is left.
    pub fn open(port: u16) -> Result<Sockets> {
        let mut open = vec![
            Port::open(Via::Group, false, port)
                .map_err(|error| system::refused(&format!("binding UDP port {port}"), error))?,
            Port::open(Via::Direct, false, 0)
                .map_err(|error| system::refused("binding a UDP port of its own", error))?,
        ];
        let v6 = Port::open(Via::Group, true, port).and_then(|group| Ok([group, Port::open(Via::Direct, true, 0)?]));
        let mut counts = Counts::default();
        match v6 {
            Ok(v6) => open.extend(v6),
            // The family is there, and would be missing for good.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                return Err(system::refused("opening a UDP socket of IPv6", error));
            }
            Err(error) => {
                counts.ipv6_unavailable = 1;
                tracing::info!(%error, "no multicast DNS over IPv6");
            }
        }
        Ok(Sockets {
            port,
            open,
            joined: BTreeSet::new(),
            loopbacks: BTreeMap::new(),
            counts,
            // One byte more shows what is too large.
            buffer: vec![0; LARGEST + 1],
            control: nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo, u32),
        })
    }

    /// The number of our own port; 0 if the family is not there.
    pub fn direct_port(&self, v6: bool) -> u16 {
        self.find(Via::Direct, v6).map_or(0, |port| port.number)
    }

    /// To wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.iter().map(|port| port.socket.as_fd())
    }

    /// What has been done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Joins the group at these places, interface and whether IPv6, and leaves it everywhere else. A place where the
    /// kernel refuses is tried again the next time.
    pub fn speak_on(&mut self, attached: &[Attached], places: impl IntoIterator<Item = (u32, bool)>) {
        let of_loopback = |attached: &&Attached| attached.interface.loopback;
        let v4 = |attached: &Attached| match attached.interface.addrs.iter().find(|ip| ip.is_ipv4()) {
            Some(IpAddr::V4(ip)) => Some((attached.index, *ip)),
            _ => None,
        };
        self.loopbacks = attached.iter().filter(of_loopback).filter_map(v4).collect();
        let wanted: BTreeSet<(u32, bool)> = places.into_iter().collect();
        for place in self.joined.difference(&wanted) {
            // Of an interface that is gone the kernel has left already.
            let _ = self.membership(*place, false);
        }
        let mut joined: BTreeSet<_> = self.joined.intersection(&wanted).copied().collect();
        for place in wanted.difference(&self.joined) {
            match self.membership(*place, true) {
                Ok(()) => drop(joined.insert(*place)),
                Err(error) => {
                    self.counts.joins_refused += 1;
                    tracing::debug!(interface = place.0, v6 = place.1, %error, "the group cannot be joined");
                }
            }
        }
        self.joined = joined;
    }

    fn membership(&self, (interface, v6): (u32, bool), join: bool) -> std::io::Result<()> {
        let Some(Port { socket, .. }) = self.find(Via::Group, v6) else { return Ok(()) };
        let index = InterfaceIndexOrAddress::Index(interface);
        let done = match (v6, join) {
            (false, true) => socket.join_multicast_v4_n(&GROUP_V4, &index),
            (false, false) => socket.leave_multicast_v4_n(&GROUP_V4, &index),
            (true, true) => socket.join_multicast_v6(&GROUP_V6, interface),
            (true, false) => socket.leave_multicast_v6(&GROUP_V6, interface),
        };
        done.or_else(|error| match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Ok(()),
            _ => Err(error),
        })
    }

    /// Takes what has come, of each socket a bounded number; whether more may be there. Without memory to read it, it is
    /// dropped: it would be there at every turn.
    pub fn receive(&mut self, mut take: impl FnMut(Datagram<'_>)) -> bool {
        let (counts, mut more, mut room) = (&mut self.counts, false, None);
        for port in &mut self.open {
            let before = counts.datagrams_in;
            for _ in 0..BUDGET {
                match port.receive(&mut self.buffer, &mut self.control, counts) {
                    Ok(Some((length, from, to, interface))) => {
                        counts.datagrams_in += 1;
                        counts.bytes_in += length as u64;
                        // Asked once, and only when something has come.
                        if !*room.get_or_insert_with(|| system::room(READING).is_ok()) {
                            counts.memory_drops += 1;
                            continue;
                        }
                        take(Datagram { bytes: &self.buffer[..length], via: port.via, from, to, interface });
                    }
                    Ok(None) => counts.receive_errors += 1,
                    Err(Errno::EINTR) => {}
                    Err(Errno::EAGAIN) => break,
                    Err(_) => {
                        counts.receive_errors += 1;
                        break;
                    }
                }
            }
            more |= counts.datagrams_in - before >= BUDGET as u64;
        }
        more
    }

    /// Sends a datagram, or counts that it could not be sent. Waits for room no longer than `patience`, which it takes
    /// the waiting from.
    pub fn send(&mut self, transmit: &Transmit, patience: &mut Duration) {
        let (interface, to) = match transmit.to {
            To::Group { interface, v6: false } => (interface, SocketAddr::from((GROUP_V4, self.port))),
            To::Group { interface, v6: true } => (interface, SocketAddr::from((GROUP_V6, self.port))),
            To::Host { interface, addr: SocketAddr::V6(addr) } if addr.ip().is_unicast_link_local() => {
                (interface, SocketAddrV6::new(*addr.ip(), addr.port(), 0, interface).into())
            }
            To::Host { interface, addr } => (interface, addr),
        };
        let from = self.loopbacks.get(&interface).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let sent = match self.find(transmit.via, to.is_ipv6()) {
            Some(port) => loop {
                match port.send(interface, from, to, &transmit.bytes) {
                    Err(Errno::EINTR) => {}
                    Err(Errno::EAGAIN) if port.has_room_within(patience) => {}
                    other => break other,
                }
            },
            None => Err(Errno::EAFNOSUPPORT),
        };
        match sent {
            Ok(()) => {
                self.counts.datagrams_out += 1;
                self.counts.bytes_out += transmit.bytes.len() as u64;
            }
            Err(error) => {
                self.counts.send_errors += 1;
                tracing::debug!(%to, interface, %error, "a datagram could not be sent");
            }
        }
    }

    fn find(&self, via: Via, v6: bool) -> Option<&Port> {
        self.open.iter().find(|port| port.via == via && port.v6 == v6)
    }
}

impl Port {
    fn open(via: Via, v6: bool, number: u16) -> std::io::Result<Port> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if via == Via::Group {
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(true)?;
        }
        // The hop limit of 255 is RFC 6762 §11. Of groups that others have joined on other interfaces a socket would
        // hear, too; kernels before 4.20 cannot be told for IPv6.
        let unspecified: IpAddr = if v6 {
            socket.set_only_v6(true)?;
            socket.set_unicast_hops_v6(255)?;
            socket.set_multicast_hops_v6(255)?;
            socket.set_multicast_loop_v6(true)?;
            let _ = socket.set_multicast_all_v6(false);
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            socket.set_ttl_v4(255)?;
            socket.set_multicast_ttl_v4(255)?;
            socket.set_multicast_loop_v4(true)?;
            socket.set_multicast_all_v4(false)?;
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            Ipv4Addr::UNSPECIFIED.into()
        };
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).or_else(|_| socket.set_recv_buffer_size(BUFFER));
        socket.bind(&SocketAddr::from((unspecified, number)).into())?;
        let number = socket.local_addr()?.as_socket().map_or(number, |local| local.port());
        Ok(Port { via, v6, socket, number, dropped: 0 })
    }

    /// Length, sender, destination and interface; `None` if the kernel does not say them all.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        control: &mut [u8],
        counts: &mut Counts,
    ) -> nix::Result<Option<(usize, SocketAddr, IpAddr, u32)>> {
        let mut slices = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let got = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(control), MsgFlags::empty())?;
        let mut to = None;
        for message in got.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    let ip = Ipv4Addr::from_bits(u32::from_be(info.ipi_addr.s_addr));
                    to = u32::try_from(info.ipi_ifindex).ok().map(|interface| (ip.into(), interface));
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    to = Some((Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), info.ipi6_ifindex));
                }
                ControlMessageOwned::RxqOvfl(dropped) => {
                    counts.kernel_drops += u64::from(dropped.wrapping_sub(self.dropped));
                    self.dropped = dropped;
                }
                _ => {}
            }
        }
        let from = got.address.and_then(socket_addr);
        Ok(from.zip(to).map(|(from, (to, interface))| (got.bytes, from, to, interface)))
    }

    fn send(&self, interface: u32, from: Ipv4Addr, to: SocketAddr, bytes: &[u8]) -> nix::Result<()> {
        let (slices, fd) = ([IoSlice::new(bytes)], self.socket.as_raw_fd());
        let send = |control: ControlMessage<'_>, to: SocketAddr| {
            sendmsg(fd, &slices, &[control], MsgFlags::empty(), Some(&SockaddrStorage::from(to))).map(drop)
        };
        match to {
            SocketAddr::V4(_) => {
                let index = interface.try_into().map_err(|_| Errno::ENODEV)?;
                let from = libc::in_addr { s_addr: from.to_bits().to_be() };
                let none = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: index, ipi_spec_dst: from, ipi_addr: none };
                send(ControlMessage::Ipv4PacketInfo(&info), to)
            }
            SocketAddr::V6(v6) => {
                let none = libc::in6_addr { s6_addr: [0; 16] };
                let info = libc::in6_pktinfo { ipi6_addr: none, ipi6_ifindex: interface };
                let scope = if v6.ip().is_unicast_link_local() || v6.ip().is_multicast() { interface } else { 0 };
                let to = SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope);
                send(ControlMessage::Ipv6PacketInfo(&info), to.into())
            }
        }
    }

    /// Waits until there is room to send, and takes the time from `patience`.
    fn has_room_within(&self, patience: &mut Duration) -> bool {
        let begun = Instant::now();
        let limit = PollTimeout::try_from(*patience).unwrap_or(PollTimeout::ZERO);
        let ready = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)], limit);
        *patience = patience.saturating_sub(begun.elapsed());
        ready.is_ok_and(|ready| ready > 0)
    }
}

fn socket_addr(storage: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    // Without its scope, which is the interface that stands beside it everywhere.
    let v6 = || storage.as_sockaddr_in6().map(|v6| SocketAddrV6::new(v6.ip(), v6.port(), 0, 0).into());
    v4.or_else(v6)
}

/// What the system calls this host; empty where it does not say.
pub fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// The interfaces that are up and have an address, with what their packets need.
///
/// # Errors
/// `NETWORK` if the system does not list them.
pub fn attached() -> Result<Vec<Attached>> {
    let entries = getifaddrs().map_err(|errno| system::refused("listing the interfaces", errno))?;
    let mut nets: BTreeMap<String, Vec<(IpAddr, u8)>> = BTreeMap::new();
    for entry in entries {
        let ip = |storage: Option<SockaddrStorage>| storage.and_then(socket_addr).map(|address| address.ip());
        if let (Some(address), Some(mask)) = (ip(entry.address), ip(entry.netmask)) {
            nets.entry(entry.interface_name).or_default().push((address, prefix(mask)));
        }
    }
    let mut found: BTreeMap<u32, Attached> = BTreeMap::new();
    for interface in interfaces::list()? {
        // It may be gone by now.
        let Ok(index) = if_nametoindex(&*interface.name) else { continue };
        let mut nets = nets.remove(&*interface.name).unwrap_or_default();
        nets.retain(|(address, _)| interface.addrs.contains(address));
        match found.get_mut(&index) {
            // The label of an address, eth0:1, makes no interface of its own.
            Some(labelled) => {
                labelled.interface.addrs.extend(interface.addrs);
                labelled.nets.extend(nets);
            }
            None => drop(found.insert(index, Attached { interface, index, nets })),
        }
    }
    Ok(found.into_values().collect())
}

fn prefix(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    u8::try_from(ones).unwrap_or(0)
}

/// The kernel's word that an interface or an address has changed.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Listens from now on.
    ///
    /// # Errors
    /// `NETWORK` if there is no netlink, or no descriptor is left.
    pub fn open() -> Result<Changes> {
        const GROUPS: i32 = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let listen = || {
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS as u32))?;
            Ok(Changes(fd))
        };
        listen().map_err(|errno: Errno| system::refused("listening to changes of the interfaces", errno))
    }

    /// To wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Whether something has changed since the last call.
    pub fn take(&self) -> bool {
        let mut changed = false;
        loop {
            match recv(self.0.as_raw_fd(), &mut [0; 4_096], MsgFlags::empty()) {
                // Some were lost, so something has.
                Ok(_) | Err(Errno::ENOBUFS) => changed = true,
                Err(Errno::EINTR) => {}
                Err(_) => return changed,
            }
        }
    }
}
