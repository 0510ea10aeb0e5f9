//! From a differential collection to a stream of changes.
//!
//! Updates wait until their epoch is complete; then they are added up, so that the changes of an epoch say
//! only what is different after it, and each thing once. An update holds its own time, which may be later
//! than that of the message that brings it.
//!
//! Updates of before the first epoch come of what the computation is given at the beginning, and of
//! collections that it has made itself. In a job that goes on from a snapshot they are what was told before
//! the cut, and are dropped; otherwise they belong to the first epoch.
//!
//! Costs a sort of each epoch's updates.

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;

use super::enter::Update;
use crate::data::{Change, Data, Record, Stamp};
use crate::stream::consumers::{Consumers, Outputs};
use crate::stream::graph::Lowering;
use crate::time::{EventTime, Time};

/// What the updates of open epochs are.
struct Epochs<T>(BTreeMap<u64, (EventTime, Vec<(T, isize)>)>);

/// Makes a collection a stream.
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
