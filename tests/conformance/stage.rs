//! The stage of a check: one host that runs this library, and one that is a bare socket on port 5353.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use mdns_registry::LinkKind;
use nix::net::if_::if_nametoindex;
use serde_json::{json, Value};
use simple_dns::rdata::{RData, NSEC};
use simple_dns::ResourceRecord;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::agent::Agent;
use crate::lab::capture::{Capture, Message, Packet};
use crate::lab::radio::in_the_group;
use crate::lab::{Host, Lab};
use crate::letter::{same, Letter, TYPE};

/// Whether a requirement is met, or how not. What the check itself needs and has not got is a panic.
pub type Verdict = Result<(), String>;

pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
pub const PORT: u16 = 5353;
/// For what is to come and may take a busy machine a while.
pub const SOON: Duration = Duration::from_secs(5);
/// A delay counts from when the subject last looked at the clock, which may be a moment before what is said to it.
pub const LOOK: Duration = Duration::from_millis(3);
/// What has not come within this does not come.
pub const SILENCE: Duration = Duration::from_millis(700);

macro_rules! require {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use require;

pub struct Stage {
    pub agent: Agent,
    pub capture: Capture,
    /// Port 5353 of the prober, IPv4 and IPv6.
    pub radio: UdpSocket,
    pub radio_v6: UdpSocket,
    pub prober: Host,
    /// The host that runs this library.
    pub subject: Host,
    /// Before anything was said.
    pub began: Instant,
    _lab: Lab,
}

/// What the subject announced of its node.
pub struct Node {
    pub instance: Vec<u8>,
    pub host: Vec<u8>,
}

impl Stage {
    pub fn new(link: LinkKind) -> Stage {
        let lab = Lab::new("conform");
        let (subject, prober) = (lab.host("subject"), lab.host("prober"));
        let capture = prober.capture();
        let (radio, radio_v6) =
            prober.inside(|| (radio((Ipv4Addr::UNSPECIFIED, PORT).into()), radio_v6(Ipv6Addr::UNSPECIFIED)));
        let began = Instant::now();
        let agent = Agent::start_with(&subject, &json!({"link": link.as_str(), "wire": ["dns-sd"]}));
        Stage { agent, capture, radio, radio_v6, prober, subject, began, _lab: lab }
    }

    /// Registers the shop and waits until a question for it is answered: until a second after it was said twice.
    pub fn open_shop(&mut self) -> Node {
        self.agent.register(&shop());
        self.settle()
    }

    /// Waits until the second announcement is a second ago.
    pub fn settle(&self) -> Node {
        let ip = IpAddr::from(self.subject.ipv4);
        let twice = |packets: &[Packet]| {
            let said = packets.iter().filter(|packet| packet.source.ip() == ip);
            let said: Vec<Message> = said.filter_map(|packet| packet.message.clone()).filter(is_announcement).collect();
            (said.len() >= 2).then_some(said)
        };
        let said = self.capture.expect("two announcements", SOON, twice);
        std::thread::sleep(Duration::from_millis(1_200));
        node(&said)
    }

    /// Starts the subject's interest in printers.
    pub fn look_for_printers(&mut self) {
        self.agent.get("printer");
    }

    /// The nodes of printers that the subject knows.
    pub fn printers(&mut self) -> Vec<Value> {
        let services = self.agent.get("printer");
        services.iter().flat_map(|service| service["nodes"].as_array().expect("nodes").clone()).collect()
    }

    pub fn ports(&mut self) -> Vec<u64> {
        self.printers().iter().map(|node| node["port"].as_u64().expect("a port")).collect()
    }

    /// Waits until the subject knows printers with just these ports.
    pub fn until_ports(&mut self, wanted: &[u64], limit: Duration) -> Verdict {
        let end = Instant::now() + limit;
        loop {
            let mut ports = self.ports();
            ports.sort_unstable();
            if ports == wanted {
                return Ok(());
            }
            require!(Instant::now() < end, "printers on ports {ports:?} after {limit:?}, not {wanted:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Multicasts a message; when.
    pub fn say(&self, letter: &Letter) -> Instant {
        let at = Instant::now();
        self.radio.send_to(&letter.bytes(), (GROUP, PORT)).expect("sent");
        at
    }

    pub fn say_v6(&self, letter: &Letter) -> Instant {
        let at = Instant::now();
        self.radio_v6.send_to(&letter.bytes(), (GROUP_V6, PORT)).expect("sent");
        at
    }

    /// The first message of the subject since then for which `accept` holds.
    pub fn hear(
        &self,
        what: &str,
        since: Instant,
        limit: Duration,
        accept: impl Fn(&Packet, &Message) -> bool,
    ) -> Result<(Packet, Message), String> {
        let found = self.capture.wait_for(limit, |packets| self.among(packets, since, &accept).into_iter().next());
        let since = self.among(&self.capture.packets(), since, &|_, _| true);
        found.ok_or_else(|| format!("not said within {limit:?}: {what}; said: {since:#?}"))
    }

    /// Nothing for which `accept` holds is said from then on for so long.
    pub fn hear_nothing(
        &self,
        what: &str,
        since: Instant,
        length: Duration,
        accept: impl Fn(&Packet, &Message) -> bool,
    ) -> Verdict {
        match self.hear(what, since, length, accept) {
            Ok((packet, _)) => Err(format!("{what} after {:?}: {packet:?}", packet.at - since)),
            Err(_) => Ok(()),
        }
    }

    /// All messages of the subject since then for which `accept` holds.
    pub fn heard(&self, since: Instant, accept: impl Fn(&Packet, &Message) -> bool) -> Vec<(Packet, Message)> {
        self.among(&self.capture.packets(), since, &accept)
    }

    /// Waits until so many messages were said since then for which `accept` holds; when each was.
    pub fn hear_times(
        &self,
        what: &str,
        since: Instant,
        count: usize,
        accept: impl Fn(&Packet, &Message) -> bool,
    ) -> Result<Vec<Instant>, String> {
        let found = self.capture.wait_for(SOON, |packets| {
            let times: Vec<Instant> = self.among(packets, since, &accept).iter().map(|(packet, _)| packet.at).collect();
            (times.len() >= count).then_some(times)
        });
        let said = self.heard(since, |_, _| true);
        found.ok_or_else(|| format!("not said {count} times: {what}; said: {said:#?}"))
    }

    pub fn among(
        &self,
        packets: &[Packet],
        since: Instant,
        accept: &impl Fn(&Packet, &Message) -> bool,
    ) -> Vec<(Packet, Message)> {
        let of_subject = |packet: &&Packet| {
            let ip = packet.source.ip();
            packet.at > since && (ip == self.subject.ipv4 || ip == self.subject.link_local)
        };
        let messages = packets.iter().filter(of_subject).filter_map(|packet| Some((packet, packet.message.as_ref()?)));
        messages.filter(|(packet, message)| accept(packet, message)).map(|(p, m)| (p.clone(), m.clone())).collect()
    }
}

/// A socket with another port than multicast DNS has.
pub fn stranger(host: &Host, address: IpAddr) -> UdpSocket {
    host.inside(|| {
        let socket = UdpSocket::bind((address, 0)).expect("a port");
        socket.set_multicast_ttl_v4(255).expect("the hop limit");
        socket.set_read_timeout(Some(SILENCE)).expect("a timeout");
        socket
    })
}

/// What comes to a socket until nothing has come for its timeout.
pub fn replies(socket: &UdpSocket) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut bytes = vec![0; 65_536];
    let mut all = Vec::new();
    loop {
        match socket.recv_from(&mut bytes) {
            Ok((length, from)) => all.push((bytes[..length].to_vec(), from)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A socket of multicast DNS at an address, which shares its port.
pub fn radio(at: SocketAddr) -> UdpSocket {
    let radio = in_the_group(at);
    radio.set_read_timeout(Some(SILENCE)).expect("a timeout");
    radio
}

/// The same by IPv6.
pub fn radio_v6(at: Ipv6Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    let interface = if_nametoindex("eth0").expect("the interface");
    socket.set_only_v6(true).expect("IPv6 only");
    socket.set_reuse_address(true).expect("a shared port");
    socket.set_read_timeout(Some(SILENCE)).expect("a timeout");
    socket.bind(&SocketAddr::from((at, PORT)).into()).expect("the port");
    socket.set_multicast_if_v6(interface).expect("the interface");
    socket.set_multicast_hops_v6(255).expect("the hop limit");
    socket.join_multicast_v6(&GROUP_V6, interface).expect("the group");
    socket.into()
}

pub fn shop() -> Value {
    json!({"name": "shop", "version": "1.2.0", "nodes": [{"id": "Till.One", "port": 9090}]})
}

/// Whether a response says a node of ours whole.
pub fn is_announcement(message: &Message) -> bool {
    let said = |wanted: fn(&RData) -> bool| message.records().any(|record| record.ttl > 0 && wanted(&record.rdata));
    message.is_response
        && has(message, |record| record.name.to_string() == TYPE && matches!(record.rdata, RData::PTR(_)))
        && said(|data| matches!(data, RData::SRV(_)))
        && said(|data| matches!(data, RData::TXT(_)))
}

/// Whether a response says so, alive.
pub fn has(message: &Message, accept: impl Fn(&ResourceRecord) -> bool) -> bool {
    message.is_response && message.records().any(|record| record.ttl > 0 && accept(record))
}

/// Whether a response has an answer to this question.
pub fn answers(message: &Message, to: &[u8], rtype: u16) -> bool {
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    let is = |record: &ResourceRecord| {
        let kind = u16::from(record.rdata.type_code()) == rtype;
        kind && record.ttl > 0 && lower(&same(&record.name)) == lower(to)
    };
    message.is_response && message.answers.iter().any(is)
}

/// Whether a query asks this.
pub fn asks(message: &Message, name: &[u8], rtype: u16) -> bool {
    let is = |question: &simple_dns::Question| {
        let kind = u16::from(question.qtype) == rtype || u16::from(question.qtype) == 255;
        kind && same(&question.qname).eq_ignore_ascii_case(name)
    };
    !message.is_response && message.questions.iter().any(is)
}

/// The types that an NSEC record says there are.
pub fn types(nsec: &NSEC) -> Vec<usize> {
    let window = nsec.type_bit_maps.iter().find(|map| map.window_block == 0);
    let bits = window.map(|map| map.bitmap.to_vec()).unwrap_or_default();
    (0..bits.len() * 8).filter(|bit| bits[bit / 8] & (0x80 >> (bit % 8)) != 0).collect()
}

fn node(announced: &[Message]) -> Node {
    let records = || announced.iter().flat_map(Message::records);
    let instance = records().find_map(|record| match &record.rdata {
        RData::PTR(target) if record.name.to_string() == TYPE => Some(same(&target.0)),
        _ => None,
    });
    let instance = instance.expect("PTR");
    let host = records().find_map(|record| match &record.rdata {
        RData::SRV(srv) if same(&record.name) == instance => Some(same(&srv.target)),
        _ => None,
    });
    Node { instance, host: host.expect("SRV") }
}
