//! Which address a reader gets for a node.

use std::net::IpAddr;

use super::Refused;
use crate::record::{Interface, Reach};

/// Whether an address as registered stands for the host that registered it: `""`, `0.0.0.0`, `::`.
pub fn is_this_host(address: &str) -> bool {
    address.is_empty() || address.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified())
}

/// The one address to hand out for a record heard with `reach` on this host's `interfaces`.
///
/// A literal or host name is returned as registered. "This host" becomes an IPv4 address of the
/// link the record came over, else a global or unique local IPv6 one, else a link-local one with
/// `%interface`; of several, off loopback before on it, then the lowest.
///
/// # Errors
/// `loopback-address`: a loopback address that was not heard on a loopback interface;
/// `unreachable`: no usable address came with the record.
pub fn choose_address(registered: &str, reach: &[Reach], interfaces: &[Interface]) -> Result<String, Refused> {
    let on_loopback = |r: &Reach| interfaces.iter().any(|i| i.loopback && i.name == r.interface);
    if !is_this_host(registered) {
        let loopback = registered.parse().is_ok_and(is_loopback);
        return match loopback && !reach.iter().any(on_loopback) {
            true => Err(Refused::LoopbackAddress),
            false => Ok(registered.to_owned()),
        };
    }
    let believed = |r: &&Reach| is_unicast(r.ip) && (!is_loopback(r.ip) || on_loopback(r));
    let best = reach.iter().filter(believed).min_by_key(|r| (on_loopback(r), class(r.ip), r.ip, &r.interface));
    match best {
        Some(Reach { ip: IpAddr::V6(v6), interface }) if v6.is_unicast_link_local() => Ok(format!("{v6}%{interface}")),
        Some(best) => Ok(best.ip.to_string()),
        None if reach.iter().any(|r| is_loopback(r.ip)) => Err(Refused::LoopbackAddress),
        None => Err(Refused::Unreachable),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn is_unicast(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// The order in which addresses of one host are preferred, least first.
pub fn preference(ip: IpAddr) -> (u8, IpAddr) {
    (class(ip), ip)
}

fn class(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(v4) if !v4.is_link_local() => 0,
        IpAddr::V4(_) => 1,
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => 2,
        IpAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(heard: &[(&str, &str)]) -> Vec<Reach> {
        heard.iter().map(|(ip, on)| Reach { ip: ip.parse().unwrap(), interface: (*on).into() }).collect()
    }

    fn interfaces() -> Vec<Interface> {
        let interface = |name: &str, loopback| Interface { name: name.into(), addrs: vec![], loopback, usable: true };
        vec![interface("lo", true), interface("eth0", false), interface("eth1", false)]
    }

    fn chosen(registered: &str, heard: &[(&str, &str)]) -> Result<String, &'static str> {
        choose_address(registered, &reach(heard), &interfaces()).map_err(Refused::name)
    }

    #[test]
    fn an_address_or_host_name_is_returned_as_registered() {
        for registered in ["192.0.2.7", "fe80::1%wlan0", "db.example.org", "localhost", "2001:DB8::1"] {
            assert_eq!(chosen(registered, &[("10.0.0.1", "eth0")]), Ok(registered.to_owned()));
        }
    }

    #[test]
    fn this_host_becomes_ipv4_then_routed_ipv6_then_link_local_with_the_readers_interface() {
        let all = [("fe80::5", "eth0"), ("2001:db8::5", "eth0"), ("10.0.0.9", "eth0"), ("10.0.0.5", "eth0")];
        for registered in ["", "0.0.0.0", "::"] {
            assert_eq!(chosen(registered, &all).unwrap(), "10.0.0.5");
            assert_eq!(chosen(registered, &all[..2]).unwrap(), "2001:db8::5");
            assert_eq!(chosen(registered, &all[..1]).unwrap(), "fe80::5%eth0");
        }
        assert_eq!(chosen("", &[("fd00::1", "eth1"), ("fe80::1", "eth0")]).unwrap(), "fd00::1");
    }

    #[test]
    fn the_choice_does_not_depend_on_the_order_heard() {
        let (one, two) = ([("10.0.0.5", "eth1"), ("10.0.0.4", "eth0")], [("10.0.0.4", "eth0"), ("10.0.0.5", "eth1")]);
        assert_eq!(chosen("", &one), chosen("", &two));
    }

    #[test]
    fn a_loopback_address_is_believed_only_from_a_loopback_interface() {
        assert_eq!(chosen("127.0.0.1", &[("10.0.0.1", "eth0")]), Err("loopback-address"));
        assert_eq!(chosen("::ffff:127.0.0.1", &[("10.0.0.1", "eth0")]), Err("loopback-address"));
        assert_eq!(chosen("127.0.0.1", &[("127.0.0.1", "lo")]).unwrap(), "127.0.0.1");
        assert_eq!(chosen("", &[("127.0.0.1", "eth0")]), Err("loopback-address"));
        assert_eq!(chosen("", &[("127.0.0.1", "lo")]).unwrap(), "127.0.0.1");
        assert_eq!(chosen("", &[("127.0.0.1", "lo"), ("fe80::1", "eth0")]).unwrap(), "fe80::1%eth0");
    }

    #[test]
    fn an_address_nobody_can_be_reached_at_is_refused() {
        for heard in [&[][..], &[("0.0.0.0", "eth0")], &[("224.0.0.1", "eth0")], &[("255.255.255.255", "eth0")]] {
            assert_eq!(chosen("", heard), Err("unreachable"), "{heard:?}");
        }
    }
}
