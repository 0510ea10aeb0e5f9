//! Joins of keyed streams without windows: every pair of records with the same key.
//!
//! A table has the rows of both sides of each key. A record meets the rows of the other side that have come
//! before it, and is added to its own. Of two records with the same key the later one meets the earlier, on
//! the one worker that has the key; so each pair is found once, and at each closed epoch the output is
//! exactly the join of the inputs up to there. A record that is taken back (a signed change) takes its pairs
//! back, and cancels an equal one, whatever their event times.
//!
//! # Cost
//!
//! A record costs a look-up, its pairs, and a push; one that is taken back a comparison with the later ones
//! of its key and side, and so does every record while any is taken back that has not come yet. Where a key
//! has thousands of rows that change in any order, that is much. Look-ups are done together for a batch. No
//! row that is there is ever dropped: a join without a bound in time must keep all its input. A snapshot
//! costs a copy of what is new, and if memory is limited, keys leave it, and come back with all their rows:
//! see [`state`](crate::state).

use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::context::WorkerContext;
use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::{Edge, KeyedStream, Stream};
use crate::data::{Change, Data, Diff, Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{
    Cells, Found, Multiset, Now, OperatorState, Share, Slot, Store, is_added_up, read_added_up,
};
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
    /// `f` makes the result of a pair; its event time is the later one of the two. A pair is emitted when the
    /// later record comes, in that record's epoch.
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
    ///
    /// A retraction takes back an equal record of its key, the latest if there are several, whatever their
    /// event times. Within an epoch a pair may be inserted and retracted again.
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
        let logic = Join::<K, L, R, F>::new(self.f.clone(), uid, &worker);
        epoch_driver::build(builder, worker, inputs, ports, logic);
    }
}

/// The columns of the two sides.
const LEFT: usize = 0;
const RIGHT: usize = 1;

/// The names of their tables.
pub(crate) const SIDES: [&str; 2] = ["left", "right"];

/// The name of the note of the greatest number of a row, and of how many have a negative count.
const ROWS: &str = "rows";

/// So many records are taken together: their keys' places are looked up at once, and if memory is limited,
/// keys may leave after them.
const CHUNK: usize = 256;

struct Join<K: Key, L: Exchange + Ord, R: Exchange + Ord, F> {
    f: F,
    rows: SideRows<K>,
    /// The slots of some records' keys.
    found: Vec<Found>,
    sides: PhantomData<fn() -> (L, R)>,
}

/// The rows of both sides.
struct SideRows<K: Key> {
    store: Store<K>,
    /// The number of the last row.
    number: u64,
    /// How many rows have a negative count; more after a restore, since those of all workers are counted.
    negative: u64,
}

impl<K: Key> SideRows<K> {
    fn cells<V: Exchange + Ord>(&self, side: usize) -> &Cells<K, Multiset<V>> {
        match self.store.column(side) {
            Some(cells) => cells,
            None => unreachable!("the column was added with this type"),
        }
    }

    fn cells_mut<V: Exchange + Ord>(store: &mut Store<K>, side: usize) -> &mut Cells<K, Multiset<V>> {
        match store.column_mut(side) {
            Some(cells) => cells,
            None => unreachable!("the column was added with this type"),
        }
    }

    /// Adds a row so often, or takes it back, on one side.
    #[inline]
    fn add<V: Exchange + Ord>(
        &mut self,
        side: usize,
        (slot, key): (Slot, &K),
        row: V,
        (timestamp, mut count): (EventTime, Diff),
    ) {
        if count < 0 || self.negative > 0 {
            count = self.cancel(side, (slot, key), &row, count);
        }
        if count != 0 {
            self.negative += u64::from(count < 0);
            self.number += 1;
            let id = (self.number, timestamp, count);
            Self::cells_mut(&mut self.store, side).add(slot, id, row);
        }
    }

    #[inline(never)]
    fn cancel<V: Exchange + Ord>(&mut self, side: usize, at: (Slot, &K), row: &V, count: Diff) -> Diff {
        let cells = Self::cells_mut(&mut self.store, side);
        let (left, gone) = cells.cancel(at, row, count, &mut self.number);
        if count > 0 {
            self.negative = self.negative.saturating_sub(gone);
        }
        if cells.is_bare(at.0) {
            self.store.lost(at.0);
        }
        left
    }

    /// Restores a side whose rows were added up: a key's rows of all runs.
    fn restore_added_up<V: Exchange + Ord>(
        &mut self,
        side: usize,
        from: &RestoredOperator,
        share: &Share,
    ) -> Result<()> {
        read_added_up(SIDES[side], from, share, &mut |key: K, row: V, timestamp, count| {
            let slot = self.store.slot(&key);
            self.add(side, (slot, &key), row, (timestamp, count));
        })
    }
}

impl<K, L, R, F> Join<K, L, R, F>
where
    K: Key,
    L: Exchange + Ord,
    R: Exchange + Ord,
{
    fn new(f: F, uid: &str, worker: &WorkerContext) -> Join<K, L, R, F> {
        let mut store = Store::new();
        worker.limit(uid).into_iter().for_each(|limit| store.limit(limit));
        let left = (None, worker.state_readers());
        store.add(SIDES[LEFT], Cells::<K, Multiset<L>>::new(None, hash64, left));
        let right = (None, worker.state_readers());
        store.add(SIDES[RIGHT], Cells::<K, Multiset<R>>::new(None, hash64, right));
        let rows = SideRows { store, number: 0, negative: 0 };
        Join { f, rows, found: Vec::new(), sides: PhantomData }
    }

    /// Takes a record: its pairs, and then the record.
    #[inline]
    fn take<O: Data>(
        &mut self,
        slot: Slot,
        Record { value: (key, side), stamp }: Input<K, L, R>,
        time: Time,
        out: &mut Outputs<Change<O>>,
    ) where
        F: Fn(&K, &L, &R) -> O,
    {
        if matches!(side, Side::Left(Change { diff: 0, .. }) | Side::Right(Change { diff: 0, .. })) {
            return;
        }
        let Join { f, rows, .. } = self;
        let mut emit = |record: O, at: EventTime, own: Diff, other: Diff| {
            let stamp = Stamp { timestamp: stamp.timestamp.max(at), watermark: time.event };
            // A pair is there once for each combination of its rows.
            let diff = own.checked_mul(other).unwrap_or_else(|| {
                operator_fault::note("the number of times that a pair is there does not fit in 64 bits");
                Diff::MAX
            });
            out.give(time, Record::new(Change { record, diff }, stamp));
        };
        match side {
            Side::Left(Change { record, diff }) => {
                for (other, at, count) in rows.cells::<R>(RIGHT).rows(slot) {
                    emit(f(&key, &record, other), at, diff, count);
                }
                rows.add(LEFT, (slot, &key), record, (stamp.timestamp, diff));
            }
            Side::Right(Change { record, diff }) => {
                for (other, at, count) in rows.cells::<L>(LEFT).rows(slot) {
                    emit(f(&key, other, &record), at, diff, count);
                }
                rows.add(RIGHT, (slot, &key), record, (stamp.timestamp, diff));
            }
        }
    }

    /// Forgets the keys that have no rows.
    fn tidy(&mut self) {
        // No row expires.
        self.rows.store.tidy(Now { watermark: EventTime::MIN, millis: i64::MIN });
    }
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

    fn batch(&mut self, time: Time, batch: &mut Vec<Input<K, L, R>>, out: &mut Outputs<Change<O>>) {
        let mut found = std::mem::take(&mut self.found);
        let mut records = batch.drain(..);
        while !records.as_slice().is_empty() {
            let next = records.as_slice();
            let next = &next[..next.len().min(CHUNK)];
            self.rows.store.slots(next.iter().map(|record| &record.value.0), &mut found);
            for (found, record) in found.drain(..).zip(records.by_ref()) {
                self.take(found.slot, record, time, out);
            }
            if self.rows.store.is_limited() {
                self.tidy();
                self.rows.store.evict(time.epoch);
            }
        }
        drop(records);
        self.found = found;
    }

    fn advance(&mut self, _: EventTime, _: Time, _: &mut Outputs<Change<O>>) {}

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outputs<Change<O>>) {
        self.tidy();
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        visit(&mut self.rows.store);
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.note(ROWS, &(self.rows.number, self.rows.negative))
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        for (_, (number, negative)) in from.notes::<(u64, u64)>(ROWS)? {
            self.rows.number = self.rows.number.max(number);
            self.rows.negative = self.rows.negative.saturating_add(negative);
        }
        if is_added_up::<K, L>(SIDES[LEFT], from) || is_added_up::<K, R>(SIDES[RIGHT], from) {
            self.rows.restore_added_up::<L>(LEFT, from, share)?;
            return self.rows.restore_added_up::<R>(RIGHT, from, share);
        }
        self.rows.store.restore_evicted(from, share)
    }
}
