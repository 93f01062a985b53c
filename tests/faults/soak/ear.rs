//! What all say by multicast, held to I8 as it passes, and forgotten.
//!
//! By one address no record that lives is multicast twice within a second, but
//! - addresses behind records of instances: with them a message is whole to software that takes each by itself;
//! - pointers and SRV beside a TXT record that has changed: a change is announced at once, and whole (RFC 6762 §8.4).
//!
//! Of messages on go-micro's wire it is held to 4 MB a second instead: each of its lookups must be answered within 100 ms,
//! whoever else has asked (ARCHITECTURE.md), also when a node was announced just now.
//!
//! Goodbyes, with a time to live of 0, may come at any time (§10.1). Defending (§9) is not excepted, as nobody attacks. The
//! second is the sender's: what it was kept from running by the machine meanwhile, as it measured itself, is left off.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{parse, Data, Record};
use mdns_registry::link::native::name::Name;

use crate::lab::capture::{self, Packet};
use crate::lab::Host;

const ONCE_IN: Duration = Duration::from_secs(1);
/// Records of which it is kept when they were said, until it is looked which of them it still matters of.
const KEPT: usize = 20_000;
/// What one address may say on go-micro's wire, bytes a second.
const GO_MICRO: usize = 4_000_000;

/// Listens until it is dropped.
pub struct Ear {
    heard: Arc<Mutex<Heard>>,
    _ear: capture::Ear,
}

#[derive(Default)]
struct Heard {
    records: u64,
    last: HashMap<Said, Instant>,
    /// On go-micro's wire: when the second began, and bytes since.
    go_micro: HashMap<IpAddr, (Instant, usize)>,
    most_go_micro: usize,
    too_soon: u64,
    /// The record that came soonest after the same, since it was asked last.
    soonest: Option<(Duration, String)>,
}

/// Who said what.
type Said = (IpAddr, Name, u16, Vec<u8>);

/// No stall excuses more.
const STALLED: Duration = Duration::from_millis(500);

impl Ear {
    pub fn on(host: &Host) -> Ear {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hears = heard.clone();
        let ear = host.listen(move |packet| hears.lock().expect("no panic while held").take(&packet));
        Ear { heard, _ear: ear }
    }

    /// How many records were multicast so far, if none since the last call came sooner than a second after the same, or
    /// than what of it is left of a sender that was stalled for so long.
    pub fn records(&self, stalled: Duration) -> Result<u64, String> {
        let mut heard = self.heard.lock().expect("no panic while held");
        if heard.most_go_micro > GO_MICRO {
            return Err(format!("I8: {} bytes a second on go-micro's wire", heard.most_go_micro));
        }
        match heard.soonest.take().filter(|(gap, _)| *gap + stalled.min(STALLED) < ONCE_IN) {
            None => Ok(heard.records),
            Some((_, how)) => Err(format!("I8: {} of {} records too soon, one {how}", heard.too_soon, heard.records)),
        }
    }
}

impl Heard {
    fn take(&mut self, packet: &Packet) {
        if !packet.destination.ip().is_multicast() {
            return;
        }
        let Some(message) = parse(&packet.payload).filter(|message| message.response) else { return };
        let records: Vec<&Record> = message.answers.iter().chain(&message.additionals).collect();
        if records.iter().any(|record| record.name.labels().last() == Some(&b"micro"[..])) {
            return self.take_go_micro(packet, records.len());
        }
        let tells_of_instances = records.iter().any(|record| instance(record).is_some());
        let from = packet.source.ip();
        let changed: HashSet<&Name> = records
            .iter()
            .filter(|record| matches!(record.data, Data::Txt(_)) && !self.was_said(packet, record))
            .map(|record| &record.name)
            .collect();
        for record in records.iter().filter(|record| record.ttl > 0) {
            let excepted = match &record.data {
                Data::A(_) | Data::Aaaa(_) => tells_of_instances,
                Data::Ptr(_) | Data::Srv { .. } => instance(record).is_some_and(|name| changed.contains(name)),
                _ => false,
            };
            if !excepted && self.was_said(packet, record) {
                self.too_soon += 1;
                let gap = packet.at - self.last[&said(from, record)];
                if self.soonest.as_ref().is_none_or(|(soonest, _)| gap < *soonest) {
                    self.soonest = Some((gap, format!("{gap:?} after the same of {from}: {record:?}")));
                }
            }
        }
        for record in records.iter().filter(|record| record.ttl > 0) {
            self.records += 1;
            self.last.insert(said(from, record), packet.at);
        }
        if self.last.len() > KEPT {
            self.last.retain(|_, at| at.elapsed() < ONCE_IN * 2);
        }
    }

    fn take_go_micro(&mut self, packet: &Packet, records: usize) {
        self.records += records as u64;
        let (began, bytes) = self.go_micro.entry(packet.source.ip()).or_insert((packet.at, 0));
        if packet.at.saturating_duration_since(*began) >= ONCE_IN {
            (*began, *bytes) = (packet.at, 0);
        }
        *bytes += packet.payload.len();
        self.most_go_micro = self.most_go_micro.max(*bytes);
    }

    fn was_said(&self, packet: &Packet, record: &Record) -> bool {
        let last = self.last.get(&said(packet.source.ip(), record));
        last.is_some_and(|last| packet.at.saturating_duration_since(*last) < ONCE_IN)
    }
}

fn said(from: IpAddr, record: &Record) -> Said {
    (from, record.name.clone(), record.data.rtype(), record.data.rdata())
}

/// The instance that a record tells of.
fn instance(record: &Record) -> Option<&Name> {
    match &record.data {
        Data::Ptr(instance) => Some(instance),
        Data::Srv { .. } | Data::Txt(_) => Some(&record.name),
        _ => None,
    }
}
