//! JSON of callers: what is read reads back from what is written of it, and an error names its field.

use mdns_registry::{limits, Error, Options, RegisterOptions, Selection, Service, WatchOptions};

use super::input::Input;

/// The first byte says what the text is.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    match kind % 5 {
        0 => service(text),
        1 => selection(text),
        2 => options(text),
        3 => register_options(text),
        _ => watch_options(text),
    }
}

fn checked<T>(read: Result<T, Error>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            assert_named(&error);
            None
        }
    }
}

fn assert_named(error: &Error) {
    let json: serde_json::Value = serde_json::from_str(&error.to_json()).expect("an error is one JSON object");
    let message = json["message"].as_str().expect("a message");
    let named = match error {
        Error::Unsupported { what, .. } => what,
        Error::Invalid { .. } | Error::TooLarge { .. } | Error::Option { .. } | Error::Json { .. } => {
            json["field"].as_str().expect("a field")
        }
        other => panic!("not an error of a descriptor: {other:?}"),
    };
    assert!(!named.is_empty() || message.contains("unknown"), "{message}");
    // Keys and paths come from the caller; beside them a message is short.
    assert!(message.len() <= 400 + 4 * named.len(), "{} bytes: {message}", message.len());
}

fn service(text: &str) {
    let Some(service) = checked(Service::from_json(text)) else { return };
    let again = Service::from_json(&service.to_json()).expect("what we write can be read");
    assert_eq!(again, service);
    assert_eq!(again.to_json(), service.to_json());
    service.validate().expect("what was read passes");
    assert!(service.nodes.len() <= limits::CALL_NODES && service.endpoints.len() <= limits::ENDPOINTS);
    // What was registered can be passed to deregister as it is.
    let selection = Selection::from_json(text).expect("a descriptor selects");
    assert_eq!(Selection::from_json(&service.to_json()).unwrap(), selection_of(&service, text, selection));
}

/// Where the text has no nodes all are meant; what we write of it has none, which means none.
fn selection_of(service: &Service, text: &str, read: Selection) -> Selection {
    let named = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| !json["nodes"].is_null());
    if named {
        read
    } else {
        Selection::from(service)
    }
}

fn selection(text: &str) {
    checked(Selection::from_json(text));
}

fn options(text: &str) {
    let Some(options) = checked(Options::from_json(text)) else { return };
    options.validate().expect("what was read passes");
    assert_eq!(Options::from_json(&options.to_json()).expect("what we write can be read"), options);
    assert_eq!(options.changed("{}").expect("nothing changes nothing"), options);
    let wires = options.wires();
    assert!(wires.dns_sd || wires.go_micro.is_some());
}

fn register_options(text: &str) {
    let Some(options) = checked(RegisterOptions::from_json(text)) else { return };
    let lease = u64::from(options.lease().expect("what was read passes")) * 1_000;
    assert!(lease >= *limits::TTL_MS.start() && lease < *limits::TTL_MS.end() + 1_000);
}

fn watch_options(text: &str) {
    let Some(options) = checked(WatchOptions::from_json(text)) else { return };
    options.validate().expect("what was read passes");
    assert!(limits::WATCH_QUEUE.contains(&options.queue));
}
