//! The rows that a key has of a collection that changes: a multiset, in order of arrival.
//!
//! Each row is an item with a count, which is negative if it was taken back before it came. A row that is
//! taken back cancels the latest equal ones; so a key takes no more than what it has, whatever has come and
//! gone.
//!
//! A row costs its size and 40 bytes. To add one costs a push, and to take one back a comparison with those
//! that came after it. Most keys have one row, which takes no more room than that.

use std::marker::PhantomData;
use std::mem::size_of;

use crate::data::{Diff, Exchange, Hashed, Key};
use crate::error::Result;
use crate::snapshot::{Foreign, RestoredOperator};
use crate::state::keyed::column::{Cells, Item};
use crate::state::keyed::items::Items;
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::run::incoming::{Share, read_rows};
use crate::state::run::latest_and_sums::Sums;
use crate::state::run::rows::Rows;
use crate::state::table::key_table::Slot;
use crate::time::EventTime;

/// What a row is known by: a number that none has had before it on its worker, its event time, and how often
/// it is there.
pub(crate) type RowId = (u64, EventTime, Diff);

/// Rows in order of arrival.
pub(crate) struct Multiset<V>(PhantomData<fn() -> V>);

impl<V: 'static> Items for Multiset<V> {
    type Sub = RowId;
    type Value = V;
    type Of<X> = Vec<(RowId, X)>;
    /// The number.
    type Mark = u64;

    fn outside<X>(keys: usize, items: usize) -> usize {
        // Buffers double, but the first.
        (items + items.saturating_sub(keys) / 2) * size_of::<(RowId, X)>()
    }

    fn empty<X>() -> Vec<(RowId, X)> {
        Vec::new()
    }

    fn get<'a, X>(of: &'a Vec<(RowId, X)>, id: &RowId) -> Option<&'a X> {
        place_of(of, id.0).map(|place| &of[place].1)
    }

    fn get_mut<'a, X>(of: &'a mut Vec<(RowId, X)>, id: &RowId) -> Option<&'a mut X> {
        place_of(of, id.0).map(|place| &mut of[place].1)
    }

    #[inline]
    fn insert<X>(of: &mut Vec<(RowId, X)>, id: RowId, item: X, _: i64) {
        if of.is_empty() {
            of.reserve_exact(1);
        }
        if of.last().is_none_or(|(last, _)| *last < id) {
            return of.push((id, item));
        }
        // Only what comes back from a backend is not the last.
        let place = of.partition_point(|(other, _)| *other < id);
        of.insert(place, (id, item));
    }

    fn remove<X>(of: &mut Vec<(RowId, X)>, id: &RowId) -> Option<X> {
        place_of(of, id.0).map(|place| of.remove(place).1)
    }

    fn each<X>(of: &Vec<(RowId, X)>, mut each: impl FnMut(&RowId, &X)) {
        of.iter().for_each(|(id, item)| each(id, item));
    }

    fn drain<X>(of: &mut Vec<(RowId, X)>, mut each: impl FnMut(RowId, X)) {
        std::mem::take(of).into_iter().for_each(|(id, item)| each(id, item));
    }

    fn expire<X>(
        of: &mut Vec<(RowId, X)>,
        now: i64,
        expires: impl Fn(&X) -> i64,
        mut each: impl FnMut(&RowId, &X),
    ) {
        let expired = of.extract_if(.., |(_, item)| is_over(expires(item), now));
        expired.for_each(|(id, item)| each(&id, &item));
    }

    fn is_empty<X>(of: &Vec<(RowId, X)>) -> bool {
        of.is_empty()
    }

    #[inline]
    fn note<X>(_: &mut Vec<(RowId, X)>, id: &RowId) -> Option<u64> {
        Some(id.0)
    }

    fn is_noted<X>(of: &Vec<(RowId, X)>, mark: &u64, changed: impl Fn(&X) -> bool) -> bool {
        place_of(of, *mark).is_some_and(|place| changed(&of[place].1))
    }

    fn noted<X>(of: &mut Vec<(RowId, X)>, mark: &u64, mut each: impl FnMut(RowId, &mut X)) {
        if let Some(place) = place_of(of, *mark) {
            let (id, item) = &mut of[place];
            each(*id, item);
        }
    }
}

/// The place of the row of a number.
fn place_of<X>(of: &[(RowId, X)], number: u64) -> Option<usize> {
    of.binary_search_by_key(&number, |(id, _)| id.0).ok()
}

impl<K: Key, V: Exchange + Eq> Cells<K, Multiset<V>> {
    /// The rows of a key: with the event times and counts of each.
    #[inline]
    pub(crate) fn rows(&self, slot: Slot) -> impl Iterator<Item = (&V, EventTime, Diff)> {
        let rows = self.cell(slot).map_or(&[][..], Vec::as_slice);
        rows.iter().map(|((_, time, count), item)| (&item.value, *time, *count))
    }

    /// Adds a row, whose number must be greater than all before.
    #[inline]
    pub(crate) fn add(&mut self, slot: Slot, id: RowId, row: V) {
        self.make_room(slot);
        self.footprint.see(&row);
        self.insert(slot, id, row, NEVER);
    }

    /// Cancels up to so many of a row by those that are there with the other sign, the latest first. Gives
    /// what is left of the number, and how many rows there are less. `number` is the last number of a row,
    /// and counts on where some of a row is left.
    pub(crate) fn cancel(
        &mut self,
        (slot, key): (Slot, &K),
        row: &V,
        mut count: Diff,
        number: &mut u64,
    ) -> (Diff, u64) {
        let mut gone = 0;
        while count != 0 {
            let rows = self.cell(slot).map_or(&[][..], Vec::as_slice);
            let is_other =
                |(id, item): &&(RowId, Item<V>)| id.2.signum() == -count.signum() && item.value == *row;
            let Some(id) = rows.iter().rev().find(is_other).map(|(id, _)| *id) else { break };
            let (_, time, there) = id;
            let Some(value) = self.take(slot, key, &id) else { break };
            // Opposite signs: the sum is nearer to zero than one of them, and does not overflow.
            let left = there + count;
            if left != 0 && left.signum() == there.signum() {
                *number += 1;
                self.add(slot, (*number, time, left), value);
                return (0, gone);
            }
            (count, gone) = (left, gone + 1);
        }
        (count, gone)
    }
}

/// Rows as joins once saved them: of a record of a key at a time its counts are added up.
type AddedUp<K, V> = Sums<(Hashed<K>, V, EventTime), Diff>;

/// True if a snapshot has rows in a table that are added up.
pub(crate) fn is_added_up<K: Key, V: Exchange + Ord>(table: &str, from: &RestoredOperator) -> bool {
    from.is_saved_as::<V>(table, &AddedUp::<K, V>::schema(), AddedUp::<K, V>::schema_of::<Foreign>)
}

/// Shows the rows that a snapshot has of a worker's share of such a table: a key, a record, its time and a
/// count.
pub(crate) fn read_added_up<K: Key, V: Exchange + Ord>(
    table: &str,
    from: &RestoredOperator,
    share: &Share,
    visit: &mut dyn FnMut(K, V, EventTime, Diff),
) -> Result<()> {
    read_rows(&AddedUp::<K, V>::new(), (table, from), share, &mut |(hashed, row, time), count| {
        visit(hashed.key, row, time, count);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::data::hash64;
    use crate::state::backend::state_backend::StateReaders;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_there_is_what_has_come_less_what_has_gone(
            changes in proptest::collection::vec((0..5u32, -3..4i64), 0..300),
        ) {
            let readers = (None, StateReaders { saved: true, ..StateReaders::default() });
            let mut cells = Cells::<u8, Multiset<u32>>::new(None, hash64, readers);
            let (slot, mut number, mut model) = (Slot::at(0), 0, BTreeMap::<u32, i64>::new());
            for (time, (row, count)) in (0..).zip(changes) {
                *model.entry(row).or_default() += count;
                let (left, _) = cells.cancel((slot, &7), &row, count, &mut number);
                if left != 0 {
                    number += 1;
                    cells.add(slot, (number, time, left), row);
                }
                let mut there = BTreeMap::<u32, i64>::new();
                cells.rows(slot).for_each(|(row, _, count)| *there.entry(*row).or_default() += count);
                model.retain(|_, count| *count != 0);
                prop_assert_eq!(&there, &model);
                // None of a row is there beside what takes it back.
                let of_row = |row: u32| cells.rows(slot).filter(move |(other, ..)| **other == row);
                let is_of_one_sign = |row| {
                    of_row(row).all(|(.., count)| count > 0) || of_row(row).all(|(.., count)| count < 0)
                };
                prop_assert!((0..5).all(is_of_one_sign));
                let numbers = cells.cell(slot).into_iter().flatten().map(|(id, _)| id.0);
                prop_assert!(numbers.collect::<Vec<_>>().is_sorted());
            }
        }
    }
}
