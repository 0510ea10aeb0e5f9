//! The output of a differential computation: an operator that turns a differential collection into a stream
//! of changes.
//!
//! Updates wait until their epoch is complete and are then consolidated, so the changes of an epoch contain
//! only what differs after it, and each record once. The operator holds the least event time of the updates
//! of an epoch, which may be later than that of the messages that carry them.
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
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::graph::Lowering;
use crate::time::{EventTime, Time};

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
        while let Some((_, updates)) = input.next() {
            for (record, Time { epoch, event }, diff) in updates.drain(..) {
                // In a restored job the output before the cut has been emitted already.
                if epoch >= first || !is_told {
                    epochs.add((record, Time::new(epoch.max(first), event), diff));
                }
            }
        }
        epochs.close(frontiers.progress().epoch, &mut ports);
        ports.flush();
        holds.set(epochs.0.iter().map(|(epoch, (event, _))| Time::new(*epoch, *event)));
        false
    });
}

impl<T: Data + Ord> Epochs<T> {
    fn add(&mut self, (record, time, diff): Update<T>) {
        let (event, updates) = self.0.entry(time.epoch).or_insert((time.event, Vec::new()));
        *event = time.event.min(*event);
        updates.push((record, diff));
    }

    /// Emits the changes of all epochs below `upper`.
    fn close(&mut self, upper: u64, out: &mut Outputs<Change<T>>) {
        while let Some(entry) = self.0.first_entry().filter(|entry| *entry.key() < upper) {
            let (epoch, (event, mut updates)) = entry.remove_entry();
            consolidate(&mut updates);
            let (time, stamp) = (Time::new(epoch, event), Stamp { timestamp: event, watermark: event });
            for (record, diff) in updates {
                out.give(time, Record::new(Change { record, diff: diff as i64 }, stamp));
            }
        }
    }
}
