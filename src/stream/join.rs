//! Joins of keyed streams without windows: every pair of records with the same key.
//!
//! Each side is an arrangement of its rows by key. When an epoch closes, the new rows of each side are
//! sorted, and one pass in key order finds their partners: new left rows meet all right rows, new right rows
//! meet the left rows of earlier epochs. So each pair is found exactly once, in the epoch that completes it,
//! and at each closed epoch the output is exactly the join of the inputs up to there. Rows that are taken
//! back (signed changes) take their pairs back.
//!
//! # Cost
//!
//! There is no hash table and no cache: the arrangement is the state, read by galloping cursors. An epoch
//! with `n` new rows costs their sort, `n` seeks in each of the other side's `O(log N)` runs, and the pairs.
//! No row is ever dropped: a join without a bound in time must keep all its input. If memory is limited, its
//! pages lie in files; then each key with new rows costs a look-up of the pages that may hold it, and a read
//! of those that do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use timely::dataflow::operators::generic::OperatorInfo;

use super::chain::Chain;
use super::context::WorkerContext;
use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::{Edge, KeyedStream, Stream};
use crate::data::{Change, Data, Diff, Exchange, Key, Record, Stamp};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Arrangement, Cursor, Hashed, Share, Spilling, Sums};
use crate::stream::consumers::{Consumers, Emit, Node, Outputs};
use crate::stream::epoch_driver::{self, OperatorLogic};
use crate::stream::operator_fault;
use crate::time::{EventTime, Time};

/// A change on one of two sides.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Side<L, R> {
    Left(L),
    Right(R),
}

impl<K: Key, T: Exchange + Ord, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Joins each record with all records of `other` that have the same key, past and to come.
    ///
    /// `f` makes the result of a pair; its event time is the later one of the two. A pair appears when the
    /// epoch of its later record closes.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let names = job.collection([(1, "ann"), (2, "bob")]).key_by(|p| p.0).map_values(|p| p.1.to_string());
    /// let orders = job.collection([(1, 40), (1, 50), (3, 60)]).key_by(|o| o.0).map_values(|o| o.1);
    /// let named = names.join(orders, |_, name, price| (name.clone(), *price)).collect();
    /// job.run()?;
    /// assert_eq!(named.sorted(), [("ann".to_string(), 40), ("ann".to_string(), 50)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn join<R, D, O, F>(self, other: KeyedStream<K, R, D>, f: F) -> Stream<O, impl Chain<Out = O>>
    where
        R: Exchange + Ord,
        D: Chain<Out = (K, R)>,
        O: Data,
        F: Fn(&K, &T, &R) -> O + Clone + Send + Sync + 'static,
    {
        // Only insertions go in, so no pair is ever retracted and the changes are the records.
        let (left, right) = (self.map_values(Change::insert), other.map_values(Change::insert));
        let pairs = left.join_changes(right, f);
        pairs.flat_map(|pair| std::iter::repeat_n(pair.record, usize::try_from(pair.diff).unwrap_or(0)))
    }
}

impl<K: Key, T: Exchange + Ord, C: Chain<Out = (K, Change<T>)>> KeyedStream<K, Change<T>, C> {
    /// Joins two collections that are given by their changes; the result is the changes of the join.
    pub fn join_changes<R, D, O, F>(self, other: KeyedStream<K, Change<R>, D>, f: F) -> Stream<Change<O>>
    where
        R: Exchange + Ord,
        D: Chain<Out = (K, Change<R>)>,
        O: Data,
        F: Fn(&K, &T, &R) -> O + Clone + Send + Sync + 'static,
    {
        let graph = self.pairs.graph();
        if !graph.is_same(&other.pairs.graph()) {
            graph.complain(
                "a join of streams of different jobs or loops is not possible: build both from one Job, and let \
                 streams enter a loop",
            );
        }
        let left: Edge<_> = self.pairs.map(|(key, change)| (key, Side::Left(change))).attach(Emit);
        let right: Edge<_> = other.pairs.map(|(key, change)| (key, Side::Right(change))).attach(Emit);
        let info = NodeInfo::new("join", "join").input(left, Routing::ByKey).input(right, Routing::ByKey);
        let consumers = Consumers::new();
        let operator = JoinOperator { edges: [left, right], f, consumers: Arc::clone(&consumers) };
        let id = graph.add(info.stateful(), operator);
        Stream::new(Node::new(&graph, id, &consumers))
    }
}

type Input<K, L, R> = Record<(K, Side<Change<L>, Change<R>>)>;

struct JoinOperator<K, L, R, O, F> {
    edges: [Edge<Input<K, L, R>>; 2],
    f: F,
    consumers: Arc<Consumers<Change<O>>>,
}

impl<K, L, R, O, F> Operator for JoinOperator<K, L, R, O, F>
where
    K: Key,
    L: Exchange + Ord,
    R: Exchange + Ord,
    O: Data,
    F: Fn(&K, &L, &R) -> O + Clone + Send + Sync + 'static,
{
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let inputs = self.edges.map(|edge| builder.by_key(edge, |record| &record.value.0)).into();
        let ports = self.consumers.open(&mut builder);
        let logic = Join {
            f: self.f.clone(),
            left: Half::new(&worker, builder.info()),
            right: Half::new(&worker, builder.info()),
        };
        epoch_driver::build(builder, worker, inputs, ports, logic);
    }
}

/// A row of one side. The key comes first in the order; the event time is part of the row.
type Row<K, V> = (Hashed<K>, V, EventTime);

/// One side of a join.
struct Half<K: Key, V: Exchange + Ord> {
    arrangement: Arrangement<Spilling<Sums<Row<K, V>, Diff>>>,
    /// True if rows may lie in files.
    is_filed: bool,
    /// The changes of the open epoch.
    new: Vec<(Row<K, V>, Diff)>,
}

impl<K: Key, V: Exchange + Ord> Half<K, V> {
    fn new(worker: &WorkerContext, operator: OperatorInfo) -> Half<K, V> {
        let rows = Spilling::new(Sums::new(), worker.memory.as_ref(), |(key, ..): &Row<K, V>| key.hash);
        let is_filed = worker.memory.is_some();
        Half { arrangement: Arrangement::new(rows, operator), is_filed, new: Vec::new() }
    }

    /// Seals the changes of the epoch.
    fn seal(&mut self, epoch: u64) {
        self.arrangement.seal(epoch, std::mem::take(&mut self.new));
    }

    /// Shows each pair of a row in `others`, which is sorted, and a sealed row of this side with the same
    /// key.
    fn meet<W>(
        &self,
        others: &[(Row<K, W>, Diff)],
        mut pair: impl FnMut(&(Row<K, V>, Diff), &(Row<K, W>, Diff)),
    ) {
        // A cursor walks whole runs, which would read all pages. A look-up by hash reads only the pages that
        // may hold the key.
        if self.is_filed {
            for group in others.chunk_by(|a, b| a.0.0 == b.0.0) {
                let key = &group[0].0.0;
                self.arrangement.range(key.hash, &|row| row.0.cmp(key), &mut |row, diff| {
                    let row = (row, diff);
                    group.iter().for_each(|other| pair(&row, other));
                });
            }
            return;
        }
        for run in self.arrangement.runs() {
            // `others` and the run are in the same order, so one cursor moves forward through each run once.
            let mut cursor = Cursor::default();
            for group in others.chunk_by(|a, b| a.0.0 == b.0.0) {
                let key = &group[0].0.0;
                cursor.seek(&run, |row: &Row<K, V>| row.0 < *key);
                while let Some(row) = cursor.row(&run).filter(|row| row.0.0 == *key) {
                    group.iter().for_each(|other| pair(row, other));
                    cursor.next(&run);
                }
            }
        }
    }
}

struct Join<K: Key, L: Exchange + Ord, R: Exchange + Ord, F> {
    f: F,
    left: Half<K, L>,
    right: Half<K, R>,
}

impl<K, L, R, O, F> OperatorLogic<Input<K, L, R>> for Join<K, L, R, F>
where
    K: Key,
    L: Exchange + Ord,
    R: Exchange + Ord,
    O: Data,
    F: Fn(&K, &L, &R) -> O + 'static,
{
    type Out = Change<O>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Input<K, L, R>>, _: &mut Outputs<Change<O>>) {
        for Record { value: (key, side), stamp } in batch.drain(..) {
            match side {
                Side::Left(change) => {
                    self.left.new.push(((Hashed::new(key), change.record, stamp.timestamp), change.diff))
                }
                Side::Right(change) => {
                    self.right.new.push(((Hashed::new(key), change.record, stamp.timestamp), change.diff))
                }
            }
        }
    }

    fn advance(&mut self, _: EventTime, _: Time, _: &mut Outputs<Change<O>>) {}

    fn save(&mut self) -> Result<SavedTables> {
        let tables = vec![self.left.arrangement.save("left"), self.right.arrangement.save("right")];
        Ok(SavedTables { tables, ..SavedTables::default() })
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        self.left.arrangement.restore("left", from, share)?;
        self.right.arrangement.restore("right", from, share)
    }

    fn close(&mut self, epoch: u64, since: Option<Time>, out: &mut Outputs<Change<O>>) {
        // No batch came, so there is nothing to seal either.
        let Some(since) = since else { return };
        // Sorts the rows, which `meet` relies on, and drops rows that were inserted and retracted in the
        // epoch.
        differential_dataflow::consolidation::consolidate(&mut self.left.new);
        differential_dataflow::consolidation::consolidate(&mut self.right.new);
        let f = &self.f;
        let mut emit = |left: &(Row<K, L>, Diff), right: &(Row<K, R>, Diff)| {
            let (((key, l, at), m), ((_, r, and), n)) = (left, right);
            let timestamp = *at.max(and);
            let stamp = Stamp { timestamp, watermark: since.event };
            // A pair is there once for each combination of its rows.
            let diff = m.checked_mul(*n).unwrap_or_else(|| {
                operator_fault::note("the number of times that a pair is there does not fit in 64 bits");
                Diff::MAX
            });
            out.give(since, Record::new(Change { record: f(&key.key, l, r), diff }, stamp));
        };
        // The order finds each pair once: new right rows meet the left rows of earlier epochs, are sealed,
        // and then new left rows meet all right rows.
        self.left.meet(&self.right.new, &mut emit);
        self.right.seal(epoch);
        self.right.meet(&self.left.new, |right, left| emit(left, right));
        self.left.seal(epoch);
    }
}
