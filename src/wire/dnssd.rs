//! The DNS-SD wire (RFC 6763): a record is one instance of one service type, its data in TXT.
//!
//! TXT, in this order: `txtvers=1`, `id`, `service`, `version`, `lease` (seconds), `owner`, `seq`
//! (the revision), `port`, `a` (the address as registered, where it is not "this host"); then
//! metadata, endpoints and what did not fit one string as JSON, see [`Rest`].

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::address::is_this_host;
use super::{txt, Refused};
use crate::error::{self, Error};
use crate::limits;
use crate::model::{self, Compact, Endpoint, Metadata, Node, Reader, Service, Value};
use crate::record::Record;

/// The one service type, of all nodes.
pub const SERVICE_TYPE: &str = "_mdns-registry._tcp.local.";

/// What of the id a label shows, bytes: with `-` and the hash it makes 63.
const READABLE_BYTES: usize = 46;

/// The instance label of a node: readable, lower-case, without dot, backslash or control
/// characters, at most 63 bytes, unique by a hash over the whole identity.
pub fn instance_label(owner: &str, service: &str, id: &str) -> String {
    let shown = |c: &char| !c.is_control() && *c != '.' && *c != '\\';
    let mut label: String = id.to_lowercase().chars().filter(shown).collect();
    let mut end = label.len().min(READABLE_BYTES);
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    label.truncate(end);
    label.push('-');
    label.push_str(&hash16(&[owner, service, id]));
    label
}

/// The subtype of a service name (RFC 6763 §7.1).
pub fn subtype(service: &str) -> String {
    format!("_{}._sub.{SERVICE_TYPE}", hash16(&[service]))
}

/// The first label of a host name of an owner's own; `salt` tells its address sets apart.
pub fn host_label(owner: &str, salt: &str) -> String {
    format!("mreg-{}", hash16(&[owner, salt]))
}

/// 80 bits of SHA-256 over the parts, each after its length, as 16 lower-case base32 characters.
fn hash16(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    BASE32_NOPAD.encode(&hash.finalize()[..10]).to_ascii_lowercase()
}

/// A service name as TXT strings, for the enumeration of names; it may be longer than one string.
pub fn encode_name(service: &str) -> Vec<Vec<u8>> {
    let (first, rest) = service.as_bytes().split_at(service.len().min(247));
    let second = (!rest.is_empty()).then(|| [b"more=", rest].concat());
    std::iter::once([b"service=", first].concat()).chain(second).collect()
}

/// A record as TXT strings, each at most 255 bytes, together at most [`limits::TXT_BYTES`].
///
/// # Errors
/// [`Error::TooLarge`], naming the node, or `service` where its own data alone are too large.
pub fn encode(record: &Record) -> error::Result<Vec<Vec<u8>>> {
    let (service, node) = (&*record.service, &record.node);
    let mut strings = Vec::with_capacity(16);
    // What does not fit one string travels in the rest.
    let mut long = |key: &str, value: &'_ str| match txt::pair(key, value.as_bytes()) {
        Some(string) => {
            strings.push(string);
            false
        }
        None => true,
    };
    long("txtvers", "1");
    let id = long("id", node.id());
    let name = long("service", &service.name);
    let version = !service.version.is_empty() && long("version", &service.version);
    long("lease", &record.lease.to_string());
    let owner = long("owner", &record.owner);
    long("seq", &record.revision.to_string());
    long("port", &node.port().to_string());
    let address = !is_this_host(node.address()) && long("a", node.address());
    if owner {
        let (limit, size) = (limits::NAME_BYTES as u64 - 6, record.owner.len() as u64);
        return Err(Error::TooLarge { field: "owner".into(), limit, size, unit: "bytes" });
    }
    let rest = Rest {
        i: id.then(|| node.id()),
        s: name.then_some(&*service.name),
        v: version.then_some(&*service.version),
        a: address.then(|| node.address()),
        m: &service.metadata,
        n: NodeMetadata(Some(node)),
        e: Endpoints(&service.endpoints),
    };
    bounded("service.endpoints", values(&service.endpoints), limits::TXT_VALUES, "values")?;
    if !rest.is_empty() {
        let json = model::to_json(&rest);
        let field = || match service_bytes(service) > limits::INFLATED_BYTES {
            true => "service".to_owned(),
            false => node_path(node),
        };
        bounded(&field(), json.len(), limits::INFLATED_BYTES, "bytes")?;
        txt::push_payload(&mut strings, json.as_bytes());
    }
    let size = txt::size(&strings);
    if size > limits::TXT_BYTES {
        let bare = Node { metadata: Metadata::new(), ..node.at(node.address()) };
        let bare = Record { node: (&bare).into(), ..record.clone() };
        let service_alone = node.metadata().next().is_some() && encode(&bare).is_ok();
        let field = if service_alone { node_path(node) } else { "service".to_owned() };
        bounded(&field, size, limits::TXT_BYTES, "bytes of TXT")?;
    }
    Ok(strings)
}

fn node_path(node: &Compact) -> String {
    format!("nodes[{:?}].metadata", node.id())
}

fn service_bytes(service: &Service) -> usize {
    model::to_json(&Rest { m: &service.metadata, e: Endpoints(&service.endpoints), ..Rest::EMPTY }).len()
}

pub(super) fn bounded(field: &str, size: usize, limit: usize, unit: &'static str) -> error::Result<()> {
    match size <= limit {
        true => Ok(()),
        false => Err(Error::TooLarge { field: field.to_owned(), limit: limit as u64, size: size as u64, unit }),
    }
}

pub(super) fn values(endpoints: &[Endpoint]) -> usize {
    fn count(value: &Value) -> usize {
        1 + value.values.iter().map(count).sum::<usize>()
    }
    endpoints.iter().flat_map(|e| e.request.iter().chain(&e.response)).map(count).sum()
}

/// The record that an instance stands for, from its label, the strings of its TXT record and the
/// port of its SRV record.
///
/// An instance of other software needs only `service`; its id and owner are the label then.
///
/// # Errors
/// The reason, by the name under which it is counted.
pub fn decode(label: &str, strings: &[impl AsRef<[u8]>], srv_port: u16) -> Result<Record, Refused> {
    decode_counted(label, strings, srv_port, &mut 0)
}

/// Whether reading these strings means to inflate what they say.
pub fn is_deflated(strings: &[impl AsRef<[u8]>]) -> bool {
    txt::is_deflated(strings)
}

/// [`decode`], which tells how many bytes it has inflated, also in vain.
///
/// # Errors
/// As `decode`.
pub fn decode_counted(
    label: &str,
    strings: &[impl AsRef<[u8]>],
    srv_port: u16,
    inflated: &mut usize,
) -> Result<Record, Refused> {
    if txt::size(strings) > limits::TXT_BYTES {
        return Err(Refused::TxtSize);
    }
    // A key that ends in a dot is a name on go-micro's wire.
    let dotted = label.is_empty() || label.ends_with('.');
    if dotted || label.len() > limits::LABEL_BYTES || label.chars().any(char::is_control) {
        return Err(Refused::Label);
    }
    let text = |key: &str| match txt::find(strings, key) {
        Some(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| Refused::Utf8),
        None => Ok(None),
    };
    if text("txtvers")?.is_some_and(|version| version != "1") {
        return Err(Refused::TxtVersion);
    }
    let number = |key: &str| Ok(text(key)?.and_then(|digits| digits.parse::<u64>().ok()));
    let rest = Heard::read(&txt::payload(strings, inflated)?)?;
    let key = label.to_lowercase();

    let name = text("service")?.map(str::to_owned).or(rest.service).ok_or(Refused::NoService)?;
    let id = text("id")?.map(str::to_owned).or(rest.id).unwrap_or_else(|| key.clone());
    let version = text("version")?.map(str::to_owned).or(rest.version).unwrap_or_default();
    let address = text("a")?.map(str::to_owned).or(rest.address).unwrap_or_default();
    for name in [&name, &id] {
        within_name(name).and_then(|()| model::check_name("name", name).map_err(|_| Refused::Name))?;
    }
    within_name(&version).and_then(|()| model::check_controls("version", &version).map_err(|_| Refused::Name))?;
    model::check_address("address", &address).map_err(|_| Refused::Address)?;
    let address = if is_this_host(&address) { String::new() } else { address };

    let owner = match text("owner")? {
        Some(owner) if instance_label(owner, &name, &id) != key => return Err(Refused::LabelMismatch),
        Some(owner) => owner,
        None => &key,
    };
    let port = match text("port")? {
        Some(digits) => digits.parse().unwrap_or(0),
        None => srv_port,
    };
    if port == 0 {
        return Err(Refused::Port);
    }
    let lease_ms = number("lease")?.map_or(limits::TTL_DEFAULT_MS, |seconds| seconds.saturating_mul(1_000));
    let lease = lease_ms.clamp(*limits::TTL_MS.start(), *limits::TTL_MS.end()) / 1_000;
    let revision = number("seq")?.unwrap_or(0);
    let (metadata, endpoints) = (rest.metadata, rest.endpoints);
    Ok(Record {
        owner: Arc::from(owner),
        revision,
        go_micro: None,
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
        service: Arc::new(Service { name, version, metadata, endpoints, nodes: Vec::new() }),
        node: (&Node { id, address, port, metadata: rest.node_metadata }).into(),
        key: Arc::from(key),
    })
}

pub(super) fn within_name(name: &str) -> Result<(), Refused> {
    match name.len() <= limits::NAME_BYTES {
        true => Ok(()),
        false => Err(Refused::Name),
    }
}

/// The rest of a record as JSON. Nothing empty is written, so that it nests no deeper than the
/// descriptor it came from.
#[derive(Serialize)]
struct Rest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<&'a str>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    m: &'a Metadata,
    #[serde(skip_serializing_if = "NodeMetadata::is_empty")]
    n: NodeMetadata<'a>,
    #[serde(skip_serializing_if = "Endpoints::is_empty")]
    e: Endpoints<'a>,
}

static NO_METADATA: Metadata = Metadata::new();

impl Rest<'_> {
    const EMPTY: Rest<'static> =
        Rest { i: None, s: None, v: None, a: None, m: &NO_METADATA, n: NodeMetadata(None), e: Endpoints(&[]) };

    fn is_empty(&self) -> bool {
        let names = [self.i, self.s, self.v, self.a];
        names.iter().all(Option::is_none) && self.m.is_empty() && self.n.is_empty() && self.e.is_empty()
    }
}

pub(super) struct NodeMetadata<'a>(pub Option<&'a Compact>);

impl NodeMetadata<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.into_iter().flat_map(Compact::metadata)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs().next().is_none()
    }
}

impl Serialize for NodeMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.pairs())
    }
}

struct Endpoints<'a>(&'a [Endpoint]);

impl Endpoints<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Endpoints<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for endpoint in self.0 {
            list.serialize_element(&Said {
                name: &endpoint.name,
                request: endpoint.request.as_ref().map(Shape::of),
                response: endpoint.response.as_ref().map(Shape::of),
                metadata: &endpoint.metadata,
            })?;
        }
        list.end()
    }
}

/// An endpoint under the descriptor's own keys.
#[derive(Serialize)]
struct Said<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Shape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Shape<'a>>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

/// A value under the descriptor's own keys.
#[derive(Serialize)]
struct Shape<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    r#type: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<Shape<'a>>,
}

impl<'a> Shape<'a> {
    fn of(value: &'a Value) -> Shape<'a> {
        Shape { name: &value.name, r#type: &value.r#type, values: value.values.iter().map(Shape::of).collect() }
    }
}

/// What [`Rest`] said, checked as a descriptor is; keys of a later version are passed over.
#[derive(Default)]
struct Heard {
    id: Option<String>,
    service: Option<String>,
    version: Option<String>,
    address: Option<String>,
    metadata: Metadata,
    node_metadata: Metadata,
    endpoints: Vec<Endpoint>,
}

impl Heard {
    fn read(payload: &[u8]) -> Result<Heard, Refused> {
        if payload.is_empty() {
            return Ok(Heard::default());
        }
        let heard = read_json(payload, Heard::fields)?;
        within_values(&heard.endpoints)?;
        Ok(heard)
    }

    fn fields(reader: &Reader<'_>) -> error::Result<Heard> {
        let fields = reader.fields(&[])?;
        let text = |key: &str| fields.optional(key).map(|t| t.text(limits::NAME_BYTES)).transpose();
        let metadata = |key: &str| fields.optional(key).map_or(Ok(Metadata::new()), |m| m.metadata());
        Ok(Heard {
            id: text("i")?,
            service: text("s")?,
            version: text("v")?,
            address: text("a")?,
            metadata: metadata("m")?,
            node_metadata: metadata("n")?,
            endpoints: fields.list("e", limits::ENDPOINTS, |e| e.endpoint())?,
        })
    }
}

/// Reads JSON from the network.
pub(super) fn read_json<T>(json: &[u8], read: impl Fn(&Reader<'_>) -> error::Result<T>) -> Result<T, Refused> {
    let text = std::str::from_utf8(json).map_err(|_| Refused::Utf8)?;
    model::parse_open(text).and_then(|reader| read(&reader)).map_err(|error| match error {
        Error::Json { .. } => Refused::Json,
        Error::TooLarge { .. } => Refused::JsonBound,
        _ => Refused::JsonField,
    })
}

pub(super) fn within_values(endpoints: &[Endpoint]) -> Result<(), Refused> {
    match values(endpoints) <= limits::TXT_VALUES {
        true => Ok(()),
        false => Err(Refused::JsonBound),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
