//! From streams of changes to differential collections.
//!
//! Differential computes at every distinct time by itself, and a source has a new time in every piece that it
//! reads. Results are spoken of when epochs close, so what differential learns of the times within one would
//! be work for nothing. Therefore all changes of an epoch are given the same time: the epoch, and the
//! watermark that was known when the first of them came. That is at or below the times that they came with,
//! since nothing older could come any more. The operator holds it until the epoch is complete, so the
//! frontier that differential sees moves once for each epoch and not with each piece.
//!
//! A change of the open epoch goes on at once, and differential's own batches sort and add up. If snapshots
//! are taken, it is first sent to the owner of its record, and [kept](super::kept).
//!
//! # After a restart
//!
//! The collections as of the cut are given first, at a time before the first epoch, which nothing else has:
//! what the computation makes of them is known by that time when it [leaves](super::leave).

use differential_dataflow::{AsCollection, VecCollection};

use super::kept::Kept;
use crate::data::{Change, Diff, Key, Record, hash64, worker_of};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::Share;
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::epoch_driver::{self, OperatorLogic};
use crate::stream::graph::Lowering;
use crate::stream::join::Side;
use crate::stream::port::Output;
use crate::stream::{Edge, OperatorBuilder, WorkerContext, batch_of};
use crate::time::{EventTime, Time};

/// An update, as differential has it.
pub(super) type Update<T> = (T, Time, isize);

/// A change of one of two collections.
pub(super) type Entry<T, V> = Record<Side<Change<T>, Change<V>>>;

/// The streams that come in, and what the collections that they describe are kept as. One that has no name
/// has no changes.
pub(super) struct Entrance<T, V> {
    pub(super) edges: Vec<Edge<Entry<T, V>>>,
    pub(super) names: [Option<&'static str>; 2],
}

impl<T: Key, V: Key> Entrance<T, V> {
    /// Makes collections of the changes.
    pub(super) fn open<'s>(
        &self,
        uid: &str,
        cx: &mut Lowering<'s>,
    ) -> (VecCollection<'s, Time, T>, VecCollection<'s, Time, V>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let inputs = self.edges.iter().map(|edge| match worker.shared.coordinator() {
            None => builder.pipeline(*edge),
            Some(_) => {
                let workers = worker.shared.workers;
                let hash = |entry: &Entry<T, V>| match &entry.value {
                    Side::Left(change) => hash64(&change.record),
                    Side::Right(change) => hash64(&change.record),
                };
                builder.exchange(*edge, move |entry| worker_of(hash(entry), workers))
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

/// A collection's way in.
struct Half<T: Key> {
    output: Output<Update<T>>,
    updates: Vec<Update<T>>,
    /// If snapshots are taken.
    kept: Option<Kept<T>>,
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
        let kept = name.map(|name| Kept::new(name, worker, builder.info()));
        (Half { output, updates: Vec::new(), kept }, stream)
    }

    fn take(&mut self, time: Time, Change { record, diff }: Change<T>) {
        if let Some(kept) = &mut self.kept {
            kept.add(&record, diff);
        }
        self.updates.push((record, time, diff as isize));
    }

    fn send(&mut self, time: Time) {
        self.output.send(time, &mut self.updates);
    }

    /// Gives all that is kept.
    fn give_kept(&mut self, time: Time) {
        let Half { output, updates, kept } = self;
        let Some(kept) = kept else { return };
        kept.each(&mut |record: &T, diff: Diff| {
            updates.push((record.clone(), time, diff as isize));
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
    /// The event time of the open epoch's updates.
    now: EventTime,
    /// True if there are any.
    is_given: bool,
    /// A time before the first epoch.
    start: Time,
    /// True if what is kept is still to be given at that time.
    is_restored: bool,
}

impl<T: Key, V: Key> OperatorLogic<Entry<T, V>> for Entering<T, V> {
    /// What goes to differential is not a stream of ours.
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
        // At the end of event time nothing is held: what may still come has that time.
        if !self.is_given || watermark == EventTime::MAX {
            self.now = watermark;
        }
    }

    fn close(&mut self, epoch: u64, _: Option<Time>, _: &mut Outputs<()>) {
        self.left.kept.iter_mut().for_each(|kept| kept.close(epoch));
        self.right.kept.iter_mut().for_each(|kept| kept.close(epoch));
        (self.now, self.is_given) = (self.watermark, false);
    }

    fn save(&mut self) -> Result<SavedTables> {
        let (left, right) = (self.left.kept.iter().map(Kept::save), self.right.kept.iter().map(Kept::save));
        Ok(SavedTables { tables: left.chain(right).collect(), ..SavedTables::default() })
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        self.is_restored = true;
        self.left.kept.iter_mut().try_for_each(|kept| kept.restore(from, share))?;
        self.right.kept.iter_mut().try_for_each(|kept| kept.restore(from, share))
    }

    fn owes(&self) -> Option<EventTime> {
        (self.watermark < EventTime::MAX).then_some(self.now)
    }

    fn flush(&mut self) {
        // In the first activation, when nothing was given up of what is held at the beginning.
        if std::mem::take(&mut self.is_restored) {
            self.left.give_kept(self.start);
            self.right.give_kept(self.start);
        }
        self.left.output.flush();
        self.right.output.flush();
    }
}
