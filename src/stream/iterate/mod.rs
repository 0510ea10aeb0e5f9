//! Loops of records: a part of the output of a loop's body goes back to its input.
//!
//! Flink's `iterate` could not detect termination, and was removed. Here a loop ends in every epoch: the
//! epoch is complete behind the loop when none of its records circulates any more. Timely's progress tracking
//! detects that, without a count of records.
//!
//! Inside, the operators are the same as outside, and rounds are their [epochs](Rounds). So an aggregate in a
//! loop emits the changes of a round when the round is complete, and keeps its state over rounds and epochs.
//! That suits results that only grow or only shrink, such as the least label that reaches a node. If records
//! that circulated may have to be retracted, because the input was, use a loop over
//! [collections](crate::stream::Stream::differential).
//!
//! # In snapshots
//!
//! An epoch closes when none of its records circulates any more, so no record is in a loop at a cut: the
//! snapshot of a loop is the state of the operators in it, as of the end of the last round of the epoch.
//!
//! # Cost
//!
//! A record that goes around costs what the steps of the body cost, and a move. A round with an exchange or
//! an aggregate in it costs each worker an exchange of progress with the others; without, rounds of one
//! worker do not wait for those of another.

mod exit;
mod head;

use std::sync::{Arc, OnceLock};

use exit::ExitOperator;
use head::HeadOperator;

use super::graph::{NodeInfo, Routing};
use super::rounds::Rounds;
use super::{Chain, Graph, Stream};
use crate::data::Data;
use crate::stream::consumers::{Consumers, Node};

/// A loop, while its body is built.
pub struct Loop {
    inside: Graph,
    outside: Graph,
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Sends records around: `body` is given the records that enter and those that come by again, and answers
    /// which go around once more and which leave.
    ///
    /// Records keep their event times and their epochs, in the loop and behind it. They leave at once; what
    /// is complete behind the loop is what has left it. A body must let go of every record at some time, and
    /// a [bound](Rounds) on how often a record goes around finds out if it does not.
    ///
    /// The body can have stateless steps, exchanges, aggregates, joins and calls in it. Streams from outside
    /// are [let in](Loop::enter) first. Windows and sinks belong behind the loop.
    ///
    /// ```
    /// use highwater::stream::{Job, Rounds};
    ///
    /// // How many steps of Collatz' rule a number is away from 1.
    /// let job = Job::new();
    /// let numbers = job.collection([6, 7, 1]).map(|n: u64| (n, n, 0));
    /// let steps = numbers.iterate(Rounds::at_most(1000), |numbers, _| {
    ///     let (done, others) = numbers.split(|(start, n, steps)| match n {
    ///         1 => Ok((start, steps)),
    ///         _ => Err((start, if n % 2 == 0 { n / 2 } else { 3 * n + 1 }, steps + 1)),
    ///     });
    ///     (others, done)
    /// });
    /// let steps = steps.collect();
    /// job.run()?;
    /// assert_eq!(steps.sorted(), [(1, 0), (6, 8), (7, 16)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn iterate<U, B, D, F>(self, rounds: Rounds, body: F) -> Stream<U>
    where
        U: Data,
        B: Chain<Out = T>,
        D: Chain<Out = U>,
        F: FnOnce(Stream<T>, &Loop) -> (Stream<T, B>, Stream<U, D>),
    {
        let outside = self.graph();
        let scope = Loop { inside: outside.in_loop(), outside };
        let back = Arc::default();
        let (id, head) = scope.head(self, "iterate", rounds, &back);
        let (again, done) = body(head, &scope);
        let Loop { inside, outside } = scope;
        if !(again.graph().is_same(&inside) && done.graph().is_same(&inside)) {
            outside.complain("the body of a loop must make what it answers of the streams that it is given");
            // A placeholder without consumers: the complaint keeps the job from running.
            return Stream::new(Node::new(&outside, id, &Consumers::new()));
        }
        let edge = again.emit();
        outside.describe(id, |info| info.read(edge, Routing::Forward));
        // Setting it cannot fail: it was empty, and the head reads it only when the job is lowered.
        let _ = back.set(edge);
        let edge = done.emit();
        let info = NodeInfo::new("exit", "exit of a loop").input(edge, Routing::Forward);
        let consumers = Consumers::new();
        let id = outside.add(info, ExitOperator { edge, consumers: Arc::clone(&consumers) });
        Stream::new(Node::new(&outside, id, &consumers))
    }
}

impl Loop {
    /// Lets a stream from outside into the loop; its records are in the first round of their epochs.
    ///
    /// ```
    /// use highwater::stream::{Job, Rounds};
    ///
    /// // From who is the boss of whom: who is above whom.
    /// let job = Job::new();
    /// let bosses = job.collection([(3, 2), (2, 1), (4, 1)]);
    /// let above = bosses.clone().iterate(Rounds::default(), |pairs, scope| {
    ///     let bosses = scope.enter(bosses).key_by(|pair| pair.0);
    ///     let higher = pairs.clone().key_by(|pair| pair.1).join(bosses, |_, pair, boss| (pair.0, boss.1));
    ///     (higher, pairs)
    /// });
    /// let above = above.collect();
    /// job.run()?;
    /// assert_eq!(above.sorted(), [(2, 1), (3, 1), (3, 2), (4, 1)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn enter<T: Data, C: Chain<Out = T>>(&self, stream: Stream<T, C>) -> Stream<T> {
        if !stream.graph().is_same(&self.outside) {
            self.outside.complain("what enters a loop must come from where the loop is, in the same job");
        }
        self.head(stream, "enter", Rounds::default(), &Arc::default()).1
    }

    fn head<T: Data, C: Chain<Out = T>>(
        &self,
        stream: Stream<T, C>,
        kind: &'static str,
        rounds: Rounds,
        back: &Arc<OnceLock<super::Edge<crate::data::Record<T>>>>,
    ) -> (super::NodeId, Stream<T>) {
        let edge = stream.emit();
        let info = NodeInfo::new(kind, kind).input(edge, Routing::Forward);
        let consumers = Consumers::new();
        let operator =
            HeadOperator { edge, back: Arc::clone(back), rounds, consumers: Arc::clone(&consumers) };
        let id = self.outside.add(info, operator);
        (id, Stream::new(Node::new(&self.inside, id, &consumers)))
    }
}
