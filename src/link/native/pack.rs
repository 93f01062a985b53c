//! Records into messages: what belongs together stays together.
//!
//! A message that tells of instances ends with the addresses of their hosts, after SRV and TXT: a go-micro watcher takes
//! the last record for an entry, and asks everybody for what that lacks.

use super::exchange::Exchange;
use super::message::{Builder, Data, Record};
use super::name::Name;
use super::serve::MESSAGE;

/// An address record whose name stands in the message already takes this, and the address, bytes.
const ADDRESS_OVERHEAD: usize = 12;

/// Fills messages with groups of answers; each message tells the addresses of every host it names.
pub struct Packer<A> {
    addresses: A,
    option: Vec<u8>,
    message: Builder,
    hosts: Vec<Name>,
    /// Of these hosts, to be told last.
    unsaid: Vec<Record>,
    full: Vec<Vec<u8>>,
}

impl<A: Fn(&Name) -> Vec<Record>> Packer<A> {
    /// `addresses` gives the address records of a host; each message says where direct questions are
    /// taken.
    pub fn new(addresses: A, port: u16) -> Packer<A> {
        let option = Exchange::Here { port }.encode();
        let (hosts, unsaid, full) = (Vec::new(), Vec::new(), Vec::new());
        Packer { addresses, message: begin(&option), option, hosts, unsaid, full }
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
        let kept = self.unsaid.iter().chain(&addresses).map(room).sum();
        self.message.reserve_option(self.option.len());
        self.message.reserve_more(kept);
        let fits = self.message.answers(&group.iter().collect::<Vec<&Record>>());
        if fits {
            self.hosts.extend(new.cloned());
            self.unsaid.extend(addresses);
        }
        fits
    }

    fn next(&mut self) {
        let mut full = std::mem::replace(&mut self.message, begin(&self.option));
        self.hosts.clear();
        let addresses = std::mem::take(&mut self.unsaid);
        if !full.is_empty() {
            full.reserve_option(self.option.len());
            full.kept_answers(&addresses.iter().collect::<Vec<&Record>>());
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

/// What an address record takes.
fn room(address: &Record) -> usize {
    let bytes = if matches!(address.data, Data::A(_)) { 4 } else { 16 };
    ADDRESS_OVERHEAD + bytes
}

fn begin(option: &[u8]) -> Builder {
    let mut message = Builder::response(0, MESSAGE);
    message.reserve_option(option.len());
    message
}
