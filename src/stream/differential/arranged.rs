//! Collections that are arranged once and shared.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use differential_dataflow::VecCollection;
use differential_dataflow::operators::arrange::Arranged;
use differential_dataflow::trace::implementations::{ValBuilder, ValSpine};

use super::arranging::ArrangeOperator;
use super::computation::Computation;
use super::import::{Import, Numbered};
use super::leave;
use crate::data::{Change, Data, Hashed, Key, Record};
use crate::state::{SealedBatch, StateTrace};
use crate::stream::consumers::{Consumers, Emit, Node};
use crate::stream::graph::{Lowering, NodeInfo, Operator, Routing};
use crate::stream::traces::Traces;
use crate::stream::{Chain, Edge, Graph, NodeId, Stream};
use crate::time::Time;

/// A collection of records with keys that is kept once and read by any number of computations: differential's
/// *arrangement*, with the state of this engine under it.
///
/// Made by [`Stream::arrange`]. Each join, aggregate or computation that reads it costs what it keeps itself,
/// and what it decodes of the rows that it comes to: the collection is exchanged, sorted, merged, spilled to
/// files if memory is limited, and saved in snapshots once. Computations can also be
/// [attached](crate::runtime::Running::attach) while the job runs.
///
/// Results are emitted when an epoch closes, at a watermark between those at which it began and ended on the
/// worker that has the result.
#[must_use = "an arrangement is for others to read; `discard` it if only what is attached later does"]
pub struct ArrangedStream<K, V> {
    batches: Stream<Arc<SealedBatch>>,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for ArrangedStream<K, V> {
    fn clone(&self) -> Self {
        ArrangedStream { batches: self.batches.clone(), row: PhantomData }
    }
}

impl<K: Key, V: Key, C: Chain<Out = Change<(K, V)>>> Stream<Change<(K, V)>, C> {
    /// Arranges the collection that the changes describe, by keys, for others to share.
    ///
    /// Costs a sort of each epoch's changes, merges, and a copy of each distinct record, in pages as
    /// [snapshots](crate::snapshot) have them.
    ///
    /// ```
    /// use highwater::data::Change;
    /// use highwater::stream::Job;
    ///
    /// let job = Job::new();
    /// let orders = job.collection([(1, 40), (1, 50), (2, 60)]).map(Change::insert).arrange();
    /// let names = job.collection([(1, "ann".to_string()), (2, "bob".to_string())]).map(Change::insert).arrange();
    /// // Two readers of one arrangement.
    /// let named = orders.join(&names, |_, price, name| (name.clone(), *price)).materialize();
    /// let totals = orders.reduce(|_, prices| [prices.iter().map(|(price, n)| **price * *n as i32).sum::<i32>()]);
    /// let totals = totals.materialize();
    /// job.run()?;
    /// assert_eq!(named.sorted().len(), 3);
    /// assert_eq!(totals.sorted(), [(1, 90), (2, 60)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn arrange(self) -> ArrangedStream<K, V> {
        let (graph, consumers) = (self.graph(), Consumers::new());
        let edge = self.attach(Emit);
        let info = NodeInfo::new("arrange", "arrange").input(edge, Routing::ByKey).stateful();
        let id = graph.add(info, ArrangeOperator::<K, V> { edge, consumers: Arc::clone(&consumers) });
        ArrangedStream { batches: Stream::new(Node::new(&graph, id, &consumers)), row: PhantomData }
    }
}

impl<K: Key, V: Key> ArrangedStream<K, V> {
    /// Names the arrangement. Names appear in graphs, metrics and messages.
    pub fn named(self, name: impl Into<String>) -> ArrangedStream<K, V> {
        ArrangedStream { batches: self.batches.named(name), row: PhantomData }
    }

    /// Gives the arrangement an identity that outlives changes of the job: see [`Stream::uid`].
    pub fn uid(self, uid: impl Into<String>) -> ArrangedStream<K, V> {
        ArrangedStream { batches: self.batches.uid(uid), row: PhantomData }
    }

    pub(crate) fn graph(&self) -> Graph {
        self.batches.graph()
    }

    /// What it gives to those who read it.
    pub(crate) fn batches(&self) -> Stream<Arc<SealedBatch>> {
        self.batches.clone()
    }

    /// The operator that keeps it.
    pub(crate) fn node(&self) -> NodeId {
        self.batches.chain.id
    }

    /// The changes of the collection, consolidated for each epoch.
    pub fn changes(&self) -> Stream<Change<(K, V)>> {
        self.read("changes", |_, arranged| {
            arranged.as_collection(|key, record| (key.key().clone(), record.clone()))
        })
    }

    /// Runs a differential computation on the arrangement, and returns the changes of the resulting
    /// collection.
    ///
    /// Every worker builds the computation once, from `f`, when the job starts. What it is given is
    /// differential's own [`Arranged`], so `join_core`, `reduce_core` and all else that reads a trace can be
    /// used on the state as it lies here. Its keys are [`Hashed`], and each is on the worker that owns it:
    /// other collections are brought there by [`Computation::arrange`].
    ///
    /// The result must be a function of the collection, and of nothing else: a restored job computes it again
    /// from the arrangement, and goes on from there. A computation that the snapshot does not know begins
    /// with all that the arrangement has.
    ///
    /// ```
    /// use highwater::data::Change;
    /// use highwater::stream::Job;
    ///
    /// // The words that more than one key has.
    /// let job = Job::new();
    /// let words = job.collection([(1, "a"), (1, "b"), (2, "a")]).map(|(key, word)| Change::insert((key, word.to_string())));
    /// let shared = words.arrange().differential(|_, words| {
    ///     let keys = words.as_collection(|key, word| (word.clone(), *key.key()));
    ///     keys.distinct().map(|(word, _)| word).count().filter(|(_, keys)| *keys > 1)
    /// });
    /// let shared = shared.materialize();
    /// job.run()?;
    /// assert_eq!(shared.sorted(), [("a".to_string(), 2)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn differential<U, F>(&self, f: F) -> Stream<Change<U>>
    where
        U: Data + Ord,
        F: for<'s> Fn(&Computation<'s>, Arranged<'s, StateTrace<K, V>>) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        self.read("differential", f)
    }

    /// As [`differential`](Self::differential), under a name.
    fn read<U, F>(&self, name: &'static str, f: F) -> Stream<Change<U>>
    where
        U: Data + Ord,
        F: for<'s> Fn(&Computation<'s>, Arranged<'s, StateTrace<K, V>>) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        let node = self.node();
        computation(&self.graph(), name, &[&self.batches], move |computation, traces, import| {
            let arranged = import.arranged(traces.of::<K, V>(node).borrow().clone());
            f(computation, arranged)
        })
    }

    /// Runs a differential computation on two arrangements; see [`differential`](Self::differential).
    pub fn differential_with<L, W, U, F>(&self, other: &ArrangedStream<L, W>, f: F) -> Stream<Change<U>>
    where
        L: Key,
        W: Key,
        U: Data + Ord,
        F: for<'s> Fn(
                &Computation<'s>,
                Arranged<'s, StateTrace<K, V>>,
                Arranged<'s, StateTrace<L, W>>,
            ) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        self.read_with("differential", other, f)
    }

    /// As [`differential_with`](Self::differential_with), under a name.
    fn read_with<L, W, U, F>(
        &self,
        name: &'static str,
        other: &ArrangedStream<L, W>,
        f: F,
    ) -> Stream<Change<U>>
    where
        L: Key,
        W: Key,
        U: Data + Ord,
        F: for<'s> Fn(
                &Computation<'s>,
                Arranged<'s, StateTrace<K, V>>,
                Arranged<'s, StateTrace<L, W>>,
            ) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        let graph = self.graph();
        if !graph.is_same(&other.graph()) {
            graph.complain(
                "a computation over arrangements of different jobs is not possible: build both from one Job",
            );
        }
        let (one, two) = (self.node(), other.node());
        computation(&graph, name, &[&self.batches, &other.batches], move |computation, traces, import| {
            let left = import.arranged(traces.of::<K, V>(one).borrow().clone());
            let right = import.arranged(traces.of::<L, W>(two).borrow().clone());
            f(computation, left, right)
        })
    }

    /// Joins two arrangements: every pair of records with the same key.
    ///
    /// Keeps nothing of its own. Costs a look-up for each changed key, the decoding of all its records, and
    /// its pairs.
    pub fn join<W, U, F>(&self, other: &ArrangedStream<K, W>, f: F) -> Stream<Change<U>>
    where
        W: Key,
        U: Data + Ord + Debug,
        F: Fn(&K, &V, &W) -> U + Clone + Send + Sync + 'static,
    {
        self.read_with("join", other, move |_, left, right| {
            let f = f.clone();
            left.join_core(right, move |key, left, right| Some(f(key.key(), left, right)))
        })
    }

    /// Aggregates the records of each key: `f` is given them with their numbers, in order, whenever some have
    /// changed, and gives the key's results. A key without records has no results, and `f` is not asked.
    /// Numbers are below zero if more has been taken back than has come.
    ///
    /// Keeps the results, to take them back. Costs a look-up of all records of each changed key.
    pub fn reduce<U, I, F>(&self, f: F) -> Stream<Change<(K, U)>>
    where
        U: Key,
        I: IntoIterator<Item = U>,
        F: Fn(&K, &[(&V, isize)]) -> I + Clone + Send + Sync + 'static,
    {
        self.read("reduce", move |_, arranged| {
            let f = f.clone();
            let reduced = arranged
                .reduce_abelian::<_, ValBuilder<_, _, _, _>, ValSpine<Hashed<K>, U, _, isize>, _, _>(
                    "reduce",
                    move |key: &Hashed<K>, records, results| {
                        results.extend(f(key.key(), records).into_iter().map(|result| (result, 1)));
                    },
                    |updates, key: &Hashed<K>, results| {
                        updates.clear();
                        updates.extend(
                            results.drain(..).map(|(result, time, diff)| ((key.clone(), result), time, diff)),
                        );
                    },
                );
            reduced.as_collection(|key, result| (key.key().clone(), result.clone()))
        })
    }
}

/// Adds an operator for the computation that `build` builds on each worker, of the arrangements that give
/// these batches.
fn computation<U, B>(
    graph: &Graph,
    name: &'static str,
    arrangements: &[&Stream<Arc<SealedBatch>>],
    build: B,
) -> Stream<Change<U>>
where
    U: Data + Ord,
    B: for<'s> Fn(&Computation<'s>, &Traces, &mut Import<'_, 's>) -> VecCollection<'s, Time, U>
        + Send
        + Sync
        + 'static,
{
    let mut info = NodeInfo::new("arranged", name).stateful();
    let (mut batches, mut event_times) = (Vec::new(), Vec::new());
    for (number, arrangement) in arrangements.iter().enumerate() {
        let arrangement = Stream::clone(arrangement);
        let edge = arrangement.clone().map(move |batch| (number, batch)).attach(Emit);
        info = info.input(edge, Routing::Forward);
        batches.push(edge);
        event_times.push(arrangement.map(|_| ()).attach(Emit));
    }
    let nodes = arrangements.iter().map(|arrangement| arrangement.chain.id).collect();
    let consumers = Consumers::new();
    let operator =
        ReadOperator { name, nodes, build, batches, event_times, consumers: Arc::clone(&consumers) };
    let id = graph.add(info, operator);
    Stream::new(Node::new(graph, id, &consumers))
}

/// A computation over arrangements.
struct ReadOperator<U, B> {
    name: &'static str,
    /// The operators that keep the arrangements.
    nodes: Vec<NodeId>,
    build: B,
    batches: Vec<Edge<Numbered>>,
    /// Edges that tell event time: when batches come, and how far it is.
    event_times: Vec<Edge<Record<()>>>,
    consumers: Arc<Consumers<Change<U>>>,
}

impl<U, B> Operator for ReadOperator<U, B>
where
    U: Data + Ord,
    B: for<'s> Fn(&Computation<'s>, &Traces, &mut Import<'_, 's>) -> VecCollection<'s, Time, U> + Send + Sync,
{
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let (worker, scope) = (cx.worker.clone(), cx.scope);
        let uids: Vec<_> = self.nodes.iter().map(|node| worker.traces.uid(*node)).collect();
        let mut import = Import::new(uid, cx);
        let computation = Computation::new(scope, &worker.shared);
        let collection = (self.build)(&computation, &worker.traces, &mut import);
        import.build(&self.batches, (self.name.to_owned(), uids), worker);
        leave::leave_with_event_time(uid, cx, collection, &self.event_times, &self.consumers);
    }
}
