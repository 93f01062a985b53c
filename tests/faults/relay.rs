//! A wire between two switches that delays, doubles and reorders what passes: a host on both that hands each frame on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::os::fd::AsFd;

use crate::lab::Host;

/// What happens to each frame.
#[derive(Clone, Copy)]
pub struct Weather {
    /// Per cent that come twice.
    pub doubled: u8,
    /// Each copy takes up to so long.
    pub delay: Duration,
}

/// Relays until it is dropped.
pub struct Relay {
    unwanted: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Between `eth0` and `eth1` of a host.
    pub fn start(host: &Host, weather: Weather) -> Relay {
        let sockets = host.inside(|| ["eth0", "eth1"].map(|name| open(name).expect("a packet socket")));
        let unwanted = Arc::new(AtomicBool::new(false));
        let wanted = unwanted.clone();
        let thread = Some(thread::spawn(move || relay(&sockets, weather, &wanted)));
        Relay { unwanted, thread }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("a length");
    // SAFETY: the value is readable for its length.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, (&raw const *value).cast(), length)
    })?;
    Ok(())
}

/// A socket of all frames that come in, each behind the kernel's own header: checksums that the sender left to the
/// hardware are so left to it again.
fn open(name: &str) -> io::Result<OwnedFd> {
    let index = i32::try_from(if_nametoindex(name)?).expect("an index");
    let all = u16::try_from(libc::ETH_P_ALL).expect("a protocol").to_be();
    let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a new descriptor, ours alone.
    let socket = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, flags, i32::from(all)))?) };
    set(&socket, libc::PACKET_VNET_HDR, &1_i32)?;
    set(&socket, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
    let promiscuous = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).expect("a type"),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(&socket, libc::PACKET_ADD_MEMBERSHIP, &promiscuous)?;
    let place = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("a family"),
        sll_protocol: all,
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&place)).expect("a length");
    // SAFETY: the address is readable for its length.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), length) })?;
    Ok(socket)
}

fn relay(sockets: &[OwnedFd; 2], weather: Weather, unwanted: &AtomicBool) {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut waiting: BinaryHeap<Reverse<(Instant, usize, Vec<u8>)>> = BinaryHeap::new();
    let mut frame = vec![0; 65_536];
    while !unwanted.load(Ordering::Relaxed) {
        let idle = waiting.peek().map_or(Duration::from_millis(20), |Reverse((due, ..))| {
            due.saturating_duration_since(Instant::now()).min(Duration::from_millis(20))
        });
        let mut ready = sockets.each_ref().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        let _ = poll(&mut ready, PollTimeout::try_from(idle).expect("a timeout"));
        for (side, socket) in sockets.iter().enumerate() {
            while let Ok(length) = nix::unistd::read(socket, &mut frame) {
                let copies = if rng.u8(..100) < weather.doubled { 2 } else { 1 };
                for _ in 0..copies {
                    let late = weather.delay.mul_f32(rng.f32());
                    waiting.push(Reverse((Instant::now() + late, 1 - side, frame[..length].to_vec())));
                }
            }
        }
        while waiting.peek().is_some_and(|Reverse((due, ..))| *due <= Instant::now()) {
            let Some(Reverse((_, side, frame))) = waiting.pop() else { break };
            let _ = nix::unistd::write(&sockets[side], &frame);
        }
    }
}
