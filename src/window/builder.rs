//! Windowed streams: the builder of windows.

use std::sync::Arc;
use std::time::Duration;

use super::assigner::{Aligned, millis};
use super::emission::{AtEnd, ByTrigger, Corrected, Definition, Emission, Evicting, Incremental, Results};
use super::general::{
    Apply, Assigner, CountTrigger, CountWindows, Evict, Evictor, Fired, Global, Never, OnEventTime,
    OnProcessingTime, ProcessingTime, Purging, SlidingCountWindows, Trigger, WindowProcess, WithFiring,
};
use super::session::{Gap, Sessions, Touching};
use crate::data::{Data, Exchange, Key, Stamp};
use crate::process::SideOutput;
use crate::stream::{Aggregate, Chain, Collector, KeyedStream, Step, Stream, Then};
use crate::window::assigner::Window;

/// A keyed stream cut into windows: Flink's `WindowedStream`.
///
/// Options come first: [`trigger`](Self::trigger), [`evictor`](Self::evictor),
/// [`allowed_lateness`](Self::allowed_lateness), [`late_output`](Self::late_output) and
/// [`correct_until`](Self::correct_until). What is made of each window comes last: an aggregate
/// ([`count`](Self::count), [`sum`](Self::sum) .. [`aggregate`](Self::aggregate)) or a function of all its
/// records ([`apply`](Self::apply), [`process`](Self::process)).
///
/// `W` is the kind of windows, and `E` says when they give results: [`AtEnd`] as long as no option is set,
/// [`ByTrigger`] with options, [`Evicting`] with an evictor, [`Corrected`] if results are corrected. Which
/// operator runs follows from these two types, and a job whose options change goes on from its snapshots: the
/// operator that takes the place of another one takes its state. Two things cannot be taken over, and are
/// refused: the records of a window, by an evictor or a function of all records, where a snapshot has only
/// what they add up to, and the reverse.
///
/// ```
/// use highwater::prelude::*;
/// use highwater::stream::Count;
/// use highwater::window::{CountTrigger, Either, Firing, OnEventTime};
///
/// let job = Job::new();
/// let millis = Duration::from_millis;
/// let late = SideOutput::new();
/// let times = [1, 2, 3, 12, 4, 25, 5]; // 4 comes after the window's end, 5 after the lateness that is allowed
/// let firings = job
///     .timed_collection(times, Watermarks::monotone(|t: &i64| *t))
///     .key_by(|_| ())
///     .window(Tumbling::of(millis(10)))
///     .allowed_lateness(millis(5))
///     .late_output(late)
///     .trigger(Either(OnEventTime::default(), CountTrigger::of(2)))
///     .aggregate_firings(Count);
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
pub struct WindowedStream<K, T, C, W, E = AtEnd> {
    pub(super) definition: Definition<K, T, C, W>,
    pub(super) emission: E,
}

/// What a keyed stream can be cut by with [`window`](KeyedStream::window).
pub trait Windowing<K, T, C>: Sized {
    /// When the windows give results if no option is set.
    type Emission;

    /// Cuts a stream.
    #[doc(hidden)]
    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self, Self::Emission>;
}

/// Cuts a stream by windows, without options.
fn cut<K, T, C, W, E>(pairs: Stream<(K, T), C>, assigner: W, emission: E) -> WindowedStream<K, T, C, W, E> {
    let definition = Definition { pairs, assigner, lateness: 0, late: None, evictor: None };
    WindowedStream { definition, emission }
}

impl<K, T, C> Windowing<K, T, C> for Aligned {
    type Emission = AtEnd;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self> {
        cut(pairs, self, AtEnd)
    }
}

impl<K, T, C, G: Gap<T>> Windowing<K, T, C> for Sessions<G> {
    type Emission = AtEnd;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self> {
        cut(pairs, self, AtEnd)
    }
}

impl<K, T, C, G: Gap<T>> Windowing<K, T, C> for Touching<G> {
    type Emission = ByTrigger<OnEventTime>;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self, Self::Emission> {
        cut(pairs, self, ByTrigger(OnEventTime::default()))
    }
}

impl<K, T, C> Windowing<K, T, C> for Global {
    type Emission = ByTrigger<Never>;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self, Self::Emission> {
        cut(pairs, self, ByTrigger(Never))
    }
}

impl<K, T, C, W> Windowing<K, T, C> for ProcessingTime<W> {
    type Emission = ByTrigger<OnProcessingTime>;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self, Self::Emission> {
        cut(pairs, self, ByTrigger(OnProcessingTime::default()))
    }
}

impl<K, T, C> Windowing<K, T, C> for CountWindows {
    type Emission = ByTrigger<Purging<CountTrigger>>;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self, Self::Emission> {
        cut(pairs, self, ByTrigger(self.trigger()))
    }
}

impl<K, T: Data, C> Windowing<K, T, C> for SlidingCountWindows {
    type Emission = Evicting<CountTrigger>;

    fn cut(self, pairs: Stream<(K, T), C>) -> WindowedStream<K, T, C, Self, Self::Emission> {
        let mut windows = cut(pairs, self, Evicting(CountTrigger::of(self.slide())));
        windows.definition.evictor = Some(Arc::new(Evict::count(self.size())));
        windows
    }
}

impl<K: Key, T: Data, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Cuts the stream into windows: [`Tumbling`](super::Tumbling), [`Sliding`](super::Sliding),
    /// [`Sessions`], [`Global`], [`CountWindows`], or, by [`ProcessingTime`], windows of processing time.
    ///
    /// ```
    /// use highwater::prelude::*;
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
    pub fn window<W: Windowing<K, T, C>>(self, windows: W) -> WindowedStream<K, T, C, W, W::Emission> {
        windows.cut(self.pairs)
    }

    /// Cuts the stream into the windows of an assigner of the user's.
    pub fn window_with<W: Assigner<T>>(
        self,
        assigner: W,
    ) -> WindowedStream<K, T, C, W, ByTrigger<W::Trigger>> {
        cut(self.pairs, assigner, ByTrigger(W::Trigger::default()))
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Cuts the whole stream into windows, without keys. Each worker combines what it reads, if it can; one
    /// worker merges that and emits the results.
    pub fn window_all<W>(self, windows: W) -> WindowedStream<(), T, Then<C, WithoutKey>, W, W::Emission>
    where
        W: Windowing<(), T, Then<C, WithoutKey>>,
    {
        windows.cut(Stream::new(Then::new(self.chain, WithoutKey)))
    }
}

/// See [`Stream::window_all`].
#[derive(Clone, Copy)]
pub struct WithoutKey;

impl<T: Data> Step<T> for WithoutKey {
    type Out = ((), T);
    const NAME: &'static str = "together";

    #[inline(always)]
    fn apply<N: Collector<((), T)>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        next.push(((), value), stamp);
    }
}

/// The options.
impl<K, T, C, W, E: Emission> WindowedStream<K, T, C, W, E> {
    /// Fires windows by another trigger. Results that are [corrected](Self::correct_until) are so if they are
    /// early, too, but not for purges: a result that is purged stands until the next one.
    pub fn trigger<G>(self, trigger: G) -> WindowedStream<K, T, C, W, E::By<G>> {
        WindowedStream { definition: self.definition, emission: E::by(trigger) }
    }

    /// Keeps windows of event time for so long after their end, and fires them again for each late record.
    /// Costs the memory.
    pub fn allowed_lateness(self, lateness: Duration) -> WindowedStream<K, T, C, W, E::By<E::Trigger>> {
        let mut windows = self.with_option();
        windows.definition.lateness = millis(lateness);
        windows
    }

    /// Sends the records that are late for all their windows to a side output of the result, which
    /// [`Stream::side`] reads: Flink's `sideOutputLateData`. Without one they are dropped and counted in the
    /// metric `late_dropped`.
    ///
    /// For aligned windows [`late`](WindowedStream::late) has them too, without an operator that keeps
    /// records.
    pub fn late_output(self, late: SideOutput<(K, T)>) -> WindowedStream<K, T, C, W, E::By<E::Trigger>> {
        let mut windows = self.with_option();
        windows.definition.late = Some(late);
        windows
    }

    fn with_option(self) -> WindowedStream<K, T, C, W, E::By<E::Trigger>> {
        WindowedStream { definition: self.definition, emission: E::by(self.emission.into_trigger()) }
    }
}

impl<K, T, C, W, E: Results<K, T, W>> WindowedStream<K, T, C, W, E> {
    /// Drops records from a window when it fires. Windows then keep their records, and aggregate them anew
    /// each time they fire.
    pub fn evictor(self, evictor: impl Evictor<T>) -> WindowedStream<K, T, C, W, Evicting<E::Trigger>> {
        let emission = Evicting(self.emission.into_trigger());
        let definition = Definition { evictor: Some(Arc::new(evictor)), ..self.definition };
        WindowedStream { definition, emission }
    }

    /// Corrects results for records that are late by less than `horizon`: the result that stands is retracted
    /// and the new one inserted. What follows is a stream of changes. Records that are later than that go to
    /// the [late output](Self::late_output).
    ///
    /// ```
    /// use highwater::prelude::*;
    ///
    /// let job = Job::new();
    /// let times = [1, 2, 12, 3]; // 3 is late, and counts
    /// let counts = job
    ///     .timed_collection(times, Watermarks::monotone(|t: &i64| *t))
    ///     .key_by(|_| ())
    ///     .window(Tumbling::of(Duration::from_millis(10)))
    ///     .correct_until(Duration::from_millis(10))
    ///     .count()
    ///     .map(|change| change.map(|count| (count.window.end, count.value)));
    /// let changes = counts.clone().map(|c| (c.record, c.diff)).collect();
    /// let materialized = counts.materialize();
    /// job.run()?;
    /// assert_eq!(changes.values(), [((10, 2), 1), ((10, 2), -1), ((10, 3), 1), ((20, 1), 1)]);
    /// assert_eq!(materialized.sorted(), [(10, 3), (20, 1)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    ///
    /// Windows with an [evictor](Self::evictor) cannot be corrected:
    ///
    /// ```compile_fail,E0277
    /// # use highwater::prelude::*;
    /// # use highwater::window::Evict;
    /// # let job = Job::new();
    /// # let keyed = job.timed_collection([1], Watermarks::monotone(|t: &i64| *t)).key_by(|_| ());
    /// let windows = keyed.window(Tumbling::of(Duration::from_millis(10)));
    /// windows.evictor(Evict::count(3)).correct_until(Duration::from_millis(10));
    /// ```
    pub fn correct_until(self, horizon: Duration) -> WindowedStream<K, T, C, W, Corrected<E::Trigger>>
    where
        E: Incremental,
    {
        let emission = Corrected(self.emission.into_trigger());
        let definition = Definition { lateness: millis(horizon), ..self.definition };
        WindowedStream { definition, emission }
    }
}

impl<K, T, C, W, E> WindowedStream<K, T, C, W, E>
where
    K: Key,
    T: Exchange,
    C: Chain<Out = (K, T)>,
    W: Assigner<T>,
    E: Results<K, T, W, Trigger: Trigger<K, T>>,
{
    /// Aggregates the values, and says of each result if it is early, on time or late.
    pub fn aggregate_firings<A: Aggregate<T>>(self, aggregate: A) -> Stream<Fired<K, A::Out>> {
        self.aggregate_with(aggregate, WithFiring)
    }

    /// Aggregates the values, and passes each result to a function that knows window and state.
    pub fn aggregate_with<A, P>(self, aggregate: A, function: P) -> Stream<P::Out>
    where
        A: Aggregate<T>,
        P: WindowProcess<K, A::Out>,
    {
        self.emission.aggregate_with(self.definition, aggregate, function)
    }

    /// Passes all values of a window that fires to a function, in order of event time; of one time, in order
    /// of arrival. Costs their memory.
    ///
    /// ```
    /// use highwater::prelude::*;
    ///
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
        F: FnMut(&K, Window, Vec<T>) -> R + Clone + Send + Sync + 'static,
    {
        self.process(Apply(f))
    }

    /// Passes all values of a window that fires to a function that knows window and state, in the order of
    /// [`apply`](Self::apply).
    pub fn process<P: WindowProcess<K, Vec<T>>>(self, function: P) -> Stream<P::Out> {
        self.definition.process(self.emission.into_trigger(), function)
    }
}

impl<K: Key, T: Data, C: Chain<Out = (K, T)>, E> WindowedStream<K, T, C, Aligned, E> {
    /// The records that are late for all their windows, by the lateness that is allowed so far, and so are in
    /// no result.
    ///
    /// Whether a record is late for an aligned window can be told by its stamp, so this is a filter of the
    /// stream that comes in, not an output of the operator. For windows of other kinds see
    /// [`late_output`](Self::late_output).
    ///
    /// ```
    /// use highwater::prelude::*;
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
        let Definition { pairs, assigner, lateness, .. } = &self.definition;
        let late = LateOnly { windows: *assigner, lateness: *lateness };
        Stream::new(Then::new(pairs.chain.clone(), late))
    }
}

/// See [`WindowedStream::late`].
#[derive(Clone, Copy)]
pub struct LateOnly {
    windows: Aligned,
    lateness: i64,
}

impl<T: Data> Step<T> for LateOnly {
    type Out = T;
    const NAME: &'static str = "late";

    #[inline]
    fn apply<N: Collector<T>>(&mut self, value: T, stamp: Stamp, next: &mut N) {
        if self.windows.slice(stamp.timestamp).is_late(&stamp, self.lateness) {
            next.push(value, stamp);
        }
    }
}
