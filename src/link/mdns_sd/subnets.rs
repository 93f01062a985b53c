//! The networks this host is on.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// Whether `ip` is in a network of one of the interfaces that `own` names, and of no other. An
/// IPv6 link-local address is in every network, so in none for certain.
pub(super) fn is_only_on(ip: IpAddr, own: impl Fn(&str) -> bool) -> bool {
    let Ok(entries) = getifaddrs() else { return false };
    let up = entries.filter(|entry| entry.flags.contains(InterfaceFlags::IFF_UP));
    let network = |address: Option<SockaddrStorage>| address.as_ref().and_then(ip_of);
    let mut holding = up
        .filter(|entry| match (network(entry.address), network(entry.netmask)) {
            (Some(address), Some(mask)) => same_network(ip, address, mask),
            _ => false,
        })
        .peekable();
    let routed = !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    routed && holding.peek().is_some() && holding.all(|entry| own(&entry.interface_name))
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn same_network(one: IpAddr, other: IpAddr, mask: IpAddr) -> bool {
    match (one, other, mask) {
        (IpAddr::V4(one), IpAddr::V4(other), IpAddr::V4(mask)) => one & mask == other & mask,
        (IpAddr::V6(one), IpAddr::V6(other), IpAddr::V6(mask)) => one & mask == other & mask,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_by_its_mask() {
        let ip = |text: &str| text.parse().unwrap();
        assert!(same_network(ip("10.1.2.3"), ip("10.1.9.9"), ip("255.255.0.0")));
        assert!(!same_network(ip("10.2.2.3"), ip("10.1.9.9"), ip("255.255.0.0")));
        assert!(same_network(ip("fd00::1"), ip("fd00::2"), ip("ffff:ffff:ffff:ffff::")));
        assert!(!same_network(ip("fd00::1"), ip("10.1.9.9"), ip("255.255.0.0")));
    }

    #[test]
    fn loopback_is_a_network_of_the_loopback_interface_only() {
        assert!(is_only_on("127.0.0.9".parse().unwrap(), |name| name == "lo"));
        assert!(!is_only_on("127.0.0.9".parse().unwrap(), |name| name != "lo"));
        assert!(!is_only_on("192.0.2.1".parse().unwrap(), |_| true));
    }
}
