use proptest::prelude::*;

use super::*;
use crate::model::Compact;

fn record(json: &str) -> Record {
    let service = Service::from_json(json).unwrap();
    let node: Compact = (&service.nodes[0]).into();
    let owner = "aaaabbbbccccddddeeeeffff22";
    Record {
        key: dnssd::instance_label(owner, &service.name, node.id()).into(),
        owner: owner.into(),
        revision: 7,
        lease: 10,
        go_micro: Some(Domain::Micro),
        node,
        service: Arc::new(Service { nodes: Vec::new(), ..service }),
    }
}

fn texts(rdata: &[u8]) -> Vec<Vec<u8>> {
    let (mut strings, mut rest) = (Vec::new(), rdata);
    while let Some((length, tail)) = rest.split_first() {
        let (string, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        strings.push(string.to_vec());
        rest = tail;
    }
    strings
}

/// What a reader makes of what is said.
fn heard(record: &Record, domain: Domain) -> Result<Record, Refused> {
    let labels = instance(record.node.id(), &record.service.name, domain).unwrap();
    let strings = texts(&strings(&deflate(record, domain)));
    decode(&labels, &strings, record.node.port(), record.node.address().parse().ok())
}

/// TXT of these JSON keys, and what is made of it as the node `a.b` of the service `go.srv`.
fn read(json: &str) -> Result<Record, Refused> {
    let labels = ["a", "b", "go", "srv", "micro"].map(str::as_bytes);
    decode(&labels, &texts(&strings(&txt::zlib(json.as_bytes()))), 80, "10.0.0.1".parse().ok())
}

fn refused(json: &str) -> &'static str {
    read(json).unwrap_err().name()
}

const FULL: &str = r#"{"name":"go.srv","version":"1.0","metadata":{"team":"a"},"endpoints":[{"name":"Say.Hello",
    "request":{"name":"R","type":"R","values":[{"name":"n","type":"string"}]},"metadata":{"k":"<&>"}}],
    "nodes":[{"id":"a.B","address":"10.0.0.1","port":80,"metadata":{"zone":"nord\u2028ost"}}]}"#;

#[test]
fn what_our_own_kind_says_is_heard_as_it_was() {
    for domain in Domain::ALL {
        let said = Record { go_micro: Some(domain), ..record(FULL) };
        assert_eq!(heard(&said, domain).unwrap(), said);
    }
}

#[test]
fn names_are_cut_at_every_dot_and_keep_their_case() {
    let labels = |labels: Result<Vec<&[u8]>, Unfit>| {
        labels.map(|all| {
            all.iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect::<Vec<_>>().join("|")
        })
    };
    assert_eq!(labels(instance("a.B", "go.srv", Domain::Micro)).unwrap(), "a|B|go|srv|micro");
    assert_eq!(labels(service("go.srv", Domain::Local)).unwrap(), "go|srv|local");
    assert_eq!(labels(list_entry("go.srv", Domain::Micro)).unwrap(), "go|srv|_services|micro");
    assert_eq!(labels(Ok(list(Domain::Micro))).unwrap(), "_services|micro");
    for (id, why) in [("a..b", "empty"), (".", "empty"), (&*"x".repeat(64), "63"), (&*"abcdefgh.".repeat(30), "empty")]
    {
        assert!(labels(instance(id, "s", Domain::Micro)).unwrap_err().contains(why), "{id}");
    }
    let long = ["abcdefgh"; 30].join(".");
    assert!(labels(instance(&long, "s", Domain::Micro)).unwrap_err().contains("255"));
}

#[test]
fn what_the_wire_cannot_carry_is_refused_by_name() {
    let with = |id: &str, address: &str, metadata: &str| {
        let node = format!(r#"{{"id":"{id}","address":"{address}","port":80,"metadata":{{"m":"{metadata}"}}}}"#);
        record(&format!(r#"{{"name":"s","nodes":[{node}]}}"#))
    };
    let refused = |record: &Record| check(record, Domain::Micro).unwrap_err();
    assert_eq!(refused(&with("a..b", "", "")).status(), crate::Status::UNSUPPORTED);
    assert!(refused(&with("a", "db.example.org", "")).to_string().contains("host name"));
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: String = (0..9_000).map(|_| rng.alphanumeric()).collect();
    assert_eq!(refused(&with("a", "", &noise)).status(), crate::Status::TOO_LARGE);
    let flat = "a".repeat(limits::INFLATED_BYTES);
    assert_eq!(refused(&with("a", "", &flat)).status(), crate::Status::TOO_LARGE);
    for address in ["", "0.0.0.0", "10.0.0.1", "fe80::1%eth0"] {
        assert!(check(&with("a.b", address, "x"), Domain::Local).is_ok(), "{address}");
    }
}

#[test]
fn another_softwares_node_is_named_by_its_name() {
    let said = read(
        r#"{"Service":"go.srv","Version":"2","Endpoints":null,"Metadata":{"k":"v"},"Later":[1],
        "Lease":5,"Revision":9,"ServiceMetadata":{"a":"b"}}"#,
    )
    .unwrap();
    assert!(said.service.metadata.is_empty());
    assert_eq!((&*said.key, &*said.owner, said.lease, said.revision), ("a.b.go.srv.micro.", &*said.key.clone(), 90, 0));
    assert_eq!((said.node.id(), said.node.address(), said.node.port()), ("a.b", "10.0.0.1", 80));
    assert_eq!(said.go_micro, Some(Domain::Micro));
    let unspecified =
        decode(&[b"a", b"s", b"micro"], &texts(&strings(&txt::zlib(br#"{"Service":"s"}"#))), 80, "::".parse().ok());
    assert_eq!(unspecified.unwrap().node.address(), "", "this host");
}

#[test]
fn what_makes_no_sense_is_refused_by_the_part_that_does_not() {
    assert_eq!(refused(r#"{"Service":"srv.other"}"#), "name");
    assert_eq!(refused(r#"{"Service":"a.b.go.srv"}"#), "name");
    assert_eq!(refused(r#"{"Version":"1"}"#), "json-field");
    assert_eq!(refused(r#"{"Service":"go.srv","Endpoints":{}}"#), "json-field");
    assert_eq!(refused("[]"), "json-field");
    assert_eq!(refused("{"), "json");
    let endpoints = vec![r#"{"name":"e"}"#; limits::ENDPOINTS + 1].join(",");
    assert_eq!(refused(&format!(r#"{{"Service":"go.srv","Endpoints":[{endpoints}]}}"#)), "json-bound");
    let deep = "[".repeat(40) + &"]".repeat(40);
    assert_eq!(refused(&format!(r#"{{"Service":"go.srv","Later":{deep}}}"#)), "json-bound");
    let values = vec![r#"{"name":"v"}"#; limits::TXT_VALUES].join(",");
    let request = format!(r#"{{"name":"e","request":{{"values":[{values}]}}}}"#);
    assert_eq!(refused(&format!(r#"{{"Service":"go.srv","Endpoints":[{request}]}}"#)), "json-bound");
    let name = |labels: &[&[u8]]| {
        decode(labels, &texts(&strings(&txt::zlib(br#"{"Service":"s"}"#))), 80, "10.0.0.1".parse().ok())
    };
    for labels in [&[&b"s"[..], b"micro"][..], &[b"a.b", b"s", b"micro"], &[b"\xff", b"s", b"micro"], &[b"micro"], &[]]
    {
        assert_eq!(name(labels).unwrap_err().name(), "name", "{labels:?}");
    }
    assert_eq!(decode(&[b"a", b"s", b"micro"], &["xyz0"], 80, None).unwrap_err().name(), "txt-hex");
    assert_eq!(decode(&[b"a", b"s", b"micro"], &["ab"], 80, None).unwrap_err().name(), "txt-deflate");
}

#[test]
fn what_inflates_beyond_the_bound_is_refused() {
    let bomb = format!(r#"{{"Service":"go.srv","Metadata":{{"k":"{}"}}}}"#, "0".repeat(limits::INFLATED_BYTES));
    assert_eq!(refused(&bomb), "txt-inflated-size");
    let zeros = strings(&txt::zlib(&vec![b'0'; 2 << 20]));
    assert!(zeros.len() < limits::TXT_BYTES);
    assert_eq!(decode(&[b"a", b"s", b"micro"], &texts(&zeros), 80, None).unwrap_err().name(), "txt-inflated-size");
    let long = vec![vec![b'0'; 255]; 40];
    assert_eq!(decode(&[b"a", b"s", b"micro"], &long, 80, None).unwrap_err().name(), "txt-size");
}

#[test]
fn a_node_cannot_take_the_key_of_anothers_name_on_the_other_wire() {
    assert_eq!(dnssd::decode("a.b.go.srv.micro.", &["service=go.srv"], 80).unwrap_err().name(), "label");
}

proptest! {
    #[test]
    fn arbitrary_txt_never_panics(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 0..6),
        strings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        port: u16,
    ) {
        let labels: Vec<&[u8]> = labels.iter().map(Vec::as_slice).collect();
        let _ = decode(&labels, &strings, port, None);
        let hex: Vec<String> = strings.iter().map(|string| HEXLOWER.encode(string)).collect();
        let _ = decode(&labels, &hex, port, "10.0.0.1".parse().ok());
    }

    #[test]
    fn arbitrary_json_never_panics(json in ".{0,300}") {
        let _ = read(&json);
        let _ = read(&format!(r#"{{"Service":"go.srv","Endpoints":{json}}}"#));
    }

    #[test]
    fn a_flipped_byte_never_panics(at in 0..400_usize, bits: u8) {
        let mut rdata = strings(&deflate(&record(FULL), Domain::Micro));
        let at = at % rdata.len();
        rdata[at] ^= bits;
        let labels = ["a", "B", "go", "srv", "micro"].map(str::as_bytes);
        let _ = decode(&labels, &texts(&rdata), 80, "10.0.0.1".parse().ok());
    }

    #[test]
    fn any_text_comes_out_as_it_went_in(
        id in "[a-zA-Z0-9 ()\\\\é.-]{1,40}", version in "\\PC{0,20}", key in "\\PC{0,20}", value in "\\PC{0,200}",
    ) {
        let node = Node { id, address: "fd00::1".into(), port: 1, metadata: [(key, value)].into() };
        let mut said = record(FULL);
        said.service = Arc::new(Service { version, ..Service::clone(&said.service) });
        said.node = (&node).into();
        said.key = dnssd::instance_label(&said.owner, &said.service.name, &node.id).into();
        if unfit(&said, Domain::Micro).is_none() {
            prop_assert_eq!(heard(&said, Domain::Micro).unwrap(), said);
        }
    }
}
