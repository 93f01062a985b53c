//! Messages of multicast DNS byte by byte, right and wrong ones.

use std::net::Ipv4Addr;

use simple_dns::Name;

pub const A: u16 = 1;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
pub const ANY: u16 = 255;

pub const IN: u16 = 1;
pub const CHAOS: u16 = 3;
/// In a record's class: cache flush. In a question's: an answer by unicast is welcome.
pub const TOP_BIT: u16 = 0x8000;

const RESPONSE: u16 = 0x8400;
const TRUNCATED: u16 = 0x0200;

pub const TYPE: &str = "_mdns-registry._tcp.local";
pub const TYPES: &str = "_services._dns-sd._udp.local";

/// A name as it stands in a message, uncompressed.
pub fn name(dotted: &str) -> Vec<u8> {
    wire(dotted.split('.').map(str::as_bytes))
}

/// An instance of our type; the label may have dots.
pub fn instance(label: &str) -> Vec<u8> {
    wire([label.as_bytes()].into_iter().chain(TYPE.split('.').map(str::as_bytes)))
}

/// A name that was read.
pub fn same(name: &Name) -> Vec<u8> {
    wire(crate::lab::capture::labels(name).iter().map(Vec::as_slice))
}

fn wire<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len()).expect("a label"));
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// A message being written.
#[derive(Clone, Default)]
pub struct Letter {
    id: u16,
    flags: u16,
    counts: [u16; 4],
    body: Vec<u8>,
}

impl Letter {
    pub fn query() -> Letter {
        Letter::default()
    }

    pub fn response() -> Letter {
        Letter { flags: RESPONSE, ..Letter::default() }
    }

    pub fn id(self, id: u16) -> Letter {
        Letter { id, ..self }
    }

    pub fn truncated(self) -> Letter {
        self.flags(TRUNCATED)
    }

    pub fn opcode(self, opcode: u16) -> Letter {
        self.flags(opcode << 11)
    }

    pub fn rcode(self, rcode: u16) -> Letter {
        self.flags(rcode)
    }

    fn flags(self, flags: u16) -> Letter {
        Letter { flags: self.flags | flags, ..self }
    }

    pub fn ask(self, name: &[u8], rtype: u16) -> Letter {
        self.ask_of_class(name, rtype, IN)
    }

    pub fn ask_of_class(mut self, name: &[u8], rtype: u16, class: u16) -> Letter {
        self.body.extend([name, &rtype.to_be_bytes(), &class.to_be_bytes()].concat());
        self.counts[0] += 1;
        self
    }

    /// A record in the answer section.
    pub fn answer(mut self, name: &[u8], rtype: u16, class: u16, ttl: u32, data: &[u8]) -> Letter {
        let length = u16::try_from(data.len()).expect("data");
        self.body.extend([name, &rtype.to_be_bytes(), &class.to_be_bytes(), &ttl.to_be_bytes()].concat());
        self.body.extend([&length.to_be_bytes(), data].concat());
        self.counts[1] += 1;
        self
    }

    pub fn ptr(self, from: &[u8], to: &[u8], ttl: u32) -> Letter {
        self.answer(from, PTR, IN, ttl, to)
    }

    pub fn srv(self, name: &[u8], port: u16, target: &[u8], ttl: u32) -> Letter {
        let data = [&[0; 4], port.to_be_bytes().as_slice(), target].concat();
        self.answer(name, SRV, IN | TOP_BIT, ttl, &data)
    }

    pub fn txt(self, name: &[u8], strings: &[&str], ttl: u32) -> Letter {
        let string = |text: &&str| [&[u8::try_from(text.len()).expect("a string")], text.as_bytes()].concat();
        let data: Vec<u8> = strings.iter().flat_map(string).collect();
        self.answer(name, TXT, IN | TOP_BIT, ttl, &data)
    }

    pub fn a(self, host: &[u8], address: Ipv4Addr, ttl: u32) -> Letter {
        self.answer(host, A, IN | TOP_BIT, ttl, &address.octets())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let header = [self.id, self.flags].into_iter().chain(self.counts).flat_map(u16::to_be_bytes);
        header.chain(self.body.iter().copied()).collect()
    }
}

/// A printer, an instance that other software publishes.
#[derive(Clone)]
pub struct Printer {
    pub label: String,
    pub port: u16,
    pub ttl: u32,
    pub address: Ipv4Addr,
    pub class: u16,
    pub txt: Vec<&'static str>,
}

impl Printer {
    pub fn new(label: &str, port: u16) -> Printer {
        // On no host's network: what is told of it comes from its records.
        let address = Ipv4Addr::new(192, 0, 2, 1);
        Printer { label: label.into(), port, ttl: 120, address, class: IN, txt: vec!["service=printer"] }
    }

    pub fn name(&self) -> Vec<u8> {
        instance(&self.label)
    }

    pub fn host(&self) -> Vec<u8> {
        name(&format!("host{}.local", self.port))
    }

    pub fn pointer(&self) -> Letter {
        Letter::response().ptr(&name(TYPE), &self.name(), self.ttl)
    }

    /// All its records in one message.
    pub fn letter(&self) -> Letter {
        self.append(Letter::response())
    }

    pub fn append(&self, letter: Letter) -> Letter {
        let (flush, instance, host) = (self.class | TOP_BIT, self.name(), self.host());
        let port = [&[0; 4], self.port.to_be_bytes().as_slice(), &host].concat();
        letter
            .answer(&name(TYPE), PTR, self.class, self.ttl, &instance)
            .answer(&instance, SRV, flush, self.ttl, &port)
            .txt(&instance, &self.txt, self.ttl)
            .answer(&host, A, flush, self.ttl, &self.address.octets())
    }
}
