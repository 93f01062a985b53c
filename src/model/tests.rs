use super::*;
use crate::error::Status;

fn refused(text: &str) -> Error {
    Service::from_json(text).unwrap_err()
}

fn node(fields: &str) -> String {
    format!(r#"{{"name":"greeter","nodes":[{{"id":"a",{fields}}}]}}"#)
}

#[test]
fn missing_and_null_read_as_empty_and_write_as_empty() {
    let service = Service::from_json(r#"{"name":"greeter","metadata":null,"nodes":[{"id":"a","port":1}]}"#).unwrap();
    let written = r#"{"name":"greeter","version":"","metadata":{},"endpoints":[],"nodes":[{"id":"a","address":"","port":1,"metadata":{}}]}"#;
    assert_eq!(service.to_json(), written);
    assert_eq!(Service::from_json(written).unwrap(), service);
}

#[test]
fn a_full_descriptor_reads_back_as_it_was_written() {
    let text = r#"{"name":"greeter","version":"1.2","metadata":{"Ünït":"a=b c"},"endpoints":[{"name":"Hello","request":{"name":"Req","type":"Req","values":[{"name":"n","type":"string","values":[]}]},"response":null,"metadata":{"stream":"true"}}],"nodes":[{"id":"a.b","address":"fe80::1%eth0","port":65535,"metadata":{"k":"v"}}]}"#;
    assert_eq!(Service::from_json(text).unwrap().to_json(), text);
}

#[test]
fn the_port_may_stand_at_the_end_of_the_address() {
    let read = |address: &str| {
        let service = Service::from_json(&node(&format!(r#""address":"{address}""#))).unwrap();
        (service.nodes[0].address.clone(), service.nodes[0].port)
    };
    assert_eq!(read("10.0.0.7:8080"), ("10.0.0.7".to_owned(), 8080));
    assert_eq!(read("[2001:db8::1]:8080"), ("2001:db8::1".to_owned(), 8080));
    assert_eq!(read("db.example.org:5432"), ("db.example.org".to_owned(), 5432));
    assert_eq!(read(":9090"), (String::new(), 9090));
}

#[test]
fn every_bad_field_is_refused_by_name() {
    let deep = format!("{}{}", r#"{"name":"x","values":["#.repeat(40), "]}".repeat(40));
    let cases = [
        (r#"{"name":"greeter","nodes":[],"color":1}"#.to_owned(), Status::INVALID, "color: unknown key"),
        (node(r#""port":0"#), Status::INVALID, "nodes[0].port: must be a whole number from 1 to 65535, got 0"),
        (node(r#""port":65536"#), Status::INVALID, "nodes[0].port"),
        (node(r#""port":"80""#), Status::INVALID, "nodes[0].port: must be a whole number from 1 to 65535, got \"80\""),
        (node(r#""address":"h""#), Status::INVALID, "nodes[0].port: must be 1 to 65535"),
        (node(r#""address":"h:1","port":1"#), Status::INVALID, "nodes[0].address: must not carry a port"),
        (node(r#""address":"224.0.0.1","port":1"#), Status::INVALID, "nodes[0].address: must not be a multicast"),
        (node(r#""address":"10.0.0.1%eth0","port":1"#), Status::INVALID, "nodes[0].address: %interface belongs"),
        (
            node(r#""address":"a b","port":1"#),
            Status::INVALID,
            "nodes[0].address: must be an IP address or a host name",
        ),
        (node(r#""port":1,"metadata":{"k":1}"#), Status::INVALID, "nodes[0].metadata.k: must be a string, got 1"),
        (r#"{"name":""}"#.to_owned(), Status::INVALID, "name: must be 1 to 255 bytes"),
        (r#"{"name":"a\u0007"}"#.to_owned(), Status::INVALID, "name: must have no control characters, got U+0007"),
        (r#"{"version":"1"}"#.to_owned(), Status::INVALID, "name: is required"),
        (r#"{"name":"g","nodes":[{"id":"","port":1}]}"#.to_owned(), Status::INVALID, "nodes[0].id: must be 1 to 255"),
        (
            r#"{"name":"g","nodes":[{"id":"a","port":1},{"id":"a","port":2}]}"#.to_owned(),
            Status::INVALID,
            "nodes[1].id: must be unique",
        ),
        (r#"{"name":"g","nodes":{}}"#.to_owned(), Status::INVALID, "nodes: must be a list, got an object"),
        (r#"["g"]"#.to_owned(), Status::INVALID, "service: must be an object, got a list"),
        (r#"{"name":"g","#.to_owned(), Status::JSON, "service is not JSON: EOF"),
        (format!(r#"{{"name":"{}"}}"#, "n".repeat(256)), Status::TOO_LARGE, "name is 256 bytes, the limit is 255"),
        (
            format!(r#"{{"name":"g","endpoints":[{{"name":"e","request":{deep}}}]}}"#),
            Status::TOO_LARGE,
            "service is 82 levels, the limit is 32",
        ),
        (format!("[{}", "[".repeat(200)), Status::TOO_LARGE, "levels, the limit is 32"),
        (
            format!(r#"{{"name":"{}"}}"#, "n".repeat(2 << 20)),
            Status::TOO_LARGE,
            "service is 2097163 bytes, the limit is 1048576",
        ),
    ];
    for (text, status, said) in cases {
        let error = refused(&text);
        let shown = &text[..text.len().min(120)];
        assert_eq!(error.status(), status, "{shown}: {error}");
        assert!(error.to_string().contains(said), "{shown}: {error}");
    }
}

#[test]
fn too_many_nodes_or_endpoints_are_refused_with_the_limit() {
    let nodes: Vec<String> = (0..1_025).map(|i| format!(r#"{{"id":"{i}","port":1}}"#)).collect();
    let error = refused(&format!(r#"{{"name":"g","nodes":[{}]}}"#, nodes.join(",")));
    assert_eq!(error.to_string(), "nodes is 1025 entries, the limit is 1024");
    let endpoints = vec![r#"{"name":"e"}"#; 1_001].join(",");
    let error = refused(&format!(r#"{{"name":"g","endpoints":[{endpoints}]}}"#));
    assert_eq!(error.to_string(), "endpoints is 1001 entries, the limit is 1000");
}

#[test]
fn a_descriptor_built_in_rust_obeys_the_same_rules() {
    let service = Service { name: "g".into(), nodes: vec![Node::default()], ..Service::default() };
    assert!(service.validate().unwrap_err().to_string().starts_with("nodes[0].id"));
}

#[test]
fn a_selection_tells_absent_nodes_from_none() {
    use crate::model::Selection;
    let all = Selection::from_json(r#"{"name":"g"}"#).unwrap();
    let none = Selection::from_json(r#"{"name":"g","nodes":[]}"#).unwrap();
    let one = Selection::from_json(r#"{"name":"g","version":"1","nodes":[{"id":"a","port":0}]}"#).unwrap();
    assert!(all.selects("g", "2", "x") && !none.selects("g", "2", "x"));
    assert!(one.selects("g", "1", "a") && !one.selects("g", "2", "a") && !one.selects("g", "1", "b"));
}

#[test]
fn a_descriptor_as_deep_as_may_be_reads_back_from_what_is_written_of_it() {
    let nested = |levels: usize| {
        let inner = (levels - 4) / 2;
        let value = format!("{}{{}}{}", r#"{"values":["#.repeat(inner), "]}".repeat(inner));
        format!(r#"{{"name":"g","endpoints":[{{"name":"e","request":{value}}}]}}"#)
    };
    let deepest = Service::from_json(&nested(32)).unwrap();
    assert_eq!(Service::from_json(&deepest.to_json()).unwrap(), deepest);
    assert_eq!(Service::from_json(&nested(36)).unwrap_err().status(), Status::TOO_LARGE);
}
