//! What a user says of windows of every kind.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::assigner::millis;
use super::content::{Content, Folded, Listed, Summed};
use super::operator::{Settings, WindowOperator};
use super::{
    Apply, AsIs, Assigner, Corrected, CountTrigger, CountWindows, Evict, Evictor, Fired, Global, Never,
    OnEventTime, OnProcessingTime, Purging, SlidingCountWindows, Trigger, WallClock, WindowProcess,
    WithFiring,
};
use crate::data::{Data, Exchange, Key};
use crate::process::Side;
use crate::stream::{
    Aggregate, Average, Chain, Fold, KeyedStream, Node, NodeInfo, Reduce, Routing, Send, Stream, Sum, Taps,
};
use crate::window::session::{Gap, Sessions};
use crate::window::{Aligned, Window, Windowed, WindowedStream};

/// What a keyed stream can be cut by with [`window`](KeyedStream::window).
pub trait Windowing<K, T, C> {
    /// The stream cut into windows.
    type Windowed;

    /// Cuts a stream.
    fn cut(self, pairs: Stream<(K, T), C>) -> Self::Windowed;
}

impl<K, T, C> Windowing<K, T, C> for Aligned {
    type Windowed = WindowedStream<K, T, C>;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C> {
        WindowedStream::new(pairs, self)
    }
}

impl<K, T, C, G: Gap<T>> Windowing<K, T, C> for Sessions<G> {
    type Windowed = Triggered<K, T, C, Sessions<G>, OnEventTime>;

    fn cut(self, pairs: Stream<(K, T), C>) -> Self::Windowed {
        Triggered::new(pairs, self, OnEventTime::default())
    }
}

impl<K, T, C> Windowing<K, T, C> for Global {
    type Windowed = Triggered<K, T, C, Global, Never>;

    fn cut(self, pairs: Stream<(K, T), C>) -> Self::Windowed {
        Triggered::new(pairs, self, Never)
    }
}

impl<K, T, C, W> Windowing<K, T, C> for WallClock<W> {
    type Windowed = Triggered<K, T, C, WallClock<W>, OnProcessingTime>;

    fn cut(self, pairs: Stream<(K, T), C>) -> Self::Windowed {
        Triggered::new(pairs, self, OnProcessingTime::default())
    }
}

impl<K, T, C> Windowing<K, T, C> for CountWindows {
    type Windowed = Triggered<K, T, C, CountWindows, Purging<CountTrigger>>;

    fn cut(self, pairs: Stream<(K, T), C>) -> Self::Windowed {
        Triggered::new(pairs, self, self.trigger())
    }
}

impl<K, T: Data, C> Windowing<K, T, C> for SlidingCountWindows {
    type Windowed = Triggered<K, T, C, SlidingCountWindows, CountTrigger>;

    fn cut(self, pairs: Stream<(K, T), C>) -> Self::Windowed {
        let mut windows = Triggered::new(pairs, self, CountTrigger::of(self.slide));
        windows.evictor = Some(Arc::new(Evict::count(self.size)));
        windows
    }
}

impl<K: Key, T: Data, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Cuts the stream into the windows of an assigner of the user's.
    pub fn window_with<W: Assigner<T>>(self, assigner: W) -> Triggered<K, T, C, W, W::Trigger> {
        Triggered::new(self.pairs, assigner, W::Trigger::default())
    }
}

/// What becomes of records that are late for all their windows.
#[derive(Clone, Copy)]
pub enum LatePolicy<K, T> {
    /// They are dropped and counted in the metric `late_dropped`.
    Drop,
    /// They are given to a side output of the result.
    Side(Side<(K, T)>),
}

impl<K, T> fmt::Debug for LatePolicy<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LatePolicy::Drop => "Drop",
            LatePolicy::Side(_) => "Side",
        })
    }
}

/// A keyed stream cut into windows of any kind, which a trigger fires.
///
/// ```
/// use highwater::stream::{Count, Job};
/// use highwater::process::Side;
/// use highwater::time::Watermarks;
/// use highwater::window::{CountTrigger, Either, Firing, LatePolicy, OnEventTime, Tumbling};
/// use std::time::Duration;
///
/// let job = Job::new();
/// let millis = Duration::from_millis;
/// let late = Side::new();
/// let times = [1, 2, 3, 12, 4, 25, 5]; // 4 comes after the window's end, 5 after the lateness that is allowed
/// let firings = job
///     .timed_collection(times, Watermarks::monotone(|t: &i64| *t))
///     .key_by(|_| ())
///     .window(Tumbling::of(millis(10)))
///     .allowed_lateness(millis(5))
///     .late(LatePolicy::Side(late))
///     .trigger(Either(OnEventTime::default(), CountTrigger::of(2)))
///     .aggregate_firings(highwater::window::Counting);
/// let late = firings.side(&late).map(|(_, t)| t).collect();
/// let firings = firings.map(|f| (f.window.start, f.value, f.firing)).collect();
/// job.run()?;
/// assert_eq!(late.values(), [5]);
/// assert_eq!(firings.values(), [
///     (0, 2, Firing::Early), (0, 3, Firing::OnTime), (0, 4, Firing::Late), (10, 1, Firing::OnTime), (20, 1, Firing::OnTime),
/// ]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct Triggered<K, T, C, W, G> {
    pairs: Stream<(K, T), C>,
    settings: Settings<K, T, W, G>,
    evictor: Option<Arc<dyn Evictor<T>>>,
    /// True if nothing was asked for but windows.
    plain: bool,
}

impl<K, T, C, W, G> Triggered<K, T, C, W, G> {
    pub(crate) fn new(pairs: Stream<(K, T), C>, assigner: W, trigger: G) -> Triggered<K, T, C, W, G> {
        let settings = Settings { assigner, trigger, lateness: 0, late: None };
        Triggered { pairs, settings, evictor: None, plain: true }
    }

    /// Fires windows by another trigger.
    pub fn trigger<H>(self, trigger: H) -> Triggered<K, T, C, W, H> {
        let Settings { assigner, lateness, late, .. } = self.settings;
        let settings = Settings { assigner, trigger, lateness, late };
        Triggered { pairs: self.pairs, settings, evictor: self.evictor, plain: false }
    }

    /// Drops records from a window when it fires. Windows then keep their records, and aggregate them anew
    /// each time they fire.
    pub fn evictor(mut self, evictor: impl Evictor<T>) -> Triggered<K, T, C, W, G> {
        self.evictor = Some(Arc::new(evictor));
        self.plain = false;
        self
    }

    /// Keeps windows of event time for so long after their end, and fires them again for each late record.
    /// Costs the memory.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Triggered<K, T, C, W, G> {
        self.settings.lateness = millis(lateness);
        self.plain = false;
        self
    }

    /// Says what becomes of records that are late for all their windows.
    pub fn late(mut self, policy: LatePolicy<K, T>) -> Triggered<K, T, C, W, G> {
        self.settings.late = match policy {
            LatePolicy::Drop => None,
            LatePolicy::Side(side) => Some(side),
        };
        self.plain = false;
        self
    }

    /// Corrects results for records that are late by less than `horizon`: the result that stands is retracted
    /// and the new one inserted. What follows is a stream of changes. Records that are later than that are
    /// treated by the [policy](Triggered::late).
    pub fn correct_until(self, horizon: Duration) -> Corrected<K, T, C, W, G> {
        Corrected(self.allowed_lateness(horizon))
    }
}

impl<K, T, C, W, G> Triggered<K, T, C, W, G>
where
    K: Key,
    T: Exchange,
    C: Chain<Out = (K, T)>,
    W: Assigner<T>,
    G: Trigger<K, T>,
{
    pub(super) fn build<B: Content<K, T>>(self, content: B) -> Stream<B::Out> {
        let graph = self.pairs.graph();
        let edge = self.pairs.attach(Send);
        let info = NodeInfo::new("window", "windows").input(edge, Routing::ByKey).stateful();
        let taps = Taps::new();
        let operator = WindowOperator { edge, settings: self.settings, content, taps: Arc::clone(&taps) };
        let id = graph.add(info, operator);
        Stream::new(Node::new(&graph, id, &taps))
    }

    /// Aggregates the values of each key and window.
    pub fn aggregate<A: Aggregate<T>>(mut self, aggregate: A) -> Stream<Windowed<K, A::Out>> {
        if self.plain {
            match self.settings.assigner.shortcut(self.pairs, &aggregate) {
                Ok(results) => return results,
                Err(pairs) => self.pairs = pairs,
            }
        }
        self.aggregate_with(aggregate, AsIs)
    }

    /// Aggregates the values, and says of each result if it is early, on time or late.
    pub fn aggregate_firings<A: Aggregate<T>>(self, aggregate: A) -> Stream<Fired<K, A::Out>> {
        self.aggregate_with(aggregate, WithFiring)
    }

    /// Aggregates the values, and gives each result to a function that knows window and state.
    pub fn aggregate_with<A, P>(self, aggregate: A, function: P) -> Stream<P::Out>
    where
        A: Aggregate<T>,
        P: WindowProcess<K, A::Out>,
    {
        match self.evictor.clone() {
            None => self.build(Folded::new(aggregate, function)),
            Some(evictor) => self.build(Listed::new(Some(evictor), Summed(aggregate, function))),
        }
    }

    /// Gives all values of a window that fires to a function, in order of event time; of one time, in order
    /// of arrival. Costs their memory.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// # use highwater::time::Watermarks;
    /// # use highwater::window::Tumbling;
    /// # use std::time::Duration;
    /// let job = Job::new();
    /// let lists = job
    ///     .timed_collection([1, 3, 2, 11], Watermarks::bounded(Duration::from_millis(5), |t: &i64| *t))
    ///     .key_by(|_| ())
    ///     .window(Tumbling::of(Duration::from_millis(10)))
    ///     .apply(|(), window, values| [(window.end, values)])
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(lists.values(), [(10, vec![1, 2, 3]), (20, vec![11])]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn apply<R, F>(self, f: F) -> Stream<R::Item>
    where
        R: IntoIterator<Item: Data>,
        F: FnMut(&K, Window, Vec<T>) -> R + Clone + std::marker::Send + Sync + 'static,
    {
        self.process(Apply(f))
    }

    /// Gives all values of a window that fires to a function that knows window and state, in the order of
    /// [`apply`](Triggered::apply).
    pub fn process<P: WindowProcess<K, Vec<T>>>(self, function: P) -> Stream<P::Out> {
        let evictor = self.evictor.clone();
        self.build(Listed::new(evictor, function))
    }
}

/// The number of values, whatever they are.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

impl<T> Aggregate<T> for Counting {
    type Acc = u64;
    type Out = u64;
    const SUBTRACTS: bool = true;

    fn start(&self, _: T) -> u64 {
        1
    }

    fn add(&self, acc: &mut u64, _: T) {
        *acc += 1;
    }

    fn merge(&self, acc: &mut u64, other: u64) {
        *acc += other;
    }

    fn subtract(&self, acc: &mut u64, other: &u64) {
        *acc -= other;
    }

    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

/// An aggregate of what a function reads off values.
pub struct Reading<F, N, A> {
    read: F,
    aggregate: A,
    value: PhantomData<fn() -> N>,
}

impl<F, N, A> Reading<F, N, A> {
    /// The aggregate of what `read` says.
    pub fn new(read: F, aggregate: A) -> Reading<F, N, A> {
        Reading { read, aggregate, value: PhantomData }
    }
}

impl<F: Clone, N, A: Clone> Clone for Reading<F, N, A> {
    fn clone(&self) -> Self {
        Reading::new(self.read.clone(), self.aggregate.clone())
    }
}

impl<T, F, N, A> Aggregate<T> for Reading<F, N, A>
where
    F: Fn(T) -> N + Clone + std::marker::Send + Sync + 'static,
    N: 'static,
    A: Aggregate<N>,
{
    type Acc = A::Acc;
    type Out = A::Out;
    const COMBINES: bool = A::COMBINES;
    const SUBTRACTS: bool = A::SUBTRACTS;

    fn start(&self, value: T) -> A::Acc {
        self.aggregate.start((self.read)(value))
    }

    fn add(&self, acc: &mut A::Acc, value: T) {
        self.aggregate.add(acc, (self.read)(value));
    }

    fn merge(&self, acc: &mut A::Acc, other: A::Acc) {
        self.aggregate.merge(acc, other);
    }

    fn subtract(&self, acc: &mut A::Acc, other: &A::Acc) {
        self.aggregate.subtract(acc, other);
    }

    fn result(&self, acc: &A::Acc) -> A::Out {
        self.aggregate.result(acc)
    }

    fn is_empty(&self, acc: &A::Acc) -> bool {
        self.aggregate.is_empty(acc)
    }
}

/// The named aggregates, once for results and once for changes.
macro_rules! named_aggregates {
    (@ $Out:ty, result) => { Stream<Windowed<K, $Out>> };
    (@ $Out:ty, change) => { Stream<crate::data::Change<Windowed<K, $Out>>> };
    ($Windows:ident, $kind:ident) => {
        impl<K, T, C, W, G> $Windows<K, T, C, W, G>
        where
            K: Key,
            T: Exchange,
            C: Chain<Out = (K, T)>,
            W: Assigner<T>,
            G: Trigger<K, T>,
        {
            /// The number of records.
            pub fn count(self) -> named_aggregates!(@ u64, $kind) {
                self.aggregate(Counting)
            }

            /// The sum of what `f` reads off the records.
            pub fn sum<N, F>(self, f: F) -> named_aggregates!(@ N, $kind)
            where
                N: Exchange + Copy + std::ops::AddAssign + PartialEq,
                F: Fn(T) -> N + Clone + std::marker::Send + Sync + 'static,
            {
                self.aggregate(Reading::new(f, Sum))
            }

            /// The mean of the integers that `f` reads off the records, rounded toward zero.
            pub fn average<N, F>(self, f: F) -> named_aggregates!(@ i64, $kind)
            where
                N: Exchange + Into<i128>,
                F: Fn(T) -> N + Clone + std::marker::Send + Sync + 'static,
            {
                self.aggregate(Reading::new(f, Average))
            }

            /// The least of what `f` reads off the records.
            pub fn min<M, F>(self, f: F) -> named_aggregates!(@ M, $kind)
            where
                M: Exchange + Ord,
                F: Fn(T) -> M + Clone + std::marker::Send + Sync + 'static,
            {
                self.aggregate(Reading::new(f, Reduce(|least: &M, value: M| least.clone().min(value))))
            }

            /// The greatest of what `f` reads off the records.
            pub fn max<M, F>(self, f: F) -> named_aggregates!(@ M, $kind)
            where
                M: Exchange + Ord,
                F: Fn(T) -> M + Clone + std::marker::Send + Sync + 'static,
            {
                self.aggregate(Reading::new(f, Reduce(|greatest: &M, value: M| greatest.clone().max(value))))
            }

            /// Joins the values by an associative and commutative function.
            pub fn reduce<F>(self, f: F) -> named_aggregates!(@ T, $kind)
            where
                T: PartialEq,
                F: Fn(&T, T) -> T + Clone + std::marker::Send + Sync + 'static,
            {
                self.aggregate(Reduce(f))
            }

            /// Adds the values to an initial value; `merge` adds what several have added up.
            pub fn fold<I, F, M>(self, initial: I, add: F, merge: M) -> named_aggregates!(@ I, $kind)
            where
                I: Exchange + PartialEq,
                F: Fn(&mut I, T) + Clone + std::marker::Send + Sync + 'static,
                M: Fn(&mut I, I) + Clone + std::marker::Send + Sync + 'static,
            {
                self.aggregate(Fold(initial, add, merge))
            }
        }
    };
}
named_aggregates!(Triggered, result);
named_aggregates!(Corrected, change);
