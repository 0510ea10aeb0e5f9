//! State with one value for each key, and the reducing and aggregating states on top of it.
//!
//! A handle is only the place of the state in its function; each call reads or writes the value of the
//! current key. Reads compare the expiry of a value with its clock, so they never return an expired value,
//! even if it has not been removed yet.

use std::fmt;
use std::marker::PhantomData;

use super::Refresh;
use super::core::{KeyPlace, Stateful};
use crate::data::{Data, Exchange};
use crate::state::One;
use crate::stream::Aggregate;

/// A value for each key: Flink's `ValueState`. Made by [`States::value`](super::States::value).
pub struct Value<V> {
    place: KeyPlace,
    value: PhantomData<fn() -> V>,
}

#[allow(clippy::non_canonical_clone_impl, reason = "it takes note of handles that lead nowhere")]
impl<V> Clone for Value<V> {
    fn clone(&self) -> Self {
        // An inspection before the job starts clones the function to find handles that are not registered.
        Value::at(self.place.cloned::<Self>())
    }
}

impl<V> Copy for Value<V> {}

impl<V> fmt::Debug for Value<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A handle without a state, until [`open`](super::Process::open) replaces it by a registered one.
impl<V> Default for Value<V> {
    fn default() -> Value<V> {
        Value::at(KeyPlace::NONE)
    }
}

impl<V> Value<V> {
    pub(super) fn at(place: KeyPlace) -> Value<V> {
        Value { place, value: PhantomData }
    }
}

impl<V: Exchange> Value<V> {
    /// The key's value, if it has one that has not expired.
    #[inline]
    pub fn get<'c, C: Stateful>(&self, cx: &'c C) -> Option<&'c V> {
        let core = cx.core();
        let item = core.cells::<One<V>>(self.place)?.cell(core.slot)?.as_ref()?;
        (!core.is_over(self.place, item.meta.expires())).then_some(&item.value)
    }

    /// Sets the key's value.
    #[inline]
    pub fn set<C: Stateful>(&self, cx: &mut C, value: V) {
        let core = cx.core_mut();
        let expires = core.expiry(self.place);
        if let Some((cells, slot)) = core.cells_mut::<One<V>>(self.place) {
            cells.put(slot, (), value, expires);
        }
    }

    /// Changes the key's value in place; if there is none, it is set to `default` first.
    #[inline]
    pub fn update<C: Stateful, R>(
        &self,
        cx: &mut C,
        default: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let core = cx.core_mut();
        let expires = core.expiry(self.place);
        let (place, now) = (self.place, core.now);
        let (cells, slot) = core.cells_mut::<One<V>>(place)?;
        Some(cells.upsert((slot, ()), expires, |expires| place.is_over(expires, now), default, change))
    }

    /// Changes the key's value in place, if it has one. Not for values that expire: it neither checks nor
    /// renews the expiry.
    #[inline]
    pub(crate) fn change<C: Stateful, R>(&self, cx: &mut C, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let (cells, slot) = cx.core_mut().cells_mut::<One<V>>(self.place)?;
        cells.update(slot, &(), |item| change(&mut item.value))
    }

    fn has_expired<K: crate::data::Key>(&self, core: &super::core::Core<K>) -> bool {
        let item = core.cells::<One<V>>(self.place).and_then(|cells| cells.cell(core.slot)?.as_ref());
        item.is_some_and(|item| core.is_over(self.place, item.meta.expires()))
    }

    /// Reads the value, and restarts its time to live if reads [refresh](Refresh) it.
    pub fn read<C: Stateful>(&self, cx: &mut C) -> Option<V> {
        let value = self.get(cx)?.clone();
        if self.place.ttl().is_some_and(|ttl| ttl.refresh == Refresh::OnReadAndWrite) {
            let core = cx.core_mut();
            let expires = core.expiry(self.place);
            let (cells, slot) = core.cells_mut::<One<V>>(self.place)?;
            cells.update(slot, &(), |item| item.meta = item.meta.expiring(expires));
        }
        Some(value)
    }

    /// Removes the key's value and returns it, unless it has expired.
    pub fn take<C: Stateful>(&self, cx: &mut C) -> Option<V> {
        let core = cx.core_mut();
        // Before the removal, which takes an expired value too.
        let over = self.has_expired(core);
        core.take::<One<V>>(self.place, &()).filter(|_| !over)
    }

    /// Removes the key's value.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        cx.core_mut().clear::<One<V>>(self.place);
    }
}

/// A value for each key, into which a function merges each added value: Flink's `ReducingState`.
pub struct Reducing<V, F> {
    value: Value<V>,
    reduce: F,
}

impl<V, F: Clone> Clone for Reducing<V, F> {
    fn clone(&self) -> Self {
        Reducing { value: self.value, reduce: self.reduce.clone() }
    }
}

impl<V: Exchange, F: Fn(&V, V) -> V> Reducing<V, F> {
    pub(super) fn new(value: Value<V>, reduce: F) -> Reducing<V, F> {
        Reducing { value, reduce }
    }

    /// Merges a value into the key's.
    pub fn add<C: Stateful>(&self, cx: &mut C, value: V) {
        let mut value = Some(value);
        // Only one of the two arms consumes the value.
        let joined = match (self.value.get(cx), value.take()) {
            (Some(old), Some(new)) => (self.reduce)(old, new),
            (None, Some(new)) => new,
            (_, None) => return,
        };
        self.value.set(cx, joined);
    }

    /// The key's value.
    pub fn get<'c, C: Stateful>(&self, cx: &'c C) -> Option<&'c V> {
        self.value.get(cx)
    }

    /// Removes the key's value.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        self.value.clear(cx);
    }
}

/// An accumulator for each key: Flink's `AggregatingState`.
pub struct Aggregating<T, A: Aggregate<T>> {
    acc: Value<A::Acc>,
    aggregate: A,
    input: PhantomData<fn(T)>,
}

impl<T, A: Aggregate<T>> Clone for Aggregating<T, A> {
    fn clone(&self) -> Self {
        Aggregating { acc: self.acc, aggregate: self.aggregate.clone(), input: PhantomData }
    }
}

impl<T: Data, A: Aggregate<T>> Aggregating<T, A> {
    pub(super) fn new(acc: Value<A::Acc>, aggregate: A) -> Aggregating<T, A> {
        Aggregating { acc, aggregate, input: PhantomData }
    }

    /// Adds a value to the key's accumulator.
    pub fn add<C: Stateful>(&self, cx: &mut C, value: T) {
        // Not one `update`: both of its functions would need the value, and one of them takes it.
        if self.acc.get(cx).is_none() {
            self.acc.set(cx, self.aggregate.start(value));
        } else {
            let unused = || unreachable!("the accumulator was there a moment ago");
            self.acc.update(cx, unused, |acc| self.aggregate.add(acc, value));
        }
    }

    /// The result, if anything was added.
    pub fn get<C: Stateful>(&self, cx: &C) -> Option<A::Out> {
        self.acc.get(cx).map(|acc| self.aggregate.result(acc))
    }

    /// Removes the accumulator.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        self.acc.clear(cx);
    }
}
