//! How many there are of each.

use std::collections::HashMap;
use std::hash::Hash;

/// Counts by key; what there is none of takes no room.
#[derive(Clone, Debug)]
pub struct Tally<K>(HashMap<K, u32>);

impl<K> Default for Tally<K> {
    fn default() -> Tally<K> {
        Tally(HashMap::new())
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// One more.
    pub fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    /// One less.
    pub fn take(&mut self, key: &K) {
        match self.0.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.0.remove(key)),
        }
        give_back(&mut self.0);
    }

    /// How many there are.
    pub fn of(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, |count| usize::try_from(*count).unwrap_or(usize::MAX))
    }

    /// Those of which there are any, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }
}

/// Gives back what room a map does not need any more, so rarely that removing stays cheap.
pub fn give_back<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 4 * map.len() {
        map.shrink_to(2 * map.len());
    }
}
