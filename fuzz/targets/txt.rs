//! TXT of both wires: what is read, said again and read again, is the same; and it stays within its bounds.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::Compression;
use mdns_registry::limits;
use mdns_registry::record::Record;
use mdns_registry::wire::{dnssd, gomicro, Refused};
use mdns_registry::{Domain, RegisterOptions, Service};

use super::input::Input;

/// The first byte says what the others are.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 8 {
        0 => {
            let (label, port) = (input.text(), input.word());
            let _ = read_dns_sd(&label, &strings(input.0), port);
        }
        1 => drop(of_our_kind(strings(input.0))),
        2 => drop(of_our_kind(with_payload('j', input.0))),
        3 => assert_bounded(input.0, of_our_kind(with_payload('z', input.0))),
        4 => drop(of_our_kind(with_payload('z', &deflated(input.0)))),
        5 => {
            let (labels, port) = ([input.short(), input.short(), input.short()], input.word());
            read_go_micro(&labels, &strings(input.0), port, address(&mut input));
        }
        6 => {
            let address = address(&mut input);
            go_micro_of(&deflated(input.0), input.0, address);
        }
        _ => said_by_us(&mut input),
    }
}

/// Cut as rdata are; the last may be shorter than it says.
fn strings(rdata: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = Input(rdata);
    let mut strings = Vec::new();
    while !rest.is_empty() {
        strings.push(rest.short().to_vec());
    }
    strings
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap()
}

fn with_payload(letter: char, payload: &[u8]) -> Vec<Vec<u8>> {
    let fixed = ["txtvers=1", "id=1", "service=greeter", "owner=aaaaaaaaaaaaaaaaaaaaaaaaaa", "seq=7", "port=80"];
    let chunk = |(i, chunk): (usize, &[u8])| [format!("{letter}{i}=").as_bytes(), chunk].concat();
    fixed.iter().map(|text| text.as_bytes().to_vec()).chain(payload.chunks(250).enumerate().map(chunk)).collect()
}

fn value(strings: &[Vec<u8>], key: &str) -> Option<String> {
    let of = |string: &Vec<u8>| {
        let at = string.iter().position(|byte| *byte == b'=')?;
        string[..at].eq_ignore_ascii_case(key.as_bytes()).then(|| string[at + 1..].to_vec())
    };
    String::from_utf8(strings.iter().find_map(of)?).ok()
}

/// Under the label that the registry it names would give it.
fn of_our_kind(strings: Vec<Vec<u8>>) -> Result<Record, Refused> {
    let text = |key: &str| value(&strings, key).unwrap_or_default();
    let label = dnssd::instance_label(&text("owner"), &text("service"), &text("id"));
    read_dns_sd(&label, &strings, 80)
}

/// What inflates to more than it may is refused for that, or for its own size.
fn assert_bounded(deflated: &[u8], read: Result<Record, Refused>) {
    let most = limits::INFLATED_BYTES as u64;
    let mut inflated = Vec::new();
    let inflates = ZlibDecoder::new(deflated).take(most + 1).read_to_end(&mut inflated).is_ok();
    if inflates && inflated.len() > limits::INFLATED_BYTES {
        assert!(matches!(read, Err(Refused::TxtSize | Refused::TxtInflatedSize)), "{read:?}");
    }
}

fn read_dns_sd(label: &str, strings: &[Vec<u8>], port: u16) -> Result<Record, Refused> {
    let read = dnssd::decode(label, strings, port)?;
    assert_within_bounds(&read);
    // What was deflated better than we do, or said in fewer words, may not fit.
    let Ok(mut said) = dnssd::encode(&read) else { return Ok(read) };
    assert!(said.iter().all(|string| string.len() <= 255));
    assert!(said.iter().map(|string| 1 + string.len()).sum::<usize>() <= limits::TXT_BYTES);
    if read.owner == read.key {
        said.retain(|string| !string.starts_with(b"owner="));
    }
    let again = dnssd::decode(&read.key, &said, 0).expect("what we say can be read");
    assert_eq!(again, read);
    Ok(read)
}

fn assert_within_bounds(read: &Record) {
    let (service, node) = (&read.service, &read.node);
    for name in [&*service.name, node.id()] {
        assert!((1..=limits::NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control), "{name:?}");
    }
    assert!(service.version.len() <= limits::NAME_BYTES && node.address().len() <= limits::NAME_BYTES);
    assert!(service.endpoints.len() <= limits::ENDPOINTS && node.port() != 0);
    assert!(limits::TTL_MS.contains(&(u64::from(read.lease) * 1_000)));
    let data = Service { nodes: vec![node.at(node.address())], ..Service::clone(service) };
    data.validate().expect("what was read passes as a descriptor");
}

fn address(input: &mut Input<'_>) -> Option<IpAddr> {
    match input.byte() % 4 {
        0 => None,
        1 => Some(Ipv4Addr::from_bits(u32::from(input.word()) << 16 | u32::from(input.word())).into()),
        2 => Some(Ipv6Addr::from_bits(u128::from(input.word()) << 112 | u128::from(input.word())).into()),
        _ => Some(Ipv4Addr::new(10, 0, 0, 1).into()),
    }
}

fn go_micro_of(deflated: &[u8], json: &[u8], address: Option<IpAddr>) {
    let text = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(json).unwrap_or_default();
    let name = text.get("Service").and_then(|name| name.as_str()).unwrap_or("greeter");
    let labels = gomicro::instance("1", name, Domain::Micro).unwrap_or_default();
    let strings: Vec<Vec<u8>> = HEXLOWER.encode(deflated).into_bytes().chunks(255).map(<[u8]>::to_vec).collect();
    read_go_micro(&labels, &strings, 80, address);
}

fn read_go_micro(labels: &[&[u8]], said: &[Vec<u8>], port: u16, address: Option<IpAddr>) {
    let read = gomicro::decode(labels, said, port, address);
    if let Ok(deflated) = HEXLOWER_PERMISSIVE.decode(&said.concat()) {
        assert_bounded(&deflated, read.clone());
    }
    let Ok(read) = read else { return };
    let domain = read.go_micro.expect("the domain it was said in");
    assert_within_bounds(&read);
    if gomicro::check(&read, domain).is_err() {
        return;
    }
    let again = strings(&gomicro::strings(&gomicro::deflate(&read, domain)));
    let again = gomicro::decode(labels, &again, port, address).expect("what we say can be read");
    // Who does not name itself is named by us.
    let named = Record { owner: again.owner.clone(), key: again.key.clone(), ..read.clone() };
    assert_eq!(again, named);
    assert!(again.key == read.key || read.key.ends_with('.'));
}

/// What a registry of ours would say of a descriptor, on either wire.
fn said_by_us(input: &mut Input<'_>) {
    let revision = input.word().into();
    let Some(service) = std::str::from_utf8(input.0).ok().and_then(|text| Service::from_json(text).ok()) else {
        return;
    };
    let Some(node) = service.nodes.first() else { return };
    let owner: Arc<str> = Arc::from("aaaaaaaaaaaaaaaaaaaaaaaaaa");
    let key = Arc::from(dnssd::instance_label(&owner, &service.name, &node.id));
    let lease = RegisterOptions::default().lease().unwrap();
    let service = Arc::new(Service { nodes: Vec::new(), ..service.clone() });
    let record = Record { key, owner, revision, lease, go_micro: None, service, node: node.into() };
    if let Ok(said) = dnssd::encode(&record) {
        let read = read_dns_sd(&record.key, &said, 0).expect("what we say can be read");
        // The three addresses that mean "this host" are one.
        let host = mdns_registry::wire::address::is_this_host(record.node.address());
        let address = if host { "" } else { record.node.address() };
        let expected = Record { node: (&record.node.at(address)).into(), ..record.clone() };
        assert_eq!(read, expected);
    }
    for domain in Domain::ALL {
        if gomicro::check(&record, domain).is_ok() {
            let labels = gomicro::instance(record.node.id(), &record.service.name, domain).unwrap();
            let said = strings(&gomicro::strings(&gomicro::deflate(&record, domain)));
            let address = record.node.address().split('%').next().unwrap_or_default().parse();
            let read = gomicro::decode(&labels, &said, record.node.port(), Some(address.unwrap_or([0; 4].into())));
            assert_eq!(read.expect("what we say can be read").service, record.service);
        }
    }
}
