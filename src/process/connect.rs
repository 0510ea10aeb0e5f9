//! Two keyed streams that share their state.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::operator::build;
use super::{Context, Process, States, Timer};
use crate::data::{Data, Exchange, Key};
use crate::stream::{ByKey, Chain, KeyedStream, Stream};

/// A function of the records of two streams that have the same key, with state and timers: Flink's
/// `KeyedCoProcessFunction`.
///
/// ```
/// use highwater::process::{CoProcess, Context, States, Value};
/// use highwater::stream::Job;
///
/// /// Lets through what the key's last word allows.
/// #[derive(Clone, Default)]
/// struct Gate(Value<bool>);
///
/// impl CoProcess<u8, i64, bool> for Gate {
///     type Out = i64;
///
///     fn open(&mut self, states: &mut States<'_, u8>) {
///         self.0 = states.value("open");
///     }
///
///     fn left(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
///         if self.0.get(cx) != Some(&false) {
///             cx.emit(value);
///         }
///     }
///
///     fn right(&mut self, open: bool, cx: &mut Context<'_, u8, i64>) {
///         self.0.set(cx, open);
///     }
/// }
///
/// let job = Job::new();
/// let values = job.collection([(1, 10), (2, 20)]).key_by(|v| v.0).map_values(|v| v.1);
/// let doors = job.collection([(3, false)]).key_by(|d| d.0).map_values(|d| d.1);
/// let passed = values.connect(doors).process(Gate::default()).collect();
/// job.run()?;
/// assert_eq!(passed.sorted(), [10, 20]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait CoProcess<K: Key, L, R>: Clone + std::marker::Send + Sync + 'static {
    /// What it emits.
    type Out: Data;

    /// Registers states and side outputs. Called once on each worker, before anything else, and once before
    /// that on a clone that is dropped, to see what it registers.
    fn open(&mut self, _states: &mut States<'_, K>) {}

    /// A record of the first stream.
    fn left(&mut self, value: L, cx: &mut Context<'_, K, Self::Out>);

    /// A record of the second stream.
    fn right(&mut self, value: R, cx: &mut Context<'_, K, Self::Out>);

    /// The state has been taken out of a snapshot.
    #[doc(hidden)]
    fn restored(&mut self, _core: &mut Core<K>) {}

    /// A timer that was registered for the key at hand.
    fn timer(&mut self, _timer: Timer, _cx: &mut Context<'_, K, Self::Out>) {}
}

/// A record of one of two streams. Those of the first come first in the order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Either<L, R> {
    Left(L),
    Right(R),
}

/// Two keyed streams side by side: Flink's `ConnectedStreams`.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct Connected<K, L, R, C, D> {
    left: KeyedStream<K, L, C>,
    right: KeyedStream<K, R, D>,
}

impl<K: Key, L: Exchange, C: Chain<Out = (K, L)>> KeyedStream<K, L, C> {
    /// Puts another stream with the same keys beside this one, for a function that sees both.
    pub fn connect<R, D>(self, other: KeyedStream<K, R, D>) -> Connected<K, L, R, C, D>
    where
        R: Exchange,
        D: Chain<Out = (K, R)>,
    {
        if !self.graph().is_same(&other.graph()) {
            self.graph().complain("streams of different jobs cannot be connected: build both from one Job");
        }
        Connected { left: self, right: other }
    }
}

impl<K, L, R, C, D> Connected<K, L, R, C, D>
where
    K: Key,
    L: Exchange,
    R: Exchange,
    C: Chain<Out = (K, L)>,
    D: Chain<Out = (K, R)>,
{
    /// Gives the records of both streams to a function, in order of arrival; how the streams interleave is a
    /// matter of chance.
    pub fn process<P: CoProcess<K, L, R>>(self, function: P) -> Stream<P::Out> {
        let graph = self.left.graph();
        let left = self.left.map_values(Either::<L, R>::Left).pairs.attach(ByKey);
        let right = self.right.map_values(Either::<L, R>::Right).pairs.attach(ByKey);
        build(&graph, vec![left, right], Both::new(function), None, "co-process")
    }

    /// Gives the records of both streams to a function in order of event time; of one time, those of the
    /// first stream come first. Late ones are dropped and counted, as in
    /// [`process_in_order`](KeyedStream::process_in_order).
    pub fn process_in_order<P: CoProcess<K, L, R>>(self, function: P) -> Stream<P::Out>
    where
        L: Ord,
        R: Ord,
    {
        let graph = self.left.graph();
        let left = self.left.map_values(Either::<L, R>::Left).pairs.attach(ByKey);
        let right = self.right.map_values(Either::<L, R>::Right).pairs.attach(ByKey);
        let sort = |records: &mut Vec<_>| records.sort_by(by_time_side_and_order);
        build(&graph, vec![left, right], Both::new(function), Some(sort), "co-process in order")
    }
}

type Waiting<K, L, R> = (i64, (K, Either<L, R>, crate::data::Stamp));

fn by_time_side_and_order<K: Ord, L: Ord, R: Ord>(
    a: &Waiting<K, L, R>,
    b: &Waiting<K, L, R>,
) -> std::cmp::Ordering {
    (a.0, &a.1.1, &a.1.0, a.1.2).cmp(&(b.0, &b.1.1, &b.1.0, b.1.2))
}

/// A function of two streams as a function of one.
struct Both<P, L, R> {
    function: P,
    sides: PhantomData<fn(L, R)>,
}

impl<P, L, R> Both<P, L, R> {
    fn new(function: P) -> Both<P, L, R> {
        Both { function, sides: PhantomData }
    }
}

impl<P: Clone, L, R> Clone for Both<P, L, R> {
    fn clone(&self) -> Self {
        Both::new(self.function.clone())
    }
}

impl<K, L, R, P> Process<K, Either<L, R>> for Both<P, L, R>
where
    K: Key,
    L: 'static,
    R: 'static,
    P: CoProcess<K, L, R>,
{
    type Out = P::Out;

    fn open(&mut self, states: &mut States<'_, K>) {
        self.function.open(states);
    }

    fn process(&mut self, value: Either<L, R>, cx: &mut Context<'_, K, P::Out>) {
        match value {
            Either::Left(value) => self.function.left(value, cx),
            Either::Right(value) => self.function.right(value, cx),
        }
    }

    fn restored(&mut self, core: &mut Core<K>) {
        self.function.restored(core);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, K, P::Out>) {
        self.function.timer(timer, cx);
    }
}
