//! The head of a loop: records enter it here, and come back to it in each round.
//!
//! To timely, the inside of a loop is not connected with the outside. The two meet in operators with a port
//! in each: at the head, whose input is outside, and at the [exit](super::exit). The head holds, inside, the
//! first round of all times that may still enter; the exit holds, outside, all times that may still leave. So
//! an epoch is complete behind the loop when it is complete before it and none of its records circulates, on
//! any worker, and that is exactly what the frontier at the exit shows.
//!
//! The head's second input is the feedback edge. It is an ordinary edge of the loop that advances a time by
//! one round; timely allows a cycle only if it advances time.

use std::sync::{Arc, OnceLock};

use crate::data::{Data, Record};
use crate::error::Result;
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::graph::{Lowering, Operator};
use crate::stream::rounds::{ONCE, Rounds};
use crate::stream::{Capabilities, Edge, Frontiers, Input, OperatorBuilder, WorkerContext};

/// Lets a stream into a loop.
pub(super) struct HeadOperator<T> {
    pub(super) edge: Edge<Record<T>>,
    /// The feedback edge, once the body is built; never set if the stream just enters.
    pub(super) back: Arc<OnceLock<Edge<Record<T>>>>,
    pub(super) rounds: Rounds,
    pub(super) consumers: Arc<Consumers<T>>,
}

impl<T: Data> Operator for HeadOperator<T> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let (worker, rounds) = (cx.worker.clone(), self.rounds);
        let mut builder = cx.operator(uid);
        let ports = self.consumers.open(&mut builder);
        // As at the exit, no path summary connects the outside with the inside.
        let entry = builder.delayed(self.edge, None);
        let Some(back) = self.back.get().copied() else {
            return Head { worker, rounds, entry, back: None, ports }.build(builder);
        };
        // The producer of the feedback edge is defined after the head, and so not built yet.
        let unfinished = builder.set_aside();
        cx.later(move |cx| {
            let mut builder = unfinished.resume(&mut cx.edges);
            let back = builder.delayed(back, Some(ONCE));
            // The holds depend on the entry alone. Otherwise each round would activate the head once more.
            builder.ignore_frontier(BACK);
            Head { worker, rounds, entry, back: Some(back), ports }.build(builder);
        });
    }
}

/// The numbers of the inputs.
const ENTRY: usize = 0;
const BACK: usize = 1;

/// One worker's instance.
struct Head<T> {
    worker: WorkerContext,
    rounds: Rounds,
    entry: Input<Record<T>>,
    back: Option<Input<Record<T>>>,
    ports: Outputs<T>,
}

impl<T: Data> Head<T> {
    fn build(mut self, builder: OperatorBuilder<'_, '_>) {
        builder.build(move |frontiers, holds| {
            if let Err(error) = self.activate(frontiers, holds) {
                self.worker.shared.fail(error);
            }
            false
        });
    }

    fn activate(&mut self, frontiers: &Frontiers, holds: &mut Capabilities) -> Result<()> {
        while let Some((time, batch)) = self.entry.next() {
            self.ports.give_batch(Rounds::inside(time)?, batch);
            batch.clear();
        }
        // `next` adds the one round that the path summary of this input promises.
        while let Some((time, batch)) = self.back.as_mut().and_then(Input::next) {
            self.ports.give_batch(self.rounds.next(time)?, batch);
            batch.clear();
        }
        self.ports.flush();
        // Records that circulate need no hold: timely tracks them and their messages in the loop.
        let entering = frontiers.of(ENTRY);
        holds.set(entering.iter().map(|time| Rounds::inside(*time)).collect::<Result<Vec<_>>>()?);
        Ok(())
    }
}
