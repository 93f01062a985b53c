//! The interfaces of this host, as the system lists them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{if_nametoindex, InterfaceFlags};

use crate::error::{shorten, Error, Result};
use crate::link::Scope;
use crate::record::Interface;
use crate::system;

/// The interfaces that are up and have an address, by name.
pub fn list() -> Result<Vec<Interface>> {
    let entries = getifaddrs().map_err(|errno| system::refused("listing the interfaces", errno))?;
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in entries.filter(|entry| entry.flags.contains(InterfaceFlags::IFF_UP)) {
        let Some(ip) = entry.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        }) else {
            continue;
        };
        let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        // A cable is plugged in, and it is no tunnel: what mDNS can be spoken on.
        let wanted = InterfaceFlags::IFF_MULTICAST | InterfaceFlags::IFF_RUNNING;
        let tunnel = entry.flags.contains(InterfaceFlags::IFF_POINTOPOINT);
        let usable = loopback || (entry.flags.contains(wanted) && !tunnel);
        let name = Arc::from(entry.interface_name.as_str());
        let new = Interface { name, addrs: Vec::new(), loopback, usable };
        let interface = found.entry(entry.interface_name).or_insert(new);
        // mDNS on loopback is IPv4 only: ff02::fb has no route there.
        if !loopback || ip.is_ipv4() {
            interface.addrs.push(ip);
        }
    }
    let mut list: Vec<Interface> = found.into_values().collect();
    list.iter_mut().for_each(|interface| interface.addrs.sort_unstable());
    Ok(list)
}

/// Resolves the option `addrs`: each entry is the name of an interface or one of its addresses.
pub fn scope(addrs: &[String], interfaces: &[Interface]) -> Result<Scope> {
    if addrs.is_empty() {
        return Ok(Scope::Default);
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for wanted in addrs {
        let ip = wanted.split('%').next().and_then(|bare| bare.parse::<IpAddr>().ok());
        let is_it = |i: &&Interface| *i.name == **wanted || ip.is_some_and(|ip| i.addrs.contains(&ip));
        let found = interfaces.iter().find(is_it).map(|interface| interface.name.clone());
        // One that is there but down or without an address is waited for.
        let found = found.or_else(|| if_nametoindex(wanted.as_str()).ok().map(|_| Arc::from(wanted.as_str())));
        let Some(name) = found else {
            let known = |i: &Interface| {
                let addrs: Vec<String> = i.addrs.iter().map(IpAddr::to_string).collect();
                format!("{} ({})", i.name, addrs.join(", "))
            };
            let known: Vec<String> = interfaces.iter().map(known).collect();
            let problem = format!(
                "{} is no interface or address of this host; there are {}",
                shorten(&format!("{wanted:?}")),
                known.join("; ")
            );
            return Err(Error::Option { key: "addrs".into(), problem });
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Scope::Named(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<Interface> {
        let interface = |name: &str, ip: &str, loopback| Interface {
            name: Arc::from(name),
            addrs: vec![ip.parse().unwrap()],
            loopback,
            usable: true,
        };
        vec![interface("eth7", "10.1.2.3", false), interface("lo", "127.0.0.1", true)]
    }

    #[test]
    fn an_address_selects_the_interface_that_has_it() {
        let by_name = scope(&["eth7".into()], &two()).unwrap();
        let by_address = scope(&["10.1.2.3".into(), "eth7".into()], &two()).unwrap();
        assert_eq!(by_name, Scope::Named(vec![Arc::from("eth7")]));
        assert_eq!(by_name, by_address);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_an_error_that_lists_those_that_do() {
        let error = scope(&["wlan9".into()], &two()).unwrap_err().to_string();
        for part in ["wlan9", "eth7 (10.1.2.3)", "lo (127.0.0.1)"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn loopback_is_spoken_on_only_where_there_is_no_other() {
        let names =
            |list: &[Interface]| Scope::Default.select(list).iter().map(|i| i.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&two()), ["eth7"]);
        assert_eq!(names(&two()[1..]), ["lo"]);
    }
}
