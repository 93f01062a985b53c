use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn record(service: Service, node: Node) -> Record {
    let owner = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let key = instance_label(owner, &service.name, &node.id);
    Record {
        key: key.into(),
        owner: owner.into(),
        revision: 7,
        lease: 120,
        go_micro: None,
        service: Arc::new(service),
        node: (&node).into(),
    }
}

fn small() -> Record {
    let node = Node { id: "greeter-1".into(), address: String::new(), port: 8080, metadata: Metadata::new() };
    record(Service { name: "greeter".into(), version: "1.0.0".into(), ..Service::default() }, node)
}

fn back(record: &Record) -> Result<Record, Refused> {
    decode(&record.key, &encode(record).unwrap(), record.node.port())
}

fn strings(text: &[&str]) -> Vec<Vec<u8>> {
    text.iter().map(|s| s.as_bytes().to_vec()).collect()
}

#[test]
fn the_readable_strings_come_first_and_in_order() {
    let text: Vec<String> =
        encode(&small()).unwrap().into_iter().map(|string| String::from_utf8(string).unwrap()).collect();
    let expected = [
        "txtvers=1",
        "id=greeter-1",
        "service=greeter",
        "version=1.0.0",
        "lease=120",
        "owner=aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "seq=7",
        "port=8080",
    ];
    assert_eq!(text, expected);
}

#[test]
fn a_label_is_lower_case_dot_free_short_and_unique() {
    let label = |id: &str| instance_label("owner", "greeter", id);
    assert!(label("Go.Micro\\srv\u{7}.Greeter-1").starts_with("gomicrosrvgreeter-1-"));
    assert_ne!(label("a.b"), label("ab"));
    assert_ne!(instance_label("ab", "c", "d"), instance_label("a", "bc", "d"));
    for id in ["x".repeat(255), "é".repeat(120), "🦀".repeat(60), "İ".repeat(100), "...".into(), "ΑΣ".into()] {
        let label = label(&id);
        assert!(label.len() <= limits::LABEL_BYTES, "{label}");
        assert_eq!(label.to_lowercase(), label);
    }
}

#[test]
fn subtypes_and_host_labels_are_of_fixed_form() {
    let subtype = subtype("Greeter.with dots");
    assert!(subtype.ends_with("._sub._mdns-registry._tcp.local."));
    assert_eq!(subtype.find('.'), Some(17));
    assert_ne!(host_label("a", "1"), host_label("a", "2"));
    assert_eq!(host_label("a", "1").len(), 21);
}

#[test]
fn a_long_dotted_id_with_everything_in_it_comes_back() {
    let shape = |name: &str, values| Value { name: name.into(), r#type: "Map=É 🦀".into(), values };
    let endpoint = Endpoint {
        name: "Greeter.Hello".into(),
        request: Some(shape("Request", vec![shape("a", vec![shape("b", vec![])])])),
        response: Some(Value::default()),
        metadata: [("Stream".to_owned(), "true = false".to_owned())].into(),
    };
    let metadata =
        Metadata::from([("Key With = and 🦀".into(), "Välue\n\"quoted\"".into()), (String::new(), String::new())]);
    let service = Service {
        name: "S".repeat(255),
        version: "v".repeat(255),
        metadata: metadata.clone(),
        endpoints: vec![endpoint.clone(), Endpoint { name: "E2".into(), ..Endpoint::default() }],
        nodes: vec![],
    };
    let labels = ["h".repeat(63), "i".repeat(63), "j".repeat(63), "k".repeat(60)].join(".");
    let node = Node { id: "I.".repeat(127), address: labels, port: 1, metadata };
    let said = record(service, node);
    assert_eq!(back(&said).unwrap(), said);
}

#[test]
fn what_is_too_large_is_refused_by_the_part_that_is() {
    let noise = |seed: u64| -> String {
        let step = |x: &mut u64| {
            *x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (*x >> 33) as u8 % 90)
        };
        (0..12_000).scan(seed, |x, _| Some(step(x))).collect()
    };
    let with = |text: String| {
        let node = small().node.at("");
        Record { node: (&Node { metadata: Metadata::from([("k".into(), text)]), ..node }).into(), ..small() }
    };
    let said = with(noise(1));
    let error = encode(&said).unwrap_err();
    let Error::TooLarge { field, limit, size, .. } = &error else { panic!("{error}") };
    assert_eq!((field.as_str(), *limit), ("nodes[\"greeter-1\"].metadata", 8_000));
    assert!(*size > 8_000);

    let mut said = small();
    Arc::make_mut(&mut said.service).metadata.insert("k".into(), noise(2));
    let error = encode(&said).unwrap_err();
    assert!(matches!(&error, Error::TooLarge { field, .. } if field == "service"), "{error}");

    let mut said = with("a".repeat(300_000));
    let error = encode(&said).unwrap_err();
    assert!(matches!(&error, Error::TooLarge { limit: 262_144, .. }), "{error}");

    let value = Value { values: vec![Value::default(); limits::TXT_VALUES], ..Value::default() };
    let endpoint = Endpoint { name: "e".into(), request: Some(value), ..Endpoint::default() };
    Arc::make_mut(&mut said.service).endpoints.push(endpoint);
    assert!(matches!(encode(&said), Err(Error::TooLarge { unit: "values", .. })));
}

#[test]
fn a_descriptor_at_the_depth_limit_can_be_said_and_heard() {
    let mut json = "{}".to_owned();
    for _ in 0..14 {
        json = format!(r#"{{"values":[{json}]}}"#);
    }
    let text = format!(r#"{{"name":"s","endpoints":[{{"name":"e","request":{json}}}],"nodes":[]}}"#);
    let service = Service::from_json(&text).unwrap();
    let said = record(service, small().node.at(""));
    assert_eq!(back(&said).unwrap(), said);
}

#[test]
fn foreign_instances_need_only_a_service() {
    let heard = decode("Printer One", &strings(&["Service=print", "flag", "unknown=1"]), 631).unwrap();
    assert_eq!((&*heard.key, &*heard.owner, heard.node.id()), ("printer one", "printer one", "printer one"));
    assert_eq!((heard.node.port(), heard.lease, heard.revision), (631, 120, 0));
    let refused = |text: &[&str], port| decode("p", &strings(text), port).unwrap_err().name();
    assert_eq!(refused(&["id=x"], 631), "no-service");
    assert_eq!(refused(&["service=print"], 0), "port");
    assert_eq!(refused(&["service=print", "port=0"], 631), "port");
    assert_eq!(refused(&["service=print", "txtvers=2"], 631), "txtvers");
    assert_eq!(refused(&["service="], 631), "name");
    assert_eq!(refused(&["service=a\u{7}"], 631), "name");
    assert_eq!(refused(&["service=print", "a=224.0.0.1"], 631), "address");
    assert_eq!(refused(&["service=print", "j0={\"e\":1}"], 631), "json-field");
    assert_eq!(refused(&["service=print", "j0={"], 631), "json");
    assert_eq!(refused(&["service=print", "z0=x"], 631), "txt-deflate");
    let heard = decode("p", &strings(&["service=print", "j0={\"later\":[1],\"e\":[{\"name\":\"x\",\"new\":1}]}"]), 1);
    assert_eq!(heard.unwrap().service.endpoints.len(), 1);
}

#[test]
fn leases_from_the_network_are_brought_within_the_limits() {
    let lease = |text: &str| decode("p", &strings(&["service=print", text]), 1).unwrap().lease;
    assert_eq!(lease("lease=0"), 3);
    assert_eq!(lease("lease=30"), 30);
    assert_eq!(lease("lease=99999999999999999999"), 120);
    assert_eq!(lease("lease=18446744073709551615"), 86_400);
    assert_eq!(lease("lease=x"), 120);
}

#[test]
fn a_label_that_is_not_the_owners_own_is_refused() {
    let said = small();
    let txt = encode(&said).unwrap();
    assert_eq!(decode("other", &txt, 1), Err(Refused::LabelMismatch));
    assert_eq!(decode(&said.key.to_uppercase(), &txt, 1).unwrap().key, said.key);
}

fn name() -> impl Strategy<Value = String> {
    let any = "[^\\p{Cc}]{1,255}";
    let short = prop_oneof![any, "[a-zA-Z0-9.= 🦀é\\\\-]{1,255}"];
    short.prop_map(|name| {
        let fits = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 255).last();
        name[..fits.unwrap_or(0)].to_owned()
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    btree_map(".{0,20}", ".{0,40}", 0..4)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = (".{0,9}", ".{0,9}").prop_map(|(name, r#type)| Value { name, r#type, values: vec![] });
    leaf.prop_recursive(6, 24, 4, |inner| {
        (".{0,9}", ".{0,9}", vec(inner, 0..4)).prop_map(|(name, r#type, values)| Value { name, r#type, values })
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (name(), option::of(value()), option::of(value()), metadata())
        .prop_map(|(name, request, response, metadata)| Endpoint { name, request, response, metadata })
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        any::<[u8; 4]>()
            .prop_filter("unicast", |a| a[0] < 224 && *a != [0; 4])
            .prop_map(|a| std::net::Ipv4Addr::from(a).to_string()),
        "fe80::[1-9a-f]{1,4}%[a-z]{1,8}",
        "[a-z0-9_-]{1,63}(\\.[A-Za-z0-9]{1,30}){0,5}",
    ]
}

fn arbitrary() -> impl Strategy<Value = Record> {
    let service = (name(), option::of(name()), metadata(), vec(endpoint(), 0..4)).prop_map(
        |(name, version, metadata, endpoints)| Service {
            name,
            version: version.unwrap_or_default(),
            metadata,
            endpoints,
            nodes: vec![],
        },
    );
    let node = (name(), address(), 1u16.., metadata()).prop_map(|(id, address, port, metadata)| Node {
        id,
        address,
        port,
        metadata,
    });
    (service, node, "[a-z2-7]{26}", any::<u64>(), 3u32..=86_400).prop_map(|(service, node, owner, revision, lease)| {
        let key = instance_label(&owner, &service.name, &node.id).into();
        Record {
            key,
            owner: owner.into(),
            revision,
            lease,
            go_micro: None,
            service: Arc::new(service),
            node: (&node).into(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_heard_as_it_was(said in arbitrary()) {
        let txt = encode(&said).unwrap();
        prop_assert!(txt.iter().all(|s| s.len() <= 255) && txt::size(&txt) <= limits::TXT_BYTES);
        prop_assert_eq!(decode(&said.key, &txt, 0), Ok(said));
    }

    #[test]
    fn arbitrary_txt_never_panics(label in ".{0,70}", mut txt in vec(vec(any::<u8>(), 0..256), 0..12), port in any::<u16>()) {
        let _ = decode(&label, &txt, port);
        txt.push(b"service=x".to_vec());
        let _ = decode(&label, &txt, port);
    }

    #[test]
    fn a_flipped_byte_never_panics(said in arbitrary(), string in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut txt = encode(&said).unwrap();
        let string = string.get_mut(&mut txt);
        *at.get_mut(string) = byte;
        let _ = decode(&said.key, &txt, 1);
    }

    #[test]
    fn arbitrary_json_never_panics(json in "[{}\\[\\]\":,mne a0-9.-]{0,200}", nest in 0usize..400) {
        let deep = "[".repeat(nest) + &"]".repeat(nest);
        for payload in [json.clone(), format!("{{\"m\":{json}}}"), format!("{{\"e\":{deep}}}")] {
            let mut txt = strings(&["service=x"]);
            txt::push_payload(&mut txt, payload.as_bytes());
            let _ = decode("l", &txt, 1);
        }
    }
}
