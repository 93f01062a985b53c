//! A one-shot question (RFC 6762 §5.1): asked by multicast from a port of our own, answered by
//! unicast at once (§6.7).
//!
//! The daemon asks from port 5353, and a responder may multicast a record once a second only (§6):
//! of two lookups within a second, the second would hear nothing. A one-shot answer is exempt. It
//! comes fresh from the owner, so it is a sign of life, too; but the daemon does not know of it.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use simple_dns::rdata::RData;
use simple_dns::{Name, Packet, PacketFlag, Question, ResourceRecord, CLASS, QCLASS, QTYPE, TYPE};
use socket2::{Domain, Protocol, Socket, Type};

use super::convert::{key_of, ADDRESSES};
use crate::limits;
use crate::record::{Interface, Key, Reach, Record};
use crate::refused::{Refusals, Refused};
use crate::wire::dnssd::{self, SERVICE_TYPE};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// How long answers are taken.
const OPEN: Duration = Duration::from_millis(500);
/// How often the sockets are looked at meanwhile.
pub(super) const LOOK: Duration = Duration::from_millis(4);
/// The largest message of multicast DNS (RFC 6762 §17).
const MESSAGE: usize = 9_000;
/// Every owner answers at once; the system grants less of it where it must, bytes.
const BUFFER: usize = 4 << 20;
/// Datagrams taken in one look.
const BUDGET: usize = 128;

/// An instance all of whose records have come.
pub(super) struct Answer {
    pub key: Key,
    pub fullname: String,
    pub heard: Result<(Record, Vec<Reach>), Refused>,
}

/// A question under way.
pub(super) struct OneShot {
    id: u16,
    port: u16,
    until: Instant,
    asked: Vec<Asked>,
}

struct Asked {
    interface: Arc<str>,
    socket: UdpSocket,
    answers: Answers,
}

impl OneShot {
    /// Asks for every instance on each interface, over IPv4 where it has an address of it.
    pub fn ask<'a>(now: Instant, interfaces: impl Iterator<Item = &'a Interface>, port: u16) -> OneShot {
        let mut id = [0; 2];
        // Without randomness the id is guessable, and only a neighbour on the link could use that.
        let _ = getrandom::fill(&mut id);
        let id = u16::from_ne_bytes(id);
        let mut asked = Vec::new();
        for interface in interfaces {
            // An answer brings the addresses of the family it comes over: where there is IPv4, what
            // is first heard over IPv6 would be given an address that changes at once.
            let local = interface.addrs.iter().find(|ip| ip.is_ipv4()).or(interface.addrs.first());
            let socket = local.zip(query(id)).and_then(|(ip, query)| ask_on(interface, *ip, port, &query).ok());
            let new = |socket| Asked { interface: interface.name.clone(), socket, answers: Answers::default() };
            asked.extend(socket.map(new));
        }
        OneShot { id, port, until: now + OPEN, asked }
    }

    /// Whether no more answers are taken.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until || self.asked.is_empty()
    }

    /// What has come since.
    pub fn answers(&mut self, refused: &Refusals) -> Vec<Answer> {
        let (id, port) = (self.id, self.port);
        let mut buffer = [0; MESSAGE];
        let mut complete = Vec::new();
        for asked in &mut self.asked {
            for _ in 0..BUDGET {
                let Ok((size, from)) = asked.socket.recv_from(&mut buffer) else { break };
                match from.port() == port {
                    true => asked.answers.take(id, &buffer[..size], refused),
                    false => refused.count(Refused::ResponseFromOtherPort),
                }
            }
            complete.extend(asked.answers.complete(&asked.interface));
        }
        complete
    }
}

fn query(id: u16) -> Option<Vec<u8>> {
    let name = Name::new(SERVICE_TYPE.trim_end_matches('.')).ok()?;
    let mut packet = Packet::new_query(id);
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

fn ask_on(interface: &Interface, local: IpAddr, port: u16, query: &[u8]) -> io::Result<UdpSocket> {
    let (domain, group) = match local {
        IpAddr::V4(_) => (Domain::IPV4, SocketAddr::from((GROUP_V4, port))),
        IpAddr::V6(_) => {
            let index = if_nametoindex(&*interface.name)?;
            (Domain::IPV6, SocketAddr::V6(SocketAddrV6::new(GROUP_V6, port, 0, index)))
        }
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(BUFFER)?;
    match (local, group) {
        (IpAddr::V4(ip), _) => {
            socket.bind(&SocketAddr::from((ip, 0)).into())?;
            socket.set_multicast_if_v4(&ip)?;
            socket.set_multicast_ttl_v4(255)?;
        }
        (IpAddr::V6(_), SocketAddr::V6(group)) => {
            socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
            socket.set_multicast_if_v6(group.scope_id())?;
            socket.set_multicast_hops_v6(255)?;
        }
        (IpAddr::V6(_), SocketAddr::V4(_)) => return Err(io::ErrorKind::AddrNotAvailable.into()),
    }
    socket.send_to(query, &group.into())?;
    Ok(socket.into())
}

/// Records of instances, as they come in one message or several.
#[derive(Default)]
struct Answers {
    instances: HashMap<String, Instance>,
    hosts: HashMap<String, BTreeSet<IpAddr>>,
}

#[derive(Default)]
struct Instance {
    named: bool,
    service: Option<(u16, String)>,
    strings: Option<Vec<Vec<u8>>>,
    told: bool,
}

impl Answers {
    /// Takes the records of one message, if it answers our question (RFC 6762 §6.7, §18).
    fn take(&mut self, id: u16, message: &[u8], refused: &Refusals) {
        let Ok(packet) = Packet::parse(message) else { return refused.count(Refused::Malformed) };
        let plain =
            packet.rcode() == simple_dns::RCODE::NoError && packet.opcode() == simple_dns::OPCODE::StandardQuery;
        if !plain {
            return refused.count(Refused::OpcodeOrRcode);
        }
        if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
            return refused.count(Refused::ResponseUnasked);
        }
        for record in packet.answers.iter().chain(&packet.additional_records) {
            if record.class == CLASS::IN && record.ttl > 0 {
                self.take_record(record);
            }
        }
    }

    fn take_record(&mut self, record: &ResourceRecord<'_>) {
        let name = record.name.to_string().to_lowercase();
        match &record.rdata {
            RData::PTR(alias) if format!("{name}.") == SERVICE_TYPE => {
                if let Some(instance) = self.instance(alias.0.to_string().to_lowercase()) {
                    instance.named = true;
                }
            }
            RData::SRV(srv) => {
                let target = srv.target.to_string().to_lowercase();
                if let Some(instance) = self.instance(name) {
                    instance.service = Some((srv.port, target));
                }
            }
            RData::TXT(txt) => {
                let string = |(key, value): (&[u8], Option<&[u8]>)| match value {
                    Some(value) => [key, b"=", value].concat(),
                    None => key.to_vec(),
                };
                let strings: Vec<Vec<u8>> = txt.iter_raw().map(string).collect();
                if let Some(instance) = self.instance(name) {
                    instance.strings = Some(strings);
                }
            }
            RData::A(a) => self.address(name, IpAddr::V4(a.address.into())),
            RData::AAAA(aaaa) => self.address(name, IpAddr::V6(aaaa.address.into())),
            _ => {}
        }
    }

    fn instance(&mut self, name: String) -> Option<&mut Instance> {
        let room = self.instances.len() < limits::VIEW_NODES || self.instances.contains_key(&name);
        room.then(|| self.instances.entry(name).or_default())
    }

    fn address(&mut self, host: String, ip: IpAddr) {
        if self.hosts.len() < limits::VIEW_NODES || self.hosts.contains_key(&host) {
            let addresses = self.hosts.entry(host).or_default();
            if addresses.len() < ADDRESSES {
                addresses.insert(ip);
            }
        }
    }

    /// The instances that have become complete.
    fn complete(&mut self, interface: &Arc<str>) -> Vec<Answer> {
        let hosts = &self.hosts;
        let answer = |(name, instance): (&String, &mut Instance)| {
            let (port, host) = instance.service.as_ref().filter(|_| instance.named && !instance.told)?;
            let (strings, addresses) = (instance.strings.as_ref()?, hosts.get(host)?);
            let fullname = format!("{name}.");
            let key = key_of(&fullname)?;
            let reach = |ip: &IpAddr| Reach { ip: *ip, interface: interface.clone() };
            let heard =
                dnssd::decode(&key, strings, *port).map(|record| (record, addresses.iter().map(reach).collect()));
            instance.told = true;
            Some(Answer { key, fullname, heard })
        };
        self.instances.iter_mut().filter_map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::{A, PTR, SRV, TXT};

    use super::*;
    use crate::model::{Node, Service};

    const ID: u16 = 77;

    fn record() -> Record {
        let service = Service { name: "greeter".into(), ..Service::default() };
        let node = Node { id: "Go.1".into(), port: 80, ..Node::default() };
        let (owner, key) = ("tag", dnssd::instance_label("tag", "greeter", "Go.1"));
        Record {
            key: key.into(),
            owner: owner.into(),
            revision: 1,
            lease: 30,
            go_micro: None,
            service: Arc::new(service),
            node: (&node).into(),
        }
    }

    /// A message with the chosen records of the instance.
    fn message(id: u16, parts: &str) -> Vec<u8> {
        let (record, host) = (record(), "host.local");
        let strings = dnssd::encode(&record).unwrap();
        let service_type = SERVICE_TYPE.trim_end_matches('.');
        let name = format!("{}.{service_type}", record.key);
        let mut txt = TXT::new();
        for string in &strings {
            txt.add_char_string(simple_dns::CharacterString::new(string).unwrap());
        }
        let srv = SRV { priority: 0, weight: 0, port: 80, target: Name::new_unchecked(host) };
        let mut packet = Packet::new_reply(id);
        for part in parts.chars() {
            let (name, rdata) = match part {
                'p' => (service_type, RData::PTR(PTR(Name::new_unchecked(&name)))),
                's' => (name.as_str(), RData::SRV(srv.clone())),
                't' => (name.as_str(), RData::TXT(txt.clone())),
                _ => (host, RData::A(A { address: u32::from(Ipv4Addr::new(10, 0, 0, 2)) })),
            };
            packet.answers.push(ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 10, rdata));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn heard(messages: &[Vec<u8>]) -> Vec<Answer> {
        let mut answers = Answers::default();
        messages.iter().for_each(|message| answers.take(ID, message, &Refusals::default()));
        let complete = answers.complete(&Arc::from("eth0"));
        assert!(answers.complete(&Arc::from("eth0")).is_empty(), "told twice");
        complete
    }

    #[test]
    fn an_instance_is_complete_when_its_records_have_come_in_whatever_order_and_messages() {
        for split in [vec!["psta"], vec!["a", "t", "s", "p"], vec!["pa", "st"]] {
            let messages: Vec<_> = split.iter().map(|parts| message(ID, parts)).collect();
            let answers = heard(&messages);
            let (heard, reach) = answers[0].heard.as_ref().map_err(|r| r.name()).unwrap();
            assert_eq!(*heard, record());
            assert_eq!(reach[0], Reach { ip: [10, 0, 0, 2].into(), interface: "eth0".into() });
        }
    }

    #[test]
    fn what_is_incomplete_or_answers_another_question_is_not_told() {
        for parts in ["pst", "psa", "pta", "sta"] {
            assert!(heard(&[message(ID, parts)]).is_empty(), "{parts}");
        }
        assert!(heard(&[message(ID + 1, "psta")]).is_empty());
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_counted() {
        let (mut answers, refused) = (Answers::default(), Refusals::default());
        let mut with_rcode = message(ID, "p");
        with_rcode[3] |= 3;
        for bytes in [message(ID, "p"), message(ID + 1, "p"), with_rcode, b"short".to_vec()] {
            answers.take(ID, &bytes, &refused);
        }
        let counted = [("malformed", 1), ("opcode-or-rcode", 1), ("response-unasked", 1)];
        assert_eq!(refused.list(), counted.into());
    }

    #[test]
    fn a_cut_or_garbled_message_is_passed_over() {
        let whole = message(ID, "psta");
        for cut in 0..whole.len() {
            heard(&[whole[..cut].to_vec()]);
            let mut garbled = whole.clone();
            garbled[cut] ^= 0xff;
            heard(&[garbled]);
        }
    }
}
