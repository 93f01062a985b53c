//! One link of a test, driven by hand.

// Each test program uses a part.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mdns_registry::event::Reason;
use mdns_registry::link::{mdns_sd, Command, Link, Message, Open, Scope};
use mdns_registry::record::{Key, Owner, Question, Record, Sighting};
use mdns_registry::wire::dnssd;
use mdns_registry::{Metadata, Node, Service};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// Longer than anything here takes.
pub const LONG: Duration = Duration::from_secs(10);

pub struct Peer {
    pub owner: Owner,
    pub link: Box<dyn Link>,
    pub sightings: mpsc::Receiver<Sighting>,
    pub runtime: Runtime,
}

impl Peer {
    pub fn open(name: &str, port: u16) -> Peer {
        Peer::open_on(mdns_sd::open, name, port)
    }

    pub fn open_on(open: Open, name: &str, port: u16) -> Peer {
        let (link, sightings) = open(port).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let peer = Peer { owner: name.into(), link, sightings, runtime };
        peer.link.submit(&peer.owner, Message::Join(Scope::Default.into()));
        peer
    }

    /// Hands commands over; returns when the network has them.
    pub fn command(&self, commands: Vec<Command>) {
        let (done, told) = oneshot::channel();
        self.link.submit(&self.owner, Message::Commands { commands, done: Some(done) });
        self.within(told).unwrap();
    }

    pub fn within<T>(&self, future: impl std::future::Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(LONG, future).await }).expect("the deadline")
    }

    /// The first sighting that `wanted` makes something of.
    pub fn wait<T>(&mut self, mut wanted: impl FnMut(Sighting) -> Option<T>) -> T {
        let until = Instant::now() + LONG;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let next = self.runtime.block_on(async { tokio::time::timeout(left, self.sightings.recv()).await });
            if let Some(found) = wanted(next.expect("the deadline").expect("an open link")) {
                return found;
            }
        }
    }

    pub fn wait_seen(&mut self, key: &Key, revision: u64) -> (Arc<Record>, Vec<String>) {
        self.wait(|sighting| match sighting {
            Sighting::Seen { record, reach } if record.key == *key && record.revision == revision => {
                Some((record, reach.iter().map(|r| format!("{}@{}", r.ip, r.interface)).collect()))
            }
            Sighting::Gone { key: gone, .. } if gone == *key => panic!("gone before it was seen"),
            _ => None,
        })
    }

    pub fn wait_gone(&mut self, key: &Key) -> Reason {
        self.wait(|sighting| match sighting {
            Sighting::Gone { key: gone, reason } if gone == *key => Some(reason),
            _ => None,
        })
    }

    pub fn ask(&self) {
        self.command(vec![Command::Ask(Question::Everything)]);
    }

    pub fn record(&self, id: &str, port: u16, revision: u64) -> Arc<Record> {
        let service = Service { name: "greeter".into(), version: "1".into(), ..Service::default() };
        let metadata = Metadata::from([("Zone".into(), "eu = 1 🦀".into())]);
        let node = Node { id: id.into(), address: String::new(), port, metadata };
        let key = dnssd::instance_label(&self.owner, &service.name, &node.id).into();
        let (owner, service) = (self.owner.clone(), Arc::new(service));
        Arc::new(Record { key, owner, revision, lease: 3, go_micro: None, service, node: (&node).into() })
    }

    pub fn publish(&self, record: &Arc<Record>) {
        self.command(vec![Command::Publish(record.clone())]);
    }

    pub fn shutdown(self) {
        let _ = self.within(self.link.shutdown());
    }
}
