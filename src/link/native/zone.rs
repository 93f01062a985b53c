//! The names under which a registry speaks, in wire form. What they are made of is said by
//! [`crate::wire::dnssd`].

use std::net::IpAddr;
use std::sync::LazyLock;

use super::name::Name;
use crate::wire::dnssd::{self, SERVICE_TYPE};

/// The names that do not depend on who speaks.
#[derive(Debug)]
pub struct Zone {
    /// `_mdns-registry._tcp.local.`
    pub service_type: Name,
    /// The enumeration of service types (RFC 6763 §9).
    pub types: Name,
    /// The enumeration of service names.
    pub names: Name,
    /// Above every alive record.
    pub alive: Name,
    local: Name,
}

/// The one zone.
pub static ZONE: LazyLock<Zone> = LazyLock::new(|| Zone {
    service_type: constant(SERVICE_TYPE),
    types: constant("_services._dns-sd._udp.local."),
    names: constant(&format!("_names.{SERVICE_TYPE}")),
    alive: constant(&format!("_alive.{SERVICE_TYPE}")),
    local: constant("local."),
});

fn constant(dotted: &str) -> Name {
    // Each is a literal within the bounds of a name, which the tests read.
    Name::from_dotted(dotted).unwrap_or_else(|| unreachable!("{dotted} is a name"))
}

impl Zone {
    /// The instance of a node; `None` for a key that is no label.
    pub fn instance(&self, key: &str) -> Option<Name> {
        self.service_type.child(key.as_bytes())
    }

    /// The key of an instance name: its label, if that is UTF-8 and stands right under the type.
    pub fn key<'a>(&self, name: &'a Name) -> Option<&'a str> {
        let under = name.as_wire().len() == 1 + name.first().len() + self.service_type.as_wire().len();
        let instance = under && name.ends_with(&self.service_type);
        instance.then(|| std::str::from_utf8(name.first()).ok()).flatten().filter(|key| !key.starts_with('_'))
    }

    /// The subtype of a service name.
    pub fn subtype(&self, service: &str) -> Name {
        Name::from_dotted(&dnssd::subtype(service)).unwrap_or_else(|| self.service_type.clone())
    }

    /// What the enumeration of service names points to.
    pub fn service_name(&self, service: &str) -> Name {
        self.names.child(self.subtype(service).first()).unwrap_or_else(|| self.names.clone())
    }

    /// A host name of an owner's own; `salt` tells its address sets apart.
    pub fn host(&self, owner: &str, salt: &str) -> Name {
        self.local.child(dnssd::host_label(owner, salt).as_bytes()).unwrap_or_else(|| self.local.clone())
    }

    /// Whether a host name with this address is an owner's own.
    pub fn is_host_of(&self, host: &Name, owner: &str, addr: IpAddr) -> bool {
        *host == self.host(owner, "") || *host == self.host(owner, &addr.to_string())
    }

    /// The alive record of an owner's nodes with a lease of `lease` seconds.
    pub fn alive(&self, owner: &str, lease: u32) -> Option<Name> {
        self.alive.child(format!("{owner}-{lease}").as_bytes())
    }

    /// The owner and the lease that the name of an alive record says.
    pub fn alive_of<'a>(&self, name: &'a Name) -> Option<(&'a str, u32)> {
        let under = name.parent().is_some_and(|parent| parent == self.alive);
        let label = under.then(|| std::str::from_utf8(name.first()).ok()).flatten()?;
        let (owner, lease) = label.rsplit_once('-')?;
        Some((owner, lease.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_an_alive_record_are_read_back_from_their_names() {
        let name = ZONE.instance("go.1-abc").unwrap();
        assert_eq!(ZONE.key(&name), Some("go.1-abc"));
        for other in [&ZONE.service_type, &ZONE.names, &ZONE.subtype("greeter"), &ZONE.types, &ZONE.host("o", "")] {
            assert_eq!(ZONE.key(other), None, "{other:?}");
        }
        assert_eq!(ZONE.alive_of(&ZONE.alive("owner", 30).unwrap()), Some(("owner", 30)));
        assert_eq!(ZONE.alive_of(&name), None);
    }

    #[test]
    fn every_service_name_has_a_subtype_and_a_place_in_the_enumeration() {
        let long = "x".repeat(255);
        assert_ne!(ZONE.subtype(&long), ZONE.service_type);
        assert_ne!(ZONE.service_name(&long), ZONE.service_name("x"));
    }
}
