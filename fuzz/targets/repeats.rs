//! What one host multicasts by DNS-SD: no record twice within a second (RFC 6762 §6).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use mdns_registry::link::native::message::{Data, Message, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::record::Time;
use mdns_registry::wire::dnssd;

/// Within so long a record is multicast once, milliseconds; one of which somebody probes for the name, within the shorter.
const ONCE_IN: u64 = 1_000;
const DEFENDED_ONCE_IN: u64 = 250;

static OURS: LazyLock<[Name; 2]> = LazyLock::new(|| {
    [dnssd::SERVICE_TYPE, "_services._dns-sd._udp.local"].map(|name| Name::from_dotted(name).unwrap())
});

/// An interface and whether it is by IPv6.
pub type Place = (u32, bool);

/// A record where it was multicast: its name, type and data.
type Multicast = (Place, Name, u16, Vec<u8>);

/// What was said, when last, and how long it lives.
#[derive(Default)]
pub struct Repeats {
    last: HashMap<Multicast, (Time, u32)>,
    probed: Option<Time>,
    renewed: Option<Time>,
}

impl Repeats {
    /// All may be said at once again, whatever is answered at this time: it was spoken against (§9), or the link is another (§8).
    pub fn forget(&mut self, now: Time) {
        self.last.clear();
        self.renewed = Some(now);
    }

    /// Somebody asked so.
    pub fn asked(&mut self, now: Time, question: &Message) {
        if !question.authorities.is_empty() {
            self.probed = Some(now);
        }
    }

    /// A message, in which no record that lives comes too soon, but
    /// - addresses behind records of instances, and what else makes the message whole: SRV and TXT beside a pointer to them, or
    ///   those of one instance where the answers name none;
    /// - pointers and SRV beside a TXT record that has changed: a change is announced at once, and whole (§8.4);
    /// - what a goodbye was said for meanwhile, and what lives for another time.
    pub fn take(&mut self, now: Time, place: Place, message: &Message) {
        let key = |record: &Record| (place, record.name.clone(), record.data.rtype(), record.data.rdata());
        let answers = message.answers.iter().map(|record| (record, true));
        let all = answers.chain(message.additionals.iter().map(|record| (record, false)));
        let all: Vec<(&Record, bool)> =
            all.filter(|(record, _)| OURS.iter().any(|ours| record.name.ends_with(ours))).collect();
        let tells_of_instances = all.iter().any(|(record, _)| instance(record).is_some());
        let answers_name = |name: &Name| message.answers.iter().any(|record| about(record) == Some(name));
        let answers_name_any = message.answers.iter().any(|record| instance(record).is_some());
        for (record, _) in all.iter().filter(|(record, _)| record.ttl == 0) {
            self.last.remove(&key(record));
        }
        let said = |record: &Record| {
            self.last.get(&key(record)).filter(|(at, ttl)| now.0 < at.0 + ONCE_IN && *ttl == record.ttl)
        };
        let is_changed = |record: &&Record| matches!(record.data, Data::Txt(_)) && said(record).is_none();
        let alive: Vec<(&Record, bool)> = all.into_iter().filter(|(record, _)| record.ttl > 0).collect();
        let changed: HashSet<&Name> =
            alive.iter().map(|(record, _)| *record).filter(is_changed).map(|record| &record.name).collect();
        let defended = self.probed.is_some_and(|at| now.0 < at.0 + ONCE_IN);
        for (record, is_answer) in &alive {
            let makes_whole = !is_answer && (answers_name(&record.name) || !answers_name_any);
            let excepted = match &record.data {
                Data::A(_) | Data::Aaaa(_) => tells_of_instances,
                Data::Ptr(_) | Data::Srv { .. } => {
                    makes_whole || instance(record).is_some_and(|name| changed.contains(name))
                }
                _ => makes_whole,
            };
            let Some((at, _)) = said(record).filter(|_| !excepted && self.renewed != Some(now)) else { continue };
            let (gap, least) = (now.0 - at.0, if record.flush && defended { DEFENDED_ONCE_IN } else { ONCE_IN });
            assert!(gap >= least, "{now:?} after {gap} ms again: {record:?} in {message:?}");
        }
        self.last.extend(alive.into_iter().map(|(record, _)| (key(record), (now, record.ttl))));
        self.last.retain(|_, (at, _)| now.0 < at.0 + ONCE_IN);
    }
}

/// What a record points to or describes.
fn about(record: &Record) -> Option<&Name> {
    match &record.data {
        Data::Ptr(name) => Some(name),
        Data::Srv { .. } | Data::Txt(_) => Some(&record.name),
        _ => None,
    }
}

/// The instance that a record tells of.
fn instance(record: &Record) -> Option<&Name> {
    about(record).filter(|name| name.parent().as_ref() == Some(&OURS[0]))
}
