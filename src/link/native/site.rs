//! Where this process speaks: the interfaces, and the registries on each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::asker::Net;
use super::herald::Ground;
use super::io::Attached;
use super::outbox::Place;
use crate::link::Station;
use crate::options::{Domain, Wires};
use crate::record::{Interface, Owner, Time};

/// The interfaces, and who speaks where.
pub struct Site {
    /// The multicast DNS port.
    pub port: u16,
    /// Our own ports, IPv4 and IPv6; 0 where there is none.
    pub ports: (u16, u16),
    /// Every interface that is up.
    pub attached: Vec<Attached>,
    /// The registries, and where and how each speaks.
    pub members: BTreeMap<Owner, Station>,
    /// The registries that speak on an interface.
    pub owners: BTreeMap<u32, BTreeSet<Owner>>,
    /// Registries that have just left, and until when they still say that nothing of them is left.
    pub departed: BTreeMap<Owner, Time>,
    /// Where anybody speaks.
    pub net: Net,
}

impl Site {
    /// The interface of this index.
    pub fn on(&self, interface: u32) -> Option<&Attached> {
        self.attached.iter().find(|attached| attached.index == interface)
    }

    fn places_on(&self, attached: &Attached) -> Vec<Place> {
        let ports = [(false, self.ports.0), (true, self.ports.1)];
        let there =
            |(v6, port): &(bool, u16)| *port != 0 && attached.interface.addrs.iter().any(|ip| ip.is_ipv6() == *v6);
        ports.iter().filter(|f| there(f)).map(|(v6, _)| Place { interface: attached.index, v6: *v6 }).collect()
    }

    /// The interfaces are these from now on; gives those that are not as they were, or on which others
    /// speak now.
    pub fn set_interfaces(&mut self, all: Vec<Attached>) -> BTreeSet<u32> {
        let before = std::mem::replace(&mut self.attached, all);
        let mut changed = self.settle_owners();
        let was = |attached: &&Attached| before.iter().any(|before| before == *attached);
        changed.extend(self.attached.iter().filter(|attached| !was(attached)).map(|attached| attached.index));
        changed
    }

    /// A registry speaks here from now on.
    pub fn join(&mut self, owner: &Owner, station: Station) {
        self.members.insert(owner.clone(), station);
        self.settle_owners();
    }

    /// The wires that a registry speaks.
    pub fn wires(&self, owner: &str) -> Wires {
        self.members.get(owner).map_or(Wires::DNS_SD, |station| station.wires)
    }

    /// Whether no registry speaks go-micro's wire alone.
    pub fn all_speak_dns_sd(&self) -> bool {
        self.members.values().all(|station| station.wires.dns_sd)
    }

    /// The addresses at a place, and the registries that speak there.
    pub fn here(&self, place: Place) -> (Vec<IpAddr>, BTreeSet<Owner>) {
        (self.addrs(place).to_vec(), self.owners.get(&place.interface).cloned().unwrap_or_default())
    }

    /// Where anybody speaks go-micro's wire with this domain.
    pub fn places_of(&self, domain: Domain) -> Vec<Place> {
        let speaks = |owner: &&Owner| self.wires(owner).go_micro == Some(domain);
        let there = |place: &&Place| {
            self.owners.get(&place.interface).is_some_and(|owners| owners.iter().any(|owner| speaks(&owner)))
        };
        self.net.places.iter().filter(there).copied().collect()
    }

    /// The interfaces on which a registry speaks.
    pub fn interfaces_of(&self, owner: &str) -> BTreeSet<u32> {
        self.owners.iter().filter(|(_, owners)| owners.contains(owner)).map(|(index, _)| *index).collect()
    }

    /// The interfaces on which anybody speaks.
    pub fn spoken(&self) -> BTreeSet<u32> {
        self.owners.keys().copied().collect()
    }

    /// A registry speaks no more, but says for a while that nothing of it is left.
    pub fn leave(&mut self, owner: &Owner, until: Time) {
        self.members.remove(owner);
        self.settle_owners();
        self.departed.insert(owner.clone(), until);
    }

    /// Whether a registry is of this process, or was a moment ago.
    pub fn is_of_this_process(&self, owner: &str) -> bool {
        self.members.contains_key(owner) || self.departed.contains_key(owner)
    }

    /// Works out anew who speaks on which interface; gives those where that is not as it was.
    fn settle_owners(&mut self) -> BTreeSet<u32> {
        let interfaces: Vec<Interface> = self.attached.iter().map(|attached| attached.interface.clone()).collect();
        let before = std::mem::take(&mut self.owners);
        for (owner, station) in &self.members {
            let names: BTreeSet<_> = station.scope.select(&interfaces).into_iter().map(|i| i.name.clone()).collect();
            for attached in self.attached.iter().filter(|attached| names.contains(&attached.interface.name)) {
                self.owners.entry(attached.index).or_default().insert(owner.clone());
            }
        }
        let spoken = self.attached.iter().filter(|attached| self.owners.contains_key(&attached.index));
        self.net = Net {
            places: spoken.clone().flat_map(|attached| self.places_on(attached)).collect(),
            names: spoken.map(|attached| (attached.index, attached.interface.name.clone())).collect(),
        };
        let changed = |index: &u32| before.get(index) != self.owners.get(index);
        before.keys().chain(self.owners.keys()).copied().filter(changed).collect()
    }

    /// Whether it is our own socket whose multicast comes back.
    pub fn is_own(&self, from: SocketAddr) -> bool {
        let port = if from.is_ipv6() { self.ports.1 } else { self.ports.0 };
        from.port() == port && self.has_address(from.ip())
    }

    /// Whether this host has the address.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        self.attached.iter().any(|attached| attached.interface.addrs.contains(&ip))
    }

    /// Whether a sender is on the link of the interface (RFC 6762 §11).
    pub fn is_on_link(&self, interface: u32, from: IpAddr) -> bool {
        let Some(attached) = self.on(interface) else { return false };
        if let IpAddr::V6(v6) = from {
            if v6.is_unicast_link_local() {
                return true;
            }
        }
        attached.nets.iter().any(|(net, prefix)| in_net(*net, *prefix, from))
    }
}

fn in_net(net: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            net.to_bits() & mask == ip.to_bits() & mask
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            net.to_bits() & mask == ip.to_bits() & mask
        }
        _ => false,
    }
}

impl Ground for Site {
    fn places(&self, owner: &str) -> Vec<Place> {
        let speaks =
            |attached: &&Attached| self.owners.get(&attached.index).is_some_and(|owners| owners.contains(owner));
        self.attached.iter().filter(speaks).flat_map(|attached| self.places_on(attached)).collect()
    }

    fn addrs(&self, place: Place) -> &[IpAddr] {
        self.on(place.interface).map_or(&[], |attached| &attached.interface.addrs)
    }

    fn direct_port(&self, place: Place) -> u16 {
        if place.v6 {
            self.ports.1
        } else {
            self.ports.0
        }
    }
}
