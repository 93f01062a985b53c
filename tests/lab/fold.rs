//! What a watcher's events add up to.

use std::collections::BTreeMap;

use serde_json::{json, Value};

/// Folds events by key, as an application does, and holds them to their order: per key create, update*, delete.
#[derive(Debug, Default)]
pub struct Fold {
    present: BTreeMap<String, Value>,
    /// Whether all that was present when the watch began, or fell behind, has been told.
    pub synced: bool,
    /// How often the watcher fell behind.
    pub resyncs: usize,
}

impl Fold {
    /// Takes one event as JSON.
    pub fn take(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("synced") => self.synced = true,
            Some("resync") => {
                self.present.clear();
                self.synced = false;
                self.resyncs += 1;
            }
            Some("service") => self.change(event),
            _ => panic!("not an event: {event}"),
        }
    }

    fn change(&mut self, event: &Value) {
        let key = event["key"].as_str().expect("a key").to_owned();
        let service = event["service"].clone();
        assert_eq!(service["nodes"].as_array().map(Vec::len), Some(1), "exactly one node: {event}");
        let known = match event["action"].as_str() {
            Some("create") => {
                let known = self.present.insert(key, service);
                assert!(known.is_none(), "created twice: {event}, was {known:?}");
                return;
            }
            Some("update") => {
                let known = self.present.insert(key, service.clone());
                assert_ne!(known.as_ref(), Some(&service), "an update that changes nothing: {event}");
                known
            }
            Some("delete") => self.present.remove(&key),
            _ => panic!("not an action: {event}"),
        };
        assert!(known.is_some(), "of a node that is not known: {event}");
    }

    /// What is present, as services of one node.
    pub fn services(&self) -> impl Iterator<Item = &Value> {
        self.present.values()
    }

    /// The nodes present, in the order of `nodes_of`.
    pub fn nodes(&self) -> Vec<Value> {
        nodes_of(self.present.values())
    }
}

/// The nodes of services as `{"name","version","node"}`, sorted by their text.
pub fn nodes_of<'a>(services: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut nodes = Vec::new();
    for service in services {
        for node in service["nodes"].as_array().expect("nodes") {
            nodes.push(json!({"name": service["name"], "version": service["version"], "node": node}));
        }
    }
    nodes.sort_by_key(Value::to_string);
    nodes
}
