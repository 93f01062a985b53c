//! How much of what others say on one wire may be held: nodes and bytes, in all and of one sender.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::limits;
use crate::model::Service;
use crate::refused::Refused;
use crate::tally::give_back;

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    nodes: usize,
    bytes: usize,
}

/// A service that nodes share.
#[derive(Debug)]
struct Shared {
    nodes: usize,
    /// Who is charged with it.
    from: IpAddr,
    bytes: usize,
}

/// What is taken.
#[derive(Debug, Default)]
pub struct Room {
    all: Taken,
    senders: HashMap<IpAddr, Taken>,
    /// By the address in memory, at which it stays while a node has it.
    services: HashMap<usize, Shared>,
}

impl Room {
    /// Takes the place of a node that this sender says first.
    pub fn open(&mut self, from: IpAddr) -> Result<(), Refused> {
        if self.all.nodes >= limits::VIEW_NODES {
            return Err(Refused::CacheFull);
        }
        if self.of(&from).nodes >= limits::SENDER_NODES {
            return Err(Refused::SenderFull);
        }
        self.all.nodes += 1;
        self.senders.entry(from).or_default().nodes += 1;
        Ok(())
    }

    /// Gives the place of a node back, and the bytes that it had.
    pub fn close(&mut self, from: IpAddr, bytes: usize) {
        self.all.nodes -= 1;
        self.senders.entry(from).or_default().nodes -= 1;
        self.change(from, bytes, 0);
    }

    /// Whether a node may have so many bytes instead of those that it had.
    pub fn admits(&self, from: IpAddr, had: usize, bytes: usize) -> Result<(), Refused> {
        let grown = |taken: Taken| (taken.bytes + bytes).saturating_sub(had);
        match () {
            () if bytes <= had => Ok(()),
            () if grown(self.all) > limits::VIEW_BYTES => Err(Refused::CacheFull),
            () if grown(self.of(&from)) > limits::SENDER_BYTES => Err(Refused::SenderFull),
            () => Ok(()),
        }
    }

    /// A node has so many bytes instead of those that it had.
    pub fn change(&mut self, from: IpAddr, had: usize, bytes: usize) {
        self.all.bytes = self.all.bytes + bytes - had;
        let taken = self.senders.entry(from).or_default();
        taken.bytes = taken.bytes + bytes - had;
        if taken.nodes == 0 && taken.bytes == 0 {
            self.senders.remove(&from);
            give_back(&mut self.senders);
        }
    }

    /// A node has this service, which others may share.
    pub fn share(&mut self, from: IpAddr, service: &Arc<Service>) {
        let new = || Shared { nodes: 0, from, bytes: service.heap_bytes() };
        let shared = self.services.entry(address(service)).or_insert_with(new);
        shared.nodes += 1;
        let (is_first, bytes) = (shared.nodes == 1, shared.bytes);
        if is_first {
            self.change(from, 0, bytes);
        }
    }

    /// The bytes that are given back when one of the nodes that have a service has it no more.
    pub fn freed_by(&self, service: &Arc<Service>) -> usize {
        self.services.get(&address(service)).filter(|shared| shared.nodes == 1).map_or(0, |shared| shared.bytes)
    }

    /// A node has it no more; whether none has it.
    pub fn unshare(&mut self, service: &Arc<Service>) -> bool {
        let Some(shared) = self.services.get_mut(&address(service)) else { return true };
        shared.nodes -= 1;
        if shared.nodes > 0 {
            return false;
        }
        let (from, bytes) = (shared.from, shared.bytes);
        self.services.remove(&address(service));
        give_back(&mut self.services);
        self.change(from, bytes, 0);
        true
    }

    fn of(&self, from: &IpAddr) -> Taken {
        self.senders.get(from).copied().unwrap_or_default()
    }
}

fn address(service: &Arc<Service>) -> usize {
    Arc::as_ptr(service) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn is_empty(room: &Room) -> bool {
        (room.all.nodes, room.all.bytes, room.senders.len(), room.services.len()) == (0, 0, 0, 0)
    }

    #[test]
    fn a_shared_service_is_charged_once_until_its_last_node_is_gone() {
        let mut room = Room::default();
        let service = Arc::new(Service { name: "greeter".repeat(30), ..Service::default() });
        for from in [ONE, TWO] {
            room.open(from).unwrap();
            room.share(from, &service);
        }
        let bytes = service.heap_bytes();
        assert!(bytes > 210 && room.all.bytes == bytes && room.of(&ONE).bytes == bytes);
        room.close(ONE, 0);
        assert!(!room.unshare(&service));
        assert_eq!((room.all.bytes, room.of(&ONE).bytes), (bytes, bytes), "the other still has it");
        room.close(TWO, 0);
        assert!(room.unshare(&service) && is_empty(&room), "{room:?}");
    }

    #[test]
    fn what_is_full_takes_no_more_but_what_is_smaller_than_before() {
        let mut room = Room::default();
        let half = limits::SENDER_BYTES / 2;
        for from in [ONE, ONE, TWO, TWO] {
            room.open(from).unwrap();
            assert_eq!(room.admits(from, 0, half), Ok(()));
            room.change(from, 0, half);
        }
        assert_eq!(room.admits(ONE, half, half + 1), Err(Refused::CacheFull));
        assert_eq!(room.admits(ONE, half, half - 1), Ok(()));
        room.close(TWO, half);
        assert_eq!(room.admits(ONE, half, half + 1), Err(Refused::SenderFull));
        assert_eq!(room.admits(TWO, 0, half), Ok(()));
        room.close(TWO, half);
        room.close(ONE, half);
        room.close(ONE, half);
        assert!(is_empty(&room), "{room:?}");
    }
}
