//! What other hosts publish, as far as anybody here wants it: instances, their hosts, and which
//! registry each belongs to.

mod addresses;
mod filing;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use super::exchange::{position, Range, Sum, Tag};
use super::message::{Data, Record, IN};
use super::name::Name;
use super::publication::strings;
use super::reading::Reading;
use super::room::Room;
use super::zone::ZONE;
use crate::limits;
use crate::model::Service;
use crate::record::{self, Key, Owner, Question, Time};
use crate::refused::Refused;
use crate::tally::give_back;
use crate::wire::dnssd;

/// Instances that wait for the rest of their records, at most; and how long, milliseconds.
const PARTIAL: usize = 4_096;
const PARTIAL_MS: u64 = 10_000;
/// How often they are looked through where there are too many, milliseconds.
const SWEEP_MS: u64 = 1_000;
/// What a message said of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// New, or with other data or addresses than before.
    Changed(Key),
    /// As its registry says, which is older than what somebody else had said.
    Reverted(Key),
    /// As it was.
    Repeated(Key),
    /// It is to be gone.
    Goodbye(Key),
    /// It is of another service now, which nobody wants: it is not held any more.
    Unwanted(Key),
    /// On this interface it is elsewhere without a new revision, which nothing but the sender's address vouches for.
    Doubtful(Key, u32),
    /// Not kept, for this reason.
    Dropped(Refused),
}

#[derive(Debug)]
enum Txt {
    None,
    /// Kept where the record also depends on the SRV record.
    Raw(Arc<[u8]>),
    /// Of one that was decoded.
    Digest(u64),
}

#[derive(Debug)]
struct Instance {
    record: Option<Arc<record::Record>>,
    port: u16,
    /// Time to live of the SRV record as it was multicast, seconds.
    ttl: Option<u32>,
    host: Option<Name>,
    txt: Txt,
    since: Time,
    /// When there was last a sign of it.
    heard: Time,
    /// As it is now, it has been told.
    told: bool,
    /// It was told, and not that it is gone.
    shown: bool,
    /// It was told with a later revision that was not its registry's.
    reverted: bool,
    /// See [`Heard::Doubtful`]; it is held in another way than its registry says until that has answered.
    doubtful: bool,
    /// Who said it first.
    from: IpAddr,
}

impl Instance {
    /// What of it alone takes memory, bytes.
    fn heap_bytes(&self) -> usize {
        let raw = if let Txt::Raw(raw) = &self.txt { raw.len() } else { 0 };
        raw + self.record.as_ref().map_or(0, |record| record.node.heap_bytes())
    }
}

/// What is held of one registry.
#[derive(Debug, Default)]
struct Registry {
    /// Its nodes by service, then by place on the ring.
    services: BTreeMap<Arc<str>, BTreeMap<u64, Key>>,
    /// The last service data of a name, to be shared by the next node that says the same.
    said: BTreeMap<Arc<str>, Arc<Service>>,
}

/// Everything held.
#[derive(Debug, Default)]
pub struct Cache {
    instances: HashMap<Key, Instance>,
    registries: BTreeMap<Owner, Registry>,
    /// The addresses of a host by interface, and when each was last heard.
    hosts: BTreeMap<Name, BTreeMap<(u32, IpAddr), Time>>,
    users: BTreeMap<Name, BTreeSet<Key>>,
    /// The registries of which something is held, by their host.
    owners: BTreeMap<Name, Owner>,
    room: Room,
    reading: Reading,
    partial: usize,
    /// When what is left untold may be looked for again.
    swept: Time,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// When.
    pub now: Time,
    /// Who sent it.
    pub from: IpAddr,
    /// The interface it came over.
    pub interface: u32,
    /// It is the registry's own answer.
    pub authoritative: bool,
    /// It answers a one-shot question, with times to live that are shorter than they are (RFC 6762 §6.7).
    pub one_shot: bool,
}

impl Cache {
    /// How many instances are held.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// The record of an instance, once it is whole.
    pub fn record(&self, key: &str) -> Option<&Arc<record::Record>> {
        self.instances.get(key)?.record.as_ref()
    }

    /// The addresses at which the host of an instance was heard, by interface.
    pub fn reach(&self, key: &str) -> impl Iterator<Item = &(u32, IpAddr)> {
        let host = self.instances.get(key).and_then(|instance| instance.host.as_ref());
        host.and_then(|host| self.hosts.get(host)).into_iter().flat_map(BTreeMap::keys)
    }

    /// A node of an owner.
    pub fn node_of(&self, owner: &str) -> Option<&Key> {
        self.registries.get(owner)?.services.values().find_map(|places| places.values().next())
    }

    /// A node that runs on a host: of the registry whose host it is, if that is known.
    pub fn user_of(&self, host: &Name) -> Option<&Key> {
        let users = self.users.get(host)?;
        let owned = self.owners.get(host).and_then(|owner| self.node_of(owner));
        owned.filter(|key| users.contains(*key)).or_else(|| users.first())
    }

    /// Whether the instance is held, whole or not.
    pub fn holds(&self, key: &str) -> bool {
        self.instances.contains_key(key)
    }

    /// The registry of these nodes has said that they live.
    pub fn live<'a>(&mut self, now: Time, keys: impl IntoIterator<Item = &'a Key>) {
        for key in keys {
            self.instances.get_mut(key).into_iter().for_each(|instance| instance.heard = now);
        }
    }

    /// When there was last a sign of the instance.
    pub fn heard_at(&self, key: &str) -> Option<Time> {
        self.instances.get(key).map(|instance| instance.heard)
    }

    /// Takes the records of one message. Of instances that are not held yet, those are kept whose
    /// service is `wanted`.
    pub fn take(&mut self, source: Source, records: &[&Record], wanted: impl Fn(&str) -> bool) -> Vec<Heard> {
        let mut heard = Vec::new();
        let (mut touched, mut refused) = (Vec::<Key>::new(), HashSet::<&str>::new());
        let named = |wanted: fn(&Record) -> bool| -> HashSet<&Name> {
            records.iter().filter(|record| wanted(record)).map(|record| &record.name).collect()
        };
        let (with_txt, with_srv) = (named(is_txt), named(|record| matches!(record.data, Data::Srv { .. })));
        let is_whole = |name: &Name| with_txt.contains(name) && with_srv.contains(name);
        for record in records.iter().filter(|record| record.class == IN) {
            match &record.data {
                Data::Ptr(instance) if record.name == ZONE.service_type => {
                    let Some(key) = ZONE.key(instance) else {
                        heard.push(Heard::Dropped(Refused::Pointer));
                        continue;
                    };
                    if record.ttl == 0 {
                        heard.extend(self.goodbye(key));
                    } else if let Some(instance) = self.instances.get_mut(key) {
                        instance.heard = source.now;
                        touched.push(Key::from(key));
                    } else if wanted("") && !with_txt.contains(instance) {
                        // Other software may name it here and describe it when it is asked.
                        self.open(source, key, false, &mut heard);
                    }
                }
                Data::Srv { .. } | Data::Txt(_) => {
                    let Some(key) = ZONE.key(&record.name).filter(|key| !refused.contains(key)) else { continue };
                    if record.ttl == 0 {
                        heard.extend(self.goodbye(key));
                        continue;
                    }
                    if !self.instances.contains_key(key) {
                        let described = records.iter().find(|other| other.name == record.name && is_txt(other));
                        let service = described.map(|txt| service_of(&txt.data));
                        if service.is_some_and(|service| !wanted(&service)) || (described.is_none() && !wanted("")) {
                            continue;
                        }
                        if !self.open(source, key, is_whole(&record.name), &mut heard) {
                            continue;
                        }
                    }
                    match self.describe(source, key, record, &mut heard) {
                        Some(changed) => touched.push(changed),
                        None => drop(refused.insert(key)),
                    }
                }
                _ => {}
            }
        }
        touched.extend(self.take_addresses(source, records, &mut heard));
        touched.sort_unstable();
        touched.dedup();
        heard.extend(touched.iter().filter_map(|key| self.conclude(key, &wanted)));
        heard
    }

    /// Makes a place for an instance, `whole` if the message describes it.
    fn open(&mut self, source: Source, key: &str, whole: bool, heard: &mut Vec<Heard>) -> bool {
        let Source { now, from, .. } = source;
        if self.partial >= PARTIAL {
            self.sweep(now);
        }
        let room = match self.partial >= PARTIAL && !whole {
            true => Err(Refused::TooManyIncomplete),
            false => self.room.open(from).or_else(|full| match self.sweep(now) {
                true => self.room.open(from),
                false => Err(full),
            }),
        };
        if let Err(full) = room {
            heard.push(Heard::Dropped(full));
            return false;
        }
        let instance = Instance {
            record: None,
            port: 0,
            ttl: None,
            host: None,
            txt: Txt::None,
            since: now,
            heard: now,
            told: false,
            shown: false,
            reverted: false,
            doubtful: false,
            from,
        };
        self.instances.insert(Key::from(key), instance);
        self.partial += 1;
        true
    }

    /// Forgets what was never told: it has no lease that would end it. Whether it was looked for, which is now and then.
    fn sweep(&mut self, now: Time) -> bool {
        if now < self.swept {
            return false;
        }
        self.swept = Time(now.0 + SWEEP_MS);
        let stale = |i: &Instance| !i.shown && now.0 > i.since.0 + PARTIAL_MS;
        let old: Vec<Key> = self.instances.iter().filter(|(_, i)| stale(i)).map(|(key, _)| key.clone()).collect();
        old.iter().for_each(|key| self.remove(key));
        true
    }

    fn goodbye(&self, key: &str) -> Option<Heard> {
        self.instances.get_key_value(key).map(|(key, _)| Heard::Goodbye(key.clone()))
    }

    /// Takes an SRV or TXT record; the key if it is now to be looked at.
    fn describe(&mut self, source: Source, key: &str, record: &Record, heard: &mut Vec<Heard>) -> Option<Key> {
        let (key, instance) =
            self.instances.get_key_value(key).map(|(key, _)| key.clone()).zip(self.instances.get_mut(key))?;
        instance.heard = source.now;
        instance.doubtful &= !source.authoritative;
        match &record.data {
            Data::Srv { port, target } => {
                let moved = instance.host.as_ref() != Some(target);
                let ttl = if source.one_shot { instance.ttl } else { Some(record.ttl) };
                let was = (instance.port, instance.ttl);
                if was != (*port, ttl) {
                    (instance.port, instance.ttl) = (*port, ttl);
                    let raw = if let Txt::Raw(raw) = &instance.txt { Some(raw.clone()) } else { None };
                    let taken = raw.is_none_or(|raw| self.decode(source, &key, &raw, heard));
                    // It is news again when there is room.
                    let back = self.instances.get_mut(&key).filter(|_| !taken);
                    back.into_iter().for_each(|instance| (instance.port, instance.ttl) = was);
                }
                if moved {
                    let before = self.instances.get_mut(&key)?.host.replace(target.clone());
                    before.iter().for_each(|host| self.let_go(host, &key));
                    before.iter().for_each(|_| self.doubt(source, &key, heard));
                    self.users.entry(target.clone()).or_default().insert(key.clone());
                }
                Some(key)
            }
            Data::Txt(data) => {
                let same = match &instance.txt {
                    Txt::None => false,
                    Txt::Raw(raw) => raw == data,
                    Txt::Digest(known) => *known == digest(data),
                };
                if !same {
                    self.decode(source, &key, data, heard);
                }
                self.holds(&key).then_some(key)
            }
            _ => None,
        }
    }

    /// Reads the data of a TXT record; false if there is no room for what they say.
    fn decode(&mut self, source: Source, key: &Key, data: &Arc<[u8]>, heard: &mut Vec<Heard>) -> bool {
        let Some(instance) = self.instances.get_mut(key) else { return false };
        let (from, had) = (instance.from, instance.heap_bytes());
        let texts = strings(data);
        let whole = texts.iter().any(|text| text.starts_with(b"port="));
        let raw = if whole { 0 } else { data.len() };
        if !whole && instance.port == 0 {
            if let Err(full) = self.room.admits(from, had, had + raw) {
                return self.refuse(source, full, key, heard);
            }
            // The record is not to be read before its SRV record is there.
            instance.txt = Txt::Raw(data.clone());
            self.room.change(from, had, instance.heap_bytes());
            return true;
        }
        let leased = texts.iter().any(|text| text.starts_with(b"lease="));
        let read = match dnssd::is_deflated(&texts) {
            true => {
                let decode = |inflated: &mut usize| dnssd::decode_counted(key, &texts, instance.port, inflated);
                self.reading.read(source.now, source.from, decode)
            }
            false => dnssd::decode(key, &texts, instance.port),
        };
        let record = match read {
            Ok(mut record) => {
                if let Some(ttl) = instance.ttl.filter(|_| !leased) {
                    let lease = (u64::from(ttl) * 1_000).clamp(*limits::TTL_MS.start(), *limits::TTL_MS.end());
                    record.lease = u32::try_from(lease / 1_000).unwrap_or(u32::MAX);
                }
                record
            }
            Err(limited @ Refused::ReadingLimited) => return self.refuse(source, limited, key, heard),
            Err(reason) => {
                instance.txt = Txt::Digest(digest(data));
                self.room.change(from, had, instance.heap_bytes());
                heard.push(Heard::Dropped(reason));
                return true;
            }
        };
        let newer = |known: &Arc<record::Record>| known.owner == record.owner && known.revision > record.revision;
        let older = instance.record.as_ref().is_some_and(newer);
        if older && !source.authoritative {
            heard.push(Heard::Dropped(Refused::OlderRevision));
            return true;
        }
        let as_old = |known: &&Arc<record::Record>| known.owner == record.owner && known.revision == record.revision;
        let rewritten = instance.record.as_ref().filter(as_old).is_some_and(|known| !known.same_data(&record));
        if rewritten && !source.authoritative && Tag::of(&record.owner).is_some() {
            self.doubt(source, key, heard);
            return true;
        }
        let bytes = raw + record.node.heap_bytes();
        let said = self.registries.get(&record.owner).and_then(|registry| registry.said.get(&*record.service.name));
        let more = if said == Some(&record.service) { 0 } else { record.service.heap_bytes() };
        let less = instance.record.as_ref().map_or(0, |before| self.room.freed_by(&before.service));
        if let Err(full) = self.room.admits(from, had + less, bytes + more) {
            return self.refuse(source, full, key, heard);
        }
        instance.reverted |= older;
        instance.doubtful = false;
        instance.txt = if whole { Txt::Digest(digest(data)) } else { Txt::Raw(data.clone()) };
        self.room.change(from, had, bytes);
        let record = self.file(key, record);
        self.room.share(from, &record.service);
        let Some(instance) = self.instances.get_mut(key) else { return false };
        instance.told = false;
        match instance.record.replace(Arc::new(record)) {
            Some(before) => self.unshare(&before),
            None => self.partial -= 1,
        }
        true
    }

    /// There is no room for what an instance says now: it stays as it was, if it is whole; false.
    fn refuse(&mut self, source: Source, reason: Refused, key: &Key, heard: &mut Vec<Heard>) -> bool {
        heard.push(Heard::Dropped(reason));
        let is_full = reason != Refused::ReadingLimited;
        if is_full {
            // For the next.
            self.sweep(source.now);
        }
        match self.instances.get_mut(key) {
            // Its registry has said otherwise.
            Some(instance) if instance.record.is_some() => instance.doubtful |= source.authoritative,
            // What could not be read is asked for again.
            Some(_) if is_full || self.partial > PARTIAL => self.remove(key),
            _ => {}
        }
        false
    }

    fn doubt(&mut self, source: Source, key: &Key, heard: &mut Vec<Heard>) {
        if let Some(instance) = self.instances.get_mut(key).filter(|_| !source.authoritative) {
            instance.doubtful = true;
            heard.push(Heard::Doubtful(key.clone(), source.interface));
        }
    }

    /// What is to be told of an instance that a message spoke of.
    fn conclude(&mut self, key: &Key, wanted: &impl Fn(&str) -> bool) -> Option<Heard> {
        let instance = self.instances.get_mut(key)?;
        let record = instance.record.as_ref()?;
        if !wanted(&record.service.name) {
            let was_shown = instance.shown;
            self.remove(key);
            return was_shown.then(|| Heard::Unwanted(key.clone()));
        }
        let host = instance.host.as_ref().and_then(|host| self.hosts.get(host));
        if host.is_none_or(BTreeMap::is_empty) {
            return None;
        }
        let told = std::mem::replace(&mut instance.told, true);
        instance.shown = true;
        if std::mem::take(&mut instance.reverted) {
            return Some(Heard::Reverted(key.clone()));
        }
        Some(if told { Heard::Repeated(key.clone()) } else { Heard::Changed(key.clone()) })
    }

    /// Forgets an instance.
    pub fn remove(&mut self, key: &str) {
        let Some((key, instance)) = self.instances.remove_entry(key) else { return };
        give_back(&mut self.instances);
        if let Some(host) = &instance.host {
            self.let_go(host, &key);
        }
        self.room.close(instance.from, instance.heap_bytes());
        match &instance.record {
            Some(record) => {
                self.unfile(record);
                self.unshare(record);
            }
            None => self.partial -= 1,
        }
    }

    /// Forgets every instance that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&record::Record) -> bool) {
        let gone = |i: &Instance| i.record.as_ref().is_some_and(|record| !keep(record));
        let gone: Vec<Key> = self.instances.iter().filter(|(_, i)| gone(i)).map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    /// What has been told and holds.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<record::Record>> {
        self.instances.values().filter(|instance| instance.shown).filter_map(|instance| instance.record.as_ref())
    }

    /// What an instance lacks: its SRV or TXT record, or else the address records of the host.
    pub fn lacks(&self, key: &str) -> Option<(bool, Option<Name>)> {
        let instance = self.instances.get(key)?;
        let Some(host) = instance.host.as_ref().filter(|_| instance.record.is_some()) else {
            return Some((true, None));
        };
        let unknown = self.hosts.get(host).is_none_or(BTreeMap::is_empty);
        unknown.then(|| (false, Some(host.clone())))
    }

    /// The pointers to instances of other software that were heard on an interface and hold for half
    /// their time at least (RFC 6762 §7.1).
    pub fn pointers(&self, now: Time, question: &Question, interface: u32) -> Vec<Record> {
        let pointer = |(key, instance): (&Key, &Instance)| {
            let record = instance.record.as_ref().filter(|record| Tag::of(&record.owner).is_none())?;
            let left = (u64::from(record.lease) * 1_000).saturating_sub(now.0.saturating_sub(instance.heard.0)) / 1_000;
            let asked = question.asks_for(&record.service.name);
            let here = self.reach(key).any(|(on, _)| *on == interface);
            let holds = asked && here && left * 2 >= u64::from(record.lease);
            let data = Data::Ptr(ZONE.instance(key)?);
            let ttl = u32::try_from(left).unwrap_or(u32::MAX);
            holds.then(|| Record { name: ZONE.service_type.clone(), class: IN, flush: false, ttl, data })
        };
        self.instances.iter().filter_map(pointer).collect()
    }

    /// The keys of an owner's nodes that the question asks for, within a range, in no special order.
    pub fn keys(&self, owner: &str, question: &Question, range: &Range) -> Vec<Key> {
        let Some(registry) = self.registries.get(owner) else { return Vec::new() };
        let within =
            |places: &BTreeMap<u64, Key>| places.range(range.clone()).map(|(_, key)| key.clone()).collect::<Vec<_>>();
        match question {
            Question::Service(name) => registry.services.get(name).map(within).unwrap_or_default(),
            _ => registry.services.values().flat_map(within).collect(),
        }
    }

    /// Whether something was heard of a node before that.
    pub fn knew(&self, key: &str, at: Time) -> bool {
        self.instances.get(key).is_some_and(|instance| instance.since < at)
    }

    /// What an owner's nodes that the question asks for come to, within a range and of one lease.
    pub fn sum(&self, owner: &str, question: &Question, range: &Range, lease: Option<u32>) -> Sum {
        let keys = self.keys(owner, question, range);
        let held = keys.iter().filter_map(|key| self.instances.get(key));
        let wanted = held.filter_map(|instance| Some((instance.doubtful, instance.record.as_ref()?)));
        let wanted = wanted.filter(|(_, record)| lease.is_none_or(|lease| record.lease == lease));
        // A doubtful one is counted, so that it is missed when it is gone, but as what its registry does not say.
        let revision = |doubtful, revision: u64| if doubtful { !revision } else { revision };
        Sum::of(wanted.filter_map(|(doubtful, r)| Some((position(&r.key)?, revision(doubtful, r.revision)))))
    }

    /// The services held of an owner.
    pub fn services_of(&self, owner: &str) -> impl Iterator<Item = &Arc<str>> {
        self.registries.get(owner).into_iter().flat_map(|registry| registry.services.keys())
    }

    /// The registries of which something is held.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.registries.keys()
    }
}

fn is_txt(record: &Record) -> bool {
    matches!(record.data, Data::Txt(_))
}

/// The service that TXT data name; empty where only decoding tells.
fn service_of(data: &Data) -> String {
    let Data::Txt(data) = data else { return String::new() };
    let named = strings(data).into_iter().find_map(|text| text.strip_prefix(b"service="));
    named.map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
}

fn digest(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}
