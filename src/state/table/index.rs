//! Which slots keys have: the index of a [`KeyTable`](crate::state::table::key_table::KeyTable).
//!
//! An index keeps half of each key's hash and its slot, in 8 bytes: most look-ups touch no entry but the
//! right one, and an index that grows touches none. Where the entry of a key is not wanted but for comparing
//! the key, as in a [`Store`](crate::state::keyed::store::Store), whose cells lie elsewhere, looking at it is
//! a wait for memory for nothing. So there the index has the keys themselves, if they are small.

use std::hash::Hash;
use std::mem::{needs_drop, size_of};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::data::hash64;

/// What a key's slot is found by.
pub(in crate::state) enum Index<K> {
    /// Half of the key's hash. The key itself is in its entry.
    Hashes(HashTable<IndexEntry>),
    /// The key.
    Keys(HashTable<(K, u32)>),
}

/// Half of a hash, and a slot.
#[derive(Clone, Copy)]
pub(in crate::state) struct IndexEntry {
    hash: u32,
    slot: u32,
}

impl IndexEntry {
    fn new(hash: u64, slot: u32) -> IndexEntry {
        IndexEntry { hash: (hash >> 32) as u32, slot }
    }

    /// The hash that the index goes by: the half that is kept, twice, since it looks at both ends.
    #[inline]
    fn index_hash(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl<K: Hash + Eq + Clone> Index<K> {
    /// An index of keys whose entries are wanted too.
    pub(in crate::state) fn of_entries() -> Index<K> {
        Index::Hashes(HashTable::new())
    }

    /// An index of keys of which only the slot is wanted.
    pub(in crate::state) fn of_slots() -> Index<K> {
        let is_small = size_of::<K>() <= size_of::<u64>() && !needs_drop::<K>();
        if is_small { Index::Keys(HashTable::new()) } else { Index::of_entries() }
    }

    #[inline]
    pub(in crate::state) fn len(&self) -> usize {
        match self {
            Index::Hashes(places) => places.len(),
            Index::Keys(keys) => keys.len(),
        }
    }

    pub(in crate::state) fn reserve(&mut self, more: usize) {
        match self {
            Index::Hashes(places) => places.reserve(more, IndexEntry::index_hash),
            Index::Keys(keys) => keys.reserve(more, |(key, _)| hash64(key)),
        }
    }

    pub(in crate::state) fn clear(&mut self) {
        match self {
            Index::Hashes(places) => places.clear(),
            Index::Keys(keys) => keys.clear(),
        }
    }

    /// The slot of a key. `is_at` tells if the key of a slot's entry is the one.
    #[inline]
    pub(in crate::state) fn find(&self, hash: u64, key: &K, is_at: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Index::Hashes(places) => {
                let sought = IndexEntry::new(hash, 0);
                let holds = |place: &IndexEntry| place.hash == sought.hash && is_at(place.slot);
                places.find(sought.index_hash(), holds).map(|place| place.slot)
            }
            Index::Keys(keys) => keys.find(hash, |(other, _)| other == key).map(|(_, slot)| *slot),
        }
    }

    /// A slot that is most likely the key's, if it has one, and whether it is so for certain.
    #[inline]
    pub(in crate::state) fn guess(&self, hash: u64, key: &K) -> (Option<u32>, bool) {
        match self {
            Index::Hashes(places) => {
                let sought = IndexEntry::new(hash, 0);
                let place = places.find(sought.index_hash(), |place| place.hash == sought.hash);
                (place.map(|place| place.slot), place.is_none())
            }
            Index::Keys(_) => (self.find(hash, key, |_| true), true),
        }
    }

    /// Takes in a key that it does not have.
    #[inline]
    pub(in crate::state) fn insert(&mut self, hash: u64, key: &K, slot: u32) {
        match self {
            Index::Hashes(places) => {
                let place = IndexEntry::new(hash, slot);
                places.insert_unique(place.index_hash(), place, IndexEntry::index_hash);
            }
            Index::Keys(keys) => {
                keys.insert_unique(hash, (key.clone(), slot), |(key, _)| hash64(key));
            }
        }
    }

    /// The slot of a key, which is `free` if it has none yet, and whether it had one.
    #[inline]
    pub(in crate::state) fn find_or_insert(
        &mut self,
        hash: u64,
        key: &K,
        free: u32,
        is_at: impl Fn(u32) -> bool,
    ) -> (u32, bool) {
        let sought = IndexEntry::new(hash, free);
        let found = match self {
            Index::Hashes(places) => {
                let holds = |place: &IndexEntry| place.hash == sought.hash && is_at(place.slot);
                match places.entry(sought.index_hash(), holds, IndexEntry::index_hash) {
                    Entry::Occupied(found) => Some(found.get().slot),
                    Entry::Vacant(vacant) => {
                        vacant.insert(sought);
                        None
                    }
                }
            }
            Index::Keys(keys) => match keys.entry(hash, |(other, _)| other == key, |(key, _)| hash64(key)) {
                Entry::Occupied(found) => Some(found.get().1),
                Entry::Vacant(vacant) => {
                    vacant.insert((key.clone(), free));
                    None
                }
            },
        };
        (found.unwrap_or(free), found.is_some())
    }

    /// Lets a key go that has a slot.
    pub(in crate::state) fn remove(&mut self, hash: u64, slot: u32) {
        match self {
            Index::Hashes(places) => {
                let at = IndexEntry::new(hash, slot).index_hash();
                let _ = places.find_entry(at, |place| place.slot == slot).map(|found| found.remove());
            }
            Index::Keys(keys) => {
                let _ = keys.find_entry(hash, |(_, other)| *other == slot).map(|found| found.remove());
            }
        }
    }
}
