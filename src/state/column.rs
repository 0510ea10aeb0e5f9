//! A state of all keys: a value for each, or a list, or a map.
//!
//! All three are one thing: items under a key and a sub-key, which is nothing for a value, the position for a list, and the user's for a
//! map. So all three have the same rows, and a map or list of which little changes writes little. What joins keep is a fourth: items by
//! their [times](super::timed).
//!
//! # Time to live
//!
//! An item can have an expiry, in milliseconds of one of the two clocks. It is checked at each read, so an expired item is never
//! seen. A [hand](super::sweep) goes over the cells as epochs close and drops it, half as long after as it lived at most; what the arrangement has of it
//! is dropped when pages are merged.
//!
//! # What leaves memory
//!
//! When state takes more than it may, a key's cell is emptied: what the arrangement does not have yet is written to it, with what other keys
//! leave behind, as a run. When the key is touched again, its rows are read from all runs, and the latest of each item counts. So the
//! arrangement and the cells together are the state, at all times.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::mem::size_of;
use std::rc::Rc;

use timely::dataflow::operators::generic::OperatorInfo;

use super::filed::Filed;
use super::files::Memory;
use super::footprint::Footprint;
use super::items::Items;
use super::kept::{ItemRows, Kept, NEVER, is_over};
use super::store::{Column, Pins, Slots};
use super::sweep::Sweep;
use super::view::Published;
use super::{Arrangement, Hashed, Owner, Rows, Share, Slot, Table};
use crate::data::{Exchange, Key};
use crate::error::Result;
use crate::snapshot::{self, RestoredOperator};

/// What can be under one key.
pub(crate) trait Shape: Items<Sub: Key, Value: Exchange> {}
impl<I: Items<Sub: Key, Value: Exchange>> Shape for I {}

/// An item of a state.
pub(crate) struct Item<V> {
    pub(crate) value: V,
    /// When it expires.
    pub(crate) expires: i64,
    /// True if it has changed since the last seal.
    changed: bool,
    /// True if the arrangement has it, or an older version.
    sealed: bool,
}

impl<V> Item<V> {
    /// True if the arrangement has it, or an older version.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }
}

/// The clock that items expire by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LivesBy {
    /// The watermark.
    #[default]
    EventTime,
    /// The wall clock.
    ProcessingTime,
}

/// The time by both clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) watermark: i64,
    pub(crate) millis: i64,
}

impl Now {
    /// The time by one of them.
    #[inline]
    pub(crate) fn by(self, clock: LivesBy) -> i64 {
        match clock {
            LivesBy::EventTime => self.watermark,
            LivesBy::ProcessingTime => self.millis,
        }
    }
}

/// One state of all keys of a worker.
pub(crate) struct Cells<K: Key, S: Shape> {
    lives_by: LivesBy,
    pub(super) cells: Vec<S::Of<Item<S::Value>>>,
    /// The number of items in the cells.
    pub(super) items: usize,
    pub(super) footprint: Footprint,
    rows: ItemRows<K, S::Sub, S::Value>,
    arrangement: Arrangement<Filed<ItemRows<K, S::Sub, S::Value>>>,
    /// Where items are that have changed since the last seal.
    changed: Vec<(Slot, S::Mark)>,
    /// The length at which that list is looked through for what is no more.
    trim_at: usize,
    /// Items that the arrangement has and that are no more.
    gone: BTreeSet<(Hashed<K>, S::Sub)>,
    /// Items that have left memory and are not in the arrangement yet.
    left: Vec<((Hashed<K>, S::Sub), Kept<S::Value>)>,
    sweep: Option<Sweep>,
    /// Who is to be shown what is sealed.
    publish: Option<Publish<K, S>>,
}

/// Shows the pages as of an epoch to readers.
pub(crate) type Publish<K, S> = Box<dyn Fn(Published<K, <S as Items>::Sub, <S as Items>::Value>)>;

impl<K: Key, S: Shape> Cells<K, S> {
    /// Cells whose items expire by a clock, and live so many milliseconds at most; or never, if nothing is said of that.
    pub(crate) fn new(
        lives: Option<(LivesBy, i64)>,
        owner: Owner<K>,
        (publish, memory): (Option<Publish<K, S>>, Option<Rc<Memory>>),
        operator: OperatorInfo,
    ) -> Cells<K, S> {
        let footprint = Footprint::new(memory.is_some());
        let rows = ItemRows::new(owner);
        let filed = Filed::new(rows.clone(), memory.as_ref(), |(key, _)| key.hash);
        Cells {
            lives_by: lives.map_or(LivesBy::EventTime, |(clock, _)| clock),
            cells: Vec::new(),
            items: 0,
            footprint,
            arrangement: Arrangement::new(filed, operator),
            rows,
            changed: Vec::new(),
            trim_at: 1024,
            gone: BTreeSet::new(),
            left: Vec::new(),
            sweep: lives.map(|(_, millis)| Sweep::new(millis)),
            publish,
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
        let cell = &mut self.cells[slot.index()];
        match S::get_mut(cell, &sub) {
            Some(item) => {
                (item.value, item.expires) = (value, expires);
                if !item.changed {
                    item.changed = true;
                    self.changed.extend(S::note(cell, &sub).map(|mark| (slot, mark)));
                }
                self.trim();
            }
            None => self.insert(slot, sub, value, expires),
        }
    }

    /// Puts an item that is not there into a cell that is.
    #[inline]
    pub(super) fn insert(&mut self, slot: Slot, sub: S::Sub, value: S::Value, expires: i64) {
        let cell = &mut self.cells[slot.index()];
        self.changed.extend(S::note(cell, &sub).map(|mark| (slot, mark)));
        self.items += 1;
        S::insert(cell, sub, Item { value, expires, changed: true, sealed: false }, expires);
        self.trim();
    }

    /// Takes note that the arrangement has an item that is no more.
    pub(crate) fn bury(&mut self, key: K, sub: S::Sub) {
        self.gone.insert((self.rows.hashed(key), sub));
    }

    /// Makes sure that there is a cell.
    #[inline]
    pub(super) fn make_room(&mut self, slot: Slot) {
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
        let cell = self.cells.get_mut(slot.index())?;
        let mut item = S::get_mut(cell, sub)?;
        if !item.changed {
            item.changed = true;
            self.changed.extend(S::note(cell, sub).map(|mark| (slot, mark)));
            item = S::get_mut(cell, sub)?;
        }
        let result = update(item);
        self.footprint.see(&item.value);
        Some(result)
    }

    /// Changes an item where it lies, or puts one there first: if there is none, or one that `is_over` by when it expires.
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
            && item.changed
            && item.expires == NEVER
        {
            // Nothing has to be noted: most values are changed more often than they are sealed.
            let result = change(&mut item.value);
            self.footprint.see(&item.value);
            return result;
        }
        let item = self.cells.get(slot.index()).and_then(|cell| S::get(cell, &sub));
        if item.is_none_or(|item| is_over(item.expires)) {
            let mut value = default();
            let result = change(&mut value);
            self.put(slot, sub, value, expires);
            return result;
        }
        let changed = self.update(slot, &sub, |item| {
            item.expires = expires;
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
        if item.sealed {
            self.gone.insert((self.rows.hashed(key.clone()), sub.clone()));
        }
        Some(item.value)
    }

    /// Takes all items of a key out.
    pub(crate) fn clear(&mut self, slot: Slot, key: &K) {
        if let Some(cell) = self.cells.get_mut(slot.index()) {
            let Cells { gone, items, rows, .. } = self;
            S::drain(cell, |sub, item| {
                *items -= 1;
                if item.sealed {
                    gone.insert((rows.hashed(key.clone()), sub));
                }
            });
        }
    }

    /// What is no more, and what has left memory.
    fn take_left(&mut self) -> Vec<((Hashed<K>, S::Sub), Kept<S::Value>)> {
        let mut rows: Vec<_> = std::mem::take(&mut self.gone).into_iter().map(|row| (row, None)).collect();
        rows.append(&mut std::mem::take(&mut self.left));
        rows
    }

    /// The places in the list of what has changed, with the hashes that the keys are owned by, in order of these.
    fn in_order(&self, keys: &Table<K, Pins>) -> Vec<(u64, u32)> {
        let owner = self.rows.owner();
        let hash = |(slot, _): &(Slot, S::Mark)| keys.try_get(*slot).map_or(0, |(key, _)| owner(key));
        let mut order: Vec<(u64, u32)> = self.changed.iter().map(hash).zip(0..).collect();
        order.sort_unstable();
        order
    }

    /// Drops items that are no more from the list of changed ones, when they may be most of it.
    fn trim(&mut self) {
        if self.changed.len() < self.trim_at {
            return;
        }
        let cells = &self.cells;
        self.changed.sort_unstable();
        self.changed.dedup();
        self.changed.retain(|(slot, mark)| {
            cells.get(slot.index()).is_some_and(|cell| S::is_noted(cell, mark, |item| item.changed))
        });
        self.trim_at = 1024 + 2 * self.changed.len();
    }
}

impl<K: Key, S: Shape> Column<K> for Cells<K, S> {
    fn is_vacant(&self, slot: Slot) -> bool {
        self.is_bare(slot)
    }

    fn forget(&mut self, slot: Slot, key: &K) {
        self.clear(slot, key);
    }

    fn expire(&mut self, now: Now, keys: &Table<K, Pins>, bare: &mut Vec<Slot>) {
        let Cells { sweep, cells, items, gone, rows, .. } = self;
        let now = now.by(self.lives_by);
        rows.reach(now);
        let Some(sweep) = sweep else { return };
        for place in sweep.due(now, cells.len()) {
            let (before, slot) = (*items, Slot::at(place));
            S::expire(
                &mut cells[place],
                now,
                |item| item.expires,
                |sub, item| {
                    *items -= 1;
                    // What the arrangement has expires there as well, unless it was given another time.
                    if item.sealed
                        && item.changed
                        && let Some((key, _)) = keys.try_get(slot)
                    {
                        gone.insert((rows.hashed(key.clone()), sub.clone()));
                    }
                },
            );
            if *items < before && S::is_empty(&cells[place]) {
                bare.push(slot);
            }
        }
    }

    fn seal(&mut self, epoch: u64, keys: &Table<K, Pins>) {
        let order = self.in_order(keys);
        let before = self.take_left();
        let mut built = self.arrangement.build(before);
        let Cells { changed, cells, .. } = self;
        for some in order.chunk_by(|a, b| a.0 == b.0) {
            built.group(|group| {
                for (hash, number) in some {
                    let (slot, mark) = &changed[*number as usize];
                    let (Some(cell), key) = (cells.get_mut(slot.index()), keys.try_get(*slot)) else {
                        continue;
                    };
                    // Of a slot without a key as well: what it notes is for the next one.
                    S::noted(cell, mark, |sub, item| {
                        if let Some((key, _)) = key.filter(|_| item.changed) {
                            (item.changed, item.sealed) = (false, true);
                            let key = Hashed { hash: *hash, key: key.clone() };
                            group.push(((key, sub), Some((item.value.clone(), item.expires))));
                        }
                    });
                }
            });
        }
        self.changed.clear();
        self.arrangement.seal_built(epoch, built);
        if let Some(publish) = &self.publish {
            let runs = self.arrangement.runs().iter().map(|run| run.pages().to_vec()).collect();
            publish(Published { epoch, owner: self.rows.owner(), reached: self.rows.clock(), runs });
        }
    }

    fn leave(&mut self, slot: Slot, key: &K) {
        let Some(cell) = self.cells.get_mut(slot.index()) else { return };
        let Cells { items, left, rows, .. } = self;
        S::drain(cell, |sub, item| {
            *items -= 1;
            if item.changed || !item.sealed {
                left.push(((rows.hashed(key.clone()), sub), Some((item.value, item.expires))));
            }
        });
        *cell = S::empty();
    }

    fn write(&mut self, epoch: u64) {
        let rows = self.take_left();
        self.arrangement.seal_unsorted(epoch, rows);
    }

    fn enter(&mut self, slot: Slot, key: &K) -> bool {
        let before = self.items;
        let mut items = BTreeMap::new();
        let hashed = self.rows.hashed(key.clone());
        self.arrangement.range(hashed.hash, &|(k, _)| k.cmp(&hashed), &mut |(_, sub), kept| {
            items.insert(sub, kept);
        });
        for (sub, kept) in items {
            let Some((value, expires)) = kept else { continue };
            let row = (hashed.clone(), sub);
            if is_over(expires, self.rows.clock()) {
                self.gone.insert(row);
            } else if !self.gone.contains(&row) {
                let sub = row.1;
                self.make_room(slot);
                self.items += 1;
                let item = Item { value, expires, changed: false, sealed: true };
                S::insert(&mut self.cells[slot.index()], sub, item, expires);
            }
        }
        self.items > before
    }

    fn bytes(&self, keys: usize) -> usize {
        let inside = keys * size_of::<S::Of<Item<S::Value>>>();
        inside
            + S::outside::<Item<S::Value>>(keys.min(self.items), self.items)
            + self.items * self.footprint.heap()
    }

    fn save(&self, name: &str) -> snapshot::Table {
        self.arrangement.save(name)
    }

    fn restore(
        &mut self,
        name: &str,
        from: &RestoredOperator,
        share: Share,
        slots: &mut Slots<'_, K>,
    ) -> Result<()> {
        let Cells { arrangement, rows, cells, items, footprint, .. } = self;
        arrangement.restore(name, from, share)?;
        let clock = rows.clock();
        arrangement.each(|(hashed, sub), kept| {
            let slot = slots.of(&hashed.key);
            if cells.len() <= slot.index() {
                cells.resize_with(slot.index() + 1, S::empty);
            }
            let cell = &mut cells[slot.index()];
            match kept.as_ref().filter(|(_, expires)| !is_over(*expires, clock)) {
                Some((value, expires)) => {
                    footprint.see(value);
                    let item = Item { value: value.clone(), expires: *expires, changed: false, sealed: true };
                    match S::get_mut(cell, sub) {
                        Some(known) => *known = item,
                        None => {
                            S::insert(cell, sub.clone(), item, *expires);
                            *items += 1;
                        }
                    }
                }
                None => {
                    if S::remove(cell, sub).is_some() {
                        *items -= 1;
                    }
                    slots.lost(slot);
                }
            }
        });
        Ok(())
    }

    fn warm(&self, slots: &[Slot]) {
        // The loads of a loop with nothing else in it do not wait for each other.
        let is_filled = |slot: &&Slot| self.cells.get(slot.index()).is_some_and(|cell| !S::peek(cell));
        black_box(slots.iter().filter(is_filled).count());
    }
}
