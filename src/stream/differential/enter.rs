//! The input of a differential computation: an operator that turns streams of changes into differential
//! collections.
//!
//! Differential computes at each distinct time separately, and a source has a new time for each piece that it
//! reads. Results are emitted only when epochs close, so the distinct times within an epoch would cost work
//! for nothing. Therefore all changes of an epoch get the same time: the epoch, and the watermark that was
//! known when the first of them arrived. That is at or below the times that they arrived with, since nothing
//! older could arrive any more. The operator holds this time until the epoch is complete, so the frontier
//! that differential sees advances once for each epoch and not with each piece.
//!
//! A change of the open epoch is forwarded at once, and differential's own batches sort and consolidate. If
//! snapshots are taken, the change is first exchanged to the owner of its record, and [kept](super::kept).
//!
//! # Restore
//!
//! The collections as of the cut are emitted first, at a time before the first epoch, which no later change
//! has. So [`leave`](super::leave) recognizes their results by that time.

use std::sync::Arc;

use differential_dataflow::{AsCollection, VecCollection};

use super::kept::Kept;
use crate::data::{Change, Diff, Hashed, Key, Record, hash64};
use crate::error::Result;
use crate::snapshot::RestoredOperator;
use crate::state::{OperatorState, Share, Sums};
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::epoch_driver::{self, OperatorLogic};
use crate::stream::graph::Lowering;
use crate::stream::join::Side;
use crate::stream::port::Output;
use crate::stream::{Edge, OperatorBuilder, WorkerContext, batch_of};
use crate::time::{EventTime, Time};

/// An update as differential represents it: a record, its time and its diff.
pub(super) type Update<T> = (T, Time, isize);

/// A change of one of two collections.
pub(super) type Entry<T, V> = Record<Side<Change<T>, Change<V>>>;

/// The input streams, and the names under which snapshots hold the collections that they describe. A
/// collection without a name has no changes.
pub(super) struct Entrance<T, V> {
    pub(super) edges: Vec<Edge<Entry<T, V>>>,
    pub(super) names: [Option<&'static str>; 2],
}

impl<T: Key, V: Key> Entrance<T, V> {
    /// Builds the operator, and returns the collections that the changes describe.
    pub(super) fn open<'s>(
        &self,
        uid: &str,
        cx: &mut Lowering<'s>,
    ) -> (VecCollection<'s, Time, T>, VecCollection<'s, Time, V>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let inputs = self.edges.iter().map(|edge| match worker.shared.coordinator() {
            // Without snapshots no collection is kept, so records need not be with their owners.
            None => builder.pipeline(*edge),
            Some(_) => {
                let ownership = Arc::clone(&worker.shared.ownership);
                let hash = |entry: &Entry<T, V>| match &entry.value {
                    Side::Left(change) => hash64(&change.record),
                    Side::Right(change) => hash64(&change.record),
                };
                builder.exchange(*edge, move |entry| ownership.worker_of(hash(entry)))
            }
        });
        let inputs = inputs.collect();
        let [left, right] = self.names;
        let (left, one) = Half::open(left, &worker, &mut builder);
        let (right, other) = Half::open(right, &worker, &mut builder);
        let start = Time::new(worker.first_epoch().saturating_sub(1), EventTime::MIN);
        let logic = Entering {
            left,
            right,
            watermark: EventTime::MIN,
            now: EventTime::MIN,
            is_given: false,
            start,
            is_restored: false,
        };
        let ports = Consumers::new().open(&mut builder);
        epoch_driver::build(builder, worker, inputs, ports, logic);
        (one.as_collection(), other.as_collection())
    }
}

/// The input of one collection.
struct Half<T: Key> {
    output: Output<Update<T>>,
    updates: Vec<Update<T>>,
    /// The collection for snapshots, if these are taken.
    kept: Option<Kept<Sums<Hashed<T>, Diff>>>,
}

type Updates<'s, T> = timely::dataflow::Stream<'s, Time, Vec<Update<T>>>;

impl<T: Key> Half<T> {
    fn open<'s>(
        name: Option<&'static str>,
        worker: &WorkerContext,
        builder: &mut OperatorBuilder<'_, 's>,
    ) -> (Half<T>, Updates<'s, T>) {
        let (output, stream) = builder.output_stream();
        let name = name.filter(|_| worker.shared.coordinator().is_some());
        let kept = name.map(|name| Kept::new(name, Sums::new(), worker));
        (Half { output, updates: Vec::new(), kept }, stream)
    }

    fn take(&mut self, time: Time, Change { record, diff }: Change<T>) {
        if let Some(kept) = &mut self.kept {
            kept.add(Hashed::new(record.clone()), diff);
        }
        self.updates.push((record, time, diff as isize));
    }

    fn send(&mut self, time: Time) {
        self.output.send(time, &mut self.updates);
    }

    /// Emits the whole kept collection at a time.
    fn give_kept(&mut self, time: Time) {
        let Half { output, updates, kept } = self;
        let Some(kept) = kept else { return };
        kept.each(&mut |record: Hashed<T>, diff: Diff| {
            updates.push((record.into_key(), time, diff as isize));
            if updates.len() >= batch_of::<Update<T>>() {
                output.send(time, updates);
            }
        });
        output.send(time, updates);
    }
}

/// One worker's instance.
struct Entering<T: Key, V: Key> {
    left: Half<T>,
    right: Half<V>,
    watermark: EventTime,
    /// The event time that the updates of the open epoch get.
    now: EventTime,
    /// True if the open epoch has updates.
    is_given: bool,
    /// The time of the restored collections, before the first epoch.
    start: Time,
    /// True if restored collections are still to be emitted at that time.
    is_restored: bool,
}

impl<T: Key, V: Key> OperatorLogic<Entry<T, V>> for Entering<T, V> {
    /// None: the updates go to differential through outputs of their own.
    type Out = ();

    fn batch(&mut self, time: Time, batch: &mut Vec<Entry<T, V>>, _: &mut Outputs<()>) {
        let time = Time::new(time.epoch, self.now);
        for entry in batch.drain(..) {
            match entry.value {
                Side::Left(change) => self.left.take(time, change),
                Side::Right(change) => self.right.take(time, change),
            }
        }
        self.left.send(time);
        self.right.send(time);
        self.is_given = true;
    }

    fn advance(&mut self, watermark: EventTime, _: Time, _: &mut Outputs<()>) {
        self.watermark = watermark;
        // At the end of event time nothing is held, and all that may still arrive has that time.
        if !self.is_given || watermark == EventTime::MAX {
            self.now = watermark;
        }
    }

    fn close(&mut self, epoch: u64, _: Option<Time>, _: &mut Outputs<()>) {
        self.left.kept.iter_mut().for_each(|kept| drop(kept.close(epoch)));
        self.right.kept.iter_mut().for_each(|kept| drop(kept.close(epoch)));
        (self.now, self.is_given) = (self.watermark, false);
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        let kept = self.left.kept.iter_mut();
        kept.for_each(|kept| visit(kept));
        let kept = self.right.kept.iter_mut();
        kept.for_each(|kept| visit(kept));
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.is_restored = true;
        self.restore_states(from, share)
    }

    fn owes(&self) -> Option<EventTime> {
        // Also without updates: those of the open epoch are sent at `now`, which may be below their own
        // times.
        (self.watermark < EventTime::MAX).then_some(self.now)
    }

    fn flush(&mut self) {
        // In the first activation: only then are the initial capabilities still held, which allow a time
        // before the first epoch.
        if std::mem::take(&mut self.is_restored) {
            self.left.give_kept(self.start);
            self.right.give_kept(self.start);
        }
        self.left.output.flush();
        self.right.output.flush();
    }
}
