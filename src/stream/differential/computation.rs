//! What a differential computation is given besides its collections.

use std::fmt::Debug;
use std::sync::Arc;

use differential_dataflow::operators::iterate::Variable;
use differential_dataflow::{ExchangeData, VecCollection};
use timely::dataflow::Scope;
use timely::dataflow::scope::Iterative;
use timely::order::Product;

use crate::stream::graph::Lowering;
use crate::stream::{Rounds, Shared};
use crate::time::Time;

/// The times of rounds in the epochs of a loop over collections.
pub type Round = Product<Time, u64>;

/// A differential computation, while it is built on one worker.
pub struct Computation<'s> {
    scope: Scope<'s, Time>,
    shared: Arc<Shared>,
}

impl<'s> Computation<'s> {
    pub(super) fn new(cx: &Lowering<'s>) -> Computation<'s> {
        Computation { scope: cx.scope, shared: Arc::clone(&cx.worker.shared) }
    }

    /// Timely's scope that the computation is built in.
    pub fn scope(&self) -> Scope<'s, Time> {
        self.scope
    }

    /// Applies `body` to `start`, to what that gives, and so on, until nothing changes: differential's
    /// `iterate`, with a bound.
    ///
    /// The result is kept up to date when `start` or what else enters the loop changes, by going through
    /// those rounds again in which something is different, and no others.
    ///
    /// As in differential, what the body answers must be consolidated, as it is after `reduce`, `distinct` or
    /// `count`, or changes that cancel each other may go around for ever. A change in a round beyond `rounds`
    /// ends the job with an error. Differential's own `iterate` has no such bound: with that, a computation
    /// that does not converge can be neither completed nor stopped.
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
                if updates.iter().any(|(_, time, _)| time.inner >= rounds.most()) && !shared.has_failed() {
                    shared.fail(rounds.exceeded());
                }
            }));
            next.leave(self.scope)
        })
    }
}
