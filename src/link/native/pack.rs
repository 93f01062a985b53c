//! Records into messages: what belongs together stays together.

use super::exchange::Exchange;
use super::message::{Builder, Record};
use super::name::Name;
use super::serve::MESSAGE;

/// Fills messages with groups of answers; each message tells the addresses of every host it names.
pub struct Packer<A> {
    addresses: A,
    option: Vec<u8>,
    message: Builder,
    hosts: Vec<Name>,
    full: Vec<Vec<u8>>,
}

impl<A: Fn(&Name) -> Vec<Record>> Packer<A> {
    /// `addresses` gives the address records of a host; each message says where direct questions are
    /// taken.
    pub fn new(addresses: A, port: u16) -> Packer<A> {
        let option = Exchange::Here { port }.encode();
        Packer { addresses, message: begin(&option), option, hosts: Vec::new(), full: Vec::new() }
    }

    /// Adds a group, with the addresses of its host if it has one.
    pub fn push(&mut self, group: &[Record], host: Option<&Name>) {
        if self.try_push(group, host) {
            return;
        }
        self.next();
        self.try_push(group, host);
    }

    /// Adds a group to the message in hand; `false` if it does not fit.
    pub fn try_push(&mut self, group: &[Record], host: Option<&Name>) -> bool {
        let new = host.filter(|host| !self.hosts.contains(host));
        let addresses = new.map(|host| (self.addresses)(host)).unwrap_or_default();
        let all: Vec<&Record> = group.iter().chain(&addresses).collect();
        let fits = self.message.answers(&all);
        if fits {
            self.hosts.extend(new.cloned());
        }
        fits
    }

    fn next(&mut self) {
        let mut full = std::mem::replace(&mut self.message, begin(&self.option));
        self.hosts.clear();
        if !full.is_empty() {
            full.option(&self.option);
            self.full.push(full.finish());
        }
    }

    /// Whether the message in hand has nothing in it.
    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// The messages.
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        self.next();
        self.full
    }
}

fn begin(option: &[u8]) -> Builder {
    let mut message = Builder::response(0, MESSAGE);
    message.reserve_option(option.len());
    message
}
