//! What a column does when epochs close: it drops what has expired, gives the state as of an epoch, and lets
//! keys leave memory and come back.

use std::hint::black_box;
use std::mem::size_of;

use crate::data::{Hashed, Key};
use crate::error::Result;
use crate::snapshot::{self, RestoredOperator};
use crate::state::backend::snapshot_delta::DirtyMark;
use crate::state::keyed::column::{Cells, Item};
use crate::state::keyed::items::Shape;
use crate::state::keyed::meta::ItemMeta;
use crate::state::keyed::pins::Pins;
use crate::state::keyed::store::{Column, Slots};
use crate::state::keyed::time_domain::{Now, TimeDomain};
use crate::state::keyed::write_back::WriteBack;
use crate::state::lsm::expiry::{UNBEGUN, is_over};
use crate::state::run::incoming::Share;
use crate::state::run::run_builder::sort;
use crate::state::table::key_table::{KeyTable, Slot};

impl<K: Key, S: Shape> Cells<K, S> {
    /// The places in a list of what has changed, with the hashes that the keys are owned by, in order of
    /// these.
    fn in_order(&self, changed: &[(Slot, S::Mark)], keys: &KeyTable<K, Pins>) -> Vec<(u64, u32)> {
        let owner = self.write_back.rows.owner();
        let hash = |(slot, _): &(Slot, S::Mark)| keys.try_get(*slot).map_or(0, |(key, _)| owner(key));
        let mut order: Vec<(u64, u32)> = changed.iter().map(hash).zip(0..).collect();
        order.sort_unstable();
        order
    }
}

impl<K: Key, S: Shape> Cells<K, S> {
    /// Writes what has changed since the last time into the arrangement, if there is one.
    fn seal_changed(&mut self, epoch: u64, keys: &KeyTable<K, Pins>) {
        if !self.write_back.is_arranged() {
            return;
        }
        let changed = std::mem::take(&mut self.changed).into_list();
        let order = self.in_order(&changed, keys);
        let Cells { cells, write_back, .. } = self;
        write_back.seal(epoch, &order, &mut |hash, number, rows| {
            let (slot, mark) = &changed[number as usize];
            let (Some(cell), key) = (cells.get_mut(slot.index()), keys.try_get(*slot)) else { return };
            // Of a slot without a key as well: what it notes is for the next one.
            S::noted(cell, mark, |sub, item| {
                if let Some((key, _)) = key.filter(|_| item.meta.changed() != DirtyMark::Still) {
                    item.meta = item.meta.kept();
                    let key = Hashed { hash, key: key.clone() };
                    rows.push(((key, sub), Some((item.value.clone(), item.meta.expires()))));
                }
            });
        });
    }
}

impl<K: Key, S: Shape> Column<K> for Cells<K, S> {
    fn is_vacant(&self, slot: Slot) -> bool {
        self.is_bare(slot)
    }

    fn forget(&mut self, slot: Slot, key: &K) {
        self.clear(slot, key);
    }

    fn begin(&mut self, watermark: i64) {
        let waits = self.lives_by == TimeDomain::EventTime && !S::IS_EXPIRY_KNOWN;
        let Some(sweep) = self.sweep.as_ref().filter(|_| waits) else { return };
        let expires = watermark.saturating_add(sweep.lives());
        self.unbegun = expires;
        for place in 0..self.cells.len() {
            let mut waiting = Vec::new();
            S::each(&self.cells[place], |sub, item| {
                if item.meta.expires() == UNBEGUN {
                    waiting.push(sub.clone());
                }
            });
            for sub in waiting {
                self.update(Slot::at(place), &sub, |item| item.meta = item.meta.expiring(expires));
            }
        }
    }

    fn expire(&mut self, now: Now, keys: &KeyTable<K, Pins>, bare: &mut Vec<Slot>) {
        let Cells { sweep, cells, items, write_back, copying, .. } = self;
        let WriteBack { rows, clock, dirty_mark, tombstones, .. } = write_back;
        let now = now.by(self.lives_by);
        clock.set(now);
        if let Some(copying) = copying {
            // Keys may go after this.
            let mut all = usize::MAX;
            copying.resolve(keys, rows, &mut all);
        }
        let Some(sweep) = sweep else { return };
        for place in sweep.due(now, cells.len()) {
            let (before, slot) = (*items, Slot::at(place));
            S::expire(
                &mut cells[place],
                now,
                |item| item.meta.expires(),
                |sub, item| {
                    *items -= 1;
                    let Some((key, _)) = keys.try_get(slot) else { return };
                    let key = || (rows.hashed(key.clone()), sub.clone());
                    // What the backing has expires there as well, unless it was given another time since.
                    if item.is_kept(*dirty_mark, copying, key) && item.meta.changed() == *dirty_mark {
                        tombstones.insert(key());
                    }
                },
            );
            if *items < before && S::is_empty(&cells[place]) {
                bare.push(slot);
            }
        }
    }

    fn seal(&mut self, epoch: u64, keys: &KeyTable<K, Pins>) {
        self.seal_changed(epoch, keys);
        if let Some(publish) = self.publish.as_ref().filter(|_| !self.has_history) {
            self.write_back.published((epoch, epoch.saturating_add(1))).into_iter().for_each(publish);
        }
    }

    fn publish(&mut self, epoch: u64, next: u64, keys: &KeyTable<K, Pins>) {
        if !self.has_history || self.publish.is_none() {
            return;
        }
        self.seal_changed(epoch, keys);
        let state = self.write_back.published((epoch, next));
        self.publish.iter().zip(state).for_each(|(publish, state)| publish(state));
    }

    fn cut(&mut self, epoch: u64) {
        self.begin_cut(epoch);
    }

    fn copy(&mut self, keys: &KeyTable<K, Pins>, left: &mut usize) {
        self.copy_slice(keys, left);
    }

    fn is_copied(&self) -> bool {
        self.copying.is_none()
    }

    fn evict_key(&mut self, slot: Slot, key: &K) {
        let Some(cell) = self.cells.get_mut(slot.index()) else { return };
        let Cells { items, write_back: WriteBack { rows, evicted, .. }, .. } = self;
        S::drain(cell, |sub, item| {
            *items -= 1;
            if item.meta.changed() != DirtyMark::Still || !item.meta.is_sealed() {
                evicted.push(((rows.hashed(key.clone()), sub), Some((item.value, item.meta.expires()))));
            }
        });
        *cell = S::empty();
    }

    fn write(&mut self, epoch: u64) {
        self.write_back.write_evicted(epoch);
    }

    fn enter(&mut self, slot: Slot, key: &K) -> bool {
        let before = self.items;
        let mut found = Vec::new();
        let hashed = self.write_back.rows.hashed(key.clone());
        self.write_back.read(&hashed, &mut |sub, kept| found.push((sub, kept)));
        // Runs are shown from the oldest on, and the newest row of a sub-key counts.
        sort(&mut found);
        for (sub, kept) in found {
            let Some((value, mut expires)) = kept else { continue };
            if expires == UNBEGUN {
                expires = self.unbegun;
            }
            let row = (hashed.clone(), sub);
            if is_over(expires, self.write_back.clock.get()) {
                self.write_back.tombstones.insert(row);
            } else if !self.write_back.tombstones.contains(&row) {
                let sub = row.1;
                self.make_room(slot);
                self.items += 1;
                let item = Item { value, meta: ItemMeta::new(expires, DirtyMark::Still, true) };
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

    fn save(&self, name: &str) -> Result<snapshot::TableSnapshot> {
        self.write_back.save(name)
    }

    fn restore(
        &mut self,
        name: &str,
        from: &RestoredOperator,
        share: &Share,
        slots: &mut Slots<'_, K>,
    ) -> Result<()> {
        let Cells { write_back: WriteBack { backend, rows, clock, .. }, cells, items, footprint, .. } = self;
        let mut found = Vec::new();
        backend.restore((rows, clock), (name, from), share, &mut |read, keys| {
            if size_of::<S::Sub>() == 0 {
                slots.reserve(keys);
                cells.reserve(keys.saturating_sub(cells.len()));
            }
            slots.find_all(read.iter().map(|((hashed, _), _)| &hashed.key), &mut found);
            for (((hashed, sub), kept), found) in read.into_iter().zip(&found) {
                let slot = slots.of(*found, &hashed.key);
                if cells.len() <= slot.index() {
                    cells.resize_with(slot.index() + 1, S::empty);
                }
                let cell = &mut cells[slot.index()];
                match kept.filter(|(_, expires)| !is_over(*expires, clock.get())) {
                    Some((value, expires)) => {
                        footprint.see(&value);
                        let item = Item { value, meta: ItemMeta::new(expires, DirtyMark::Still, true) };
                        match S::get_mut(cell, &sub) {
                            Some(known) => *known = item,
                            None => {
                                S::insert(cell, sub, item, expires);
                                *items += 1;
                            }
                        }
                    }
                    None => {
                        if S::remove(cell, &sub).is_some() {
                            *items -= 1;
                        }
                        slots.lost(slot);
                    }
                }
            }
        })
    }

    fn restore_evicted(&mut self, name: &str, from: &RestoredOperator, share: &Share) -> Result<()> {
        match self.write_back.backend.arrangement() {
            Some(arrangement) => arrangement.restore(name, from, share),
            None => Ok(()),
        }
    }

    fn warm(&self, slots: &[Slot]) {
        // The loads of a loop with nothing else in it do not wait for each other.
        let is_filled = |slot: &&Slot| self.cells.get(slot.index()).is_some_and(|cell| !S::peek(cell));
        black_box(slots.iter().filter(is_filled).count());
    }
}
