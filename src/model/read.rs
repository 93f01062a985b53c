//! JSON in: validation at the door, with the path of the field in every error.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value as Json};

use super::{Endpoint, Metadata, Node, Service, Value};
use crate::error::{Error, Result};
use crate::limits;

/// Parses the text of one argument, within the bounds of a call.
pub(crate) fn parse(argument: &'static str, text: &str) -> Result<Reader<'static>> {
    within(argument, "bytes", text.len(), limits::CALL_JSON_BYTES)?;
    let json: Json = serde_json::from_str(text).map_err(|error| {
        if depth(text) > limits::JSON_DEPTH {
            return too_deep(argument, depth(text));
        }
        Error::not_json(argument, &error)
    })?;
    match depth(text) {
        deep if deep > limits::JSON_DEPTH => Err(too_deep(argument, deep)),
        _ => Ok(Reader { path: argument.to_owned(), root: true, open: false, json: Source::Owned(json) }),
    }
}

/// The same for text from the network: keys of a later version are passed over.
pub(crate) fn parse_open(text: &str) -> Result<Reader<'static>> {
    within("record", "bytes", text.len(), limits::INFLATED_BYTES)?;
    Ok(Reader { open: true, ..parse("record", text)? })
}

fn too_deep(argument: &str, deep: usize) -> Error {
    Error::TooLarge { field: argument.to_owned(), limit: limits::JSON_DEPTH as u64, size: deep as u64, unit: "levels" }
}

/// The deepest nesting of braces and brackets outside strings. What is empty is no level: we write `[]` where nothing was
/// given, and what we write must be within the bounds that we read.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut quoted, mut escaped, mut opened) = (0usize, 0usize, false, false, false);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        if std::mem::take(&mut opened) && !matches!(byte, b'}' | b']') {
            most = most.max(now);
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                now += 1;
                opened = true;
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

fn within(field: &str, unit: &'static str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { field: field.to_owned(), limit: limit as u64, size: size as u64, unit })
}

enum Source<'a> {
    Owned(Json),
    Borrowed(&'a Json),
}

/// One JSON value and where it stands in the argument.
pub(crate) struct Reader<'a> {
    path: String,
    root: bool,
    open: bool,
    json: Source<'a>,
}

impl Reader<'_> {
    fn json(&self) -> &Json {
        match &self.json {
            Source::Owned(json) => json,
            Source::Borrowed(json) => json,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.json().is_null()
    }

    fn wrong(&self, expected: &str) -> Error {
        let value = match self.json() {
            Json::Null => "null".to_owned(),
            Json::Object(_) => "an object".to_owned(),
            Json::Array(_) => "a list".to_owned(),
            other => other.to_string(),
        };
        Error::invalid(&self.path, format!("must be {expected}"), value)
    }

    /// The object's fields; a key outside `known` is an error that names it, unless the reader is open.
    pub(crate) fn fields(&self, known: &[&str]) -> Result<Fields<'_>> {
        let map = self.json().as_object().ok_or_else(|| self.wrong("an object"))?;
        if let Some(key) = map.keys().find(|key| !self.open && !known.contains(&key.as_str())) {
            let problem = format!("unknown key; known are {}", known.join(", "));
            return Err(Error::invalid(self.child_path(key), problem, "it"));
        }
        Ok(Fields { of: self, map })
    }

    /// The object's keys.
    pub(crate) fn keys(&self) -> Result<impl Iterator<Item = &str>> {
        let map = self.json().as_object().ok_or_else(|| self.wrong("an object"))?;
        Ok(map.keys().map(String::as_str))
    }

    /// False, an empty list or an empty object: an option that is there but not in use.
    pub(crate) fn is_off(&self) -> bool {
        match self.json() {
            Json::Bool(on) => !on,
            Json::Array(list) => list.is_empty(),
            Json::Object(map) => map.is_empty(),
            _ => false,
        }
    }

    pub(crate) fn whole_number(&self) -> Result<u64> {
        self.json().as_u64().ok_or_else(|| self.wrong("a whole number"))
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<bool> {
        let wrong = || Error::Option { key: key.to_owned(), problem: self.wrong("true or false").to_string() };
        self.json().as_bool().ok_or_else(wrong)
    }

    fn child_path(&self, key: &str) -> String {
        if self.root {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Text of at most `limit` bytes.
    pub(crate) fn text(&self, limit: usize) -> Result<String> {
        let text = self.json().as_str().ok_or_else(|| self.wrong("a string"))?;
        within(&self.path, "bytes", text.len(), limit)?;
        Ok(text.to_owned())
    }

    /// A name or id: 1 to 255 bytes without control characters.
    pub(crate) fn name(&self) -> Result<String> {
        let name = self.text(limits::NAME_BYTES)?;
        check_name(&self.path, &name)?;
        Ok(name)
    }

    pub(crate) fn list(&self, limit: usize) -> Result<Vec<Reader<'_>>> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let list = self.json().as_array().ok_or_else(|| self.wrong("a list"))?;
        within(&self.path, "entries", list.len(), limit)?;
        let item = |(i, json)| Reader {
            path: format!("{}[{i}]", self.path),
            root: false,
            open: self.open,
            json: Source::Borrowed(json),
        };
        Ok(list.iter().enumerate().map(item).collect())
    }

    pub(crate) fn metadata(&self) -> Result<Metadata> {
        if self.is_null() {
            return Ok(Metadata::new());
        }
        let map = self.json().as_object().ok_or_else(|| self.wrong("an object of strings"))?;
        let entry = |(key, json): (&String, &Json)| {
            let value =
                Reader { path: self.child_path(key), root: false, open: self.open, json: Source::Borrowed(json) };
            Ok((key.clone(), value.text(limits::CALL_JSON_BYTES)?))
        };
        map.iter().map(entry).collect()
    }

    /// The whole descriptor, checked.
    pub(crate) fn service(&self) -> Result<Service> {
        let fields = self.fields(&["name", "version", "metadata", "endpoints", "nodes"])?;
        let name = fields.required("name")?.name()?;
        let version = fields.optional("version").map_or(Ok(String::new()), |v| v.version())?;
        let metadata = fields.optional("metadata").map_or(Ok(Metadata::new()), |m| m.metadata())?;
        let endpoints = fields.list("endpoints", limits::ENDPOINTS, |e| e.endpoint())?;
        let nodes = fields.list("nodes", limits::CALL_NODES, |n| n.node())?;
        unique_ids(&nodes)?;
        Ok(Service { name, version, metadata, endpoints, nodes })
    }

    pub(crate) fn version(&self) -> Result<String> {
        let version = self.text(limits::NAME_BYTES)?;
        check_controls(&self.path, &version)?;
        Ok(version)
    }

    fn node(&self) -> Result<Node> {
        let fields = self.fields(&["id", "address", "port", "metadata"])?;
        let id = fields.required("id")?.name()?;
        let metadata = fields.optional("metadata").map_or(Ok(Metadata::new()), |m| m.metadata())?;
        let given = fields.optional("address").map_or(Ok(String::new()), |a| a.text(limits::NAME_BYTES + 8))?;
        let (address, port) = match fields.optional("port") {
            Some(port) => (given, port.port()?),
            None => split_port(&given).ok_or_else(|| {
                let problem = "must be 1 to 65535, here or at the end of address";
                Error::invalid(fields.path("port"), problem, format!("nothing, and address {given:?}"))
            })?,
        };
        check_address(&fields.path("address"), &address)?;
        Ok(Node { id, address, port, metadata })
    }

    fn port(&self) -> Result<u16> {
        let port = self.json().as_u64().filter(|port| (1..=65_535).contains(port));
        port.and_then(|port| u16::try_from(port).ok()).ok_or_else(|| self.wrong("a whole number from 1 to 65535"))
    }

    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        let fields = self.fields(&["name", "request", "response", "metadata"])?;
        let name = fields.required("name")?.name()?;
        let request = fields.optional("request").map(|v| v.value()).transpose()?;
        let response = fields.optional("response").map(|v| v.value()).transpose()?;
        let metadata = fields.optional("metadata").map_or(Ok(Metadata::new()), |m| m.metadata())?;
        Ok(Endpoint { name, request, response, metadata })
    }

    fn value(&self) -> Result<Value> {
        let fields = self.fields(&["name", "type", "values"])?;
        let text = |key: &str| fields.optional(key).map_or(Ok(String::new()), |t| t.text(limits::CALL_JSON_BYTES));
        let (name, r#type) = (text("name")?, text("type")?);
        let values = fields.list("values", limits::CALL_JSON_BYTES, |v| v.value())?;
        Ok(Value { name, r#type, values })
    }
}

/// The fields of one object.
pub(crate) struct Fields<'a> {
    of: &'a Reader<'a>,
    map: &'a Map<String, Json>,
}

impl Fields<'_> {
    pub(crate) fn path(&self, key: &str) -> String {
        self.of.child_path(key)
    }

    /// The field, unless it is missing or null.
    pub(crate) fn optional(&self, key: &str) -> Option<Reader<'_>> {
        let json = self.map.get(key).filter(|json| !json.is_null())?;
        Some(Reader { path: self.path(key), root: false, open: self.of.open, json: Source::Borrowed(json) })
    }

    pub(crate) fn required(&self, key: &str) -> Result<Reader<'_>> {
        self.optional(key).ok_or_else(|| Error::invalid(self.path(key), "is required", "nothing"))
    }

    pub(crate) fn list<T>(&self, key: &str, limit: usize, read: impl Fn(&Reader<'_>) -> Result<T>) -> Result<Vec<T>> {
        let Some(list) = self.optional(key) else { return Ok(Vec::new()) };
        list.list(limit)?.iter().map(read).collect()
    }
}

pub(crate) fn check_name(field: &str, name: &str) -> Result<()> {
    within(field, "bytes", name.len(), limits::NAME_BYTES)?;
    if name.is_empty() {
        return Err(Error::invalid(field, format!("must be 1 to {} bytes", limits::NAME_BYTES), "0 bytes"));
    }
    check_controls(field, name)
}

pub(crate) fn check_controls(field: &str, text: &str) -> Result<()> {
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, c)) => {
            let problem = "must have no control characters";
            Err(Error::invalid(field, problem, format!("U+{:04X} at byte {at}", c as u32)))
        }
        None => Ok(()),
    }
}

fn unique_ids(nodes: &[Node]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match nodes.iter().enumerate().find(|(_, node)| !seen.insert(node.id.as_str())) {
        Some((i, node)) => Err(Error::invalid(format!("nodes[{i}].id"), "must be unique in the call", &node.id)),
        None => Ok(()),
    }
}

/// `"host:port"` and `"[v6]:port"`, go-micro's later form.
fn split_port(given: &str) -> Option<(String, u16)> {
    let (host, port) = given.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(v6) => Some((v6.to_owned(), port)),
        None if host.contains(':') => None,
        None => Some((host.to_owned(), port)),
    }
}

/// Empty, a literal address, or a host name of letters, digits, `-`, `_` and `.`.
pub(crate) fn check_address(field: &str, address: &str) -> Result<()> {
    within(field, "bytes", address.len(), limits::NAME_BYTES)?;
    let bare = address.split_once('%').map_or(address, |(bare, _)| bare);
    let literal = bare.parse::<IpAddr>();
    if let Ok(ip) = literal {
        return check_literal(field, address, ip);
    }
    if address.parse::<SocketAddr>().is_ok() || split_port(address).is_some() {
        return Err(Error::invalid(field, "must not carry a port where port is given", address));
    }
    let host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let labels = address.trim_end_matches('.').split('.');
    let fits = labels.clone().all(|label| !label.is_empty() && label.len() <= limits::LABEL_BYTES);
    if address.is_empty() || (address.bytes().all(host) && fits) {
        return Ok(());
    }
    Err(Error::invalid(field, "must be an IP address or a host name", address))
}

fn check_literal(field: &str, address: &str, ip: IpAddr) -> Result<()> {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80);
    match address.split_once('%') {
        Some((_, zone)) if !link_local || !is_interface_name(zone) => {
            Err(Error::invalid(field, "%interface belongs on an IPv6 link-local address", address))
        }
        _ if ip.is_multicast() => Err(Error::invalid(field, "must not be a multicast address", address)),
        _ => Ok(()),
    }
}

/// As Linux has them: 1 to 15 visible characters.
fn is_interface_name(zone: &str) -> bool {
    (1..=15).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The same rules for a descriptor built in Rust.
pub(super) fn validate(service: &Service) -> Result<()> {
    parse("service", &super::to_json(service))?.service().map(drop)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
