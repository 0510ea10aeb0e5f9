//! The hash table in front of an arrangement.

use std::hash::Hash;
use std::hint::black_box;

use crate::data::hash64;
use crate::state::table::index::Index;
use crate::state::table::segmented_vec::SegmentedVec;

/// A hash table whose entries keep their place: a slot number stays valid until its entry is removed.
///
/// Entries lie in one vector in order of arrival, and the [index](crate::state::table::index) holds their
/// numbers. So a list of touched entries is a list of small numbers, and emptying the table hands out the
/// vector as it is.
///
/// A vector moves when it has doubled, and so does the index. In the program's allocator the vector's pages
/// move and not what is in them; the index of millions of entries takes tens of milliseconds. In chunks of
/// 4,096 entries, or with an index in 64 parts, a table would grow without such a pause in any allocator;
/// each of the two was measured to take a quarter of the speed of a value of a million keys.
pub(crate) struct KeyTable<K, V> {
    index: Index<K>,
    entries: Vec<Option<(K, V)>>,
    free: Vec<u32>,
}

impl<K: Hash + Eq + Clone, V> Default for KeyTable<K, V> {
    fn default() -> KeyTable<K, V> {
        KeyTable { index: Index::of_entries(), entries: Vec::new(), free: Vec::new() }
    }
}

impl<K: Hash + Eq + Clone, V> KeyTable<K, V> {
    /// A table of keys of which mostly only the slot is wanted.
    pub(crate) fn of_slots() -> KeyTable<K, V> {
        KeyTable { index: Index::of_slots(), ..KeyTable::default() }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.index.reserve(more);
        self.entries.reserve(more);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.index.len() == 0
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
        let KeyTable { index, entries, free } = self;
        let vacant = free.last().copied().unwrap_or(entries.len() as u32);
        let (slot, is_known) =
            index.find_or_insert(hash64(&key), &key, vacant, |slot| is_at(entries, slot, &key));
        if !is_known {
            free.pop();
            put(entries, slot, (key, insert(input)));
        } else if let Some((_, value)) = &mut entries[slot as usize] {
            update(value, input);
        }
        Slot(slot)
    }

    /// The slot of `key`, if it has an entry.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<Slot> {
        self.index.find(hash, key, |slot| is_at(&self.entries, slot, key)).map(Slot)
    }

    /// Looks keys up, all together: adds the hash and the slot of each to `found`, in order, and
    /// [`Slot::NONE`] for those that are not there.
    ///
    /// In a large table each look-up waits for memory, at the index and at the entry. Here each of these is a
    /// pass over all keys with nothing else in it, so the processor waits for several at once: with a million
    /// keys that takes less than half of the time.
    pub(crate) fn find_all<'k>(&self, keys: impl Iterator<Item = &'k K> + Clone, found: &mut Vec<Found>)
    where
        K: 'k,
    {
        let first = found.len();
        found.extend(keys.clone().map(|key| Found { hash: hash64(key), slot: Slot::NONE }));
        let mut all_certain = true;
        for (found, key) in found[first..].iter_mut().zip(keys.clone()) {
            let (slot, is_certain) = self.index.guess(found.hash, key);
            found.slot = slot.map_or(Slot::NONE, Slot);
            all_certain &= is_certain;
        }
        if all_certain {
            return;
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
        let KeyTable { index, entries, free } = self;
        let slot = free.pop().unwrap_or(entries.len() as u32);
        index.insert(hash, &key, slot);
        put(entries, slot, (key, value));
        Slot(slot)
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

    /// [Trims](SegmentedVec::trim) a list of slots: those stay that have an entry for which `keep` holds,
    /// once each.
    pub(crate) fn trim(&self, slots: &mut SegmentedVec<Slot>, keep: impl Fn(&V) -> bool) {
        slots.trim(self.len(), |slot| self.try_get(*slot).is_some_and(|(_, value)| keep(value)));
    }

    /// Touches what the index has of some slots, which will be removed soon: the loads of a loop with nothing
    /// else in it do not wait for each other.
    pub(crate) fn warm(&self, slots: &[Slot]) {
        let keys = slots.iter().filter_map(|slot| self.try_get(*slot));
        black_box(keys.filter(|(key, _)| self.index.guess(hash64(key), key).0.is_some()).count());
    }

    /// Removes the entry in a slot.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<(K, V)> {
        let entry = self.entries[slot.0 as usize].take()?;
        self.index.remove(hash64(&entry.0), slot.0);
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

/// True if the key of a slot's entry is this one.
#[inline]
fn is_at<K: Eq, V>(entries: &[Option<(K, V)>], slot: u32, key: &K) -> bool {
    matches!(&entries[slot as usize], Some((other, _)) if other == key)
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

/// The place of an entry in a [`KeyTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(u32);

impl Slot {
    /// No slot: nothing is there.
    pub(crate) const NONE: Slot = Slot(u32::MAX);

    /// The slot of a place in a column.
    pub(in crate::state) fn at(place: usize) -> Slot {
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
        fn a_table_agrees_with_a_map(
            steps in proptest::collection::vec((0..40u32, 0..4u8), 0..400),
            of_slots in proptest::bool::ANY,
        ) {
            let mut table = if of_slots { KeyTable::of_slots() } else { KeyTable::default() };
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
