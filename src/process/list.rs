//! State with a list for each key.
//!
//! Each value is an item of its own, under a number that increases along the list. So values expire one by
//! one, and their removal does not move others.

use std::fmt;
use std::marker::PhantomData;

use super::core::{KeyPlace, Stateful};
use crate::data::Exchange;
use crate::state::Many;

/// A list for each key: Flink's `ListState`. Made by [`States::list`](super::States::list).
///
/// The cost of adding a value does not depend on the length of the list, and a snapshot of a list that was
/// added to writes what was added.
pub struct List<V> {
    place: KeyPlace,
    value: PhantomData<fn() -> V>,
}

#[allow(clippy::non_canonical_clone_impl, reason = "it takes note of handles that lead nowhere")]
impl<V> Clone for List<V> {
    fn clone(&self) -> Self {
        // An inspection before the job starts clones the function to find handles that are not registered.
        List::at(self.place.cloned::<Self>())
    }
}

impl<V> Copy for List<V> {}

impl<V> fmt::Debug for List<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A handle without a state, until [`open`](super::Process::open) replaces it by a registered one.
impl<V> Default for List<V> {
    fn default() -> List<V> {
        List::at(KeyPlace::NONE)
    }
}

impl<V> List<V> {
    pub(super) fn at(place: KeyPlace) -> List<V> {
        List { place, value: PhantomData }
    }
}

impl<V: Exchange> List<V> {
    /// Adds a value at the end.
    pub fn push<C: Stateful>(&self, cx: &mut C, value: V) {
        let core = cx.core_mut();
        let expires = core.expiry(self.place);
        if let Some((cells, slot)) = core.cells_mut::<Many<V>>(self.place) {
            let last = cells.cell(slot).and_then(|list| list.back()).map(|(number, _)| *number);
            cells.put(slot, last.map_or(0, |last| last + 1), value, expires);
        }
    }

    /// The values that have not expired, in order.
    pub fn iter<'c, C: Stateful>(&self, cx: &'c C) -> impl Iterator<Item = &'c V> + use<'c, C, V> {
        let (core, place) = (cx.core(), self.place);
        let list = core.cells::<Many<V>>(place).and_then(|cells| cells.cell(core.slot));
        let items = list.into_iter().flatten().map(|(_, item)| item);
        items.filter(move |item| !core.is_over(place, item.meta.expires())).map(|item| &item.value)
    }

    /// The number of values that have not expired. Values that expire are counted one by one.
    pub fn len<C: Stateful>(&self, cx: &C) -> usize {
        match self.place.ttl() {
            Some(_) => self.iter(cx).count(),
            None => {
                let core = cx.core();
                let cells = core.cells::<Many<V>>(self.place);
                cells.and_then(|cells| cells.cell(core.slot)).map_or(0, |list| list.len())
            }
        }
    }

    /// True if there is no value.
    pub fn is_empty<C: Stateful>(&self, cx: &C) -> bool {
        self.len(cx) == 0
    }

    /// Keeps the values for which `keep` holds.
    pub fn retain<C: Stateful>(&self, cx: &mut C, mut keep: impl FnMut(&V) -> bool) {
        let core = cx.core_mut();
        let list = core.cells::<Many<V>>(self.place).and_then(|cells| cells.cell(core.slot));
        // What has expired is never shown. It goes by itself.
        let valid =
            list.into_iter().flatten().filter(|(_, item)| !core.is_over(self.place, item.meta.expires()));
        let unwanted = valid.filter(|(_, item)| !keep(&item.value));
        // Collected first: the list is borrowed from the core, which `take` changes.
        let unwanted: Vec<u64> = unwanted.map(|(number, _)| *number).collect();
        for number in unwanted {
            core.take::<Many<V>>(self.place, &number);
        }
    }

    /// Replaces all values.
    pub fn replace<C: Stateful>(&self, cx: &mut C, values: impl IntoIterator<Item = V>) {
        self.clear(cx);
        for value in values {
            self.push(cx, value);
        }
    }

    /// Removes all values, and returns those that have not expired, in order.
    pub fn take<C: Stateful>(&self, cx: &mut C) -> Vec<V> {
        let values = self.iter(cx).cloned().collect();
        self.clear(cx);
        values
    }

    /// Removes all values.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        cx.core_mut().clear::<Many<V>>(self.place);
    }
}
