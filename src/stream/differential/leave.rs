//! The output of a differential computation: an operator that turns a differential collection into a stream
//! of changes.
//!
//! Updates wait until their epoch is complete and are then consolidated, so the changes of an epoch contain
//! only what differs after it, and each record once. The operator holds the least event time of the updates
//! of an epoch, which may be later than that of the messages that carry them.
//!
//! Where a computation reads [arrangements](super::import), its times have no event time. The changes of an
//! epoch are then emitted at the watermark that the arrangements had when the epoch began. The operator is
//! told of that by edges of its own: by their frontiers, and by the times at which epochs that are still open
//! in the computation have changed something, which these frontiers may have passed.
//!
//! Updates from before the first epoch are results of the restored collections, and of collections that the
//! computation has created itself. In a restored job they repeat the output from before the cut, and are
//! dropped; otherwise they belong to the first epoch.
//!
//! Costs a sort of each epoch's updates, which are in memory until then.

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;

use super::enter::Update;
use crate::data::{Change, Data, Record, Stamp};
use crate::stream::Edge;
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::graph::Lowering;
use crate::stream::port::Input;
use crate::time::{EventTime, Progress, Time};

/// The updates of open epochs, with the least event time of each epoch's.
struct Epochs<T>(BTreeMap<u64, (EventTime, Vec<(T, isize)>)>);

/// Builds the operator that emits the changes of a collection.
pub(super) fn leave<'s, T: Data + Ord>(
    uid: &str,
    cx: &mut Lowering<'s>,
    collection: VecCollection<'s, Time, T>,
    consumers: &Arc<Consumers<Change<T>>>,
) {
    let (first, is_told) = (cx.worker.first_epoch(), cx.worker.restored(uid).is_some());
    let mut builder = cx.operator(uid);
    let mut input = builder.input_stream::<Update<T>>(collection.inner);
    let mut ports = consumers.open(&mut builder);
    let mut epochs = Epochs(BTreeMap::new());
    builder.build(move |frontiers, holds| {
        epochs.read(&mut input, first, is_told);
        epochs.close_at(frontiers.progress().epoch, EventTime::MIN, &mut ports);
        ports.flush();
        holds.set(epochs.0.iter().map(|(epoch, (event, _))| Time::new(*epoch, *event)));
        false
    });
}

/// The same, for a collection whose times have no event time: `event_times` tell that.
pub(super) fn leave_with_event_time<'s, T: Data + Ord, E: 'static>(
    uid: &str,
    cx: &mut Lowering<'s>,
    collection: VecCollection<'s, Time, T>,
    event_times: &[Edge<E>],
    consumers: &Arc<Consumers<Change<T>>>,
) {
    let (first, is_told) = (cx.worker.first_epoch(), cx.worker.restored(uid).is_some());
    let mut builder = cx.operator(uid);
    builder.keep_time();
    let mut input = builder.input_stream::<Update<T>>(collection.inner);
    let mut others: Vec<_> = event_times.iter().map(|edge| builder.pipeline(*edge)).collect();
    let mut ports = consumers.open(&mut builder);
    let mut epochs = Epochs(BTreeMap::new());
    // What is held: the epoch that is open in the computation, and the watermark at which it began.
    let mut open = Time::new(first, EventTime::MIN);
    let mut changed = BTreeMap::<u64, EventTime>::new();
    builder.build(move |frontiers, holds| {
        for input in &mut others {
            while let Some((Time { epoch, event }, _)) = input.next() {
                let least = changed.entry(epoch).or_insert(event);
                *least = event.min(*least);
            }
        }
        epochs.read(&mut input, first, is_told);
        let upper = Progress::of(frontiers.of(0));
        epochs.close_at(upper.epoch, open.event, &mut ports);
        ports.flush();
        if upper.epoch > open.epoch {
            changed = changed.split_off(&upper.epoch);
            let watermarks = (1..=others.len()).map(|input| Progress::of(frontiers.of(input)).watermark);
            let least = watermarks.chain(changed.values().copied()).fold(EventTime::MAX, EventTime::min);
            open = Time::new(upper.epoch, least.max(open.event));
        }
        holds.set((!upper.is_end()).then_some(open));
        false
    });
}

impl<T: Data + Ord> Epochs<T> {
    /// Takes in what has come.
    fn read(&mut self, input: &mut Input<Update<T>>, first: u64, is_told: bool) {
        while let Some((_, updates)) = input.next() {
            for (record, Time { epoch, event }, diff) in updates.drain(..) {
                // In a restored job the output before the cut has been emitted already.
                if epoch >= first || !is_told {
                    self.add((record, Time::new(epoch.max(first), event), diff));
                }
            }
        }
    }

    fn add(&mut self, (record, time, diff): Update<T>) {
        let (event, updates) = self.0.entry(time.epoch).or_insert((time.event, Vec::new()));
        *event = time.event.min(*event);
        updates.push((record, diff));
    }

    /// Emits the changes of all epochs below `upper`, at their event times, or at `least` if that is later.
    fn close_at(&mut self, upper: u64, least: EventTime, out: &mut Outputs<Change<T>>) {
        while let Some(entry) = self.0.first_entry().filter(|entry| *entry.key() < upper) {
            let (epoch, (event, mut updates)) = entry.remove_entry();
            consolidate(&mut updates);
            let event = event.max(least);
            let (time, stamp) = (Time::new(epoch, event), Stamp { timestamp: event, watermark: event });
            for (record, diff) in updates {
                out.give(time, Record::new(Change { record, diff: diff as i64 }, stamp));
            }
        }
    }
}
