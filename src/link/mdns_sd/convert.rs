//! Between our records and the daemon's services.

use std::collections::BTreeSet;
use std::net::IpAddr;

use mdns_sd::{IfKind, IfPredicate, ResolvedService, ScopedIp, ServiceInfo, TxtProperty};

use super::worker::Plan;
use crate::limits;
use crate::record::{Key, Reach, Record};
use crate::wire::dnssd::{self, SERVICE_TYPE};

/// More addresses of one host than this are not looked at.
pub(super) const ADDRESSES: usize = 32;

/// The record as the daemon takes it; `None` if it would not.
pub(super) fn service_info(record: &Record, plan: &Plan) -> Option<ServiceInfo> {
    let label = &*record.key;
    let fits = !label.is_empty() && label.len() <= limits::LABEL_BYTES && label.to_lowercase() == label;
    let plain = !label.chars().any(|c| c.is_control() || matches!(c, '.' | '\\'));
    let strings = dnssd::encode(record).ok().filter(|_| fits && plain)?;
    // A goodbye takes the addresses of its host with it, so no two instances may share one.
    let host = format!("{}.local.", dnssd::host_label(&record.owner, label));
    let properties: Vec<TxtProperty> = strings.iter().map(|string| property_of(string)).collect();
    let addresses: Vec<IpAddr> = plan.fixed.into_iter().collect();
    let info = ServiceInfo::new(SERVICE_TYPE, label, &host, &addresses[..], record.node.port(), properties);
    let mut info = info.ok()?;
    info.set_requires_probe(false);
    let names = plan.interfaces.clone();
    let own = IfPredicate::new(move |interface| names.contains(interface.name.as_str()));
    info.set_interfaces(vec![IfKind::Predicate(own)]);
    Some(if plan.fixed.is_some() { info } else { info.enable_addr_auto() })
}

/// `key=value` apart; the key is ASCII, as all of ours are.
fn property_of(string: &[u8]) -> TxtProperty {
    match string.iter().position(|byte| *byte == b'=') {
        Some(at) => (String::from_utf8_lossy(&string[..at]), &string[at + 1..]).into(),
        None => (&*String::from_utf8_lossy(string)).into(),
    }
}

pub(super) fn string_of(property: &TxtProperty) -> Vec<u8> {
    let key = property.key().as_bytes();
    property.val().map_or(key.to_vec(), |value| [key, b"=", value].concat())
}

/// The instance label in lower case.
pub(super) fn key_of(fullname: &str) -> Option<Key> {
    let lower = fullname.to_lowercase();
    let label = lower.strip_suffix(SERVICE_TYPE)?.strip_suffix('.')?;
    Some(Key::from(label))
}

pub(super) fn reach_of(service: &ResolvedService) -> Vec<Reach> {
    let reach = |address: &ScopedIp| -> Vec<Reach> {
        let names: Vec<&str> = match address {
            ScopedIp::V4(v4) => v4.interface_ids().iter().map(|id| id.name.as_str()).collect(),
            ScopedIp::V6(v6) => vec![v6.scope_id().name.as_str()],
            _ => Vec::new(),
        };
        names.into_iter().map(|name| Reach { ip: address.to_ip_addr(), interface: name.into() }).collect()
    };
    let all: BTreeSet<Reach> = service.get_addresses().iter().flat_map(reach).collect();
    all.into_iter().take(ADDRESSES).collect()
}
