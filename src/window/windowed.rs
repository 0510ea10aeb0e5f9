//! Windowed streams: what a user says of windows.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::assign::{Assign, Paned};
use super::operator::Windows;
use super::{Aligned, Corrected, Evictor, OnEventTime, Triggered, Window, WindowProcess, Windowing};
use crate::data::{Data, Exchange, Key, Stamp};
use crate::error::Result;
use crate::metric::Metric;
use crate::stream::{
    Aggregate, Average, Chain, Collector, Count, Edge, Fold, KeyedStream, Lowering, MapValues, Node,
    NodeInfo, Operator, Reduce, Routing, Step, Stream, Sum, Taps, Then, ordered,
};

/// The result of a window for a key. Its event time is the last moment of the window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Windowed<K, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result.
    pub value: R,
}

/// A keyed stream cut into windows: Flink's `WindowedStream`.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct WindowedStream<K, T, C> {
    pairs: Stream<(K, T), C>,
    windows: Aligned,
}

impl<K, T, C> WindowedStream<K, T, C> {
    pub(super) fn new(pairs: Stream<(K, T), C>, windows: Aligned) -> WindowedStream<K, T, C> {
        WindowedStream { pairs, windows }
    }

    /// The same windows in the general form, which keeps each window for itself: at the price of that, it
    /// takes triggers, evictors, lateness and functions with state.
    pub fn general(self) -> Triggered<K, T, C, Aligned, OnEventTime> {
        Triggered::new(self.pairs, self.windows, OnEventTime::default())
    }

    /// Fires windows by another trigger.
    pub fn trigger<G>(self, trigger: G) -> Triggered<K, T, C, Aligned, G> {
        self.general().trigger(trigger)
    }

    /// Drops records from a window when it fires. See [`Triggered::evictor`].
    pub fn evictor(self, evictor: impl Evictor<T>) -> Triggered<K, T, C, Aligned, OnEventTime> {
        self.general().evictor(evictor)
    }

    /// Keeps windows for so long after their end. See [`Triggered::allowed_lateness`].
    pub fn allowed_lateness(self, lateness: Duration) -> Triggered<K, T, C, Aligned, OnEventTime> {
        self.general().allowed_lateness(lateness)
    }

    /// Corrects results for late records. See [`Triggered::correct_until`].
    pub fn correct_until(self, horizon: Duration) -> Corrected<K, T, C, Aligned, OnEventTime> {
        self.general().correct_until(horizon)
    }
}

impl<K: Key, T: Exchange, C: Chain<Out = (K, T)>> WindowedStream<K, T, C> {
    /// Gives all values of each window to a function. See [`Triggered::apply`].
    pub fn apply<R, F>(self, f: F) -> Stream<R::Item>
    where
        R: IntoIterator<Item: Data>,
        F: FnMut(&K, Window, Vec<T>) -> R + Clone + Send + Sync + 'static,
    {
        self.general().apply(f)
    }

    /// Gives all values of each window to a function that knows window and state. See [`Triggered::process`].
    pub fn process<P: WindowProcess<K, Vec<T>>>(self, function: P) -> Stream<P::Out> {
        self.general().process(function)
    }
}

impl<K: Key, T: Data, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Cuts the stream into windows: [`Tumbling`](super::Tumbling), [`Sliding`](super::Sliding),
    /// [`Sessions`](super::Sessions), [`Global`](super::Global), [`CountWindows`](super::CountWindows), or,
    /// by [`WallClock`](super::WallClock), windows of processing time.
    ///
    /// ```
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use highwater::window::{Tumbling, Window, Windowed};
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let visits = [("ann", 1_000), ("bob", 2_000), ("ann", 4_000), ("ann", 11_000)];
    /// let counts = job
    ///     .timed_collection(visits, Watermarks::monotone(|v: &(&str, i64)| v.1))
    ///     .key_by(|visit| visit.0.to_string())
    ///     .window(Tumbling::of(Duration::from_secs(10)))
    ///     .count()
    ///     .map(|result| (result.window.end, result.key, result.value))
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(counts.sorted(), [
    ///     (10_000, "ann".into(), 2), (10_000, "bob".into(), 1), (20_000, "ann".into(), 1),
    /// ]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn window<W: Windowing<K, T, C>>(self, windows: W) -> W::Windowed {
        windows.cut(self.pairs)
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Cuts the whole stream into windows, without keys. Each worker combines what it reads; one worker
    /// merges that and emits the results.
    pub fn window_all(self, windows: Aligned) -> WindowedStream<(), T, Then<C, Together>> {
        WindowedStream { pairs: Stream::new(Then::new(self.chain, Together)), windows }
    }
}

/// See [`Stream::window_all`].
#[derive(Clone, Copy)]
pub struct Together;

impl<T: Data> Step<T> for Together {
    type Out = ((), T);
    const NAME: &'static str = "together";

    #[inline(always)]
    fn apply<N: Collector<((), T)>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        next.push(((), value), stamp);
    }
}

impl<K: Key, T: Data, C: Chain<Out = (K, T)>> WindowedStream<K, T, C> {
    /// Aggregates the values of each key and window.
    pub fn aggregate<A: Aggregate<T>>(self, aggregate: A) -> Stream<Windowed<K, A::Out>> {
        let graph = self.pairs.graph();
        let (windows, late) = (self.windows, Metric::default());
        let edge = self.pairs.attach(Assign { windows, aggregate: aggregate.clone(), late: late.clone() });
        let info = NodeInfo::new("window", windows.to_string()).input(edge, Routing::ByKey).stateful();
        let info = if A::COMBINES { info.terminal("combine by pane") } else { info.terminal("assign panes") };
        let taps = Taps::new();
        let operator =
            WindowOperator { edge, windows, aggregate, late, taps: Arc::clone(&taps), value: PhantomData };
        let id = graph.add(info, operator);
        Stream::new(Node::new(&graph, id, &taps))
    }

    /// The records that are late for all their windows, and so are in no result: a side output.
    ///
    /// ```
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use highwater::window::Tumbling;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let times = [1, 12, 3, 13]; // 3 comes when [0, 10) is over
    /// let windows = job
    ///     .timed_collection(times, Watermarks::monotone(|t: &i64| *t))
    ///     .window_all(Tumbling::of(Duration::from_millis(10)));
    /// let late = windows.late().map(|((), time)| time).collect();
    /// let counts = windows.count().map(|result| result.value).collect();
    /// job.run()?;
    /// assert_eq!((late.values(), counts.values()), (vec![3], vec![1, 2]));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn late(&self) -> Stream<(K, T), Then<C, LateOnly>> {
        Stream::new(Then::new(self.pairs.chain.clone(), LateOnly(self.windows)))
    }

    fn map_values<U, F>(self, f: F) -> WindowedStream<K, U, Then<C, MapValues<F>>>
    where
        U: Data,
        F: FnMut(T) -> U + Clone + Send + Sync + 'static,
    {
        KeyedStream::new(self.pairs).map_values(f).window(self.windows)
    }

    /// The number of records.
    pub fn count(self) -> Stream<Windowed<K, u64>> {
        self.map_values(|_| ()).aggregate(Count)
    }

    /// The sum of what `f` reads off the records.
    pub fn sum<N, F>(self, f: F) -> Stream<Windowed<K, N>>
    where
        N: Exchange + Copy + std::ops::AddAssign,
        F: FnMut(T) -> N + Clone + Send + Sync + 'static,
    {
        self.map_values(f).aggregate(Sum)
    }

    /// The mean of the integers that `f` reads off the records, rounded toward zero.
    pub fn average<N, F>(self, f: F) -> Stream<Windowed<K, i64>>
    where
        N: Exchange + Into<i128>,
        F: FnMut(T) -> N + Clone + Send + Sync + 'static,
    {
        self.map_values(f).aggregate(Average)
    }

    /// The least of what `f` reads off the records.
    pub fn min<M, F>(self, f: F) -> Stream<Windowed<K, M>>
    where
        M: Exchange + Ord,
        F: FnMut(T) -> M + Clone + Send + Sync + 'static,
    {
        self.map_values(f).reduce(|least, value| least.clone().min(value))
    }

    /// The greatest of what `f` reads off the records.
    pub fn max<M, F>(self, f: F) -> Stream<Windowed<K, M>>
    where
        M: Exchange + Ord,
        F: FnMut(T) -> M + Clone + Send + Sync + 'static,
    {
        self.map_values(f).reduce(|greatest, value| greatest.clone().max(value))
    }

    /// Joins the values by an associative and commutative function.
    pub fn reduce<F>(self, f: F) -> Stream<Windowed<K, T>>
    where
        T: Exchange,
        F: Fn(&T, T) -> T + Clone + Send + Sync + 'static,
    {
        self.aggregate(Reduce(f))
    }

    /// Adds the values to an initial value; `merge` adds what several workers have added up.
    pub fn fold<I, F, M>(self, initial: I, add: F, merge: M) -> Stream<Windowed<K, I>>
    where
        I: Exchange,
        F: Fn(&mut I, T) + Clone + Send + Sync + 'static,
        M: Fn(&mut I, I) + Clone + Send + Sync + 'static,
    {
        self.aggregate(Fold(initial, add, merge))
    }
}

/// See [`WindowedStream::late`].
#[derive(Clone, Copy)]
pub struct LateOnly(Aligned);

impl<T: Data> Step<T> for LateOnly {
    type Out = T;
    const NAME: &'static str = "late";

    #[inline]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        let slice = self.0.slice(stamp.timestamp);
        if !slice.is_gap() && slice.pane(&stamp, &self.0).is_none() {
            next.push(value, stamp);
        }
    }
}

struct WindowOperator<K, T, A: Aggregate<T>> {
    edge: Edge<Paned<K, A::Acc>>,
    windows: Aligned,
    aggregate: A,
    late: Metric,
    taps: Arc<Taps<Windowed<K, A::Out>>>,
    value: PhantomData<fn() -> T>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Operator for WindowOperator<K, T, A> {
    fn prepare(&self, _: usize) -> Result<()> {
        self.windows.check()
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        cx.worker.shared.metrics.register(uid, "late_dropped", &self.late);
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, |paned| &paned.key);
        let outlets = self.taps.open(&mut builder);
        let quota = worker.quota(uid, "keys_left_memory");
        let logic = Windows::<K, T, A>::new(self.windows, self.aggregate.clone(), quota, builder.info());
        ordered::build(builder, worker, vec![input], outlets, logic);
    }
}
