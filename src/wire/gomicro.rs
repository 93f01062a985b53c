//! go-micro's wire: a node is the name `<id>.<service>.<domain>`, with SRV, address and TXT (go-micro's
//! `registry/mdns_registry.go`).
//!
//! TXT is JSON of service name, version, endpoints and the node's metadata, deflated (RFC 1950), in lower-case hex, cut into
//! strings of 255. Behind go-micro's keys come ours, which it passes over: see [`Extra`].

use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;

use super::address::is_this_host;
use super::dnssd::{self, within_name, NodeMetadata};
use super::{txt, Refused};
use crate::error::{self, Error};
use crate::limits;
use crate::model::{self, Endpoint, Metadata, Node, Reader, Service, Value};
use crate::options::Domain;
use crate::record::{Key, Record};

/// One TXT string, bytes.
const STRING_BYTES: usize = 255;
/// The longest name, bytes of its wire form with the root (RFC 1035 §3.1).
const WIRE_NAME_BYTES: usize = 255;
/// Under this label stand the entries of the list of services.
const LIST: &str = "_services";

/// Why this wire cannot carry a name.
pub type Unfit = &'static str;

/// The labels of a node's name: go-micro cuts id and service name at every dot.
///
/// # Errors
/// What is wrong with the name.
pub fn instance<'a>(id: &'a str, service: &'a str, domain: Domain) -> Result<Vec<&'a [u8]>, Unfit> {
    labels(&[id, service, domain.as_str()])
}

/// The labels of the name that is asked for the nodes of a service.
///
/// # Errors
/// What is wrong with the name.
pub fn service(service: &str, domain: Domain) -> Result<Vec<&[u8]>, Unfit> {
    labels(&[service, domain.as_str()])
}

/// The labels of the name that is asked for the services.
pub fn list(domain: Domain) -> Vec<&'static [u8]> {
    vec![LIST.as_bytes(), domain.as_str().as_bytes()]
}

/// The labels of a service's entry in that list.
///
/// # Errors
/// What is wrong with the name.
pub fn list_entry(service: &str, domain: Domain) -> Result<Vec<&[u8]>, Unfit> {
    labels(&[service, LIST, domain.as_str()])
}

fn labels<'a>(parts: &[&'a str]) -> Result<Vec<&'a [u8]>, Unfit> {
    let labels: Vec<&[u8]> = parts.iter().flat_map(|part| part.split('.')).map(str::as_bytes).collect();
    if labels.iter().any(|label| label.is_empty()) {
        return Err("id or name has a part between dots that is empty");
    }
    if labels.iter().any(|label| label.len() > limits::LABEL_BYTES) {
        return Err("id or name has a part between dots of more than 63 bytes");
    }
    match labels.iter().map(|label| 1 + label.len()).sum::<usize>() + 1 > WIRE_NAME_BYTES {
        true => Err("id and name together are longer than 255 bytes"),
        false => Ok(labels),
    }
}

/// Why the wire cannot carry a node, as far as that shows without its TXT.
pub fn unfit(record: &Record, domain: Domain) -> Option<Unfit> {
    let (id, name) = (record.node.id(), &record.service.name);
    let names = instance(id, name, domain).and_then(|_| list_entry(name, domain));
    let address = record.node.address();
    let bare = address.split('%').next().unwrap_or_default();
    let literal = is_this_host(address) || bare.parse::<IpAddr>().is_ok();
    names.err().or_else(|| (!literal).then_some("address is a host name"))
}

/// Checks that the wire can carry a node.
///
/// # Errors
/// `UNSUPPORTED` for its name or address, `TOO_LARGE` for its TXT.
pub fn check(record: &Record, domain: Domain) -> error::Result<()> {
    if let Some(why) = unfit(record, domain) {
        return Err(Error::Unsupported { what: "the node".into(), why });
    }
    let json = json(record, domain);
    let values = dnssd::values(&record.service.endpoints);
    dnssd::bounded("service.endpoints", values, limits::TXT_VALUES, "values")?;
    dnssd::bounded("service and node", json.len(), limits::INFLATED_BYTES, "bytes")?;
    let size = strings(&txt::zlib(json.as_bytes())).len();
    dnssd::bounded("service and node", size, limits::TXT_BYTES, "bytes of TXT")
}

/// The data of a node's TXT record, deflated.
pub fn deflate(record: &Record, domain: Domain) -> Vec<u8> {
    txt::zlib(json(record, domain).as_bytes())
}

/// Deflated data as TXT rdata.
pub fn strings(deflated: &[u8]) -> Vec<u8> {
    let hex = HEXLOWER.encode(deflated);
    let mut rdata = Vec::with_capacity(hex.len() + hex.len() / STRING_BYTES + 1);
    for string in hex.as_bytes().chunks(STRING_BYTES) {
        rdata.push(u8::try_from(string.len()).unwrap_or(u8::MAX));
        rdata.extend_from_slice(string);
    }
    rdata
}

/// A node, from the labels of its name as they came, the strings of its TXT, the port of its SRV record and the address of
/// that record's target.
///
/// A node of our own kind names its registry, and has the key that it has on the DNS-SD wire. The owner and the key of any
/// other are its name, with a dot at the end.
///
/// # Errors
/// The reason, by the name under which it is counted.
pub fn decode(
    labels: &[&[u8]],
    strings: &[impl AsRef<[u8]>],
    port: u16,
    address: Option<IpAddr>,
) -> Result<Record, Refused> {
    decode_counted(labels, strings, port, address, &mut 0)
}

/// [`decode`], which tells how many bytes it has inflated, also in vain.
///
/// # Errors
/// As `decode`.
pub fn decode_counted(
    labels: &[&[u8]],
    strings: &[impl AsRef<[u8]>],
    port: u16,
    address: Option<IpAddr>,
    inflated: &mut usize,
) -> Result<Record, Refused> {
    if txt::size(strings) > limits::TXT_BYTES {
        return Err(Refused::TxtSize);
    }
    let hex: Vec<u8> = strings.iter().flat_map(|string| string.as_ref()).copied().collect();
    let deflated = HEXLOWER_PERMISSIVE.decode(&hex).map_err(|_| Refused::TxtHex)?;
    let said = Heard::read(&txt::inflate(&deflated, inflated)?)?;

    let texts = labels.iter().map(|label| std::str::from_utf8(label).ok().filter(|text| !text.contains('.')));
    let texts: Vec<&str> = texts.collect::<Option<_>>().ok_or(Refused::Name)?;
    let (last, names) = texts.split_last().ok_or(Refused::Name)?;
    let domain = Domain::ALL.into_iter().find(|domain| domain.as_str() == *last).ok_or(Refused::Name)?;
    let names = names.join(".");
    let id = names.strip_suffix(&said.service).and_then(|id| id.strip_suffix('.')).ok_or(Refused::Name)?;
    for name in [&said.service, id] {
        within_name(name).and_then(|()| model::check_name("name", name).map_err(|_| Refused::Name))?;
    }
    model::check_controls("version", &said.version).map_err(|_| Refused::Name)?;
    let port = Some(port).filter(|port| *port != 0).ok_or(Refused::Port)?;
    let address = match address.ok_or(Refused::Address)? {
        ip if ip.is_unspecified() => String::new(),
        ip => ip.to_string(),
    };
    model::check_address("address", &address).map_err(|_| Refused::Address)?;

    // Who does not name itself is not of our kind.
    let extra = if said.extra.owner.is_some() { said.extra } else { Extra::default() };
    let Extra { owner, lease, revision, service_metadata } = extra;
    let (owner, key) = match owner {
        Some(owner) => {
            let key = dnssd::instance_label(&owner, &said.service, id);
            (Arc::from(owner), Arc::from(key))
        }
        None => {
            let name: Arc<str> = Arc::from(texts.join(".") + ".");
            (name.clone(), name)
        }
    };
    let node = Node { id: id.to_owned(), address, port, metadata: said.metadata };
    let (name, version, endpoints) = (said.service, said.version, said.endpoints);
    let lease_ms = lease.map_or(limits::GO_MICRO_LEASE_MS, |seconds| seconds.saturating_mul(1_000));
    let lease = lease_ms.clamp(*limits::TTL_MS.start(), *limits::TTL_MS.end()) / 1_000;
    Ok(Record {
        owner,
        revision: revision.unwrap_or(0),
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
        go_micro: Some(domain),
        service: Arc::new(Service { name, version, metadata: service_metadata, endpoints, nodes: Vec::new() }),
        node: (&node).into(),
        key,
    })
}

/// The key of a node of go-micro's own.
pub fn key(id: &str, service: &str, domain: Domain) -> Key {
    Key::from(format!("{id}.{service}.{}.", domain.as_str()))
}

fn json(record: &Record, domain: Domain) -> String {
    let service = &record.service;
    let extra = Said {
        owner: &record.owner,
        lease: record.lease,
        revision: record.revision,
        service_metadata: &service.metadata,
    };
    let (name, version, endpoints) = (&service.name, &service.version, service.endpoints.iter());
    let metadata = NodeMetadata(Some(&record.node));
    let metadata = (!metadata.is_empty()).then_some(metadata);
    let text = match domain {
        Domain::Micro => {
            let endpoints = nullable(endpoints.map(EndpointToday::of).collect());
            model::to_json(&Today { metadata, service: name, version, endpoints, extra })
        }
        Domain::Local => {
            let endpoints = nullable(endpoints.map(EndpointBefore::of).collect());
            model::to_json(&Before { service: name, version, endpoints, metadata, extra })
        }
    };
    as_go_escapes(text)
}

/// What Go escapes in every string of JSON, so that HTML can hold it; outside of strings it does not occur.
fn as_go_escapes(text: String) -> String {
    const ESCAPED: [(char, &str); 5] =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    if !text.contains(ESCAPED.map(|(plain, _)| plain)) {
        return text;
    }
    ESCAPED.iter().fold(text, |text, (plain, escaped)| text.replace(*plain, escaped))
}

/// Since September 2019.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Today<'a> {
    metadata: Option<NodeMetadata<'a>>,
    service: &'a str,
    version: &'a str,
    endpoints: Option<Vec<EndpointToday<'a>>>,
    #[serde(flatten)]
    extra: Said<'a>,
}

/// Before.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Before<'a> {
    service: &'a str,
    version: &'a str,
    endpoints: Option<Vec<EndpointBefore<'a>>>,
    metadata: Option<NodeMetadata<'a>>,
    #[serde(flatten)]
    extra: Said<'a>,
}

/// Our own keys. None may differ from one of go-micro's by case alone, as Go takes these for the same.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Said<'a> {
    owner: &'a str,
    /// Seconds.
    lease: u32,
    revision: u64,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    service_metadata: &'a Metadata,
}

/// A list that is `null` when it is empty, as nil is in Go. Which of nil and empty it was, our model does not tell.
fn nullable<T: Serialize>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn metadata_of(endpoint: &Endpoint) -> Option<&Metadata> {
    (!endpoint.metadata.is_empty()).then_some(&endpoint.metadata)
}

/// Since September 2019.
#[derive(Serialize)]
struct EndpointToday<'a> {
    request: Option<Shape<'a>>,
    response: Option<Shape<'a>>,
    metadata: Option<&'a Metadata>,
    name: &'a str,
}

impl<'a> EndpointToday<'a> {
    fn of(endpoint: &'a Endpoint) -> EndpointToday<'a> {
        EndpointToday {
            request: endpoint.request.as_ref().map(Shape::of),
            response: endpoint.response.as_ref().map(Shape::of),
            metadata: metadata_of(endpoint),
            name: &endpoint.name,
        }
    }
}

/// Before.
#[derive(Serialize)]
struct EndpointBefore<'a> {
    name: &'a str,
    request: Option<Shape<'a>>,
    response: Option<Shape<'a>>,
    metadata: Option<&'a Metadata>,
}

impl<'a> EndpointBefore<'a> {
    fn of(endpoint: &'a Endpoint) -> EndpointBefore<'a> {
        let EndpointToday { request, response, metadata, name } = EndpointToday::of(endpoint);
        EndpointBefore { name, request, response, metadata }
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    name: &'a str,
    r#type: &'a str,
    values: Option<Vec<Shape<'a>>>,
}

impl<'a> Shape<'a> {
    fn of(value: &'a Value) -> Shape<'a> {
        let values = nullable(value.values.iter().map(Shape::of).collect());
        Shape { name: &value.name, r#type: &value.r#type, values }
    }
}

/// What of TXT concerns us, checked as a descriptor is; other keys are passed over.
struct Heard {
    service: String,
    version: String,
    endpoints: Vec<Endpoint>,
    metadata: Metadata,
    extra: Extra,
}

/// What only our own kind says.
#[derive(Default)]
struct Extra {
    owner: Option<String>,
    lease: Option<u64>,
    revision: Option<u64>,
    service_metadata: Metadata,
}

impl Heard {
    fn read(json: &[u8]) -> Result<Heard, Refused> {
        let said = dnssd::read_json(json, Heard::fields)?;
        dnssd::within_values(&said.endpoints)?;
        Ok(said)
    }

    fn fields(reader: &Reader<'_>) -> error::Result<Heard> {
        let fields = reader.fields(&[])?;
        let text = |key: &str| fields.optional(key).map(|text| text.text(limits::NAME_BYTES)).transpose();
        let number = |key: &str| fields.optional(key).and_then(|number| number.whole_number().ok());
        let metadata = |key: &str| fields.optional(key).map_or(Ok(Metadata::new()), |m| m.metadata());
        Ok(Heard {
            service: fields.required("Service")?.name()?,
            version: text("Version")?.unwrap_or_default(),
            endpoints: fields.list("Endpoints", limits::ENDPOINTS, |endpoint| endpoint.endpoint())?,
            metadata: metadata("Metadata")?,
            extra: Extra {
                owner: text("Owner")?,
                lease: number("Lease"),
                revision: number("Revision"),
                service_metadata: metadata("ServiceMetadata")?,
            },
        })
    }
}

#[cfg(test)]
#[path = "gomicro_tests.rs"]
mod tests;
