//! Differential computations over streams of changes: joins, groups and loops whose results are kept up to
//! date, also when their input is retracted.
//!
//! # Why it is correct
//!
//! A stream of [`Change`]s describes a collection that differs from epoch to epoch, and [`Time`] is a
//! lattice. So differential dataflow can read the stream as it is, in the same dataflow and on the same
//! workers, and its results are changes again. Two operators connect the two: one [gives the changes of an
//! epoch one time](enter), the other [consolidates the results of an epoch](leave). So the changes emitted
//! for an epoch are the difference between two recomputations from scratch, of the input up to the epoch and
//! of the input up to the one before, however many rounds, corrections and workers took part.
//!
//! # Snapshots
//!
//! The state of a computation belongs to differential's operators, and this crate cannot read it. But all of
//! it follows from the collections that the computation was given, because the result of an epoch is a
//! function of them. So a snapshot holds these collections as of the cut, each record once, with its
//! multiplicity. The next run gives them to the computation first, at a time [before](enter) the first epoch.
//! The results of that time are the sum of the changes emitted up to the cut, so they are [dropped](leave),
//! and later changes are differences from there. Loops need nothing else: no round of an epoch is under way
//! when the epoch closes.
//!
//! # Arrangements
//!
//! A computation of the first kind keeps all that it is given, in a form of its own. Collections that are
//! [arranged] are kept once, by [an operator](arranging), and computations read them where they
//! lie, by [an operator that hands on](import) what each epoch changes; others are [attached] while the job
//! runs. Their state is in snapshots once, and a restored job goes on from it as it is.
//!
//! # What it does not do
//!
//! It does not save what a computation has beside its collections, such as a clock, a counter or a collection
//! that is not the same in each run. Nor does a new version of a program correct the output of the old
//! version: it continues as if it had always been the one that ran.
//!
//! # Cost
//!
//! Snapshots cost a copy of the input collections, a sort of each epoch's changes, and the exchange of each
//! change to the owner of its record; a restore costs a computation from scratch. Saving the results too
//! would not avoid that: differential needs its own state to continue, and a computation creates its
//! arrangements where this crate cannot reach them.
//!
//! The `highwater::differential` module is the differential crate itself: all its operators, algorithms and
//! arrangements can be used.

mod computation;
mod kept;
mod enter;
mod leave;
mod arranging;
mod import;
mod arranged;
mod attached;

use std::sync::Arc;

use differential_dataflow::VecCollection;

pub use arranged::ArrangedStream;
pub use attached::{Attached, EpochChanges};
pub use computation::{Computation, Round};

use enter::{Entrance, Entry};

use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::join::Side;
use super::{Chain, Edge, Graph, Stream};
use crate::data::{Change, Data, Key};
use crate::stream::consumers::{Consumers, Emit, Node};
use crate::time::Time;

impl<T: Key, C: Chain<Out = Change<T>>> Stream<Change<T>, C> {
    /// Runs a differential computation on the collection that the changes describe, and returns the changes
    /// of the resulting collection.
    ///
    /// Every worker builds the computation once, from `f`, when the job starts. Results are emitted when an
    /// epoch closes, one change for each record whose count differs, at the watermark at which the epoch
    /// began; until then the watermark does not advance. Diffs are `isize` inside, as differential prefers.
    ///
    /// In a job that takes snapshots the input collection is kept and saved, and a restored job computes the
    /// result from it again. So the result must be a function of the input collection, and of nothing else.
    ///
    /// ```
    /// use highwater::data::Change;
    /// use highwater::stream::{Job, Rounds};
    ///
    /// // Who can be reached from whom, when the edge from 2 to 3 has come and gone.
    /// let job = Job::new();
    /// let edges = [(1, 2), (2, 3), (3, 4)].map(Change::insert).into_iter().chain([Change::retract((2, 3))]);
    /// let pairs = job.collection(edges).differential(|computation, edges| {
    ///     computation.iterate(edges.clone(), Rounds::default(), |scope, pairs| {
    ///         let edges = edges.enter(scope);
    ///         let longer = pairs.map(|(from, to)| (to, from)).join_map(edges.clone(), |_, from, to| (*from, *to));
    ///         longer.concat(edges).distinct()
    ///     })
    /// });
    /// let pairs = pairs.materialize();
    /// job.run()?;
    /// assert_eq!(pairs.sorted(), [(1, 2), (3, 4)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn differential<U, F>(self, f: F) -> Stream<Change<U>>
    where
        U: Data + Ord,
        F: for<'s> Fn(&Computation<'s>, VecCollection<'s, Time, T>) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        let graph = self.graph();
        // All inputs of an operator have one type of elements, so a single collection is a left side too.
        let edge: Edge<Entry<T, ()>> = self.map(Side::Left).attach(Emit);
        let info = NodeInfo::new("differential", "differential").input(edge, Routing::Forward);
        // The names are those of the tables in snapshots.
        let entrance = Entrance { edges: vec![edge], names: [Some("collection"), None] };
        differential(&graph, info, move |uid, cx| {
            let (changes, _) = entrance.open(uid, cx);
            f(&Computation::new(cx.scope, &cx.worker.shared), changes)
        })
    }

    /// Runs a differential computation on two collections; see [`differential`](Self::differential).
    ///
    /// ```
    /// use highwater::data::Change;
    /// use highwater::stream::Job;
    ///
    /// // The orders of customers who are not blocked.
    /// let job = Job::new();
    /// let orders = job.collection([("ann", 1), ("bob", 2), ("bob", 3)]).map(Change::insert);
    /// let blocked = job.collection(["bob"]).map(Change::insert);
    /// let good = orders.map(|change| change.map(|(name, order)| (name.to_string(), order)));
    /// let blocked = blocked.map(|change| change.map(str::to_string));
    /// let good = good.differential_with(blocked, |_, orders, blocked| orders.antijoin(blocked)).materialize();
    /// job.run()?;
    /// assert_eq!(good.sorted(), [("ann".to_string(), 1)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn differential_with<V, U, D, F>(self, other: Stream<Change<V>, D>, f: F) -> Stream<Change<U>>
    where
        V: Key,
        U: Data + Ord,
        D: Chain<Out = Change<V>>,
        F: for<'s> Fn(
                &Computation<'s>,
                VecCollection<'s, Time, T>,
                VecCollection<'s, Time, V>,
            ) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        let graph = self.graph();
        if !graph.is_same(&other.graph()) {
            graph.complain(
                "a computation over streams of different jobs or loops is not possible: build both from one Job, and \
                 let streams enter a loop",
            );
        }
        let one: Edge<Entry<T, V>> = self.map(Side::Left).attach(Emit);
        let two: Edge<Entry<T, V>> = other.map(Side::Right).attach(Emit);
        let info = NodeInfo::new("differential", "differential");
        let info = info.input(one, Routing::Forward).input(two, Routing::Forward);
        let entrance = Entrance { edges: vec![one, two], names: [Some("collection"), Some("other")] };
        differential(&graph, info, move |uid, cx| {
            let (one, two) = entrance.open(uid, cx);
            f(&Computation::new(cx.scope, &cx.worker.shared), one, two)
        })
    }
}

/// Adds an operator for the computation that `build` builds on each worker.
fn differential<U, B>(graph: &Graph, info: NodeInfo, build: B) -> Stream<Change<U>>
where
    U: Data + Ord,
    B: for<'s> Fn(&str, &mut Lowering<'s>) -> VecCollection<'s, Time, U> + Send + Sync + 'static,
{
    let consumers = Consumers::new();
    let id = graph.add(info.stateful(), DifferentialOperator { build, consumers: Arc::clone(&consumers) });
    Stream::new(Node::new(graph, id, &consumers))
}

struct DifferentialOperator<U, B> {
    build: B,
    consumers: Arc<Consumers<Change<U>>>,
}

impl<U, B> Operator for DifferentialOperator<U, B>
where
    U: Data + Ord,
    B: for<'s> Fn(&str, &mut Lowering<'s>) -> VecCollection<'s, Time, U> + Send + Sync,
{
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let collection = (self.build)(uid, cx);
        leave::leave(uid, cx, collection, &self.consumers);
    }
}
