//! A table of one entry per key, the write-back cache of its [backend](super::write_back): what rolling
//! aggregates, sessions and the partial matches of patterns are kept in.
//!
//! The table has the current entries. An operator [touches](KeyedState::touch) one before it changes it, and
//! that is all it does about snapshots: the entry is marked, listed, and copied first if the last cut does
//! not have its copy yet. What is listed is written when the state as of an epoch is asked for: see
//! [`keyed_snapshots`](super::keyed_snapshots).
//!
//! # State larger than memory
//!
//! If memory is limited, entries that have not been touched for a while are evicted, when an epoch closes or
//! within one: see [`keyed_eviction`](super::keyed_eviction).
//!
//! # Cost
//!
//! A look-up costs one in the index and one in the entry, and the first touch after a seal or cut a push. An
//! entry takes 16 bytes beside its own, 12 in the index, and 16 if it has a deadline.

use crate::data::{Key, hash64};
use crate::state::backend::snapshot_delta::SnapshotDelta;
use crate::state::backend::state_backend::StateReaders;
use crate::state::keyed::entry::Entry;
use crate::state::keyed::entry_cache::EntryCache;
use crate::state::keyed::write_back::WriteBack;
use crate::state::spill::budget::MemoryBudget;
use crate::state::table::key_table::{Found, Slot};
use crate::state::table::segmented_vec::{Chunks, SegmentedVec};
use crate::time::EventTime;

/// The entries of a worker's keys.
pub(crate) struct KeyedState<K: Key, E: Entry> {
    pub(super) cache: EntryCache<K, E>,
    pub(super) write_back: WriteBack<K, (), E::Row>,
    /// The keys that have changed since the last seal or cut.
    pub(super) changed: SegmentedVec<Slot>,
    /// The copying for the last cut, if it is not done.
    pub(super) copying: Option<Copying<K>>,
    pub(super) budget: Option<MemoryBudget>,
}

/// The copying for a cut: the changed keys that are not copied yet, and the copies.
pub(super) struct Copying<K> {
    pub(super) list: Chunks<Slot>,
    pub(super) delta: SnapshotDelta<K, ()>,
}

impl<K: Key, E: Entry> KeyedState<K, E> {
    /// A table without keys, which may take so much of memory, if that is limited.
    pub(crate) fn new(
        context: E::Context,
        state_readers: &StateReaders,
        budget: Option<MemoryBudget>,
    ) -> KeyedState<K, E> {
        KeyedState {
            cache: EntryCache::new(context, budget.is_some()),
            write_back: WriteBack::new(hash64, state_readers),
            changed: SegmentedVec::default(),
            copying: None,
            budget,
        }
    }

    /// The number of keys in memory.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.cache.table.len()
    }

    /// True if memory is limited.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.budget.is_some()
    }

    /// Looks keys up in memory, together: see
    /// [`KeyTable::find_all`](crate::state::table::key_table::KeyTable::find_all).
    #[inline]
    pub(crate) fn find_all<'k>(&self, keys: impl Iterator<Item = &'k K> + Clone, found: &mut Vec<Found>) {
        self.cache.table.find_all(keys, found);
    }

    /// The slot of a key, if it has an entry. Brings that back into memory.
    #[inline]
    pub(crate) fn find(&mut self, hash: u64, key: &K) -> Option<Slot> {
        let slot = self.cache.table.find(hash, key);
        if slot.is_none() && self.has_evicted() {
            return self.reload(hash, key);
        }
        slot
    }

    /// The key in a slot, and its entry.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> (&K, &E) {
        let (key, cached) = self.cache.table.get(slot);
        (key, &cached.entry)
    }

    /// The key in a slot, and its entry, if it has not been removed.
    pub(crate) fn try_get(&self, slot: Slot) -> Option<(&K, &E)> {
        self.cache.table.try_get(slot).map(|(key, cached)| (key, &cached.entry))
    }

    /// The entry in a slot, if it has changed already since the last seal or cut, and is listed for a time
    /// not later than `deadline`. So it may be changed, and needs not be settled if that is its deadline.
    #[inline]
    pub(crate) fn touched(&mut self, slot: Slot, deadline: EventTime) -> Option<&mut E> {
        let (_, cached) = self.cache.table.try_get_mut(slot)?;
        if cached.mark != self.write_back.dirty_mark || cached.alarm > deadline {
            return None;
        }
        cached.is_recent = true;
        cached.entry.sample(&mut self.cache.footprint);
        Some(&mut cached.entry)
    }

    /// The entry in a slot, to be changed. It is to be [settled](KeyedState::settle) then.
    #[inline]
    pub(crate) fn touch(&mut self, slot: Slot) -> &mut E {
        if self.cache.table.get(slot).1.mark != self.write_back.dirty_mark {
            self.keep(slot);
            self.mark(slot);
        }
        let cached = &mut self.cache.table.get_mut(slot).1;
        cached.is_recent = true;
        &mut cached.entry
    }

    /// Marks an entry that has not changed since the last seal or cut.
    fn mark(&mut self, slot: Slot) {
        self.cache.table.get_mut(slot).1.mark = self.write_back.dirty_mark;
        if self.write_back.is_asked {
            self.changed.push(slot);
        }
    }

    /// Copies an entry for the last cut, before it changes or goes, unless that has its copy.
    fn keep(&mut self, slot: Slot) {
        let Some(copying) = &mut self.copying else { return };
        if let Some((key, cached)) = self.cache.table.try_get_mut(slot)
            && cached.mark.is_before(self.write_back.dirty_mark)
        {
            let (row, expires) = cached.written();
            copying.delta.add(hash64(key), (key, &()), (&row, expires));
        }
    }

    /// Takes note of what an entry has become: of its deadline, and of what it points to.
    #[inline]
    pub(crate) fn settle(&mut self, slot: Slot) {
        self.cache.settle(slot);
    }

    /// Changes an entry by `change`, which says if it is not what it was, and settles it.
    #[inline]
    pub(crate) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut E) -> bool) {
        self.keep(slot);
        let has_changed = self.cache.change(slot, change);
        let cached = &mut self.cache.table.get_mut(slot).1;
        cached.is_recent = true;
        if !has_changed {
            return;
        }
        if cached.mark != self.write_back.dirty_mark {
            self.mark(slot);
        }
        self.settle(slot);
    }

    /// The entry in a slot, and whether it is open: only then may it be changed.
    #[inline]
    pub(crate) fn opened(&mut self, slot: Slot) -> (&mut E, bool) {
        let cached = &mut self.cache.table.get_mut(slot).1;
        (&mut cached.entry, cached.is_open)
    }

    /// [Touches](KeyedState::touch) an entry, and opens it for the rest of the epoch.
    #[inline]
    pub(crate) fn open(&mut self, slot: Slot) -> &mut E {
        let cached = &mut self.cache.table.get_mut(slot).1;
        (cached.is_recent, cached.is_open) = (true, true);
        if cached.mark != self.write_back.dirty_mark {
            self.keep(slot);
            self.mark(slot);
        }
        &mut self.cache.table.get_mut(slot).1.entry
    }

    /// Closes an open entry, before the state as of the epoch is asked for. Gives it, and its key.
    #[inline]
    pub(crate) fn close(&mut self, slot: Slot) -> (&K, &E) {
        let (key, cached) = self.cache.table.get_mut(slot);
        cached.is_open = false;
        (key, &cached.entry)
    }

    /// Adds an entry of a key that has none.
    pub(crate) fn insert(&mut self, hash: u64, key: K, entry: E) -> Slot {
        let slot = self.cache.put(hash, key, entry, self.write_back.dirty_mark);
        self.mark(slot);
        slot
    }

    /// Removes an entry, if it is there.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<(K, E)> {
        self.keep(slot);
        let (key, cached) = self.cache.take(slot)?;
        // A key that the backend never had needs no tombstone.
        if cached.is_sealed {
            self.write_back.bury(key.clone(), ());
        }
        Some((key, cached.entry))
    }

    /// Drops from the list of what has changed what is no more, when it is most of it: called when an epoch
    /// closes. Where keys come and go, the list would otherwise grow without bound until the next seal or
    /// cut.
    pub(crate) fn trim(&mut self) {
        let KeyedState { cache, changed, write_back, .. } = self;
        cache.table.trim(changed, |cached| cached.mark == write_back.dirty_mark);
    }

    /// No deadline is earlier than this. It is that of the first key, or up to 64 milliseconds before, or
    /// that of one that is no more.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<EventTime> {
        self.cache.next_deadline()
    }

    /// The first deadline, or the time that a key is listed under: as
    /// [`next_deadline`](KeyedState::next_deadline), but to the millisecond if the key is in memory. Sorts
    /// the keys whose deadlines are as near, once.
    pub(crate) fn first_deadline(&mut self) -> Option<EventTime> {
        self.first_alarm().into_iter().chain(self.cache.evicted.next()).min()
    }

    /// The first time that a key in memory is listed under.
    pub(crate) fn first_alarm(&mut self) -> Option<EventTime> {
        self.cache.first_alarm()
    }

    /// The keys in memory whose deadlines are at a time or before, with times that are not later, in order of
    /// these. None is given again before it is [settled](KeyedState::settle).
    pub(crate) fn due(&mut self, until: EventTime) -> Vec<(EventTime, Slot)> {
        self.cache.due(until)
    }
}
