//! What has changed by a cut, while it is copied slice by slice and its state changes further.
//!
//! At a cut the list of what has changed is set aside, and a new one begins. From then on, items of the old list are copied a slice at a time. One that is about to change, or to
//! go, before its turn came is copied then. So what is delivered is the state as of the cut, each changed item once, and no slice is longer than was asked for.
//!
//! Whether an item's last change came before the cut or after it is told by its mark: there is one [`Turn`] for the changes before a cut and
//! another one for those after it, and again the first one for those after the next. By then the draft of the first cut is finished.
//!
//! What it costs a worker: a look at each changed item, a copy of it, and 48 bytes a pile.

use super::shelf::{Delivery, Gone, Row, Shelf};
use super::{ItemRows, Kept, Rows};
use crate::data::{Exchange, Key};

/// What a change is marked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing has changed.
    #[default]
    Still = 1,
    /// It has changed before one cut, or after another.
    Even,
    /// It has changed after the one, or before the other.
    Odd,
}

impl Turn {
    /// The mark of changes after the next cut.
    pub(crate) fn next(self) -> Turn {
        match self {
            Turn::Even => Turn::Odd,
            Turn::Still | Turn::Odd => Turn::Even,
        }
    }

    /// It as two bits, which are never both zero.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        self as u64
    }

    /// It again.
    #[inline]
    pub(super) fn of_bits(bits: u64) -> Turn {
        match bits {
            bits if bits == Turn::Even as u64 => Turn::Even,
            bits if bits == Turn::Odd as u64 => Turn::Odd,
            _ => Turn::Still,
        }
    }

    /// True if the change that it marks came before the last cut, when those after it are marked by `now`, and has not been copied.
    #[inline]
    pub(crate) fn is_before(self, now: Turn) -> bool {
        self != now && self != Turn::Still
    }
}

/// Rows of a range of hashes, in stacks that do not grow: all piles grow alike, and if each were one buffer, all would have to move at about one time.
pub(super) struct Pile<T> {
    full: Vec<Vec<T>>,
    open: Vec<T>,
}

/// The bytes of a stack, once a pile is high. Lower piles have lower ones: to make thousands of high stacks at once takes long.
const STACK: usize = 16 << 10;

impl<T> Pile<T> {
    fn new() -> Pile<T> {
        Pile { full: Vec::new(), open: Vec::new() }
    }

    #[inline]
    fn push(&mut self, row: T) {
        if self.open.len() == self.open.capacity() {
            let most = (STACK / size_of::<T>().max(1)).max(4);
            let rows = (2 * self.open.capacity()).clamp(4, most);
            let full = std::mem::replace(&mut self.open, Vec::with_capacity(rows));
            self.full.extend((!full.is_empty()).then_some(full));
        }
        self.open.push(row);
    }

    /// Moves all rows to others.
    pub(super) fn move_to(self, rows: &mut Vec<T>) {
        rows.reserve(self.full.iter().map(Vec::len).sum::<usize>() + self.open.len());
        self.full.into_iter().chain([self.open]).for_each(|mut stack| rows.append(&mut stack));
    }
}

/// A delivery that is being gathered.
pub(crate) struct Draft<K, S, V> {
    delivery: Delivery<K, S, V>,
    /// The bits of a hash that do not tell its pile.
    shift: u32,
}

/// About so many rows lie in a pile: they are sorted in the processor's cache.
const PILE: usize = 4096;

impl<K: Key, S: Key, V: Exchange> Draft<K, S, V> {
    /// A draft of what has changed up to and including an epoch: what is no more, and about so many items.
    pub(crate) fn new(
        epoch: u64,
        rows: &ItemRows<K, S, V>,
        gone: Gone<K, S>,
        items: usize,
    ) -> Draft<K, S, V> {
        let piles = (items / PILE).next_power_of_two();
        let piles_of_rows = (0..piles).map(|_| Pile::new()).collect();
        let delivery = Delivery { epoch, clock: rows.clock(), gone, piles: piles_of_rows, spent: None };
        Draft { delivery, shift: u64::BITS - piles.ilog2() }
    }

    /// Copies an item.
    #[inline]
    pub(crate) fn add(&mut self, row: Row<K, S, V>) {
        let pile = row.0.0.hash.checked_shr(self.shift).unwrap_or(0);
        self.delivery.piles[pile as usize].push(row);
    }

    /// Delivers what was gathered, with the list that it was gathered by, for which nobody here has a use any more.
    pub(crate) fn deliver(mut self, shelf: &Shelf<K, S, V>, list: impl Send + 'static) {
        self.delivery.spent = Some(Box::new(list));
        shelf.leave(self.delivery);
    }
}

/// An item as it is copied.
pub(crate) fn copy<V: Clone>(value: &V, expires: i64) -> Kept<V> {
    Some((value.clone(), expires))
}
