//! What this process publishes on go-micro's wire.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use super::answers::Wanted;
use super::dotted;
use crate::limits;
use crate::link::native::message::{rtype, Builder, Data, Question, Record, IN};
use crate::link::native::name::{Case, Name};
use crate::link::native::serve::MESSAGE;
use crate::options::Domain;
use crate::record::{self, Key, Owner};
use crate::tally::Tally;
use crate::wire::address::{is_this_host, preference};
use crate::wire::{dnssd, gomicro};

/// Seconds that a record lives by what go-micro says; it holds to none.
pub const TTL: u32 = 120;
/// The port of a list entry, which nobody listens on.
const LIST_PORT: u16 = 9_999;
/// What go-micro gives each SRV record.
const PRIORITY_AND_WEIGHT: [u8; 4] = [0, 10, 0, 1];

/// A published node.
#[derive(Debug)]
pub struct Node {
    /// As registered.
    pub record: Arc<record::Record>,
    /// Its domain.
    pub domain: Domain,
    /// The TXT data, deflated when first needed; `None` = too large.
    txt: OnceCell<Option<Box<[u8]>>>,
}

/// Every node published.
#[derive(Debug, Default)]
pub struct Said {
    nodes: HashMap<Key, Node>,
    services: BTreeMap<(Domain, Arc<str>), BTreeSet<Key>>,
    /// The registries that have published.
    owners: Tally<Owner>,
    too_large: Cell<u64>,
}

impl Said {
    /// Publishes a record, if the wire can carry it.
    pub fn put(&mut self, record: Arc<record::Record>, domain: Domain) {
        if gomicro::unfit(&record, domain).is_some() {
            return;
        }
        let service = (domain, Arc::from(record.service.name.as_str()));
        self.services.entry(service).or_default().insert(record.key.clone());
        self.owners.add(record.owner.clone());
        self.nodes.insert(record.key.clone(), Node { record, domain, txt: OnceCell::new() });
    }

    /// Takes a node out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let node = self.nodes.remove(key)?;
        self.owners.take(&node.record.owner);
        let service = (node.domain, Arc::from(node.record.service.name.as_str()));
        if let Some(keys) = self.services.get_mut(&service) {
            keys.remove(key);
            if keys.is_empty() {
                self.services.remove(&service);
            }
        }
        Some(node)
    }

    /// A node.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.nodes.get(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many were found too large, so far.
    pub fn too_large(&self) -> u64 {
        self.too_large.get()
    }

    /// The keys of all nodes.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.nodes.keys()
    }

    /// The nodes that no other wire carries.
    pub fn alone(&self) -> impl Iterator<Item = &Arc<record::Record>> {
        self.nodes.values().map(|node| &node.record).filter(|record| record.go_micro.is_some())
    }

    /// The next service of a domain that `is_there`.
    pub fn next_service(
        &self,
        domain: Domain,
        after: Option<&Arc<str>>,
        is_there: impl Fn(&Node) -> bool,
    ) -> Option<Arc<str>> {
        let from = match after {
            Some(after) => Bound::Excluded((domain, after.clone())),
            None => Bound::Included((domain, Arc::from(""))),
        };
        let mut later = self.services.range((from, Bound::Unbounded)).take_while(|((of, _), _)| *of == domain);
        let found = later.find(|(_, keys)| keys.iter().filter_map(|key| self.get(key)).any(&is_there));
        found.map(|((_, service), _)| service.clone())
    }

    /// The next node of a service.
    pub fn next_node(&self, service: &(Domain, Arc<str>), after: Option<&Key>) -> Option<&Node> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let key = self.services.get(service)?.range::<Key, _>((from, Bound::Unbounded)).next()?;
        self.get(key)
    }

    /// What a question about these labels before the domain wants: PTR or ANY of a service its nodes, ANY, SRV or TXT
    /// of a node itself.
    pub fn wanted(&self, domain: Domain, labels: &[&[u8]], rtype: u16) -> Option<Wanted> {
        if let [b"_services"] = labels {
            return Some(Wanted::Services(domain));
        }
        let service = dotted(labels).map(|name| (domain, Arc::from(name)));
        let service = service.filter(|_| matches!(rtype, rtype::PTR | rtype::ANY));
        match service.filter(|service| self.services.contains_key(service)) {
            Some(service) => Some(Wanted::Nodes(service)),
            None if rtype == rtype::PTR => None,
            None => self.named(domain, labels).map(Wanted::Node),
        }
    }

    /// The node of this name: wherever the id may end and the service begin.
    fn named(&self, domain: Domain, labels: &[&[u8]]) -> Option<Key> {
        (1..labels.len()).find_map(|cut| {
            let (id, service) = (dotted(&labels[..cut])?, dotted(&labels[cut..])?);
            let keys = self.services.get(&(domain, Arc::from(service.as_str())))?;
            let mut labels = self.owners.keys().map(|owner| dnssd::instance_label(owner, &service, &id));
            labels.find_map(|key| keys.get(key.as_str()).cloned())
        })
    }

    /// SRV, address and TXT of a node; `None` if it has no address here or is too large.
    pub fn records(&self, node: &Node, addrs: &[IpAddr], host: &Name, ttl: u32) -> Option<Vec<Record>> {
        let record = &node.record;
        let labels = gomicro::instance(record.node.id(), &record.service.name, node.domain).ok()?;
        let name = Name::of(labels, Case::Kept)?;
        let address = address(record.node.address(), addrs)?;
        let txt = node.txt.get_or_init(|| {
            let deflated = gomicro::deflate(record, node.domain);
            let fits = gomicro::strings(&deflated).len() <= limits::TXT_BYTES;
            self.too_large.set(self.too_large.get() + u64::from(!fits));
            fits.then(|| deflated.into_boxed_slice())
        });
        let txt = Data::Txt(gomicro::strings(txt.as_ref()?).into());
        Some(records(name, host, (record.node.port(), address, txt), ttl))
    }
}

/// SRV, address and TXT of one name.
fn records(name: Name, host: &Name, (port, address, txt): (u16, IpAddr, Data), ttl: u32) -> Vec<Record> {
    let srv = [&PRIORITY_AND_WEIGHT, &port.to_be_bytes()[..], host.as_wire()].concat();
    let address = match address {
        IpAddr::V4(v4) => Data::A(v4),
        IpAddr::V6(v6) => Data::Aaaa(v6),
    };
    let record = |name: &Name, data| Record { name: name.clone(), class: IN, flush: false, ttl, data };
    vec![record(&name, Data::Other(rtype::SRV, srv.into())), record(host, address), record(&name, txt)]
}

/// What go-micro answers for a service to who asks which there are.
pub fn list_entry(service: &str, domain: Domain, host: &Name) -> Option<Vec<Record>> {
    let name = Name::of(gomicro::list_entry(service, domain).ok()?, Case::Kept)?;
    let nowhere = IpAddr::from([0, 0, 0, 0]);
    Some(records(name, host, (LIST_PORT, nowhere, Data::Other(rtype::TXT, Arc::from([]))), TTL))
}

/// The PTR record from the name that was asked for.
pub fn pointer(asked: &Name, instance: &Record) -> Record {
    Record { name: asked.clone(), data: Data::Ptr(instance.name.clone()), ..instance.clone() }
}

/// A response.
pub fn message(id: u16, question: Option<&Question>, records: &[Record]) -> Option<Vec<u8>> {
    let mut builder = Builder::response(id, MESSAGE);
    let asked = question.is_none_or(|question| builder.question(question));
    (asked && builder.answers(&records.iter().collect::<Vec<_>>())).then(|| builder.finish())
}

/// The one address that a node has on an interface with these: the one that a reader of DNS-SD would choose.
fn address(registered: &str, addrs: &[IpAddr]) -> Option<IpAddr> {
    if !is_this_host(registered) {
        let bare = registered.split('%').next().unwrap_or_default();
        return bare.parse().ok();
    }
    addrs.iter().min_by_key(|ip| preference(**ip)).copied()
}
