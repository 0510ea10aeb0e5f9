//! Differential computations over streams of changes: joins, groups, and loops that are kept up to date when their input is taken back.
//!
//! A stream of [`Change`]s is a collection that differs from epoch to epoch, and [`Time`] is a lattice, so it can be handed to
//! differential dataflow as it is, in the same dataflow, on the same workers, and what comes out can be taken back. The parts meet in
//! two operators: one [gives the changes of an epoch one time](enter), the other [adds up what comes out of an epoch](leave).
//! So the changes that come out of an epoch are the difference between two recomputations from scratch, of the input up to the epoch and up to
//! the one before, however many rounds, corrections and workers took part.
//!
//! The `highwater::differential` module is the crate as it is: all its operators, algorithms and arrangements can be used.

mod computation;
mod enter;
mod leave;

use std::sync::Arc;

use differential_dataflow::VecCollection;

pub use computation::{Computation, Round};

use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::tap::{Node, Taps};
use super::{Chain, Graph, Stream};
use crate::data::{Change, Data};
use crate::time::Time;

impl<T: Data, C: Chain<Out = Change<T>>> Stream<Change<T>, C> {
    /// Hands the collection that the changes describe to a differential computation, and gives the changes of the collection that
    /// it answers.
    ///
    /// Every worker builds the computation once, from `f`, when the job starts. Results come when an epoch closes, one change for each thing
    /// that is different, at the watermark at which the epoch began; until then the watermark stands still. Diffs are `isize` inside, as
    /// differential prefers.
    ///
    /// ```
    /// use highwater::data::Change;
    /// use highwater::stream::{Job, Rounds};
    ///
    /// // Who can be reached from whom, when the edge from 2 to 3 has come and gone.
    /// let job = Job::new();
    /// let edges = [(1, 2), (2, 3), (3, 4)].map(Change::insert).into_iter().chain([Change::retract((2, 3))]);
    /// let pairs = job.collection(edges).through(|computation, edges| {
    ///     computation.iterate(edges.clone(), Rounds::default(), |scope, pairs| {
    ///         let edges = edges.enter(scope);
    ///         let longer = pairs.map(|(from, to)| (to, from)).join_map(edges.clone(), |_, from, to| (*from, *to));
    ///         longer.concat(edges).distinct()
    ///     })
    /// });
    /// let pairs = pairs.current();
    /// job.run()?;
    /// assert_eq!(pairs.sorted(), [(1, 2), (3, 4)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn through<U, F>(self, f: F) -> Stream<Change<U>>
    where
        U: Data + Ord,
        F: for<'s> Fn(&Computation<'s>, VecCollection<'s, Time, T>) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        let graph = self.graph();
        let edge = self.emit();
        let info = NodeInfo::new("differential", "differential").input(edge, Routing::Forward);
        differential(&graph, info, move |uid, cx| {
            let changes = enter::enter(uid, cx, edge);
            f(&Computation::new(cx), changes)
        })
    }

    /// Hands two collections to a differential computation; see [`through`](Self::through).
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
    /// let good = good.through_with(blocked, |_, orders, blocked| orders.antijoin(blocked)).current();
    /// job.run()?;
    /// assert_eq!(good.sorted(), [("ann".to_string(), 1)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn through_with<V, U, D, F>(self, other: Stream<Change<V>, D>, f: F) -> Stream<Change<U>>
    where
        V: Data,
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
        let (one, two) = (self.emit(), other.emit());
        let info = NodeInfo::new("differential", "differential");
        let info = info.input(one, Routing::Forward).input(two, Routing::Forward);
        differential(&graph, info, move |uid, cx| {
            let (one, two) = (enter::enter(uid, cx, one), enter::enter(uid, cx, two));
            f(&Computation::new(cx), one, two)
        })
    }
}

/// Adds a computation that `build` builds on each worker.
fn differential<U, B>(graph: &Graph, info: NodeInfo, build: B) -> Stream<Change<U>>
where
    U: Data + Ord,
    B: for<'s> Fn(&str, &mut Lowering<'s>) -> VecCollection<'s, Time, U> + Send + Sync + 'static,
{
    let taps = Taps::new();
    let id = graph.add(info.stateful(), DifferentialOperator { build, taps: Arc::clone(&taps) });
    Stream::new(Node::new(graph, id, &taps))
}

struct DifferentialOperator<U, B> {
    build: B,
    taps: Arc<Taps<Change<U>>>,
}

impl<U, B> Operator for DifferentialOperator<U, B>
where
    U: Data + Ord,
    B: for<'s> Fn(&str, &mut Lowering<'s>) -> VecCollection<'s, Time, U> + Send + Sync,
{
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let collection = (self.build)(uid, cx);
        leave::leave(uid, cx, collection, &self.taps);
    }
}
