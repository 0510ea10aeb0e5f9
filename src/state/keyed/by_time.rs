//! Items by their times, on two sides: what a join of two streams keeps under a key.
//!
//! An item is known by its side, its time, and its number among those of that time. Each side is a queue in
//! order of time. Records come nearly in order and are let go in order, so an item is mostly added at the
//! back and taken at the front; one that comes out of order is put in its place by a binary search, and moves
//! those between it and the nearer end. Both sides lie in one cell: who looks at one mostly looks at the
//! other.
//!
//! # What has changed
//!
//! A cell notes the least time of an item of its that has changed since the last seal, and a column notes the
//! cell, once. So changes cost next to nothing until someone asks for the state, however often keys come and
//! go; and then the items from that time on are looked at, which mostly are those that came since.
//!
//! # Memory
//!
//! A side without items has no buffer: it would be cold when it is wanted again, and one that is made anew is
//! warm. The first item of a side gets a buffer for one; it grows to four, and then doubles, and shrinks when
//! seven eighths of it are free.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::size_of;

use crate::data::{Exchange, Key};
use crate::state::backend::snapshot_delta::copy;
use crate::state::keyed::column::{Cells, Item};
use crate::state::keyed::items::Items;
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::table::key_table::Slot;
use crate::time::EventTime;

/// Values by their times, on two sides.
pub(crate) struct Timed<V>(PhantomData<fn() -> V>);

/// What an item is known by: if it is on the second side, its time, and its number among those of its side
/// and time.
pub(crate) type At = (bool, EventTime, u64);

/// The items of one side, in order.
type Queue<X> = VecDeque<(EventTime, u64, X)>;

/// The items of one key.
pub(crate) struct Sides<X> {
    sides: [Queue<X>; 2],
    /// No item of before this time has changed since the last seal; none at all, if there is no such time.
    changed: Option<EventTime>,
    /// No item expires before this.
    expires: i64,
}

impl<X> Sides<X> {
    #[inline]
    fn side(&self, second: bool) -> &Queue<X> {
        &self.sides[usize::from(second)]
    }

    #[inline]
    fn side_mut(&mut self, second: bool) -> &mut Queue<X> {
        &mut self.sides[usize::from(second)]
    }

    fn place(&self, (second, time, number): At) -> Result<usize, usize> {
        self.side(second).binary_search_by_key(&(time, number), |(time, number, _)| (*time, *number))
    }

    /// The least number of an item that would come after all of its time.
    #[inline]
    fn next_number(&self, second: bool, time: EventTime) -> u64 {
        let queue = self.side(second);
        let last = match queue.back() {
            Some(back) if back.0 > time => {
                queue.partition_point(|row| row.0 <= time).checked_sub(1).and_then(|last| queue.get(last))
            }
            back => back,
        };
        last.filter(|last| last.0 == time).map_or(0, |last| last.1 + 1)
    }

    /// The first time of a side.
    #[inline]
    pub(crate) fn first(&self, second: bool) -> Option<EventTime> {
        self.side(second).front().map(|(time, ..)| *time)
    }

    /// The items of a side from one time to another, both included.
    #[inline]
    pub(crate) fn between(
        &self,
        second: bool,
        from: EventTime,
        to: EventTime,
    ) -> impl Iterator<Item = (At, &X)> + use<'_, X> {
        let queue = self.side(second);
        let start = match queue.front() {
            Some(front) if front.0 < from => queue.partition_point(|row| row.0 < from),
            _ => 0,
        };
        let rows = queue.range(start..).take_while(move |row| row.0 <= to);
        rows.map(move |(time, number, item)| ((second, *time, *number), item))
    }
}

/// Gives memory back that is not likely to be wanted soon.
#[inline]
fn slim<X>(queue: &mut Queue<X>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    } else if queue.len() < queue.capacity() / 8 {
        queue.shrink_to(2 * queue.len());
    }
}

impl<V: 'static> Items for Timed<V> {
    type Sub = At;
    type Value = V;
    type Of<X> = Sides<X>;
    type Mark = ();
    const IS_EXPIRY_KNOWN: bool = true;

    fn outside<X>(keys: usize, items: usize) -> usize {
        // Buffers have room for one, then for four, and double.
        let further = items.saturating_sub(keys);
        (keys + 2 * further) * size_of::<(EventTime, u64, X)>() + 16 * keys
    }

    fn empty<X>() -> Sides<X> {
        Sides { sides: [VecDeque::new(), VecDeque::new()], changed: None, expires: NEVER }
    }

    fn get<'a, X>(of: &'a Sides<X>, at: &At) -> Option<&'a X> {
        let place = of.place(*at).ok()?;
        of.side(at.0).get(place).map(|(.., item)| item)
    }

    fn get_mut<'a, X>(of: &'a mut Sides<X>, at: &At) -> Option<&'a mut X> {
        let place = of.place(*at).ok()?;
        of.side_mut(at.0).get_mut(place).map(|(.., item)| item)
    }

    #[inline]
    fn insert<X>(of: &mut Sides<X>, (second, time, number): At, item: X, expires: i64) {
        of.expires = of.expires.min(expires);
        let queue = of.side_mut(second);
        if queue.capacity() == 0 {
            queue.reserve_exact(1);
        }
        if queue.back().is_none_or(|back| (back.0, back.1) < (time, number)) {
            return queue.push_back((time, number, item));
        }
        let place = queue.partition_point(|row| (row.0, row.1) < (time, number));
        queue.insert(place, (time, number, item));
    }

    fn remove<X>(of: &mut Sides<X>, at: &At) -> Option<X> {
        let place = of.place(*at).ok()?;
        let queue = of.side_mut(at.0);
        let removed = queue.remove(place);
        slim(queue);
        removed.map(|(.., item)| item)
    }

    fn each<X>(of: &Sides<X>, mut each: impl FnMut(&At, &X)) {
        for (second, queue) in [false, true].into_iter().zip(&of.sides) {
            queue.iter().for_each(|(time, number, item)| each(&(second, *time, *number), item));
        }
    }

    fn drain<X>(of: &mut Sides<X>, mut each: impl FnMut(At, X)) {
        for (second, queue) in [false, true].into_iter().zip(&mut of.sides) {
            queue.drain(..).for_each(|(time, number, item)| each((second, time, number), item));
            slim(queue);
        }
    }

    /// Of each side only the first items are looked at: on a side they expire in order of time, or not at
    /// all.
    #[inline]
    fn expire<X>(of: &mut Sides<X>, now: i64, expires: impl Fn(&X) -> i64, mut each: impl FnMut(&At, &X)) {
        if !is_over(of.expires, now) {
            return;
        }
        of.expires = NEVER;
        for (second, queue) in [false, true].into_iter().zip(&mut of.sides) {
            while let Some((time, number, item)) = queue.pop_front_if(|row| is_over(expires(&row.2), now)) {
                each(&(second, time, number), &item);
            }
            slim(queue);
            of.expires = queue.front().map_or(of.expires, |first| of.expires.min(expires(&first.2)));
        }
    }

    #[inline]
    fn is_empty<X>(of: &Sides<X>) -> bool {
        of.sides.iter().all(VecDeque::is_empty)
    }

    #[inline]
    fn peek<X>(of: &Sides<X>) -> bool {
        of.sides.iter().all(|queue| queue.front().is_none_or(|row| row.0 == EventTime::MAX))
    }

    #[inline]
    fn note<X>(of: &mut Sides<X>, (_, time, _): &At) -> Option<()> {
        let before = of.changed;
        of.changed = Some(before.map_or(*time, |before| before.min(*time)));
        before.is_none().then_some(())
    }

    fn is_noted<X>(of: &Sides<X>, (): &(), _: impl Fn(&X) -> bool) -> bool {
        // As long as the cell has noted something, its column must have noted the cell.
        of.changed.is_some()
    }

    fn noted<X>(of: &mut Sides<X>, (): &(), mut each: impl FnMut(At, &mut X)) {
        let Some(from) = of.changed.take() else { return };
        for (second, queue) in [false, true].into_iter().zip(&mut of.sides) {
            let start = queue.partition_point(|row| row.0 < from);
            for (time, number, item) in queue.range_mut(start..) {
                each((second, *time, *number), item);
            }
        }
    }
}

impl<K: Key, V: Exchange> Cells<K, Timed<V>> {
    /// Adds a value, which expires at `expires`, behind those of its side and time. Values of a side expire
    /// in order of time, or never.
    #[inline]
    pub(crate) fn push(&mut self, slot: Slot, second: bool, time: EventTime, value: V, expires: i64) {
        self.make_room(slot);
        self.footprint.see(&value);
        let number = self.cells[slot.index()].next_number(second, time);
        self.insert(slot, (second, time, number), value, expires);
    }

    /// Takes the first item of a side, if `goes` holds for its time. If it is [sealed](Item::is_sealed), it
    /// is to be [buried](Cells::bury).
    #[inline]
    pub(crate) fn pop(
        &mut self,
        slot: Slot,
        second: bool,
        goes: impl FnOnce(EventTime) -> bool,
    ) -> Option<(At, Item<V>)> {
        let queue = self.cells.get_mut(slot.index())?.side_mut(second);
        let (time, number, mut item) = queue.pop_front_if(|(time, ..)| goes(*time))?;
        slim(queue);
        self.items -= 1;
        let at = (second, time, number);
        if item.meta.changed().is_before(self.write_back.dirty_mark)
            && let Some(copying) = &mut self.copying
        {
            copying.keep(slot, at, copy(&item.value, item.meta.expires()));
            item.meta = item.meta.kept();
        }
        Some((at, item))
    }
}

#[cfg(test)]
mod tests;
