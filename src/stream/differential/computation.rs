//! The context of a differential computation: its scope, and loops with a bound on their rounds.
//!
//! The bound costs a look at the time of each update in a loop.

use std::fmt::Debug;
use std::sync::Arc;

use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::operators::iterate::Variable;
use differential_dataflow::trace::implementations::chunker::ContainerChunker;
use differential_dataflow::trace::implementations::{ValBatcher, ValBuilder, ValSpine};
use differential_dataflow::{ExchangeData, VecCollection};
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::scope::Iterative;
use timely::order::Product;

use crate::data::{Hashed, Key};
use crate::stream::{Rounds, Shared};
use crate::time::Time;

/// The time of a round of a loop: the time outside of the loop, and the number of the round.
pub type Round = Product<Time, u64>;

/// The context in which one worker builds a differential computation.
pub struct Computation<'s> {
    scope: Scope<'s, Time>,
    shared: Arc<Shared>,
}

impl<'s> Computation<'s> {
    pub(super) fn new(scope: Scope<'s, Time>, shared: &Arc<Shared>) -> Computation<'s> {
        Computation { scope, shared: Arc::clone(shared) }
    }

    /// The timely scope in which the computation is built.
    pub fn scope(&self) -> Scope<'s, Time> {
        self.scope
    }

    /// Arranges a collection that the computation has made, by keys, with each key on the worker that owns
    /// it: so it can be joined with an [`ArrangedStream`](super::ArrangedStream). Differential's own
    /// `arrange_by_key` would send keys elsewhere.
    pub fn arrange<K: Key, V: ExchangeData>(
        &self,
        collection: VecCollection<'s, Time, (K, V)>,
    ) -> Arranged<'s, TraceAgent<ValSpine<Hashed<K>, V, Time, isize>>> {
        let ownership = Arc::clone(&self.shared.ownership);
        let owner =
            move |((key, _), _, _): &((Hashed<K>, V), Time, isize)| ownership.worker_of(key.hash()) as u64;
        arrange_core::<_, _, ContainerChunker<_>, ValBatcher<_, _, _, _>, ValBuilder<_, _, _, _>, _>(
            collection.map(|(key, record)| (Hashed::new(key), record)).inner,
            Exchange::new(owner),
            "arrange",
        )
    }

    /// Applies `body` to `start`, and again to each result, until the result does not change: differential's
    /// `iterate`, with a bound.
    ///
    /// The result is kept up to date when `start` or another collection that enters the loop changes: the
    /// rounds in which something differs are computed again, and no others.
    ///
    /// As in differential, the result of `body` must be consolidated, as it is after `reduce`, `distinct` or
    /// `count`; otherwise changes that cancel each other may circulate for ever. A change in a round beyond
    /// `rounds` ends the job with an error. Differential's own `iterate` has no such bound: there, a
    /// computation that does not converge can be neither completed nor stopped.
    pub fn iterate<T, F>(
        &self,
        start: VecCollection<'s, Time, T>,
        rounds: Rounds,
        body: F,
    ) -> VecCollection<'s, Time, T>
    where
        T: ExchangeData + Debug,
        F: for<'i> FnOnce(
            Iterative<'i, Time, u64>,
            VecCollection<'i, Round, T>,
        ) -> VecCollection<'i, Round, T>,
    {
        let shared = Arc::clone(&self.shared);
        self.scope.iterative::<u64, _, _>(|inside| {
            let (variable, current) =
                Variable::new_from(start.enter(inside), Product::new(Default::default(), 1));
            let next = body(inside, current);
            variable.set(next.clone().inspect_batch(move |_, updates| {
                // The loop may still run when it has failed, and one error is enough.
                if updates.iter().any(|(_, time, _)| time.inner >= rounds.most()) && !shared.has_failed() {
                    shared.fail(rounds.exceeded());
                }
            }));
            next.leave(self.scope)
        })
    }
}
