//! What a watch was told, folded by key.

use std::collections::BTreeMap;

use mdns_registry::event::{Action, Change, Event};
use mdns_registry::record::Key;
use mdns_registry::Service;

/// The nodes that are present, as far as the events have told.
#[derive(Debug, Default)]
pub struct Fold(pub BTreeMap<Key, Service>);

impl Fold {
    /// Takes the next event; what is wrong with it, if it cannot follow those before.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Service(change) => self.change(change),
            Event::Resync => {
                self.0.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: &Change) -> Result<(), String> {
        if change.service.nodes.len() != 1 {
            return Err(format!("an event is about one node: {change:?}"));
        }
        let had = match change.action {
            Action::Delete => self.0.remove(&change.key),
            _ => self.0.insert(change.key.clone(), change.service.clone()),
        };
        match (had.is_none() == (change.action == Action::Create), change.action) {
            (false, _) => Err(format!("{change:?} after {had:?}")),
            (true, Action::Update) if had.as_ref() == Some(&change.service) => {
                Err(format!("an update of nothing: {change:?}"))
            }
            _ => Ok(()),
        }
    }

    /// As `get_service` lists the nodes, by name.
    pub fn services(&self) -> BTreeMap<&str, Vec<Service>> {
        let mut all: Vec<(&Key, &Service)> = self.0.iter().collect();
        all.sort_by_key(|(key, service)| (&service.name, &service.version, &service.nodes[0].id, *key));
        let mut names: BTreeMap<&str, Vec<Service>> = BTreeMap::new();
        for (_, service) in all {
            let versions = names.entry(&service.name).or_default();
            match versions.last_mut() {
                Some(last) if last.version == service.version => last.nodes.extend(service.nodes.iter().cloned()),
                _ => versions.push(service.clone()),
            }
        }
        names
    }
}
