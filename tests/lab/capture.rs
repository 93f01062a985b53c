//! What a host's interface carries to and from UDP port 5353, reassembled and decoded.

use std::fmt;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use etherparse::defrag::IpDefragPool;
use etherparse::{NetSlice, SlicedPacket, UdpSlice};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::sockopt::{RcvBuf, ReceiveTimeout, ReceiveTimestampns};
use nix::sys::socket::{
    recvmsg, setsockopt, socket, AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, RecvMsg, SockFlag,
    SockProtocol, SockType,
};
use nix::sys::time::{TimeSpec, TimeVal};
use simple_dns::rdata::RData;
use simple_dns::{Name, PacketFlag, Question, ResourceRecord, OPCODE, RCODE};

use super::Host;

/// How often the reader looks whether it is still wanted.
const LOOK_UP: TimeVal = TimeVal::new(0, 50_000);
/// For bursts; the kernel may give less.
const BUFFER_BYTES: usize = 4 << 20;

/// Keeps what passes a host's interface from its start on, until it is dropped.
pub struct Capture {
    packets: Arc<Packets>,
    _ear: Ear,
}

/// A reader of what passes an interface; it ends when this is dropped.
pub struct Ear {
    unwanted: Arc<AtomicBool>,
}

#[derive(Default)]
struct Packets {
    kept: Mutex<Vec<Packet>>,
    more: Condvar,
}

/// One UDP datagram. `{:?}` is one line a record.
#[derive(Clone)]
pub struct Packet {
    /// When it passed.
    pub at: Instant,
    /// Whence.
    pub source: SocketAddr,
    /// Whither.
    pub destination: SocketAddr,
    /// IPv4's time to live or IPv6's hop limit.
    pub hop_limit: u8,
    /// The datagram's bytes, without headers.
    pub payload: Vec<u8>,
    /// What it says; `None` where that is no DNS message.
    pub message: Option<Message>,
}

/// A DNS message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The QR bit.
    pub is_response: bool,
    /// The AA bit.
    pub is_authoritative: bool,
    /// 0 in multicast DNS, RFC 6762 section 18.1.
    pub id: u16,
    /// Standard query in multicast DNS, RFC 6762 section 18.3.
    pub opcode: OPCODE,
    /// No error in multicast DNS, RFC 6762 section 18.11.
    pub rcode: RCODE,
    /// The question section.
    pub questions: Vec<Question<'static>>,
    /// The answer section.
    pub answers: Vec<ResourceRecord<'static>>,
    /// The authority section.
    pub authorities: Vec<ResourceRecord<'static>>,
    /// The additional section, without OPT.
    pub additionals: Vec<ResourceRecord<'static>>,
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packet { source, destination, hop_limit, payload, .. } = self;
        write!(f, "{source} > {destination} hop limit {hop_limit}, {} bytes", payload.len())?;
        let Some(message) = &self.message else { return write!(f, ", not DNS") };
        writeln!(f, ", {}", if message.is_response { "response" } else { "query" })?;
        for question in &message.questions {
            writeln!(f, "  ? {} {:?}", question.qname, question.qtype)?;
        }
        for record in message.records().chain(&message.authorities) {
            let flush = if record.cache_flush { " flush" } else { "" };
            writeln!(f, "  {} {}{flush} {:?}", record.name, record.ttl, record.rdata)?;
        }
        Ok(())
    }
}

impl Host {
    /// Starts to capture on `eth0`; returns when every packet from now on is kept.
    pub fn capture(&self) -> Capture {
        self.capture_on("eth0")
    }

    /// The same on any interface. On loopback each packet passes twice, as it leaves and as it comes.
    pub fn capture_on(&self, interface: &str) -> Capture {
        let packets = Arc::new(Packets::default());
        let kept = packets.clone();
        let keep = move |packet| {
            kept.kept.lock().expect("no panic while held").push(packet);
            kept.more.notify_all();
        };
        Capture { packets, _ear: self.hand_on(interface, keep) }
    }

    /// Hands on what passes `eth0` from now on, and keeps nothing, until it is dropped.
    pub fn listen(&self, take: impl FnMut(Packet) + Send + 'static) -> Ear {
        self.hand_on("eth0", take)
    }

    fn hand_on(&self, interface: &str, take: impl FnMut(Packet) + Send + 'static) -> Ear {
        let (interface, tap) = self.inside(|| {
            let interface = if_nametoindex(interface).expect("the host's interface") as usize;
            (interface, open_tap().expect("a packet socket"))
        });
        let unwanted = Arc::new(AtomicBool::new(false));
        let over = unwanted.clone();
        thread::spawn(move || read_tap(&tap, interface, &over, take));
        Ear { unwanted }
    }
}

impl Capture {
    /// All packets so far.
    pub fn packets(&self) -> Vec<Packet> {
        self.packets.kept.lock().expect("no panic while held").clone()
    }

    /// All DNS messages so far that came from `source`.
    pub fn messages_from(&self, source: impl Into<IpAddr>) -> Vec<(Packet, Message)> {
        let source = source.into();
        let packets = self.packets().into_iter().filter(|packet| packet.source.ip() == source);
        packets.filter_map(|packet| packet.message.clone().map(|message| (packet, message))).collect()
    }

    /// Waits until `accept` makes something of all packets so far; panics with them when it has not within `limit`.
    pub fn expect<T>(&self, what: &str, limit: Duration, accept: impl FnMut(&[Packet]) -> Option<T>) -> T {
        self.wait_for(limit, accept).unwrap_or_else(|| {
            let packets = self.packets();
            panic!("not on the wire within {limit:?}: {what}; captured {}: {packets:#?}", packets.len())
        })
    }

    /// The same, without panic.
    pub fn wait_for<T>(&self, limit: Duration, mut accept: impl FnMut(&[Packet]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut kept = self.packets.kept.lock().expect("no panic while held");
        loop {
            if let Some(accepted) = accept(&kept) {
                return Some(accepted);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            kept = self.packets.more.wait_timeout(kept, left).expect("no panic while held").0;
        }
    }

    /// Waits for one packet for which `accept` holds.
    pub fn expect_packet(&self, what: &str, limit: Duration, mut accept: impl FnMut(&Packet) -> bool) -> Packet {
        self.expect(what, limit, |packets| packets.iter().find(|packet| accept(packet)).cloned())
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

impl Message {
    /// The records of all sections but authority, which only probes use.
    pub fn records(&self) -> impl Iterator<Item = &ResourceRecord<'static>> {
        self.answers.iter().chain(&self.additionals)
    }

    fn parse(payload: &[u8]) -> Option<Message> {
        let packet = simple_dns::Packet::parse(payload).ok()?;
        let own = |records: &[ResourceRecord]| records.iter().map(|record| record.clone().into_owned()).collect();
        Some(Message {
            is_response: packet.has_flags(PacketFlag::RESPONSE),
            is_authoritative: packet.has_flags(PacketFlag::AUTHORITATIVE_ANSWER),
            id: packet.id(),
            opcode: packet.opcode(),
            rcode: packet.rcode(),
            questions: packet.questions.iter().map(|question| question.clone().into_owned()).collect(),
            answers: own(&packet.answers),
            authorities: own(&packet.name_servers),
            additionals: own(&packet.additional_records),
        })
    }
}

/// The labels of a name as bytes, from the left.
pub fn labels(name: &Name) -> Vec<Vec<u8>> {
    name.get_labels().iter().map(|label| label.as_ref().to_vec()).collect()
}

/// The pairs of a TXT record in their order, RFC 6763 section 6; `None` for any other record.
pub fn pairs(record: &ResourceRecord) -> Option<Vec<(String, Option<Vec<u8>>)>> {
    let RData::TXT(text) = &record.rdata else { return None };
    let pair =
        |(key, value): (&[u8], Option<&[u8]>)| (String::from_utf8_lossy(key).into_owned(), value.map(Into::into));
    Some(text.iter_raw().map(pair).collect())
}

fn open_tap() -> nix::Result<OwnedFd> {
    let tap = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&tap, ReceiveTimeout, &LOOK_UP)?;
    setsockopt(&tap, ReceiveTimestampns, &true)?;
    setsockopt(&tap, RcvBuf, &BUFFER_BYTES)?;
    Ok(tap)
}

fn read_tap(tap: &OwnedFd, interface: usize, unwanted: &AtomicBool, mut take: impl FnMut(Packet)) {
    let mut fragments = IpDefragPool::<(), ()>::new();
    let mut frame = vec![0; 65536];
    let mut control = nix::cmsg_space!(TimeSpec);
    while !unwanted.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut frame)];
        let received = recvmsg::<LinkAddr>(tap.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let Ok(received) = received else { continue };
        if received.address.is_none_or(|from| from.ifindex() != interface) {
            continue;
        }
        let (length, at) = (received.bytes, passed_at(&received));
        if let Some(packet) = read_frame(&frame[..length], at, &mut fragments) {
            take(packet);
        }
    }
}

/// When the kernel saw it, however late this thread reads it.
fn passed_at(received: &RecvMsg<LinkAddr>) -> Instant {
    let mut messages = received.cmsgs().expect("control messages that fit");
    let stamp = messages.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(UNIX_EPOCH + Duration::from(stamp)),
        _ => None,
    });
    let stamp = stamp.expect("a time");
    // Both clocks at once: this thread may be put aside between one and the other.
    loop {
        let (before, wall) = (Instant::now(), SystemTime::now());
        if before.elapsed() < Duration::from_millis(1) {
            return before - wall.duration_since(stamp).unwrap_or_default();
        }
    }
}

fn read_frame(frame: &[u8], at: Instant, fragments: &mut IpDefragPool<(), ()>) -> Option<Packet> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let (source, destination, hop_limit): (IpAddr, IpAddr, u8) = match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into(), ip.header().ttl())
        }
        NetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into(), ip.header().hop_limit())
        }
        NetSlice::Arp(_) => return None,
    };
    let datagram = if sliced.is_ip_payload_fragmented() {
        fragments.process_sliced_packet(&sliced, (), ()).ok()??.payload
    } else {
        sliced.ip_payload()?.payload.to_vec()
    };
    let udp = UdpSlice::from_slice(&datagram).ok()?;
    if udp.source_port() != 5353 && udp.destination_port() != 5353 {
        return None;
    }
    let payload = udp.payload().to_vec();
    Some(Packet {
        at,
        source: (source, udp.source_port()).into(),
        destination: (destination, udp.destination_port()).into(),
        hop_limit,
        message: Message::parse(&payload),
        payload,
    })
}
