//! Keyed streams, and the rolling aggregates over them.

use super::aggregate::{Average, Count, Fold, Merged, Reduce, Sum};
use super::chain::{Chain, Collector, Step, Then};
use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::rolling::Rolling;
use super::stateless::KeyBy;
use super::{Aggregate, Edge, Stream};
use crate::data::{Change, Data, Exchange, Key, Stamp};
use crate::stream::consumers::{Consumers, Node};
use crate::stream::epoch_driver;
use crate::stream::preaggregate::{ByKey, Combine, Keyed};
use std::sync::Arc;

/// A stream whose records have keys: Flink's `KeyedStream`.
///
/// Aggregates over it are *rolling*: for each key, the aggregate of all values so far, as a stream of
/// [`Change`]s. For aggregates over stretches of event time see [`window`](KeyedStream::window).
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct KeyedStream<K, T, C> {
    pub(crate) pairs: Stream<(K, T), C>,
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Gives the records keys: what follows happens for each key by itself, on the worker that owns it.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let counts = job.collection(["a", "b", "a"]).key_by(|word| word.to_string()).count().materialize();
    /// job.run()?;
    /// assert_eq!(counts.sorted(), [("a".to_string(), 2), ("b".to_string(), 1)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<K, T, Then<C, KeyBy<F>>>
    where
        K: Key,
        F: FnMut(&T) -> K + Clone + Send + Sync + 'static,
    {
        KeyedStream::new(self.then(KeyBy(key)))
    }
}

impl<K, T, C: Clone> Clone for KeyedStream<K, T, C> {
    fn clone(&self) -> Self {
        KeyedStream { pairs: self.pairs.clone() }
    }
}

/// See [`KeyedStream::map_values`].
#[derive(Clone)]
pub struct MapValues<F>(F);

impl<K, T, U, F> Step<(K, T)> for MapValues<F>
where
    K: Data,
    U: Data,
    F: FnMut(T) -> U + Clone + std::marker::Send + Sync + 'static,
{
    type Out = (K, U);
    const NAME: &'static str = "map_values";

    #[inline(always)]
    fn apply<N: Collector<(K, U)>>(&mut self, (key, value): (K, T), stamp: Stamp, next: &mut N) {
        next.push((key, (self.0)(value)), stamp);
    }
}

impl<K: Key, T: Data, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    pub(crate) fn new(pairs: Stream<(K, T), C>) -> KeyedStream<K, T, C> {
        KeyedStream { pairs }
    }

    /// Takes note of a mistake in the job.
    pub(crate) fn complain(&self, mistake: crate::Error) {
        self.graph().refuse(mistake);
    }

    pub(crate) fn graph(&self) -> super::Graph {
        self.pairs.graph()
    }

    /// Replaces the value of each record and keeps its key. What is not needed any more need not travel to
    /// the key's owner.
    pub fn map_values<U, F>(self, f: F) -> KeyedStream<K, U, Then<C, MapValues<F>>>
    where
        U: Data,
        F: FnMut(T) -> U + Clone + std::marker::Send + Sync + 'static,
    {
        KeyedStream::new(Stream::new(Then::new(self.pairs.chain, MapValues(f))))
    }

    /// Aggregates all values of each key so far.
    ///
    /// The result is a stream of changes, emitted when an epoch closes: the key's old result is retracted and
    /// its new one inserted. Costs a look-up for each record and a sort of the touched keys for each epoch.
    pub fn aggregate<A>(self, aggregate: A) -> Stream<Change<(K, A::Out)>>
    where
        T: Exchange,
        A: Aggregate<T, Out: PartialEq>,
    {
        let graph = self.pairs.graph();
        if A::COMBINES {
            let edge = self.pairs.attach(Combine(aggregate.clone()));
            let info = NodeInfo::new("aggregate", "aggregate")
                .input(edge, Routing::ByKey)
                .terminal("combine by key");
            rolling(graph, info, edge, Merged::<A, T>::new(aggregate))
        } else {
            let edge = self.pairs.attach(ByKey);
            let info = NodeInfo::new("aggregate", "aggregate").input(edge, Routing::ByKey);
            rolling(graph, info, edge, aggregate)
        }
    }

    /// The number of records of each key so far.
    pub fn count(self) -> Stream<Change<(K, u64)>> {
        self.map_values(|_| ()).aggregate(Count)
    }

    /// The sum of what `f` reads off the records of each key so far.
    pub fn sum<N, F>(self, f: F) -> Stream<Change<(K, N)>>
    where
        N: Exchange + Copy + std::ops::AddAssign + PartialEq,
        F: FnMut(T) -> N + Clone + std::marker::Send + Sync + 'static,
    {
        self.map_values(f).aggregate(Sum)
    }

    /// The mean of the integers that `f` reads off the records of each key so far, rounded toward zero.
    pub fn average<N, F>(self, f: F) -> Stream<Change<(K, i64)>>
    where
        N: Exchange + Into<i128>,
        F: FnMut(T) -> N + Clone + std::marker::Send + Sync + 'static,
    {
        self.map_values(f).aggregate(Average)
    }

    /// The least of what `f` reads off the records of each key so far.
    pub fn min<M, F>(self, f: F) -> Stream<Change<(K, M)>>
    where
        M: Exchange + Ord,
        F: FnMut(T) -> M + Clone + std::marker::Send + Sync + 'static,
    {
        self.map_values(f).reduce(|least, value| least.clone().min(value))
    }

    /// The greatest of what `f` reads off the records of each key so far.
    pub fn max<M, F>(self, f: F) -> Stream<Change<(K, M)>>
    where
        M: Exchange + Ord,
        F: FnMut(T) -> M + Clone + std::marker::Send + Sync + 'static,
    {
        self.map_values(f).reduce(|greatest, value| greatest.clone().max(value))
    }

    /// The record of each key for which `f` is least; among several, the least of these.
    pub fn min_by<M, F>(self, f: F) -> Stream<Change<(K, T)>>
    where
        T: Exchange + Ord,
        M: Ord,
        F: Fn(&T) -> M + Clone + std::marker::Send + Sync + 'static,
    {
        self.reduce(move |least, value| {
            let closer = (f(&value), &value) < (f(least), least);
            if closer { value } else { least.clone() }
        })
    }

    /// The record of each key for which `f` is greatest; among several, the least of these.
    pub fn max_by<M, F>(self, f: F) -> Stream<Change<(K, T)>>
    where
        T: Exchange + Ord,
        M: Ord,
        F: Fn(&T) -> M + Clone + std::marker::Send + Sync + 'static,
    {
        self.reduce(move |greatest, value| {
            let order = f(&value).cmp(&f(greatest)).then_with(|| greatest.cmp(&value));
            if order.is_gt() { value } else { greatest.clone() }
        })
    }

    /// Joins the values of each key so far by an associative and commutative function.
    pub fn reduce<F>(self, f: F) -> Stream<Change<(K, T)>>
    where
        T: Exchange + PartialEq,
        F: Fn(&T, T) -> T + Clone + std::marker::Send + Sync + 'static,
    {
        self.aggregate(Reduce(f))
    }

    /// Adds the values of each key so far to an initial value; `merge` adds what several workers have added
    /// up.
    ///
    /// Flink's `fold` had no `merge` and could only run where the records are in one place.
    pub fn fold<I, F, M>(self, initial: I, add: F, merge: M) -> Stream<Change<(K, I)>>
    where
        T: Exchange,
        I: Exchange + PartialEq,
        F: Fn(&mut I, T) + Clone + std::marker::Send + Sync + 'static,
        M: Fn(&mut I, I) + Clone + std::marker::Send + Sync + 'static,
    {
        self.aggregate(Fold(initial, add, merge))
    }

    /// Forgets that the records have keys.
    pub fn values(self) -> Stream<T, impl Chain<Out = T>> {
        self.pairs.map(|(_, value)| value)
    }
}

fn rolling<K: Key, I: Exchange, A: Aggregate<I, Out: PartialEq>>(
    graph: super::Graph,
    info: NodeInfo,
    edge: Edge<Keyed<K, I>>,
    aggregate: A,
) -> Stream<Change<(K, A::Out)>> {
    let consumers = Consumers::new();
    let id =
        graph.add(info.stateful(), RollingOperator { edge, aggregate, consumers: Arc::clone(&consumers) });
    Stream::new(Node::new(&graph, id, &consumers))
}

struct RollingOperator<K, I, A: Aggregate<I>> {
    edge: Edge<Keyed<K, I>>,
    aggregate: A,
    consumers: Arc<Consumers<Change<(K, A::Out)>>>,
}

impl<K: Key, I: Exchange, A: Aggregate<I, Out: PartialEq>> Operator for RollingOperator<K, I, A> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, |keyed| &keyed.key);
        let ports = self.consumers.open(&mut builder);
        let logic = Rolling::new(self.aggregate.clone(), uid, &worker);
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}
