//! The keyed state of an operator on one worker: its keys, and a column for each state that it has.
//!
//! A key has a slot, and a slot has a cell in each column: so the state of a record's key costs one look-up, however many states there are, and a
//! state costs one more access. What a function never touches costs nothing. A key that is left without any state is forgotten when the
//! epoch closes.
//!
//! The columns are the current values. What has changed is written to their arrangements when the state as of an epoch is asked for.

use std::any::Any;

use super::{Now, Slot, Table};
use crate::data::{Key, hash64};

/// Keys and their columns.
pub(crate) struct Store<K: Key> {
    pub(super) keys: Table<K, Pins>,
    columns: Vec<Box<dyn Column<K>>>,
    /// Slots of keys that may have no state.
    bare: Vec<Slot>,
}

/// What keeps a key without state: the number of timers that speak of its slot.
#[derive(Default)]
pub(crate) struct Pins(u32);

/// One state of all keys.
pub(crate) trait Column<K: Key>: Any {
    /// True if the key has no such state.
    fn is_vacant(&self, slot: Slot) -> bool;

    /// Lets go of what is left of the cell of a key that is forgotten.
    fn forget(&mut self, slot: Slot, key: &K);

    /// Drops what has expired by now.
    fn expire(&mut self, now: Now, keys: &Table<K, Pins>, bare: &mut Vec<Slot>);

    /// Writes what has changed since the last seal into the arrangement.
    fn seal(&mut self, epoch: u64, keys: &Table<K, Pins>);

    /// The column as what it is.
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// The column as what it is.
    fn as_any(&self) -> &dyn Any;
}

impl<K: Key> Store<K> {
    pub(crate) fn new() -> Store<K> {
        Store { keys: Table::default(), columns: Vec::new(), bare: Vec::new() }
    }

    /// Adds a column and says which one it is.
    pub(crate) fn add(&mut self, column: impl Column<K>) -> usize {
        self.columns.push(Box::new(column));
        self.columns.len() - 1
    }

    /// True if there is any state to be had.
    pub(crate) fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The slot of a key, which has one from now on.
    #[inline]
    pub(crate) fn slot(&mut self, key: &K) -> Slot {
        let hash = hash64(key);
        match self.keys.find(hash, key) {
            Some(slot) => slot,
            None => {
                let slot = self.keys.insert(hash, key.clone(), Pins::default());
                self.bare.push(slot);
                slot
            }
        }
    }

    /// The key in a slot.
    pub(crate) fn key(&self, slot: Slot) -> &K {
        &self.keys.get(slot).0
    }

    /// The column of this number, if it is of type `C`.
    #[inline]
    pub(crate) fn column<C: Column<K>>(&self, number: usize) -> Option<&C> {
        self.columns.get(number).and_then(|column| column.as_any().downcast_ref())
    }

    /// The column of this number, if it is of type `C`.
    #[inline]
    pub(crate) fn column_mut<C: Column<K>>(&mut self, number: usize) -> Option<&mut C> {
        self.columns.get_mut(number).and_then(|column| column.as_any_mut().downcast_mut())
    }

    /// Takes note that a key may have lost its last state.
    pub(crate) fn lost(&mut self, slot: Slot) {
        self.bare.push(slot);
    }

    /// Keeps a key until it is let go as often.
    pub(crate) fn pin(&mut self, slot: Slot) {
        self.keys.get_mut(slot).1.0 += 1;
    }

    /// Undoes a pin.
    pub(crate) fn unpin(&mut self, slot: Slot) {
        let pins = &mut self.keys.get_mut(slot).1.0;
        *pins -= 1;
        if *pins == 0 {
            self.bare.push(slot);
        }
    }

    /// Drops what has expired by `now`, and forgets the keys that have no state.
    pub(crate) fn tidy(&mut self, now: Now) {
        let Store { keys, columns, bare } = self;
        columns.iter_mut().for_each(|column| column.expire(now, keys, bare));
        for slot in bare.drain(..) {
            let Some((key, pins)) = keys.try_get(slot) else { continue };
            if pins.0 == 0 && columns.iter().all(|column| column.is_vacant(slot)) {
                columns.iter_mut().for_each(|column| column.forget(slot, key));
                keys.remove(slot);
            }
        }
    }

    /// Writes what has changed into the arrangements.
    pub(crate) fn seal(&mut self, epoch: u64) {
        let Store { keys, columns, .. } = self;
        columns.iter_mut().for_each(|column| column.seal(epoch, keys));
    }
}
