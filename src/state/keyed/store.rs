//! The keyed state of an operator on one worker: its keys, and a column for each state that it has.
//!
//! A key has a slot, and a slot has a cell in each column: so the state of a record's key costs one look-up,
//! however many states there are, and a state costs one more access. What a function never touches costs
//! nothing. A key that is left without any state is forgotten when the epoch closes.
//!
//! The columns are the current values. What has changed is written to their arrangements when the state as of
//! an epoch is asked for.
//!
//! # State larger than memory
//!
//! If memory is limited, keys that have not been touched for a while leave it when an epoch closes, until
//! there is room: their items go to the arrangements, whose pages lie in files, and the key is forgotten,
//! unless a timer that is in memory speaks of its slot; then an empty slot stays. A key that is touched
//! without being known is looked for in the arrangements, so from the first time that keys leave, each new
//! key costs a look at the filters of some pages, and each returning one a read of one page or a few.
//!
//! What counts as taken is the slots, the items in them, and what values point to, by samples. Buffers of
//! files are the operating system's, and not counted; nor are some two bytes for each row in a file, for the
//! filters.

use std::any::Any;
use std::hint::black_box;
use std::mem::size_of;

use crate::data::{Key, hash64};
use crate::error::Result;
use crate::snapshot::{self, RestoredOperator, SavedTables};
use crate::state::keyed::pins::{Pins, WARM};
use crate::state::keyed::time_domain::Now;
use crate::state::operator_state::OperatorState;
use crate::state::run::incoming::Share;
use crate::state::spill::budget::{Evictable, MemoryBudget};
use crate::state::table::key_table::{Found, KeyTable, Slot};

/// The keys of a store while it is filled.
pub(crate) struct Slots<'a, K: Key> {
    keys: &'a mut KeyTable<K, Pins>,
    bare: &'a mut Vec<Slot>,
}

impl<K: Key> Slots<'_, K> {
    /// Looks keys up, together, as [`KeyTable::find_all`] does.
    pub(in crate::state) fn find_all<'k>(
        &self,
        keys: impl Iterator<Item = &'k K> + Clone,
        found: &mut Vec<Found>,
    ) {
        found.clear();
        self.keys.find_all(keys, found);
    }

    /// The slot of a key that was looked up, which has one from now on.
    pub(in crate::state) fn of(&mut self, found: Found, key: &K) -> Slot {
        // It may be known since.
        let known = Some(found.slot).filter(|slot| *slot != Slot::NONE);
        let known = known.or_else(|| self.keys.find(found.hash, key));
        known.unwrap_or_else(|| self.keys.insert(found.hash, key.clone(), Pins::default()))
    }

    /// Makes room for so many keys, if there are none yet.
    pub(in crate::state) fn reserve(&mut self, keys: usize) {
        if self.keys.is_empty() {
            self.keys.reserve(keys);
        }
    }

    /// Takes note that a key may have no state.
    pub(in crate::state) fn lost(&mut self, slot: Slot) {
        self.bare.push(slot);
    }
}

/// Keys and their columns.
pub(crate) struct Store<K: Key> {
    pub(in crate::state) keys: KeyTable<K, Pins>,
    columns: Vec<Named<K>>,
    /// Slots of keys that may have no state.
    bare: Vec<Slot>,
    /// How many of them there have been since anything was written.
    lost: usize,
    limit: Option<MemoryBudget>,
}

/// A state and its name.
struct Named<K: Key> {
    name: String,
    column: Box<dyn Column<K>>,
}

/// One state of all keys.
pub(crate) trait Column<K: Key>: Any {
    /// True if the key has no such state.
    fn is_vacant(&self, slot: Slot) -> bool;

    /// Lets go of what is left of the cell of a key that is forgotten.
    fn forget(&mut self, slot: Slot, key: &K);

    /// Event time has begun, at this watermark: the lives of items that were written before are counted from
    /// there.
    fn begin(&mut self, watermark: i64);

    /// Drops what has expired by now.
    fn expire(&mut self, now: Now, keys: &KeyTable<K, Pins>, bare: &mut Vec<Slot>);

    /// Writes what has changed since the last seal into the arrangement, and shows it to readers.
    fn seal(&mut self, epoch: u64, keys: &KeyTable<K, Pins>);

    /// As [`OperatorState::publish`].
    fn publish(&mut self, epoch: u64, next: u64, keys: &KeyTable<K, Pins>);

    /// Sets aside what has changed, if it is handed over and not sealed. The last cut must be copied.
    fn cut(&mut self, epoch: u64);

    /// Copies some of what was set aside. `left` is how many rows it may still take.
    fn copy(&mut self, keys: &KeyTable<K, Pins>, left: &mut usize);

    /// True if nothing that was set aside is left.
    fn is_copied(&self) -> bool;

    /// Empties the cell of a key. What the arrangement does not have waits to be written.
    fn evict_key(&mut self, slot: Slot, key: &K);

    /// Writes what has left into the arrangement.
    fn write(&mut self, epoch: u64);

    /// Fills the empty cell of a key with what the arrangement has. True if there was anything.
    fn enter(&mut self, slot: Slot, key: &K) -> bool;

    /// The bytes of memory that it takes for so many keys, about.
    fn bytes(&self, keys: usize) -> usize;

    /// Touches some cells, which will be wanted soon.
    fn warm(&self, slots: &[Slot]);

    /// What a snapshot needs of what was sealed last.
    fn save(&self, name: &str) -> Result<snapshot::TableSnapshot>;

    /// Takes in what a snapshot has of a worker's share, and gives keys slots that have none.
    fn restore(
        &mut self,
        name: &str,
        from: &RestoredOperator,
        share: &Share,
        slots: &mut Slots<'_, K>,
    ) -> Result<()>;

    /// The same, but all of it stays with the arrangement, if there is one.
    fn restore_evicted(&mut self, name: &str, from: &RestoredOperator, share: &Share) -> Result<()>;
}

impl<K: Key> Store<K> {
    pub(crate) fn new() -> Store<K> {
        Store { keys: KeyTable::of_slots(), columns: Vec::new(), bare: Vec::new(), lost: 0, limit: None }
    }

    /// Limits the memory that it takes.
    pub(crate) fn limit(&mut self, limit: MemoryBudget) {
        self.limit = Some(limit);
    }

    /// Adds a column and says which one it is. Of several with the same name, later ones are known by their
    /// number among them as well.
    pub(crate) fn add(&mut self, name: &str, column: impl Column<K>) -> usize {
        let same = self.columns.iter().filter(|other| other.name.split('#').next() == Some(name)).count();
        let name = if same == 0 { name.to_owned() } else { format!("{name}#{same}") };
        self.columns.push(Named { name, column: Box::new(column) });
        self.columns.len() - 1
    }

    /// Adds what a snapshot needs of what was sealed last. The tables' names begin with `prefix`.
    ///
    /// # Errors
    ///
    /// If something could not be encoded.
    pub(crate) fn save(&self, prefix: &str, saved: &mut SavedTables) -> Result<()> {
        self.columns.iter().try_for_each(|Named { name, column }| {
            saved.tables.push(column.save(&format!("{prefix}{name}"))?);
            Ok(())
        })
    }

    /// Takes in what a snapshot has of a worker's share.
    pub(crate) fn restore(&mut self, prefix: &str, from: &RestoredOperator, share: &Share) -> Result<()> {
        let Store { keys, columns, bare, .. } = self;
        let mut slots = Slots { keys, bare };
        columns.iter_mut().try_for_each(|Named { name, column }| {
            column.restore(&format!("{prefix}{name}"), from, share, &mut slots)
        })
    }

    /// As [`restore`](Store::restore), but if memory is limited no key comes into it before it is asked for.
    pub(crate) fn restore_evicted(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        let Some(limit) = &mut self.limit else { return self.restore("", from, share) };
        limit.has_evicted = true;
        self.columns
            .iter_mut()
            .try_for_each(|Named { name, column }| column.restore_evicted(name, from, share))
    }

    /// The slots that keys have.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = Slot> + '_ {
        self.keys.occupied()
    }

    /// True if there is any state to be had.
    pub(crate) fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The slot of a key, which has one from now on. Its cells are filled.
    #[inline]
    pub(crate) fn slot(&mut self, key: &K) -> Slot {
        let slot = self.slot_of(hash64(key), key);
        self.touch(slot);
        slot
    }

    /// The slot of a key, which has one from now on. Its cells are filled when it is [touched](Store::touch).
    pub(crate) fn place(&mut self, key: &K) -> Slot {
        self.slot_of(hash64(key), key)
    }

    /// True if memory is limited.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// The slots of keys, as [`slot`](Store::slot) gives them one by one, at less cost: see
    /// [`KeyTable::find_all`].
    pub(crate) fn slots<'k>(&mut self, keys: impl Iterator<Item = &'k K> + Clone, found: &mut Vec<Found>) {
        self.keys.find_all(keys.clone(), found);
        for (found, key) in found.iter_mut().zip(keys) {
            if found.slot == Slot::NONE {
                found.slot = self.slot_of(found.hash, key);
            }
            self.touch(found.slot);
        }
        self.warm_cells(found.iter().map(|found| found.slot));
    }

    #[inline]
    fn slot_of(&mut self, hash: u64, key: &K) -> Slot {
        match self.keys.find(hash, key) {
            Some(slot) => slot,
            None => {
                let away = self.limit.as_ref().is_some_and(|limit| limit.has_evicted);
                let slot = self.keys.insert(hash, key.clone(), Pins { away, ..Pins::default() });
                self.bare.push(slot);
                slot
            }
        }
    }

    /// Sees to it that the cells of a slot are filled.
    #[inline]
    pub(crate) fn touch(&mut self, slot: Slot) {
        if self.limit.is_some() {
            self.enter(slot);
        }
    }

    #[cold]
    fn enter(&mut self, slot: Slot) {
        let Store { keys, columns, limit, .. } = self;
        let (key, pins) = keys.get_mut(slot);
        pins.touched = true;
        if std::mem::take(&mut pins.away) {
            let found = columns.iter_mut().fold(false, |found, named| named.column.enter(slot, key) | found);
            limit.iter_mut().filter(|_| found).for_each(MemoryBudget::entered);
        }
    }

    /// The key in a slot.
    pub(crate) fn key(&self, slot: Slot) -> &K {
        &self.keys.get(slot).0
    }

    /// The column of this number, if it is of type `C`.
    #[inline]
    pub(crate) fn column<C: Column<K>>(&self, number: usize) -> Option<&C> {
        let column: &dyn Any = self.columns.get(number)?.column.as_ref();
        column.downcast_ref()
    }

    /// The column of this number, if it is of type `C`.
    #[inline]
    pub(crate) fn column_mut<C: Column<K>>(&mut self, number: usize) -> Option<&mut C> {
        let column: &mut dyn Any = self.columns.get_mut(number)?.column.as_mut();
        column.downcast_mut()
    }

    /// Takes note that a key may have lost its last state.
    pub(crate) fn lost(&mut self, slot: Slot) {
        self.bare.push(slot);
    }

    /// Keeps a key until it is let go as often.
    pub(crate) fn pin(&mut self, slot: Slot) {
        self.keys.get_mut(slot).1.count += 1;
    }

    /// Touches the slots of some keys, which will be wanted soon: the loads of a loop with nothing else in it
    /// do not wait for each other.
    pub(crate) fn warm(&self, slots: impl Iterator<Item = Slot>) {
        let pinned = slots.filter(|slot| self.keys.try_get(*slot).is_some_and(|(_, pins)| pins.count > 0));
        black_box(pinned.count());
    }

    /// Touches the cells of some slots, which will be wanted soon.
    pub(crate) fn warm_cells(&self, mut slots: impl Iterator<Item = Slot>) {
        let mut some = [Slot::NONE; WARM];
        loop {
            let found = some.iter_mut().zip(&mut slots).map(|(place, slot)| *place = slot).count();
            self.columns.iter().for_each(|Named { column, .. }| column.warm(&some[..found]));
            if found < WARM {
                return;
            }
        }
    }

    /// Undoes a pin.
    pub(crate) fn unpin(&mut self, slot: Slot) {
        let pins = &mut self.keys.get_mut(slot).1.count;
        *pins -= 1;
        if *pins == 0 {
            self.bare.push(slot);
        }
    }

    /// Drops what has expired by `now`, and forgets the keys that have no state.
    pub(crate) fn tidy(&mut self, now: Now) {
        let Store { keys, columns, bare, .. } = self;
        columns.iter_mut().for_each(|Named { column, .. }| column.expire(now, keys, bare));
        for some in bare.chunks_mut(WARM) {
            let is_bare = |slot: &Slot| {
                let is_free = |(_, pins): &(K, Pins)| pins.count == 0;
                keys.try_get(*slot).is_some_and(is_free)
                    && columns.iter().all(|named| named.column.is_vacant(*slot))
            };
            let mut going = 0;
            for place in 0..some.len() {
                if is_bare(&some[place]) {
                    some.swap(going, place);
                    going += 1;
                }
            }
            keys.warm(&some[..going]);
            for slot in &some[..going] {
                // A slot may be in the list twice.
                let Some((key, _)) = keys.try_get(*slot) else { continue };
                columns.iter_mut().for_each(|named| named.column.forget(*slot, key));
                keys.remove(*slot);
            }
        }
        self.lost += bare.len();
        bare.clear();
    }

    /// Lets event time begin at a watermark.
    pub(crate) fn begin(&mut self, watermark: i64) {
        self.columns.iter_mut().for_each(|named| named.column.begin(watermark));
    }

    /// The number of keys in memory.
    #[cfg(test)]
    pub(in crate::state) fn resident(&self) -> usize {
        self.keys.len()
    }

    /// Tells how much it takes. Timers leave before the keys that they keep, and have to know.
    pub(crate) fn account(&mut self) {
        if let Some(mut limit) = self.limit.take() {
            limit.account(self.bytes());
            self.limit = Some(limit);
        }
    }
}

/// The tables are named as the columns are.
impl<K: Key> OperatorState for Store<K> {
    fn seal(&mut self, epoch: u64) {
        let Store { keys, columns, .. } = self;
        columns.iter_mut().for_each(|named| named.column.seal(epoch, keys));
    }

    fn publish(&mut self, epoch: u64, next: u64) {
        let Store { keys, columns, .. } = self;
        columns.iter_mut().for_each(|named| named.column.publish(epoch, next, keys));
    }

    fn cut(&mut self, epoch: u64) {
        self.columns.iter_mut().for_each(|named| named.column.cut(epoch));
    }

    fn copy(&mut self, left: &mut usize) -> bool {
        let Store { keys, columns, .. } = self;
        columns.iter_mut().all(|Named { column, .. }| {
            column.copy(keys, left);
            column.is_copied()
        })
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        Store::save(self, "", saved)
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        Store::restore(self, "", from, share)
    }

    fn evict(&mut self, epoch: u64) {
        self.evict_keys(epoch);
    }
}

/// The bytes that a key takes in the index, about, if it is not small, and as many more if it is.
pub(crate) const INDEXED: usize = 12;

impl<K: Key> Evictable for Store<K> {
    fn bytes(&self) -> usize {
        let (keys, key) = (self.keys.len(), size_of::<Option<(K, Pins)>>() + INDEXED);
        keys * key + self.columns.iter().map(|named| named.column.bytes(keys)).sum::<usize>()
    }

    fn slots(&self) -> usize {
        self.keys.slots()
    }

    fn limit(&mut self) -> &mut Option<MemoryBudget> {
        &mut self.limit
    }

    fn evict_key(&mut self, slot: Slot) -> bool {
        let Store { keys, columns, .. } = self;
        let Some((key, pins)) = keys.try_get_mut(slot) else { return false };
        if std::mem::take(&mut pins.touched) || pins.away {
            return false;
        }
        pins.away = true;
        columns.iter_mut().for_each(|named| named.column.evict_key(slot, key));
        if pins.count == 0 {
            keys.remove(slot);
        }
        true
    }

    fn tombstones(&self) -> usize {
        self.lost
    }

    fn write(&mut self, epoch: u64) {
        self.lost = 0;
        self.columns.iter_mut().for_each(|named| named.column.write(epoch));
    }
}
