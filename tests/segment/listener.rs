//! A go-micro watcher as it takes multicast responses (go-micro's `util/mdns/client.go`): it goes through answers and
//! additional records, takes the last of a type it knows for an entry, and asks everybody for an entry that is not whole.

use std::collections::HashMap;

use mdns_registry::link::native::message::{self, Data};
use mdns_registry::link::native::name::{Case, Name};

#[derive(Default)]
struct Entry {
    name: Option<Name>,
    address: bool,
    port: bool,
    txt: bool,
    told: bool,
}

impl Entry {
    fn is_whole(&self) -> bool {
        self.address && self.port && self.txt
    }
}

/// What it keeps between messages.
#[derive(Default)]
pub struct Listener {
    names: HashMap<Name, usize>,
    entries: Vec<Entry>,
}

impl Listener {
    fn entry(&mut self, name: &Name) -> usize {
        let next = self.entries.len();
        let at = *self.names.entry(name.clone()).or_insert(next);
        if at == next {
            self.entries.push(Entry { name: Some(name.clone()), ..Entry::default() });
        }
        at
    }

    /// Takes a multicast message; the name it asks everybody for, if it does.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<Name> {
        let message = message::parse_as(bytes, Case::Kept).filter(|message| message.response)?;
        let mut last = None;
        for record in message.answers.iter().chain(&message.additionals) {
            let at = match &record.data {
                Data::Ptr(instance) => self.entry(instance),
                Data::Srv { target, .. } => {
                    let at = self.entry(&record.name);
                    self.names.insert(target.clone(), at);
                    at
                }
                Data::Txt(_) | Data::A(_) | Data::Aaaa(_) => self.entry(&record.name),
                _ => continue,
            };
            last = Some(at);
            let entry = &mut self.entries[at];
            match &record.data {
                Data::Srv { port, .. } => entry.port |= *port != 0,
                Data::Txt(_) => entry.txt = true,
                Data::A(_) | Data::Aaaa(_) => entry.address = true,
                _ => {}
            }
        }
        let entry = &mut self.entries[last?];
        if !entry.is_whole() {
            return entry.name.clone();
        }
        if !std::mem::replace(&mut entry.told, true) {
            *self = Listener::default();
        }
        None
    }
}
