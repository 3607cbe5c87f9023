//! A map that never grows past its limit: the entry that was used least recently makes room for a new one.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A bounded map. Deterministic: what is evicted depends only on the order of use.
#[derive(Debug, Clone)]
pub(super) struct Bounded<K, V> {
    limit: usize,
    entries: HashMap<K, (u64, V)>,
    /// Which key was used when; the first is the next to go.
    order: BTreeMap<u64, K>,
    clock: u64,
    evicted: u64,
}

impl<K: Clone + Eq + Hash, V: Default> Bounded<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), entries: HashMap::new(), order: BTreeMap::new(), clock: 0, evicted: 0 }
    }

    /// The value of `key`, made when it is not there; counts as a use.
    pub(super) fn entry(&mut self, key: &K) -> &mut V {
        self.clock += 1;
        if !self.entries.contains_key(key) && self.entries.len() >= self.limit {
            self.evict();
        }
        let (used, value) = self.entries.entry(key.clone()).or_insert_with(|| (0, V::default()));
        self.order.remove(used);
        self.order.insert(self.clock, key.clone());
        *used = self.clock;
        value
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Every entry, in no particular order; counts as no use.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((used, _)) = self.entries.remove(key) {
            self.order.remove(&used);
        }
    }

    fn evict(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.entries.remove(&key);
            self.evicted += 1;
        }
    }

    /// How many entries had to make room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes() {
        let mut map: Bounded<u32, u32> = Bounded::new(2);
        *map.entry(&1) = 10;
        *map.entry(&2) = 20;
        *map.entry(&1) += 1;
        *map.entry(&3) = 30;
        assert_eq!((map.get(&1), map.get(&2), map.get(&3)), (Some(&11), None, Some(&30)));
        assert_eq!((map.len(), map.evicted()), (2, 1));
        map.remove(&1);
        *map.entry(&4) = 40;
        assert_eq!((map.len(), map.evicted(), map.order.len()), (2, 1, 2));
    }
}
