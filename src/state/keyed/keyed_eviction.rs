//! How entries of a [keyed table](super::keyed_state) leave memory and come back.
//!
//! What the backend does not have of evicted entries is written at once, as part of the open epoch: a row
//! that changes again before its end has a newer one then, and no one asks for the state as of an epoch that
//! has not closed. An entry comes back when its key is asked for or, if it is one to be
//! [recalled](Entry::IS_RECALLED), when its deadline is due. One that has come back and was not touched is
//! evicted without being written again.
//!
//! To evict an entry is to encode its row, and to bring it back is to look its key up in the pages that may
//! have it, and to decode what is found.

use crate::data::{Hashed, Key, hash64};
use crate::state::backend::snapshot_delta::DirtyMark;
use crate::state::keyed::entry::Entry;
use crate::state::keyed::keyed_state::KeyedState;
use crate::state::lsm::expiry::is_over;
use crate::state::spill::budget::{Evictable, MemoryBudget};
use crate::state::table::key_table::Slot;
use crate::time::EventTime;

impl<K: Key, E: Entry> KeyedState<K, E> {
    /// True if keys that are not in memory may have entries.
    #[inline]
    pub(super) fn has_evicted(&self) -> bool {
        match E::IS_RECALLED {
            true => !self.cache.evicted.is_empty(),
            false => self.budget.as_ref().is_some_and(|budget| budget.has_evicted),
        }
    }

    /// True if all keys are in memory that are to be recalled.
    #[inline]
    pub(crate) fn is_resident(&self) -> bool {
        self.cache.evicted.is_empty()
    }

    /// Brings a key back that is not in memory, if it has an entry.
    #[cold]
    pub(super) fn reload(&mut self, hash: u64, key: &K) -> Option<Slot> {
        if E::IS_RECALLED && !self.cache.evicted.take(hash, key) {
            return None;
        }
        self.load(hash, key.clone())
    }

    /// Reads the entry of a key into memory. `None` if there is none, or if it cannot be read, which ends the
    /// job.
    fn load(&mut self, hash: u64, key: K) -> Option<Slot> {
        let (key, mut latest) = (Hashed { hash, key }, None);
        self.write_back.read(&key, &mut |(), kept| latest = kept);
        let row = (key, ());
        // The backend has the key until its tombstone is written.
        let (kept, expires) = latest.filter(|_| !self.write_back.tombstones.contains(&row))?;
        if is_over(expires, self.write_back.clock.get()) {
            self.write_back.tombstones.insert(row);
            return None;
        }
        let slot = self.cache.put(hash, row.0.key, E::from_row(kept, expires)?, DirtyMark::Still);
        self.budget.iter_mut().for_each(MemoryBudget::entered);
        Some(slot)
    }

    /// Brings the keys back whose deadlines are at a time or before, and that are to be recalled.
    pub(crate) fn recall(&mut self, until: EventTime) {
        for (hash, key) in self.cache.evicted.due(until) {
            self.load(hash, key);
        }
    }

    /// The keys that have a deadline, in order. Each is to be [brought](KeyedState::bring) back, and
    /// [`find`](KeyedState::find) finds none of them that is not in memory before.
    pub(crate) fn with_deadline(&mut self) -> Vec<(u64, K)> {
        let mut keys = self.cache.evicted.due(EventTime::MAX);
        let here = self.due(EventTime::MAX);
        keys.extend(here.iter().map(|(_, slot)| self.get(*slot).0).map(|key| (hash64(key), key.clone())));
        keys.sort_unstable_by(|one, other| one.1.cmp(&other.1));
        keys
    }

    /// The slot of one of the keys [with a deadline](KeyedState::with_deadline), wherever it is now.
    pub(crate) fn bring(&mut self, hash: u64, key: &K) -> Option<Slot> {
        self.cache.table.find(hash, key).or_else(|| {
            self.cache.evicted.take(hash, key);
            self.load(hash, key.clone())
        })
    }
}

impl<K: Key, E: Entry> Evictable for KeyedState<K, E> {
    fn bytes(&self) -> usize {
        self.cache.bytes()
    }

    fn slots(&self) -> usize {
        self.cache.table.slots()
    }

    fn limit(&mut self) -> &mut Option<MemoryBudget> {
        &mut self.budget
    }

    fn evict_key(&mut self, slot: Slot) -> bool {
        let Some((_, cached)) = self.cache.table.try_get_mut(slot) else { return false };
        if std::mem::take(&mut cached.is_recent) {
            return false;
        }
        if cached.entry.is_vacant() {
            return self.remove(slot).is_some();
        }
        let Some((key, cached)) = self.cache.take(slot) else { return false };
        let key = Hashed::new(key);
        if E::IS_RECALLED {
            // Its deadline as it is now, and not the time that it was listed under: if the key came back only
            // to be put off, it would have come for nothing.
            let deadline = cached.entry.deadline(&self.cache.context);
            self.cache.evicted.add(key.hash, key.key.clone(), deadline);
        }
        if cached.mark != DirtyMark::Still || !cached.is_sealed {
            let expires = cached.entry.expires();
            self.write_back.evicted.push(((key, ()), Some((cached.entry.into_row(), expires))));
        }
        true
    }

    fn tombstones(&self) -> usize {
        self.write_back.tombstones.len()
    }

    fn write(&mut self, epoch: u64) {
        self.write_back.write_evicted(epoch);
    }
}
