//! A state of all keys: a value for each, or a list, or a map.
//!
//! All three are one thing: items under a key and a sub-key, which is nothing for a value, the position for a
//! list, and the user's for a map. So all three have the same rows, and a map or list of which little changes
//! writes little. What joins keep is a fourth: items by their [times](crate::state::keyed::by_time).
//!
//! # Time to live
//!
//! An item can have an expiry, in milliseconds of one of the two clocks. It is checked at each read, so an
//! expired item is never seen. A [hand](crate::state::keyed::ttl_sweep) goes over the cells as epochs close
//! and drops it, half as long after as it lived at most; what the arrangement has of it is dropped when pages
//! are merged.
//!
//! # What leaves memory
//!
//! When state takes more than it may, a key's cell is emptied: what the arrangement does not have yet is
//! written to it, with what other keys leave behind, as a run. When the key is touched again, its rows are
//! read from all runs, and the latest of each item counts. So the arrangement and the cells together are the
//! state, at all times.

use crate::data::{Hashed, Key, Owner};
use crate::state::backend::snapshot_delta::{DirtyMark, copy};
use crate::state::backend::state_backend::StateReaders;
use crate::state::keyed::items::{Items, Shape};
use crate::state::keyed::meta::ItemMeta;
use crate::state::keyed::snapshot_copy::SnapshotCopy;
use crate::state::keyed::time_domain::TimeDomain;
use crate::state::keyed::ttl_sweep::TtlSweep;
use crate::state::keyed::view::PublishedEpoch;
use crate::state::keyed::write_back::WriteBack;
use crate::state::lsm::expiry::{NEVER, UNBEGUN};
use crate::state::spill::footprint::Footprint;
use crate::state::table::key_table::Slot;
use crate::state::table::segmented_vec::SegmentedVec;

/// An item of a state.
pub(crate) struct Item<V> {
    pub(crate) value: V,
    /// When it expires, and what is known of its last change.
    pub(crate) meta: ItemMeta,
}

impl<V> Item<V> {
    /// True if its backing has it, or an older version, now that it goes. If the last cut has not had its
    /// copy yet, it gets one.
    pub(in crate::state) fn is_kept<K: Key, S: Shape<Value = V>>(
        &self,
        dirty_mark: DirtyMark,
        copying: &mut Option<Box<SnapshotCopy<K, S>>>,
        key: impl FnOnce() -> (Hashed<K>, S::Sub),
    ) -> bool
    where
        V: Clone,
    {
        match copying {
            Some(copying) if self.meta.changed().is_before(dirty_mark) => {
                let (key, sub) = key();
                copying.delta.add(key.hash, (&key.key, &sub), (&self.value, self.meta.expires()));
                true
            }
            _ => self.meta.is_sealed(),
        }
    }

    /// True if its backing has it, or an older version.
    pub(crate) fn is_sealed(&self) -> bool {
        self.meta.is_sealed()
    }
}

/// One state of all keys of a worker.
pub(crate) struct Cells<K: Key, S: Shape> {
    pub(in crate::state) lives_by: TimeDomain,
    pub(in crate::state) cells: Vec<S::Of<Item<S::Value>>>,
    /// The number of items in the cells.
    pub(in crate::state) items: usize,
    pub(in crate::state) footprint: Footprint,
    pub(in crate::state) write_back: WriteBack<K, S::Sub, S::Value>,
    /// Where items are that have changed since the last seal or cut.
    pub(in crate::state) changed: SegmentedVec<(Slot, S::Mark)>,
    /// What is copied for the last cut, if it is not done.
    pub(in crate::state) copying: Option<Box<SnapshotCopy<K, S>>>,
    pub(in crate::state) sweep: Option<TtlSweep>,
    /// When items expire that were written before event time began. They are in files by then, or in a
    /// snapshot; not known before.
    pub(in crate::state) unbegun: i64,
    /// Who is to be shown what is sealed.
    pub(in crate::state) publish: Option<Publish<K, S>>,
    /// True if they are to be shown it at the end of each epoch.
    pub(in crate::state) has_history: bool,
}

/// Shows the pages as of an epoch to readers.
pub(crate) type Publish<K, S> = Box<dyn Fn(PublishedEpoch<K, <S as Items>::Sub, <S as Items>::Value>)>;

impl<K: Key, S: Shape> Cells<K, S> {
    /// Cells whose items expire by a clock, and live so many milliseconds at most; or never, if nothing is
    /// said of that.
    pub(crate) fn new(
        lives: Option<(TimeDomain, i64)>,
        owner: Owner<K>,
        (publish, state_readers): (Option<Publish<K, S>>, StateReaders),
    ) -> Cells<K, S> {
        let state_readers = StateReaders { read: state_readers.read || publish.is_some(), ..state_readers };
        Cells {
            lives_by: lives.map_or(TimeDomain::EventTime, |(clock, _)| clock),
            cells: Vec::new(),
            items: 0,
            footprint: Footprint::new(state_readers.memory.is_some()),
            write_back: WriteBack::new(owner, &state_readers),
            changed: SegmentedVec::default(),
            copying: None,
            sweep: lives.map(|(_, millis)| TtlSweep::new(millis)),
            unbegun: UNBEGUN,
            publish,
            has_history: state_readers.history,
        }
    }

    /// What is under a key.
    #[inline]
    pub(crate) fn cell(&self, slot: Slot) -> Option<&S::Of<Item<S::Value>>> {
        self.cells.get(slot.index())
    }

    /// True if nothing is under a key.
    #[inline]
    pub(crate) fn is_bare(&self, slot: Slot) -> bool {
        self.cells.get(slot.index()).is_none_or(|cell| S::is_empty(cell))
    }

    /// Puts an item, which expires at `expires`, in the place of another or none.
    #[inline]
    pub(crate) fn put(&mut self, slot: Slot, sub: S::Sub, value: S::Value, expires: i64) {
        self.make_room(slot);
        self.footprint.see(&value);
        let dirty_mark = self.write_back.dirty_mark;
        match S::get_mut(&mut self.cells[slot.index()], &sub) {
            Some(item) if item.meta.changed() == dirty_mark => {
                (item.value, item.meta) = (value, item.meta.expiring(expires))
            }
            Some(_) => {
                self.begin_change(slot, &sub);
                if let Some(item) = S::get_mut(&mut self.cells[slot.index()], &sub) {
                    (item.value, item.meta) = (value, item.meta.expiring(expires));
                }
                self.trim();
            }
            None => self.insert(slot, sub, value, expires),
        }
    }

    /// Takes note that an item is about to change that has not changed since the last seal or cut.
    #[inline(never)]
    fn begin_change(&mut self, slot: Slot, sub: &S::Sub) {
        let Cells { cells, write_back: WriteBack { dirty_mark, is_asked, .. }, changed, copying, .. } = self;
        let cell = &mut cells[slot.index()];
        let Some(item) = S::get_mut(cell, sub) else { return };
        if item.meta.changed().is_before(*dirty_mark)
            && let Some(copying) = copying
        {
            copying.keep(slot, sub.clone(), copy(&item.value, item.meta.expires()));
            item.meta = item.meta.kept();
        }
        item.meta = item.meta.marked(*dirty_mark);
        if *is_asked {
            changed.extend(S::note(cell, sub).map(|mark| (slot, mark)));
        }
    }

    /// Puts an item that is not there into a cell that is.
    #[inline]
    pub(in crate::state) fn insert(&mut self, slot: Slot, sub: S::Sub, value: S::Value, expires: i64) {
        let cell = &mut self.cells[slot.index()];
        if self.write_back.is_asked {
            self.changed.extend(S::note(cell, &sub).map(|mark| (slot, mark)));
        }
        self.items += 1;
        let item = Item { value, meta: ItemMeta::new(expires, self.write_back.dirty_mark, false) };
        S::insert(cell, sub, item, expires);
        self.trim();
    }

    /// Takes note that the backing has an item that is no more.
    pub(crate) fn bury(&mut self, key: K, sub: S::Sub) {
        self.write_back.bury(key, sub);
    }

    /// Makes sure that there is a cell.
    #[inline]
    pub(in crate::state) fn make_room(&mut self, slot: Slot) {
        if self.cells.len() <= slot.index() {
            if self.footprint.wanted {
                // What is limited is not doubled.
                self.cells.reserve_exact((slot.index() + 1 - self.cells.len()).max(self.cells.len() / 8));
            }
            self.cells.resize_with(slot.index() + 1, S::empty);
        }
    }

    /// Changes an item in its place. `None` if there is none.
    #[inline]
    pub(crate) fn update<R>(
        &mut self,
        slot: Slot,
        sub: &S::Sub,
        update: impl FnOnce(&mut Item<S::Value>) -> R,
    ) -> Option<R> {
        let dirty_mark = self.write_back.dirty_mark;
        let mut item = S::get_mut(self.cells.get_mut(slot.index())?, sub)?;
        if item.meta.changed() != dirty_mark {
            self.begin_change(slot, sub);
            item = S::get_mut(self.cells.get_mut(slot.index())?, sub)?;
        }
        let result = update(item);
        self.footprint.see(&item.value);
        Some(result)
    }

    /// Changes an item where it lies, or puts one there first: if there is none, or one that `is_over` by
    /// when it expires.
    #[inline]
    pub(crate) fn upsert<R>(
        &mut self,
        (slot, sub): (Slot, S::Sub),
        expires: i64,
        is_over: impl FnOnce(i64) -> bool,
        default: impl FnOnce() -> S::Value,
        change: impl FnOnce(&mut S::Value) -> R,
    ) -> R {
        if expires == NEVER
            && let Some(item) = self.cells.get_mut(slot.index()).and_then(|cell| S::get_mut(cell, &sub))
            && item.meta.changed() == self.write_back.dirty_mark
            && item.meta.expires() == NEVER
        {
            // Nothing has to be noted: most values are changed more often than they are sealed.
            let result = change(&mut item.value);
            self.footprint.see(&item.value);
            return result;
        }
        let item = self.cells.get(slot.index()).and_then(|cell| S::get(cell, &sub));
        if item.is_none_or(|item| is_over(item.meta.expires())) {
            let mut value = default();
            let result = change(&mut value);
            self.put(slot, sub, value, expires);
            return result;
        }
        let changed = self.update(slot, &sub, |item| {
            item.meta = item.meta.expiring(expires);
            change(&mut item.value)
        });
        match changed {
            Some(result) => result,
            None => unreachable!("the item was there a moment ago"),
        }
    }

    /// Takes an item out.
    pub(crate) fn take(&mut self, slot: Slot, key: &K, sub: &S::Sub) -> Option<S::Value> {
        let item = S::remove(self.cells.get_mut(slot.index())?, sub)?;
        self.items -= 1;
        let WriteBack { rows, dirty_mark, tombstones, .. } = &mut self.write_back;
        if item.is_kept(*dirty_mark, &mut self.copying, || (rows.hashed(key.clone()), sub.clone())) {
            tombstones.insert((rows.hashed(key.clone()), sub.clone()));
        }
        Some(item.value)
    }

    /// Takes all items of a key out.
    pub(crate) fn clear(&mut self, slot: Slot, key: &K) {
        if let Some(cell) = self.cells.get_mut(slot.index()) {
            let Cells { items, write_back, copying, .. } = self;
            let WriteBack { rows, dirty_mark, tombstones, .. } = write_back;
            S::drain(cell, |sub, item| {
                *items -= 1;
                if item.is_kept(*dirty_mark, copying, || (rows.hashed(key.clone()), sub.clone())) {
                    tombstones.insert((rows.hashed(key.clone()), sub));
                }
            });
        }
    }

    /// Drops items that are no more from the list of changed ones, when they are most of it.
    #[inline]
    fn trim(&mut self) {
        let Cells { cells, write_back: WriteBack { dirty_mark, .. }, changed, .. } = self;
        changed.trim(self.items, |(slot, mark)| {
            cells
                .get(slot.index())
                .is_some_and(|cell| S::is_noted(cell, mark, |item| item.meta.changed() == *dirty_mark))
        });
    }
}
