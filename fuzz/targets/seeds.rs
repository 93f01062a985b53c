//! What the fuzzer begins with: real packets, and what has broken other software (RFC 9267, and the CVEs of mDNS).

use std::io::Write;

use data_encoding::HEXLOWER;
use flate2::write::ZlibEncoder;
use flate2::Compression;
use mdns_registry::limits;
use mdns_registry::link::native::message::{rtype, LARGEST, OPTION_CODE};

use super::sequences;

/// Named inputs of a target.
pub type Seeds = Vec<(String, Vec<u8>)>;

const CAPTURES: [(&str, &str); 6] = [
    ("gmhead-small", include_str!("../../tests/golden/gomicro/gmhead-small.hex")),
    ("gmhead-endpoints", include_str!("../../tests/golden/gomicro/gmhead-endpoints.hex")),
    ("gmhead-bigtxt", include_str!("../../tests/golden/gomicro/gmhead-bigtxt.hex")),
    ("gm2019-small", include_str!("../../tests/golden/gomicro/gm2019-small.hex")),
    ("gm2019-endpoints", include_str!("../../tests/golden/gomicro/gm2019-endpoints.hex")),
    ("gm2019-bigtxt", include_str!("../../tests/golden/gomicro/gm2019-bigtxt.hex")),
];
const DESCRIPTORS: [&str; 3] = [
    include_str!("../../tests/golden/gomicro/desc/small.json"),
    include_str!("../../tests/golden/gomicro/desc/endpoints.json"),
    include_str!("../../tests/golden/gomicro/desc/bigtxt.json"),
];

fn captures() -> Seeds {
    let of = |(name, text): &(&str, &str)| {
        let payloads: Vec<Vec<u8>> =
            text.lines().filter_map(|line| HEXLOWER.decode(line.trim().as_bytes()).ok()).collect();
        payloads.into_iter().enumerate().map(|(i, bytes)| (format!("{name}-{i}"), bytes)).collect::<Seeds>()
    };
    CAPTURES.iter().flat_map(of).filter(|(_, bytes)| bytes.len() > 12).collect()
}

fn behind(first: &[u8], rest: &[u8]) -> Vec<u8> {
    [first, rest].concat()
}

/// A response with these counts of questions and answers.
fn response(counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let counts = counts.iter().flat_map(|count| count.to_be_bytes());
    [0, 0, 0x84, 0].into_iter().chain(counts).chain(rest.iter().copied()).collect()
}

/// A record of `local`.
fn record(rtype: u16, length: usize, data: &[u8]) -> Vec<u8> {
    let head = [&b"\x05local\x00"[..], &rtype.to_be_bytes(), &[0x80, 1, 0, 0, 0, 120]].concat();
    [&head[..], &(length as u16).to_be_bytes(), data].concat()
}

/// Pointers, each to the one before; the first to a label.
fn chain(pointers: u16) -> Vec<u8> {
    let mut rest = b"\x01a\x00".to_vec();
    (0..pointers).for_each(|i| rest.extend((0xc000 | (if i == 0 { 12 } else { 13 + 2 * i })).to_be_bytes()));
    rest
}

fn messages() -> Seeds {
    let mut seeds: Seeds = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| seeds.push((name.to_owned(), bytes));
    add("pointer-to-itself", response([1, 0, 0, 0], &[0xc0, 12, 0, 12, 0, 1]));
    add("pointers-in-a-circle", response([1, 0, 0, 0], &[0xc0, 14, 0xc0, 12, 0, 12, 0, 1]));
    add("pointer-ahead", response([1, 0, 0, 0], &[0xc0, 200, 0, 12, 0, 1]));
    for pointers in [130, 1_500, 4_000] {
        let (name, rest) = (format!("chain-of-{pointers}"), chain(pointers));
        add(&format!("{name}-as-data"), response([0, 1, 0, 0], &record(12, rest.len(), &rest)));
        add(&name, response([1, 0, 0, 0], &behind(&rest, &[0, 12, 0, 1])));
    }
    add("label-of-64", response([1, 0, 0, 0], &behind(&[0x40; 66], &[0, 0, 12, 0, 1])));
    add("name-of-256", response([1, 0, 0, 0], &behind(&b"\x3f".repeat(256), &[0, 0, 12, 0, 1])));
    let types = [1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 41, 47, 255, rtype::ALIVE];
    for rtype in types {
        add(&format!("type-{rtype}-of-no-bytes"), response([0, 2, 0, 0], &record(rtype, 0, b"").repeat(2)));
        let overrun = behind(&record(rtype, 40, b"\x01a\x00"), &record(1, 4, &[10, 0, 0, 9]));
        add(&format!("type-{rtype}-over-the-next"), response([0, 2, 0, 0], &overrun));
        add(&format!("type-{rtype}-over-the-end"), response([0, 1, 0, 0], &record(rtype, 65_535, b"\x01a\x00")));
    }
    for (name, bitmap) in [
        ("window-7", &[7, 1, 0xff][..]),
        ("length-0", &[0, 0, 0, 0]),
        ("length-33", &[0; 35]),
        ("windows-out-of-order", &[1, 1, 1, 0, 1, 1]),
    ] {
        let data = behind(b"\x05local\x00", bitmap);
        add(&format!("nsec-{name}"), response([0, 1, 0, 0], &record(rtype::NSEC, data.len(), &data)));
    }
    add("counts-of-65535", response([65_535; 4], b""));
    add("answers-of-65535", response([0, 65_535, 0, 0], &record(1, 4, &[10, 0, 0, 9]).repeat(600)[..LARGEST - 12]));
    add("questions-of-65535", response([65_535, 0, 0, 0], &b"\x05local\x00\x00\x0c\x00\x01".repeat(200)));
    add(
        "txt-of-8900",
        response([0, 1, 0, 0], &record(16, 8_900, &[b"\xff", &[b'a'; 255][..]].concat().repeat(35)[..8_900])),
    );
    add("txt-string-over-the-end", response([0, 1, 0, 0], &record(16, 3, b"\xffab")));
    add("cname-of-itself", response([0, 1, 0, 0], &record(5, 2, &[0xc0, 12])));
    let there = b"\x01a\x05local\x00\x00\x05\x00\x01\x00\x00\x00\x78\x00\x02\xc0\x25";
    let back = b"\x01b\x05local\x00\x00\x05\x00\x01\x00\x00\x00\x78\x00\x02\xc0\x0c";
    add("cname-in-a-circle", response([0, 2, 0, 0], &[&there[..], back].concat()));
    for length in [0, 1, 200] {
        let option = [&OPTION_CODE.to_be_bytes()[..], &[0, length], &[1, 1]].concat();
        let opt = [&[0, 0, 41, 0x22, 0, 0, 0, 0, 0][..], &(option.len() as u16).to_be_bytes(), &option].concat();
        add(&format!("option-of-{length}"), response([0, 0, 0, 2], &opt.repeat(2)));
    }
    seeds
}

fn datagrams() -> Seeds {
    let own = sequences::datagrams().into_iter().enumerate().map(|(i, bytes)| (format!("own-{i}"), bytes));
    captures().into_iter().chain(own).chain(messages()).collect()
}

fn packets() -> Seeds {
    // Also by one that is not on the link.
    let ways = [(0, "heard"), (2 | 1, "from-afar"), (64 | 2 | 1, "from-afar-by-ipv6")];
    let each = |(name, bytes): (String, Vec<u8>)| {
        ways.map(|(way, how): (u8, &str)| (format!("{name}-{how}"), behind(&[way], &bytes)))
    };
    datagrams().into_iter().flat_map(each).collect()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap()
}

/// An endpoint whose request nests so deep, counted with the braces around it.
fn nested(levels: usize, key: &str) -> String {
    let inner = levels.saturating_sub(5) / 2;
    let (open, close) = (r#"{"name":"v","values":["#.repeat(inner), "]}".repeat(inner));
    format!(r#"{{"{key}":[{{"name":"e","request":{open}{{"name":"leaf"}}{close}}}]"#)
}

fn txt() -> Seeds {
    let mut seeds: Seeds = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| seeds.push((name.to_owned(), bytes));
    let odd: Vec<u8> = ["", "=", "=x", "service=greeter", "service=other", "ID", "flag", "port=80", "a=::%lo"]
        .iter()
        .flat_map(|text| behind(&[text.len() as u8], text.as_bytes()))
        .collect();
    add("keys-that-are-empty", behind(b"\x00\x01a\x00\x50", &odd));
    add("keys-of-our-kind", behind(&[1], &odd));
    add("bad-utf-8", behind(b"\x00\x01a\x00\x50", b"\x0cservice=\xff\xfe\xc0\x80"));
    add("a-string-over-the-end", behind(b"\x00\x01a\x00\x50", b"\xffservice=greeter"));
    for size in [limits::INFLATED_BYTES, limits::INFLATED_BYTES + 1, 4_600_000] {
        let bomb = zlib(&vec![b' '; size]);
        add(&format!("bomb-of-{size}"), behind(&[3], &bomb));
        add(&format!("go-micro-bomb-of-{size}"), behind(b"\x05\x011\x07greeter\x05micro\x00\x50", &hex_strings(&bomb)));
    }
    for levels in [31, 32, 33, 127, 129, 2_000] {
        add(&format!("nested-{levels}"), behind(&[2], format!("{}}}", nested(levels, "e")).as_bytes()));
        let today = format!(r#"{},"Service":"greeter","Version":"1"}}"#, nested(levels, "Endpoints"));
        add(&format!("go-micro-nested-{levels}"), behind(&[6, 3], today.as_bytes()));
    }
    add("brackets", behind(&[4], &b"[".repeat(9_000)));
    let before = r#"{"Service":"greeter","Version":"1","Endpoints":null,"Metadata":{"a":"b"},"Owner":"aaaaaaaaaaaaaaaaaaaaaaaaaa","Lease":30,"Revision":9,"ServiceMetadata":{"x":"<&>"}}"#;
    add("go-micro-of-our-kind", behind(&[6, 3], before.as_bytes()));
    add(
        "rest",
        behind(&[4], br#"{"m":{"a":"b"},"n":{"":"","c":"\u0000"},"e":[{"name":"e","request":null,"later":[1]}]}"#),
    );
    for (i, json) in DESCRIPTORS.iter().enumerate() {
        add(&format!("said-{i}"), behind(&[7, 0, 1], json.as_bytes()));
    }
    seeds
}

fn hex_strings(bytes: &[u8]) -> Vec<u8> {
    let hex = HEXLOWER.encode(bytes);
    hex.as_bytes().chunks(255).flat_map(|chunk| behind(&[chunk.len() as u8], chunk)).collect()
}

fn descriptors() -> Seeds {
    let mut seeds: Seeds = Vec::new();
    let mut add = |name: &str, kind: u8, text: &str| seeds.push((name.to_owned(), behind(&[kind], text.as_bytes())));
    for (i, json) in DESCRIPTORS.iter().enumerate() {
        add(&format!("service-{i}"), 0, json);
        add(&format!("selection-{i}"), 1, json);
    }
    for levels in [30, 31, 32, 33, 34, 127, 129, 4_000] {
        add(&format!("nested-{levels}"), 0, &format!(r#"{},"name":"greeter"}}"#, nested(levels, "endpoints")));
    }
    let node = |i: usize| format!(r#"{{"id":"{i}","port":1}}"#);
    for count in [limits::CALL_NODES, limits::CALL_NODES + 1] {
        let nodes = (0..count).map(node).collect::<Vec<_>>().join(",");
        add(&format!("nodes-{count}"), 0, &format!(r#"{{"name":"a","nodes":[{nodes}]}}"#));
    }
    for (i, address) in
        ["::1", "fe80::1%eth0", "[::1]:80", "a.b:1", "224.0.0.1", "a:1:2", "x.", "0.0.0.0"].iter().enumerate()
    {
        let text = format!(
            r#"{{"name":"a","nodes":[{{"id":"\ud83d\ude00","address":"{address}"}},{{"id":"b","port":65535}}]}}"#
        );
        add(&format!("address-{i}"), 0, &text);
    }
    add("half-a-pair", 0, r#"{"name":"\ud83d"}"#);
    add(
        "repeated-and-null",
        0,
        r#"{"name":"a","name":"b","version":null,"metadata":null,"nodes":null,"endpoints":null}"#,
    );
    add("control", 0, r#"{"name":"a\u0000b"}"#);
    add(
        "options",
        2,
        r#"{"addrs":["lo"],"timeout_ms":250,"wire":["dns-sd","go-micro"],"domain":"local","link":"native","port":5454,"secure":false,"tls":null,"allow_unsigned":[],"user":null,"password":null}"#,
    );
    add("options-nearest", 2, r#"{"timeout":1e99}"#);
    add("options-not-built", 2, r#"{"secure":true,"addrs":["etcd://h:2379"]}"#);
    add("register", 3, r#"{"ttl_ms":3001,"auto_renew":false}"#);
    add("watch", 4, r#"{"service":"greeter","queue":1000000}"#);
    seeds
}

/// Bytes without a plan, in steps of what the target takes.
fn random(seed: u64, count: usize, length: usize) -> Seeds {
    let mut rng = fastrand::Rng::with_seed(seed);
    let one = |i: usize| (format!("random-{i}"), (0..length).map(|_| rng.u8(..)).collect());
    (0..count).map(one).collect()
}

/// The seeds of a target.
pub fn of(target: &str) -> Seeds {
    match target {
        "descriptors" => descriptors(),
        "handles" => random(1, 40, 240),
        "packets" => packets(),
        "parser" => datagrams(),
        "sequences" => random(2, 40, 300),
        "txt" => txt(),
        other => panic!("{other} has no seeds"),
    }
}
