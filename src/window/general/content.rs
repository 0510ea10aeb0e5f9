//! The content of a window: an accumulator, or its records.

use std::sync::Arc;

use super::evictor::{Element, Evictor};
use super::function::{WindowContext, WindowProcess, WindowState, WindowStates};
use crate::data::{Change, Data, Exchange, Key};
use crate::error::Result;
use crate::process::core::Core;
use crate::process::{List, Value};
use crate::state::Slot;
use crate::stream::Aggregate;
use crate::time::EventTime;
use crate::window::assigner::Window;
use crate::window::general::other_operators::{Foreign, Parts};
use crate::window::key_and_window::Scope;
use crate::window::windowed::Windowed;

/// The content of windows, and what is made of it. The slot of `core` is that of the window at hand.
pub(super) trait Content<K: Key, T>: Clone + Send + Sync + 'static {
    /// What is emitted.
    type Out: Data;
    /// The accumulator. `()` if the content is records.
    type Acc: Exchange;

    /// Registers states.
    fn open(&mut self, states: &mut WindowStates<'_, K>);

    /// Adds a record.
    fn add(&mut self, core: &mut Core<Scope<K>>, value: T, timestamp: EventTime);

    /// Adds the content of another window, which is left without.
    #[doc(hidden)]
    fn absorb(&mut self, core: &mut Core<Scope<K>>, other: Other);

    /// Emits the result, if there is content.
    fn fire(&mut self, cx: &mut WindowContext<'_, K, Self::Out>);

    /// Adds what another operator has added up.
    fn merge(&mut self, core: &mut Core<Scope<K>>, acc: Self::Acc);

    /// Reads what a snapshot has of another operator, if the content can be made of that.
    ///
    /// # Errors
    ///
    /// If it cannot, or the snapshot cannot be read.
    fn read(&self, snapshot: &Foreign<'_>) -> Result<Parts<K, Self::Acc>>;

    /// Drops the content.
    fn purge(&mut self, core: &mut Core<Scope<K>>);

    /// Drops all that is left of a window that is over.
    fn clear(&mut self, core: &mut Core<Scope<K>>);
}

/// The slot of a window that is absorbed.
#[derive(Clone, Copy)]
pub(super) struct Other(pub(super) Slot);

/// Does something at the slot of another window.
fn at<K: Key, R>(core: &mut Core<Scope<K>>, other: Other, f: impl FnOnce(&mut Core<Scope<K>>) -> R) -> R {
    let slot = std::mem::replace(&mut core.slot, other.0);
    let result = f(core);
    core.slot = slot;
    result
}

/// An accumulator for each window.
struct Accumulator<A, Acc> {
    aggregate: A,
    acc: Value<Acc>,
}

impl<A: Clone, Acc> Clone for Accumulator<A, Acc> {
    fn clone(&self) -> Self {
        Accumulator { aggregate: self.aggregate.clone(), acc: self.acc }
    }
}

impl<A, Acc: Exchange> Accumulator<A, Acc> {
    fn add<K: Key, T>(&self, core: &mut Core<Scope<K>>, value: T)
    where
        A: Aggregate<T, Acc = Acc>,
    {
        let Some(acc) = self.acc.get(core) else {
            self.acc.set(core, self.aggregate.start(value));
            return;
        };
        // A value that changes nothing saves the write of the entry.
        if !self.aggregate.ignores(acc, &value) {
            self.acc.change(core, |acc| self.aggregate.add(acc, value));
        }
    }

    fn absorb<K: Key, T>(&self, core: &mut Core<Scope<K>>, other: Other)
    where
        A: Aggregate<T, Acc = Acc>,
    {
        if let Some(taken) = at(core, other, |core| self.acc.take(core)) {
            self.merge(core, taken);
        }
    }

    fn merge<K: Key, T>(&self, core: &mut Core<Scope<K>>, other: Acc)
    where
        A: Aggregate<T, Acc = Acc>,
    {
        if self.acc.get(core).is_some() {
            self.acc.change(core, |acc| self.aggregate.merge(acc, other));
        } else {
            self.acc.set(core, other);
        }
    }

    /// The result, if there is anything.
    fn result<K: Key, T>(&self, core: &Core<Scope<K>>) -> Option<A::Out>
    where
        A: Aggregate<T, Acc = Acc>,
    {
        let acc = self.acc.get(core).filter(|acc| !self.aggregate.is_empty(acc));
        acc.map(|acc| self.aggregate.result(acc))
    }
}

/// Content that is added up as it comes.
pub(super) struct Folded<A, Acc, P> {
    sum: Accumulator<A, Acc>,
    function: P,
}

impl<A: Clone, Acc, P: Clone> Clone for Folded<A, Acc, P> {
    fn clone(&self) -> Self {
        Folded { sum: self.sum.clone(), function: self.function.clone() }
    }
}

impl<A, Acc, P> Folded<A, Acc, P> {
    pub(super) fn new(aggregate: A, function: P) -> Folded<A, Acc, P> {
        Folded { sum: Accumulator { aggregate, acc: Value::default() }, function }
    }
}

impl<K, T, A, P> Content<K, T> for Folded<A, A::Acc, P>
where
    K: Key,
    T: Data,
    A: Aggregate<T>,
    P: WindowProcess<K, A::Out>,
{
    type Out = P::Out;
    type Acc = A::Acc;

    fn open(&mut self, states: &mut WindowStates<'_, K>) {
        self.sum.acc = states.window().value("window content");
        self.function.open(states);
    }

    fn add(&mut self, core: &mut Core<Scope<K>>, value: T, _: EventTime) {
        self.sum.add(core, value);
    }

    fn absorb(&mut self, core: &mut Core<Scope<K>>, other: Other) {
        self.sum.absorb(core, other);
        // The absorbed window is forgotten, so the function drops what it keeps for it.
        at(core, other, |core| self.function.clear(&mut WindowState(core)));
    }

    fn merge(&mut self, core: &mut Core<Scope<K>>, acc: A::Acc) {
        self.sum.merge(core, acc);
    }

    fn read(&self, snapshot: &Foreign<'_>) -> Result<Parts<K, A::Acc>> {
        snapshot.read::<K, T, A>(&self.sum.aggregate)
    }

    fn fire(&mut self, cx: &mut WindowContext<'_, K, P::Out>) {
        if let Some(result) = self.sum.result(cx.windows) {
            self.function.process(result, cx);
        }
    }

    fn purge(&mut self, core: &mut Core<Scope<K>>) {
        self.sum.acc.clear(core);
    }

    fn clear(&mut self, core: &mut Core<Scope<K>>) {
        self.sum.acc.clear(core);
        self.function.clear(&mut WindowState(core));
    }
}

/// Content that is kept record by record.
pub(super) struct Listed<T, P> {
    elements: List<Element<T>>,
    evictor: Option<Arc<dyn Evictor<T>>>,
    function: P,
}

impl<T, P: Clone> Clone for Listed<T, P> {
    fn clone(&self) -> Self {
        Listed { elements: self.elements, evictor: self.evictor.clone(), function: self.function.clone() }
    }
}

impl<T, P> Listed<T, P> {
    pub(super) fn new(evictor: Option<Arc<dyn Evictor<T>>>, function: P) -> Listed<T, P> {
        Listed { elements: List::default(), evictor, function }
    }
}

impl<K, T, P> Content<K, T> for Listed<T, P>
where
    K: Key,
    T: Exchange,
    P: WindowProcess<K, Vec<T>>,
{
    type Out = P::Out;
    type Acc = ();

    fn open(&mut self, states: &mut WindowStates<'_, K>) {
        self.elements = states.window().list("window content");
        self.function.open(states);
    }

    fn add(&mut self, core: &mut Core<Scope<K>>, value: T, timestamp: EventTime) {
        self.elements.push(core, Element { timestamp, value });
    }

    fn absorb(&mut self, core: &mut Core<Scope<K>>, other: Other) {
        let taken = at(core, other, |core| self.elements.take(core));
        taken.into_iter().for_each(|element| self.elements.push(core, element));
        at(core, other, |core| self.function.clear(&mut WindowState(core)));
    }

    fn merge(&mut self, _: &mut Core<Scope<K>>, (): ()) {}

    fn read(&self, snapshot: &Foreign<'_>) -> Result<Parts<K, ()>> {
        snapshot.refuse()
    }

    fn fire(&mut self, cx: &mut WindowContext<'_, K, P::Out>) {
        let mut elements: Vec<Element<T>> = self.elements.iter(cx).cloned().collect();
        if elements.is_empty() {
            return;
        }
        let all = elements.len();
        if let Some(evictor) = &self.evictor {
            evictor.before(&mut elements, cx.window);
        }
        let mut sorted: Vec<&Element<T>> = elements.iter().collect();
        // A stable sort: records of one time stay in order of arrival.
        sorted.sort_by_key(|element| element.timestamp);
        self.function.process(sorted.into_iter().map(|element| element.value.clone()).collect(), cx);
        if let Some(evictor) = &self.evictor {
            evictor.after(&mut elements, cx.window);
            // Written back only if the evictor has dropped something, before or after.
            if elements.len() != all {
                self.elements.replace(cx, elements);
            }
        }
    }

    fn purge(&mut self, core: &mut Core<Scope<K>>) {
        self.elements.clear(core);
    }

    fn clear(&mut self, core: &mut Core<Scope<K>>) {
        self.elements.clear(core);
        self.function.clear(&mut WindowState(core));
    }
}

/// A function of an aggregate's result as one of records.
#[derive(Clone)]
pub(in crate::window) struct Summed<A, P>(pub(in crate::window) A, pub(in crate::window) P);

impl<K, T, A, P> WindowProcess<K, Vec<T>> for Summed<A, P>
where
    K: Key,
    A: Aggregate<T>,
    P: WindowProcess<K, A::Out>,
{
    type Out = P::Out;

    fn open(&mut self, states: &mut WindowStates<'_, K>) {
        self.1.open(states);
    }

    fn process(&mut self, values: Vec<T>, cx: &mut WindowContext<'_, K, P::Out>) {
        let mut values = values.into_iter();
        let Some(first) = values.next() else { return };
        let mut acc = self.0.start(first);
        values.for_each(|value| self.0.add(&mut acc, value));
        if !self.0.is_empty(&acc) {
            self.1.process(self.0.result(&acc), cx);
        }
    }

    fn clear(&mut self, state: &mut WindowState<'_, K>) {
        self.1.clear(state);
    }
}

/// Content that is added up, whose results are taken back when they are restated.
pub(super) struct Restated<A, Acc, R> {
    sum: Accumulator<A, Acc>,
    /// The results that stand: those of the windows that have become this one.
    standing: Value<Vec<(Window, R)>>,
}

impl<A: Clone, Acc, R> Clone for Restated<A, Acc, R> {
    fn clone(&self) -> Self {
        Restated { sum: self.sum.clone(), standing: self.standing }
    }
}

impl<A, Acc, R> Restated<A, Acc, R> {
    pub(super) fn new(aggregate: A) -> Restated<A, Acc, R> {
        let sum = Accumulator { aggregate, acc: Value::default() };
        Restated { sum, standing: Value::default() }
    }
}

impl<K, T, A> Content<K, T> for Restated<A, A::Acc, A::Out>
where
    K: Key,
    T: Data,
    A: Aggregate<T, Out: Exchange + PartialEq>,
{
    type Out = Change<Windowed<K, A::Out>>;
    type Acc = A::Acc;

    fn open(&mut self, states: &mut WindowStates<'_, K>) {
        self.sum.acc = states.window().value("window content");
        self.standing = states.window().value("standing");
    }

    fn add(&mut self, core: &mut Core<Scope<K>>, value: T, _: EventTime) {
        self.sum.add(core, value);
    }

    fn absorb(&mut self, core: &mut Core<Scope<K>>, other: Other) {
        self.sum.absorb(core, other);
        if let Some(standing) = at(core, other, |core| self.standing.take(core)) {
            // Results of windows that were merged are retracted when the merged one fires.
            self.standing.update(core, Vec::new, |own| own.extend(standing));
        }
    }

    fn merge(&mut self, core: &mut Core<Scope<K>>, acc: A::Acc) {
        self.sum.merge(core, acc);
    }

    fn read(&self, snapshot: &Foreign<'_>) -> Result<Parts<K, A::Acc>> {
        snapshot.read::<K, T, A>(&self.sum.aggregate)
    }

    fn fire(&mut self, cx: &mut WindowContext<'_, K, Self::Out>) {
        let result = self.sum.result(cx.windows).map(|value| (cx.window, value));
        let standing = self.standing.take(cx).unwrap_or_default();
        // A result that stands as it is is not taken back and given again.
        let same = matches!((&result, standing.as_slice()), (Some(new), [old]) if new == old);
        if !same {
            let key = cx.key().clone();
            for (window, value) in standing {
                cx.emit(Change::retract(Windowed { key: key.clone(), window, value }));
            }
            if let Some((window, value)) = result.clone() {
                cx.emit(Change::insert(Windowed { key, window, value }));
            }
        }
        if let Some(result) = result {
            self.standing.set(cx, vec![result]);
        }
    }

    fn purge(&mut self, core: &mut Core<Scope<K>>) {
        self.sum.acc.clear(core);
    }

    fn clear(&mut self, core: &mut Core<Scope<K>>) {
        self.sum.acc.clear(core);
        self.standing.clear(core);
    }
}
