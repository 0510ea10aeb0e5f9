//! State with a map for each key.
//!
//! Each entry is an item of its own, so entries expire one by one.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

use super::core::{KeyPlace, Stateful};
use crate::data::{Exchange, Key};
use crate::state::Mapped;

/// A map for each key: Flink's `MapState`. Made by [`States::map`](super::States::map).
///
/// Its entries are in order of their keys, so reads are deterministic. A snapshot of a map of which little
/// has changed writes little.
pub struct Map<S, V> {
    place: KeyPlace,
    entry: PhantomData<fn() -> (S, V)>,
}

#[allow(clippy::non_canonical_clone_impl, reason = "it takes note of handles that lead nowhere")]
impl<S, V> Clone for Map<S, V> {
    fn clone(&self) -> Self {
        // An inspection before the job starts clones the function to find handles that are not registered.
        Map::at(self.place.cloned::<Self>())
    }
}

impl<S, V> Copy for Map<S, V> {}

impl<S, V> fmt::Debug for Map<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A handle without a state, until [`open`](super::Process::open) replaces it by a registered one.
impl<S, V> Default for Map<S, V> {
    fn default() -> Map<S, V> {
        Map::at(KeyPlace::NONE)
    }
}

impl<S, V> Map<S, V> {
    pub(super) fn at(place: KeyPlace) -> Map<S, V> {
        Map { place, entry: PhantomData }
    }
}

impl<S: Key, V: Exchange> Map<S, V> {
    /// The value under a key of the map.
    pub fn get<'c, C: Stateful>(&self, cx: &'c C, key: &S) -> Option<&'c V> {
        let core = cx.core();
        let item = core.cells::<Mapped<S, V>>(self.place)?.cell(core.slot)?.get(key)?;
        (!core.is_over(self.place, item.meta.expires())).then_some(&item.value)
    }

    /// True if there is a value under a key of the map.
    pub fn contains<C: Stateful>(&self, cx: &C, key: &S) -> bool {
        self.get(cx, key).is_some()
    }

    /// Puts a value under a key of the map.
    pub fn insert<C: Stateful>(&self, cx: &mut C, key: S, value: V) {
        let core = cx.core_mut();
        let expires = core.expiry(self.place);
        if let Some((cells, slot)) = core.cells_mut::<Mapped<S, V>>(self.place) {
            cells.put(slot, key, value, expires);
        }
    }

    /// Changes the value under a key of the map in place; if there is none, `default` is put there first.
    pub fn update<C: Stateful, R>(
        &self,
        cx: &mut C,
        key: S,
        default: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let core = cx.core_mut();
        let (place, now, expires) = (self.place, core.now, core.expiry(self.place));
        let (cells, slot) = core.cells_mut::<Mapped<S, V>>(place)?;
        Some(cells.upsert((slot, key), expires, |expires| place.is_over(expires, now), default, change))
    }

    /// Removes the value under a key of the map and returns it, unless it has expired.
    pub fn remove<C: Stateful>(&self, cx: &mut C, key: &S) -> Option<V> {
        // Before the removal, which takes an expired value too.
        let there = self.contains(cx, key);
        cx.core_mut().take::<Mapped<S, V>>(self.place, key).filter(|_| there)
    }

    /// The entries that have not expired, in order of their keys.
    pub fn iter<'c, C: Stateful>(
        &self,
        cx: &'c C,
    ) -> impl Iterator<Item = (&'c S, &'c V)> + use<'c, C, S, V> {
        let (core, place) = (cx.core(), self.place);
        let map = core.cells::<Mapped<S, V>>(place).and_then(|cells| cells.cell(core.slot));
        let items = map.into_iter().flatten();
        items
            .filter(move |(_, item)| !core.is_over(place, item.meta.expires()))
            .map(|(key, item)| (key, &item.value))
    }

    /// The entries of a range of keys that have not expired, in order.
    ///
    /// # Panics
    ///
    /// As [`BTreeMap::range`](std::collections::BTreeMap::range) does: if the range begins after its end.
    pub fn range<'c, C: Stateful, B: RangeBounds<S>>(
        &self,
        cx: &'c C,
        keys: B,
    ) -> impl DoubleEndedIterator<Item = (&'c S, &'c V)> + use<'c, C, B, S, V> {
        let (core, place) = (cx.core(), self.place);
        let map = core.cells::<Mapped<S, V>>(place).and_then(|cells| cells.cell(core.slot));
        let items = map.map(|map| map.range(keys)).into_iter().flatten();
        items
            .filter(move |(_, item)| !core.is_over(place, item.meta.expires()))
            .map(|(key, item)| (key, &item.value))
    }

    /// True if there is no entry.
    pub fn is_empty<C: Stateful>(&self, cx: &C) -> bool {
        self.iter(cx).next().is_none()
    }

    /// Removes all entries.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        cx.core_mut().clear::<Mapped<S, V>>(self.place);
    }
}
