//! A value for each key, and values that add up.

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
        // A function that is looked at before the job starts is cloned to find them.
        Value::at(self.place.cloned::<Self>())
    }
}

impl<V> Copy for Value<V> {}

impl<V> fmt::Debug for Value<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A handle that leads nowhere, until [`open`](super::Process::open) puts a registered one in its place.
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

    /// Gives the key a value.
    #[inline]
    pub fn set<C: Stateful>(&self, cx: &mut C, value: V) {
        let core = cx.core_mut();
        let expires = core.expiry(self.place);
        if let Some((cells, slot)) = core.cells_mut::<One<V>>(self.place) {
            cells.put(slot, (), value, expires);
        }
    }

    /// Changes the key's value where it lies, or gives it one first.
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

    /// Changes the key's value where it lies, if it has one. Not for values that expire.
    #[inline]
    pub(crate) fn change<C: Stateful, R>(&self, cx: &mut C, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let (cells, slot) = cx.core_mut().cells_mut::<One<V>>(self.place)?;
        cells.update(slot, &(), |item| change(&mut item.value))
    }

    fn has_expired<K: crate::data::Key>(&self, core: &super::core::Core<K>) -> bool {
        let item = core.cells::<One<V>>(self.place).and_then(|cells| cells.cell(core.slot)?.as_ref());
        item.is_some_and(|item| core.is_over(self.place, item.meta.expires()))
    }

    /// Reads the value, and gives it its whole time to live again if reads do that.
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

    /// Takes the key's value out.
    pub fn take<C: Stateful>(&self, cx: &mut C) -> Option<V> {
        let core = cx.core_mut();
        let over = self.has_expired(core);
        core.take::<One<V>>(self.place, &()).filter(|_| !over)
    }

    /// Takes the key's value out.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        cx.core_mut().clear::<One<V>>(self.place);
    }
}

/// A value for each key that what is added is joined to by a function: Flink's `ReducingState`.
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

    /// Joins a value to the key's.
    pub fn add<C: Stateful>(&self, cx: &mut C, value: V) {
        let mut value = Some(value);
        // One of the two takes the value.
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

    /// Takes the key's value out.
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

    /// Takes the accumulator out.
    pub fn clear<C: Stateful>(&self, cx: &mut C) {
        self.acc.clear(cx);
    }
}
