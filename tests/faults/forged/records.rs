//! What is done to the records that a node's host has announced.

use std::net::Ipv4Addr;

use mdns_registry::link::native::message::{Builder, Data, Record};
use mdns_registry::link::native::name::Name;

const EVIL_PORT: u16 = 666;

/// Makes of what was announced what is said instead; a stranger's address is where it leads.
pub type Forge = fn(&[Record], Ipv4Addr) -> Vec<Record>;

pub fn message(records: &[Record]) -> Vec<u8> {
    let mut message = Builder::response(0, 8_952);
    for record in records {
        assert!(message.answer(record));
    }
    message.finish()
}

pub fn goodbye(announced: &[Record], _: Ipv4Addr) -> Vec<Record> {
    announced.iter().map(|record| Record { ttl: 0, ..record.clone() }).collect()
}

/// Of the IPv4 address of the host, and nothing else.
pub fn goodbye_of_the_address(announced: &[Record], _: Ipv4Addr) -> Vec<Record> {
    announced.iter().filter(|record| is_a(record)).map(|record| Record { ttl: 0, ..record.clone() }).collect()
}

/// SRV with another port and target, and where that is.
pub fn conflict(announced: &[Record], evil: Ipv4Addr) -> Vec<Record> {
    let srv = announced.iter().find(|record| matches!(record.data, Data::Srv { .. })).expect("an SRV record");
    let target = Name::from_dotted("evil.local.").expect("a name");
    let address = Record { name: target.clone(), data: Data::A(evil), ..srv.clone() };
    vec![Record { data: Data::Srv { port: EVIL_PORT, target }, ..srv.clone() }, address]
}

/// The host's own name with another address.
pub fn other_address(announced: &[Record], evil: Ipv4Addr) -> Vec<Record> {
    let a = announced.iter().find(|record| is_a(record)).expect("an address");
    vec![Record { data: Data::A(evil), ..a.clone() }]
}

/// All of the node with another port in SRV and TXT, and a higher revision.
pub fn takeover(announced: &[Record], _: Ipv4Addr) -> Vec<Record> {
    let change = |record: &Record| {
        let data = match &record.data {
            Data::Srv { target, .. } => Data::Srv { port: EVIL_PORT, target: target.clone() },
            Data::Txt(strings) => {
                Data::Txt(with(strings, &[("port=", Some("666")), ("seq=", Some("18000000000000000000"))]).into())
            }
            other => other.clone(),
        };
        Record { data, ..record.clone() }
    };
    announced.iter().map(change).collect()
}

pub fn takeover_in_class_chaos(announced: &[Record], evil: Ipv4Addr) -> Vec<Record> {
    takeover(announced, evil).into_iter().map(|record| Record { class: 3, ..record }).collect()
}

/// The node as other software would say it: of its port only SRV tells, and nothing of a registry and its revisions.
pub fn as_plain(announced: &[Record]) -> Vec<Record> {
    let srv = announced.iter().find(|record| matches!(record.data, Data::Srv { .. })).expect("an SRV record");
    let (instance, kind) = (&srv.name, srv.name.parent().expect("a type"));
    let (plain, host) = (kind.child(b"plain").expect("a name"), Name::from_dotted("plain.local.").expect("a name"));
    let told = |record: &&Record| match &record.data {
        Data::Ptr(_) => record.name == kind,
        Data::A(_) => true,
        _ => record.name == *instance && !matches!(record.data, Data::Aaaa(_)),
    };
    let rename = |record: &Record| {
        let (name, data) = match &record.data {
            Data::Ptr(_) => (kind.clone(), Data::Ptr(plain.clone())),
            Data::Srv { port, .. } => (plain.clone(), Data::Srv { port: *port, target: host.clone() }),
            Data::Txt(strings) => {
                let gone = ["port=", "seq=", "owner=", "lease="].map(|key| (key, None));
                (plain.clone(), Data::Txt(with(strings, &gone).into()))
            }
            other => (host.clone(), other.clone()),
        };
        Record { name, data, ..record.clone() }
    };
    announced.iter().filter(told).map(rename).collect()
}

fn is_a(record: &Record) -> bool {
    matches!(record.data, Data::A(_))
}

/// Strings of TXT with other values, or without.
fn with(strings: &[u8], changes: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = strings;
    while let Some((length, tail)) = rest.split_first() {
        let (string, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let string = match changes.iter().find(|(key, _)| string.starts_with(key.as_bytes())) {
            None => string.to_vec(),
            Some((key, Some(value))) => format!("{key}{value}").into_bytes(),
            Some((_, None)) => continue,
        };
        out.push(string.len() as u8);
        out.extend(string);
    }
    out
}
