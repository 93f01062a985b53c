//! Service, Node, Endpoint, Value: go-micro's data (registry/registry.go), with its JSON keys.

mod compact;
mod read;
mod selection;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Result;

pub use compact::Compact;
pub(crate) use read::{check_address, check_controls, check_name, parse, parse_open, Fields, Reader};
pub use selection::Selection;

/// Keys and values that say more about a service, node or endpoint.
pub type Metadata = BTreeMap<String, String>;

/// A service: one name, one version, any number of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// 1 to 255 bytes without control characters.
    pub name: String,
    /// Up to 255 bytes; empty where none is given.
    pub version: String,
    /// Of the service, the same at each of its nodes.
    pub metadata: Metadata,
    /// At most 1,000.
    pub endpoints: Vec<Endpoint>,
    /// At most 1,024 a call.
    pub nodes: Vec<Node>,
}

/// One place where a service runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Node {
    /// 1 to 255 bytes, unique within the service.
    pub id: String,
    /// A literal IPv4 or IPv6 address (`%interface` on link-local), or a host name. Registered as
    /// `""`, `0.0.0.0` or `::` it means "this host", and each reader gets an address it can reach.
    pub address: String,
    /// 1 to 65535.
    pub port: u16,
    /// Of this node.
    pub metadata: Metadata,
}

/// One call that a service answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// 1 to 255 bytes.
    pub name: String,
    /// What it takes.
    pub request: Option<Value>,
    /// What it gives.
    pub response: Option<Value>,
    /// Of this endpoint.
    pub metadata: Metadata,
}

/// The shape of a request or response, nested at most 32 deep with the JSON around it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Value {
    /// The field's name.
    pub name: String,
    /// The field's type, in the application's own words.
    pub r#type: String,
    /// Its fields.
    pub values: Vec<Value>,
}

impl Service {
    /// Reads and checks one JSON descriptor; an error names the field, the limit and the value.
    pub fn from_json(text: &str) -> Result<Service> {
        parse("service", text)?.service()
    }

    /// The descriptor as JSON: every key, in go-micro's order, maps and lists never null.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// How much memory its data take, bytes, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        let endpoint = |e: &Endpoint| {
            let values = [&e.request, &e.response].into_iter().flatten().map(Value::heap_bytes).sum::<usize>();
            size_of::<Endpoint>() + text_bytes(&e.name) + metadata_bytes(&e.metadata) + values
        };
        let own = size_of::<Service>() + text_bytes(&self.name) + text_bytes(&self.version);
        own + metadata_bytes(&self.metadata) + self.endpoints.iter().map(endpoint).sum::<usize>()
    }

    /// Checks a descriptor that was built in Rust by the same rules as JSON.
    pub fn validate(&self) -> Result<()> {
        read::validate(self)
    }
}

impl Value {
    fn heap_bytes(&self) -> usize {
        let own = size_of::<Value>() + text_bytes(&self.name) + text_bytes(&self.r#type);
        own + self.values.iter().map(Value::heap_bytes).sum::<usize>()
    }
}

/// What the allocator adds to a text, bytes, about.
const ALLOCATED: usize = 16;

fn text_bytes(text: &str) -> usize {
    ALLOCATED + text.len()
}

/// The keys and values of a tree, six to eleven in a block.
fn metadata_bytes(metadata: &Metadata) -> usize {
    let blocks = metadata.len().div_ceil(6) * (11 * size_of::<(String, String)>() + ALLOCATED);
    blocks + metadata.iter().map(|(key, value)| text_bytes(key) + text_bytes(value)).sum::<usize>()
}

/// Serializes plain data. Our types have string keys and no failing `Serialize`, so this is total.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
