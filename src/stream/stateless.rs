//! Streams and their stateless steps.
//!
//! None of these makes an operator: each returns a stream whose type has one step more, and the steps are
//! compiled into the operator that the records come from (see [`chain`](super::Chain)). A ten-step chain
//! costs what its ten closures cost.

use std::marker::PhantomData;

use super::chain::{Chain, ChainSink, Collector, Origin, Step, Then};
use super::{Edge, Graph};
use crate::data::{Data, Key, Record, Stamp};
use crate::stream::consumers::{Emit, Node};

/// A stream of records of type `T` with event times.
///
/// A handle to a part of a job: it holds no data, and it can be cloned to give the same records to several
/// consumers. The second parameter is the chain of steps since the last operator; users write
/// `Stream<T, impl Chain<Out = T>>` where they must name it.
///
/// The steps are fused into the operator the chain starts from, once for each consumer: a clone's closures
/// run again. Use [`share`](Stream::share) before cloning a stream whose steps are expensive.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct Stream<T, C = Node<T>> {
    pub(crate) chain: C,
    value: PhantomData<fn() -> T>,
}

impl<T, C: Clone> Clone for Stream<T, C> {
    fn clone(&self) -> Self {
        Stream { chain: self.chain.clone(), value: PhantomData }
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    pub(crate) fn new(chain: C) -> Stream<T, C> {
        Stream { chain, value: PhantomData }
    }

    pub(crate) fn graph(&self) -> Graph {
        self.chain.origin().graph()
    }

    /// Leads the stream to a terminal, and gives the edge that it sends on.
    pub(crate) fn attach<N: ChainSink<T>>(self, terminal: N) -> Edge<N::Element> {
        C::From::attach(self.chain, terminal)
    }

    /// Leads the stream to an operator, record by record.
    pub(crate) fn emit(self) -> Edge<crate::data::Record<T>> {
        self.attach(Emit)
    }

    pub(super) fn then<S: Step<T>>(self, step: S) -> Stream<S::Out, Then<C, S>> {
        Stream::new(Then::new(self.chain, step))
    }

    /// Replaces each record by what `f` makes of it.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let doubled = job.collection([1, 2, 3]).map(|n| n * 2).collect();
    /// job.run()?;
    /// assert_eq!(doubled.sorted(), [2, 4, 6]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn map<U, F>(self, f: F) -> Stream<U, Then<C, Map<F>>>
    where
        U: Data,
        F: FnMut(T) -> U + Clone + Send + Sync + 'static,
    {
        self.then(Map(f))
    }

    /// Keeps the records of which `f` says true.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let even = job.collection(1..=4).filter(|n| n % 2 == 0).collect();
    /// job.run()?;
    /// assert_eq!(even.sorted(), [2, 4]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn filter<F>(self, f: F) -> Stream<T, Then<C, Filter<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + Sync + 'static,
    {
        self.then(Filter(f))
    }

    /// Replaces each record by what `f` makes of it, and drops it if that is nothing.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let numbers = job.collection(["1", "x", "3"]).filter_map(|s| s.parse::<i32>().ok()).collect();
    /// job.run()?;
    /// assert_eq!(numbers.sorted(), [1, 3]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn filter_map<U, F>(self, f: F) -> Stream<U, Then<C, FilterMap<F>>>
    where
        U: Data,
        F: FnMut(T) -> Option<U> + Clone + Send + Sync + 'static,
    {
        self.then(FilterMap(f))
    }

    /// Replaces each record by any number of records, which have its event time.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let words = job.collection(["to be", "or not"])
    ///     .flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(words.sorted(), ["be", "not", "or", "to"]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn flat_map<I, F>(self, f: F) -> Stream<I::Item, Then<C, FlatMap<F>>>
    where
        I: IntoIterator<Item: Data>,
        F: FnMut(T) -> I + Clone + Send + Sync + 'static,
    {
        self.then(FlatMap(f))
    }

    /// Shows each record and its stamp to `f`.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// static SEEN: AtomicU64 = AtomicU64::new(0);
    /// let job = Job::new();
    /// job.collection(1..=4u64).inspect(|n, _| { SEEN.fetch_add(*n, Ordering::Relaxed); }).discard();
    /// job.run()?;
    /// assert_eq!(SEEN.load(Ordering::Relaxed), 10);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn inspect<F>(self, f: F) -> Stream<T, Then<C, Inspect<F>>>
    where
        F: FnMut(&T, &Stamp) + Clone + Send + Sync + 'static,
    {
        self.then(Inspect(f))
    }

    /// Makes each record's stamp a part of its value: when it happened, and how far its split had come.
    ///
    /// ```
    /// # use highwater::{stream::Job, time::{EventTime, Watermarks}};
    /// let job = Job::new();
    /// let times = job.timed_collection([5, 9, 7], Watermarks::monotone(|t: &i64| *t));
    /// let lags = times.stamped().map(|record| (record.value, record.stamp.watermark)).collect();
    /// job.run()?;
    /// assert_eq!(lags.values(), [(5, EventTime::MIN), (9, 5), (7, 9)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn stamped(self) -> Stream<Record<T>, Then<C, Stamped>> {
        self.then(Stamped)
    }
}

/// See [`Stream::map`].
#[derive(Clone)]
pub struct Map<F>(F);

impl<T, U: Data, F: FnMut(T) -> U + Clone + Send + Sync + 'static> Step<T> for Map<F> {
    type Out = U;
    const NAME: &'static str = "map";

    #[inline(always)]
    fn apply<N: Collector<U>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        next.push((self.0)(value), stamp);
    }
}

/// See [`Stream::filter`].
#[derive(Clone)]
pub struct Filter<F>(F);

impl<T: Data, F: FnMut(&T) -> bool + Clone + Send + Sync + 'static> Step<T> for Filter<F> {
    type Out = T;
    const NAME: &'static str = "filter";

    #[inline(always)]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        if (self.0)(&value) {
            next.push(value, stamp);
        }
    }
}

/// See [`Stream::filter_map`].
#[derive(Clone)]
pub struct FilterMap<F>(F);

impl<T, U: Data, F: FnMut(T) -> Option<U> + Clone + Send + Sync + 'static> Step<T> for FilterMap<F> {
    type Out = U;
    const NAME: &'static str = "filter_map";

    #[inline(always)]
    fn apply<N: Collector<U>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        if let Some(value) = (self.0)(value) {
            next.push(value, stamp);
        }
    }
}

/// See [`Stream::flat_map`].
#[derive(Clone)]
pub struct FlatMap<F>(F);

impl<T, I, F> Step<T> for FlatMap<F>
where
    I: IntoIterator<Item: Data>,
    F: FnMut(T) -> I + Clone + Send + Sync + 'static,
{
    type Out = I::Item;
    const NAME: &'static str = "flat_map";

    #[inline(always)]
    fn apply<N: Collector<I::Item>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        for value in (self.0)(value) {
            next.push(value, stamp);
        }
    }
}

/// See [`Stream::inspect`].
#[derive(Clone)]
pub struct Inspect<F>(F);

impl<T: Data, F: FnMut(&T, &Stamp) + Clone + Send + Sync + 'static> Step<T> for Inspect<F> {
    type Out = T;
    const NAME: &'static str = "inspect";

    #[inline(always)]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        (self.0)(&value, &stamp);
        next.push(value, stamp);
    }
}

/// See [`Stream::stamped`].
#[derive(Clone, Copy)]
pub struct Stamped;

impl<T: Data> Step<T> for Stamped {
    type Out = Record<T>;
    const NAME: &'static str = "stamped";

    #[inline(always)]
    fn apply<N: Collector<Record<T>>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        next.push(Record { value, stamp }, stamp);
    }
}

/// See [`Stream::key_by`].
#[derive(Clone)]
pub struct KeyBy<F>(pub(super) F);

impl<T: Data, K: Key, F: FnMut(&T) -> K + Clone + Send + Sync + 'static> Step<T> for KeyBy<F> {
    type Out = (K, T);
    const NAME: &'static str = "key_by";

    #[inline(always)]
    fn apply<N: Collector<(K, T)>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        let key = (self.0)(&value);
        next.push((key, value), stamp);
    }
}
