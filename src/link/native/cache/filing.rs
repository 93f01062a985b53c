//! Which registry each instance belongs to, and what its nodes share.

use std::sync::Arc;

use super::Cache;
use crate::link::native::exchange::{position, Tag};
use crate::link::native::zone::ZONE;
use crate::record::{self, Key};

impl Cache {
    /// Files a record under its registry, and lets it share what others of it say alike.
    pub(super) fn file(&mut self, key: &Key, mut record: record::Record) -> record::Record {
        record.key = key.clone();
        let moved = self.instances.get(key).and_then(|i| i.record.clone());
        if let Some(moved) = moved.filter(|was| was.service.name != record.service.name || was.owner != record.owner) {
            self.unfile(&moved);
        }
        let Some((position, _)) = position(key).zip(Tag::of(&record.owner)) else { return record };
        let owner = self.registries.get_key_value(&record.owner).map(|(owner, _)| owner.clone());
        if owner.is_none() {
            self.owners.insert(ZONE.host(&record.owner, ""), record.owner.clone());
        }
        record.owner = owner.unwrap_or(record.owner);
        let registry = self.registries.entry(record.owner.clone()).or_default();
        let name = registry.services.get_key_value(record.service.name.as_str()).map(|(name, _)| name.clone());
        let name = name.unwrap_or_else(|| Arc::from(record.service.name.as_str()));
        match registry.said.get(&name) {
            Some(said) if *said == record.service => record.service = said.clone(),
            _ => drop(registry.said.insert(name.clone(), record.service.clone())),
        }
        registry.services.entry(name).or_default().insert(position, key.clone());
        record
    }

    pub(super) fn unfile(&mut self, record: &record::Record) {
        let Some(registry) = self.registries.get_mut(&record.owner) else { return };
        let name = record.service.name.as_str();
        if let Some((places, position)) = registry.services.get_mut(name).zip(position(&record.key)) {
            places.remove(&position);
            if places.is_empty() {
                registry.services.remove(name);
                registry.said.remove(name);
            }
        }
        if registry.services.is_empty() {
            self.registries.remove(&record.owner);
            self.owners.remove(&ZONE.host(&record.owner, ""));
        }
    }

    /// The record is held no more.
    pub(super) fn unshare(&mut self, record: &record::Record) {
        let was_last = self.room.unshare(&record.service);
        let Some(registry) = self.registries.get_mut(&record.owner).filter(|_| was_last) else { return };
        let name = record.service.name.as_str();
        if registry.said.get(name).is_some_and(|said| Arc::ptr_eq(said, &record.service)) {
            registry.said.remove(name);
        }
    }
}
