//! Values by their times for each key, on two sides: what a join of two streams keeps.

use std::fmt;
use std::marker::PhantomData;

use super::core::{Core, KeyPlace, Stateful};
use crate::data::{Exchange, Key};
use crate::state::{self, At};
use crate::time::EventTime;

/// Values by their times for each key, on two sides. Made by [`States::timed`](super::States::timed).
///
/// A value costs a few nanoseconds to add and to take, if values come nearly in order of time and are taken
/// in that order.
pub(crate) struct Timed<V> {
    place: KeyPlace,
    value: PhantomData<fn() -> V>,
}

#[allow(clippy::non_canonical_clone_impl, reason = "it takes note of handles that lead nowhere")]
impl<V> Clone for Timed<V> {
    fn clone(&self) -> Self {
        // A function that is looked at before the job starts is cloned to find them.
        Timed::at(self.place.cloned::<Self>())
    }
}

impl<V> Copy for Timed<V> {}

impl<V> fmt::Debug for Timed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A handle that leads nowhere, until [`open`](super::Process::open) puts a registered one in its place.
impl<V> Default for Timed<V> {
    fn default() -> Timed<V> {
        Timed::at(KeyPlace::NONE)
    }
}

impl<V> Timed<V> {
    pub(super) fn at(place: KeyPlace) -> Timed<V> {
        Timed { place, value: PhantomData }
    }
}

impl<V: Exchange> Timed<V> {
    /// Adds a value behind those of its side and time, and says when it expires. Values of a side expire in
    /// order of time, or [never](state::NEVER).
    #[inline]
    pub(crate) fn push<C: Stateful>(
        &self,
        cx: &mut C,
        (second, time): (bool, EventTime),
        value: V,
        expires: i64,
    ) {
        if let Some((cells, slot)) = cx.core_mut().cells_mut::<state::Timed<V>>(self.place) {
            cells.push(slot, second, time, value, expires);
        }
    }

    /// The first time on a side.
    #[inline]
    pub(crate) fn first<C: Stateful>(&self, cx: &C, second: bool) -> Option<EventTime> {
        let core = cx.core();
        core.cells::<state::Timed<V>>(self.place)?.cell(core.slot)?.first(second)
    }

    /// The values on a side from one time to another, both included, in order.
    #[inline]
    pub(crate) fn between<'c, K: Key>(
        &self,
        core: &'c Core<K>,
        second: bool,
        from: EventTime,
        to: EventTime,
    ) -> impl Iterator<Item = (At, &'c V)> + use<'c, K, V> {
        let cell = core.cells::<state::Timed<V>>(self.place).and_then(|cells| cells.cell(core.slot));
        let items = cell.map(|cell| cell.between(second, from, to)).into_iter().flatten();
        items.map(|(at, item)| (at, &item.value))
    }

    /// Changes a value where it lies, if it is there.
    pub(crate) fn change<C: Stateful, R>(
        &self,
        cx: &mut C,
        at: At,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let (cells, slot) = cx.core_mut().cells_mut::<state::Timed<V>>(self.place)?;
        cells.update(slot, &at, |item| change(&mut item.value))
    }

    /// Takes the first value on a side with its time, if `goes` holds for that.
    #[inline]
    pub(crate) fn pop<C: Stateful>(
        &self,
        cx: &mut C,
        second: bool,
        goes: impl FnOnce(EventTime) -> bool,
    ) -> Option<(EventTime, V)> {
        let core = cx.core_mut();
        let (cells, slot) = core.cells_mut::<state::Timed<V>>(self.place)?;
        let (at, item) = cells.pop(slot, second, goes)?;
        let was_last = cells.is_bare(slot);
        if item.is_sealed() {
            let key = core.store.key(slot).clone();
            if let Some((cells, _)) = core.cells_mut::<state::Timed<V>>(self.place) {
                cells.bury(key, at);
            }
        }
        if was_last {
            core.store.lost(slot);
        }
        Some((at.1, item.value))
    }
}
