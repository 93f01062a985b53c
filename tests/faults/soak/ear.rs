//! What all say by multicast, on both wires, held to I8 as it passes, and forgotten.
//!
//! By one address no record that lives is multicast twice within a second, but
//! - addresses behind records of instances, also beside their goodbye: with them a message is whole to software that takes each by itself;
//! - pointers and SRV beside a TXT record that has changed: a change is announced at once, and whole (RFC 6762 §8.4);
//! - what that address has said goodbye for meanwhile: it is new.
//!
//! Goodbyes, with a time to live of 0, may come at any time (§10.1). Defending (§9) is not excepted, as nobody attacks. The
//! second is the sender's: what it was kept from running by the machine meanwhile, as it measured itself, is left off.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mdns_registry::link::native::message::{parse, Data, Record};
use mdns_registry::link::native::name::Name;

use crate::lab::capture::{self, Packet};
use crate::lab::Host;

const ONCE_IN: Duration = Duration::from_secs(1);
/// Records of which it is kept when they were said, until it is looked which of them it still matters of.
const KEPT: usize = 20_000;

/// Listens until it is dropped.
pub struct Ear {
    heard: Arc<Mutex<Heard>>,
    _ear: capture::Ear,
}

#[derive(Default)]
struct Heard {
    records: u64,
    last: HashMap<Said, Arc<Packet>>,
    too_soon: u64,
    /// How often an address was excused as it had been stopped.
    excused: u64,
    /// Of each address the record that came soonest after the same, since it was asked last.
    soonest: HashMap<IpAddr, TooSoon>,
}

/// Who said what.
type Said = (IpAddr, Name, u16, Vec<u8>);

/// A record, and the messages that it came in.
struct TooSoon {
    record: String,
    first: Arc<Packet>,
    again: Arc<Packet>,
}

/// What a sender says after it was stopped for longer is said because it was (RFC 6762 §8); it may not happen often.
const STALLED: Duration = Duration::from_millis(500);

impl Ear {
    pub fn on(host: &Host) -> Ear {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hears = heard.clone();
        let ear = host.listen(move |packet| hears.lock().expect("no panic while held").take(packet));
        Ear { heard, _ear: ear }
    }

    /// How many records were multicast so far, if none since the last call came sooner than a second after the same, or
    /// than what of it is left of a sender that was `stalled` for so long.
    pub fn records(&self, stalled: impl Fn(IpAddr) -> Duration) -> Result<u64, String> {
        let mut heard = self.heard.lock().expect("no panic while held");
        let soonest = std::mem::take(&mut heard.soonest);
        let is_late = |(from, too_soon): &(IpAddr, TooSoon)| too_soon.gap() + stalled(*from) < ONCE_IN;
        heard.excused += soonest.keys().filter(|from| stalled(**from) > STALLED).count() as u64;
        let Some((from, too_soon)) = soonest.into_iter().find(is_late) else { return Ok(heard.records) };
        let (gap, stalled) = (too_soon.gap(), stalled(from));
        println!("{from}, stalled for {stalled:?}: {}", too_soon.record);
        println!("{gap:?} after {:#?}came {:#?}", too_soon.first, too_soon.again);
        let (count, all) = (heard.too_soon, heard.records);
        Err(format!("I8: {count} of {all} records too soon, one {gap:?} after the same of {from}: {}", too_soon.record))
    }

    /// How often a sender was excused as it had been stopped for long.
    pub fn excused(&self) -> u64 {
        self.heard.lock().expect("no panic while held").excused
    }
}

impl TooSoon {
    fn gap(&self) -> Duration {
        self.again.at.saturating_duration_since(self.first.at)
    }
}

impl Heard {
    fn take(&mut self, packet: Packet) {
        if !packet.destination.ip().is_multicast() {
            return;
        }
        let Some(message) = parse(&packet.payload).filter(|message| message.response) else { return };
        let (from, packet) = (packet.source.ip(), Arc::new(packet));
        let records: Vec<&Record> = message.answers.iter().chain(&message.additionals).collect();
        let tells_of_instances = records.iter().any(|record| instance(record).is_some());
        let (alive, gone): (Vec<&Record>, Vec<&Record>) = records.into_iter().partition(|record| record.ttl > 0);
        gone.into_iter().for_each(|record| drop(self.last.remove(&said(from, record))));
        let changed: HashSet<&Name> = alive
            .iter()
            .filter(|record| matches!(record.data, Data::Txt(_)) && self.was_said(&packet, record).is_none())
            .map(|record| &record.name)
            .collect();
        for record in &alive {
            let excepted = match &record.data {
                Data::A(_) | Data::Aaaa(_) => tells_of_instances,
                Data::Ptr(_) | Data::Srv { .. } => instance(record).is_some_and(|name| changed.contains(name)),
                _ => false,
            };
            let Some(first) = self.was_said(&packet, record).filter(|_| !excepted) else { continue };
            self.too_soon += 1;
            let too_soon = TooSoon { record: format!("{record:?}"), first, again: packet.clone() };
            if self.soonest.get(&from).is_none_or(|soonest| too_soon.gap() < soonest.gap()) {
                self.soonest.insert(from, too_soon);
            }
        }
        self.records += alive.len() as u64;
        self.last.extend(alive.into_iter().map(|record| (said(from, record), packet.clone())));
        if self.last.len() > KEPT {
            self.last.retain(|_, packet| packet.at.elapsed() < ONCE_IN * 2);
        }
    }

    /// The message in which the same was said less than a second before.
    fn was_said(&self, packet: &Packet, record: &Record) -> Option<Arc<Packet>> {
        let last = self.last.get(&said(packet.source.ip(), record))?;
        (packet.at.saturating_duration_since(last.at) < ONCE_IN).then(|| last.clone())
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
