//! What strangers say: of nodes that nobody asked for, on both wires, and what is spoiled of such messages.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;

use flate2::write::ZlibEncoder;
use flate2::Compression;
use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record, LARGEST};
use mdns_registry::link::native::name::{Case, Name};
use mdns_registry::wire::{dnssd, gomicro};
use mdns_registry::{limits, Domain};
use serde_json::{json, Value};

use crate::fuzz::seeds;
use crate::peer::FLEET;

pub const OURS: &str = "_mdns-registry";

/// How long they live, seconds, where nothing else is said.
const TTL_S: u32 = 120;

/// A message about a node of DNS-SD, no two numbers alike, with these strings of TXT.
pub fn said_by_dns_sd(number: u32, kind: &str, strings: &[Vec<u8>]) -> Vec<u8> {
    said_for(TTL_S, number, kind, strings)
}

/// The same of a node that lives for so many seconds.
pub fn said_for(ttl_s: u32, number: u32, kind: &str, strings: &[Vec<u8>]) -> Vec<u8> {
    let kind = name(&format!("{kind}._tcp.local."));
    let instance = kind.child(format!("x{number}").as_bytes()).expect("a name");
    let text = strings.iter().flat_map(|string| [&[string.len() as u8], string.as_slice()].concat()).collect();
    message(number, ttl_s, &[(&kind, Data::Ptr(instance.clone()))], &instance, text)
}

/// The same on go-micro's wire, of the service that is watched; TXT as `go_micro_text` makes it.
pub fn said_by_go_micro(number: u32, text: &[u8]) -> Vec<u8> {
    let id = format!("x{number}");
    let labels = gomicro::instance(&id, FLEET, Domain::Micro).expect("labels");
    message(number, TTL_S, &[], &Name::of(labels, Case::Kept).expect("a name"), text.to_vec())
}

fn message(number: u32, ttl: u32, before: &[(&Name, Data)], instance: &Name, text: Vec<u8>) -> Vec<u8> {
    let host = name(&format!("h{number}.local."));
    let node = [
        (instance, Data::Srv { port: 80, target: host.clone() }),
        (instance, Data::Txt(text.into())),
        (&host, Data::A(Ipv4Addr::new(10, 9, 9, 9))),
    ];
    let mut message = Builder::response(0, 1_452);
    for (name, data) in before.iter().chain(&node) {
        let flush = !matches!(data, Data::Ptr(_));
        let record = Record { name: (*name).clone(), class: 1, flush, ttl, data: data.clone() };
        assert!(message.answer(&record));
    }
    message.finish()
}

fn name(dotted: &str) -> Name {
    Name::from_dotted(dotted).expect("a name")
}

/// The TXT of a node of this service that names nothing else.
pub fn plain(service: &str) -> Vec<Vec<u8>> {
    dnssd::encode_name(service)
}

/// The same with metadata, deflated.
pub fn deflated(metadata: &Value) -> Vec<Vec<u8>> {
    let payload = zlib(&json!({ "n": metadata }));
    let chunk = |(i, chunk): (usize, &[u8])| [format!("z{i}=").as_bytes(), chunk].concat();
    plain(FLEET).into_iter().chain(payload.chunks(250).enumerate().map(chunk)).collect()
}

/// The TXT of a node on go-micro's wire.
pub fn go_micro_text(metadata: &Value) -> Vec<u8> {
    gomicro::strings(&zlib(&json!({"Service": FLEET, "Version": "1", "Endpoints": null, "Metadata": metadata})))
}

/// Metadata that is as large as a reader takes it, and a few hundred bytes deflated.
pub fn inflating() -> Value {
    json!({"blank": " ".repeat(limits::INFLATED_BYTES - 1_000)})
}

fn zlib(json: &Value) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json.to_string().as_bytes()).and_then(|()| encoder.finish()).expect("deflated")
}

/// Messages to be spoiled: what the fuzzer begins with and what it found, on both wires, and such as are about what is
/// watched and asked for.
pub fn to_be_spoiled() -> Vec<Vec<u8>> {
    let mut query = Builder::query(0, 1_452);
    query.question(&Question { name: name(dnssd::SERVICE_TYPE), rtype: rtype::PTR, class: 1, unicast: true });
    let metadata = json!({"zone": "north", "note": "abc".repeat(100)});
    let watched = [
        query.finish(),
        said_by_dns_sd(0, OURS, &plain(FLEET)),
        said_by_dns_sd(1, OURS, &deflated(&metadata)),
        said_by_go_micro(2, &go_micro_text(&metadata)),
    ];
    let corpus = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/packets")).expect("the corpus");
    let mut found: Vec<_> = corpus.map(|file| file.expect("a file").path()).collect();
    found.sort();
    let found = found.iter().map(|path| fs::read(path).expect("a file"));
    // In front of each stands how it comes.
    let fuzzed = seeds::of("packets").into_iter().map(|(_, bytes)| bytes).chain(found).map(|bytes| bytes[1..].to_vec());
    watched.into_iter().chain(fuzzed).filter(|bytes| (16..=LARGEST).contains(&bytes.len())).collect()
}
