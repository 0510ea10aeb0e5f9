//! The hash table in front of an arrangement.

use std::hash::Hash;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::data::hash64;

/// A hash table whose entries keep their place: a slot number stays valid until its entry is removed.
///
/// Entries lie in one vector in order of arrival, and the index holds their numbers. So a list of touched entries is a
/// list of small numbers, and emptying the table hands out the vector as it is. With its number, the index keeps half of an entry's
/// hash: most look-ups touch no entry but the right one, and an index that grows touches none.
pub(crate) struct Table<K, V> {
    index: HashTable<Place>,
    entries: Vec<Option<(K, V)>>,
    free: Vec<u32>,
}

/// What the index knows of an entry.
#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    slot: u32,
}

impl Place {
    fn new(hash: u64, slot: u32) -> Place {
        Place { hash: (hash >> 32) as u32, slot }
    }

    /// The hash that the index goes by: the half that is kept, twice, since it looks at both ends.
    #[inline]
    fn index_hash(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { index: HashTable::new(), entries: Vec::new(), free: Vec::new() }
    }
}

impl<K: Hash + Eq, V> Table<K, V> {
    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Finds `key` and hands its value and `input` to `update`, or makes a value of `input`.
    #[inline]
    pub(crate) fn upsert<I>(
        &mut self,
        key: K,
        input: I,
        insert: impl FnOnce(I) -> V,
        update: impl FnOnce(&mut V, I),
    ) -> Slot {
        let Table { index, entries, free } = self;
        let mut sought = Place::new(hash64(&key), 0);
        let holds = |place: &Place| {
            place.hash == sought.hash && matches!(&entries[place.slot as usize], Some((k, _)) if *k == key)
        };
        match index.entry(sought.index_hash(), holds, Place::index_hash) {
            Entry::Occupied(found) => {
                let slot = found.get().slot;
                if let Some((_, value)) = &mut entries[slot as usize] {
                    update(value, input);
                }
                Slot(slot)
            }
            Entry::Vacant(vacant) => {
                sought.slot = free.pop().unwrap_or(entries.len() as u32);
                vacant.insert(sought);
                put(entries, sought.slot, (key, insert(input)));
                Slot(sought.slot)
            }
        }
    }

    /// The slot of `key`, if it has an entry.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<Slot> {
        let (entries, sought) = (&self.entries, Place::new(hash, 0));
        let holds = |place: &Place| {
            place.hash == sought.hash && matches!(&entries[place.slot as usize], Some((k, _)) if k == key)
        };
        self.index.find(sought.index_hash(), holds).map(|place| Slot(place.slot))
    }

    /// Looks keys up, all together: adds the hash and the slot of each to `found`, in order, and [`Slot::NONE`] for those that are not there.
    ///
    /// In a large table each look-up waits for memory, at the index and at the entry. Here each of these is a pass over all keys with nothing
    /// else in it, so the processor waits for several at once: with a million keys that takes less than half of the time.
    pub(crate) fn find_all<'k>(&self, keys: impl Iterator<Item = &'k K> + Clone, found: &mut Vec<Found>)
    where
        K: 'k,
    {
        let first = found.len();
        found.extend(keys.clone().map(|key| Found { hash: hash64(key), slot: Slot::NONE }));
        for found in &mut found[first..] {
            let sought = Place::new(found.hash, 0);
            let place = self.index.find(sought.index_hash(), |place| place.hash == sought.hash);
            found.slot = place.map_or(Slot::NONE, |place| Slot(place.slot));
        }
        for (found, key) in found[first..].iter_mut().zip(keys) {
            // Two keys may have the same half of a hash.
            if found.slot != Slot::NONE && self.get(found.slot).0 != *key {
                found.slot = self.find(found.hash, key).unwrap_or(Slot::NONE);
            }
        }
    }

    /// Adds an entry for a key that has none.
    pub(crate) fn insert(&mut self, hash: u64, key: K, value: V) -> Slot {
        let Table { index, entries, free } = self;
        let place = Place::new(hash, free.pop().unwrap_or(entries.len() as u32));
        put(entries, place.slot, (key, value));
        index.insert_unique(place.index_hash(), place, Place::index_hash);
        Slot(place.slot)
    }

    /// The entry in a slot.
    ///
    /// # Panics
    ///
    /// If the slot's entry was removed.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> &(K, V) {
        match &self.entries[slot.0 as usize] {
            Some(entry) => entry,
            None => unreachable!("slot {} is vacant", slot.0),
        }
    }

    /// The entry in a slot, to be changed. The key must keep its hash.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut (K, V) {
        match &mut self.entries[slot.0 as usize] {
            Some(entry) => entry,
            None => unreachable!("slot {} is vacant", slot.0),
        }
    }

    /// The entry in a slot, if it was not removed.
    pub(crate) fn try_get(&self, slot: Slot) -> Option<&(K, V)> {
        self.entries.get(slot.0 as usize)?.as_ref()
    }

    /// The entry in a slot, to be changed, if it was not removed.
    #[inline]
    pub(crate) fn try_get_mut(&mut self, slot: Slot) -> Option<&mut (K, V)> {
        self.entries.get_mut(slot.0 as usize)?.as_mut()
    }

    /// The slots with entries.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..self.entries.len()).map(Slot::at).filter(|slot| self.try_get(*slot).is_some())
    }

    /// The number of slots, vacant ones included.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The slot after another; after the last one comes the first.
    pub(crate) fn after(&self, slot: Slot) -> Slot {
        if slot.index() + 1 < self.entries.len() { Slot(slot.0 + 1) } else { Slot(0) }
    }

    /// Drops slots from a list of slots when they may be most of it: those that occur twice, and those without an entry for which `keep` holds.
    ///
    /// Whoever takes note of slots and lets go of keys needs this, lest the list grow for ever. Costs as much as what was added to the list since
    /// the last time.
    pub(crate) fn trim(&self, slots: &mut Vec<Slot>, keep: impl Fn(&V) -> bool) {
        if slots.len() > 1024 + 2 * self.len() {
            slots.retain(|slot| self.try_get(*slot).is_some_and(|(_, value)| keep(value)));
            slots.sort_unstable();
            slots.dedup();
        }
    }

    /// Puts an entry for a key in the place of one that there may be, or of none; or removes that, if there is to be none.
    pub(crate) fn replace(&mut self, hash: u64, key: &K, value: Option<V>)
    where
        K: Clone,
    {
        match (self.find(hash, key), value) {
            (Some(slot), Some(value)) => self.get_mut(slot).1 = value,
            (Some(slot), None) => drop(self.remove(slot)),
            (None, Some(value)) => drop(self.insert(hash, key.clone(), value)),
            (None, None) => {}
        }
    }

    /// Removes the entry in a slot.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<(K, V)> {
        let entry = self.entries[slot.0 as usize].take()?;
        let place = Place::new(hash64(&entry.0), slot.0);
        if let Ok(found) = self.index.find_entry(place.index_hash(), |other| other.slot == slot.0) {
            found.remove();
        }
        self.free.push(slot.0);
        Some(entry)
    }

    /// Takes all entries out, in order of arrival, and keeps the memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (K, V)> + '_ {
        self.index.clear();
        self.free.clear();
        self.entries.drain(..).flatten()
    }

    /// The entries, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.entries.iter().flatten()
    }
}

/// Puts an entry into a slot that is vacant, or the next.
#[inline]
fn put<E>(entries: &mut Vec<Option<E>>, slot: u32, entry: E) {
    match entries.get_mut(slot as usize) {
        Some(vacant) => *vacant = Some(entry),
        None => entries.push(Some(entry)),
    }
}

/// What was found of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) hash: u64,
    pub(crate) slot: Slot,
}

/// The place of an entry in a [`Table`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(u32);

impl Slot {
    /// No slot: nothing is there.
    pub(crate) const NONE: Slot = Slot(u32::MAX);

    /// The slot of a place in a column.
    pub(super) fn at(place: usize) -> Slot {
        Slot(place as u32)
    }

    /// The slot as a place in a column.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_table_agrees_with_a_map(steps in proptest::collection::vec((0..40u32, 0..4u8), 0..400)) {
            let mut table = Table::default();
            let mut oracle = BTreeMap::new();
            for (key, step) in steps {
                if step == 0 {
                    let removed = table.find(hash64(&key), &key).and_then(|slot| table.remove(slot));
                    prop_assert_eq!(removed, oracle.remove(&key).map(|value| (key, value)));
                } else {
                    table.upsert(key, 1, |one| one, |sum, one| *sum += one);
                    *oracle.entry(key).or_insert(0) += 1;
                }
                prop_assert_eq!(table.len(), oracle.len());
            }
            let (keys, mut found): (Vec<u32>, _) = ((0..50).collect(), Vec::new());
            table.find_all(keys.iter(), &mut found);
            for (key, found) in keys.iter().zip(found) {
                let value = (found.slot != Slot::NONE).then(|| table.get(found.slot));
                prop_assert_eq!(value.copied(), oracle.get(key).map(|value| (*key, *value)));
            }
            prop_assert_eq!(table.iter().copied().collect::<BTreeMap<_, _>>(), oracle.clone());
            prop_assert_eq!(table.drain().collect::<BTreeMap<_, _>>(), oracle);
            prop_assert!(table.is_empty());
        }
    }
}
