//! From a stream of changes to a differential collection.
//!
//! Differential computes at every distinct time by itself, and a source has a new time in every piece that it reads. Results are spoken of when epochs
//! close, so what differential learns of the times within one would be work for nothing. Therefore all changes of an epoch are given
//! the same time: the epoch, and the watermark as it was when the epoch before was complete. That is at or below the times that they came with,
//! since nothing older could come any more. The operator holds it until the epoch is complete, so the frontier that
//! differential sees moves once for each epoch and not with each piece.
//!
//! Nothing is kept: a change goes on at once, and differential's own batches sort and add up.

use differential_dataflow::{AsCollection, VecCollection};
use timely::progress::Timestamp;

use crate::data::{Change, Data, Record};
use crate::stream::Edge;
use crate::stream::graph::Lowering;
use crate::time::Time;

/// An update, as differential has it.
pub(super) type Update<T> = (T, Time, isize);

/// Makes the stream on an edge a collection.
pub(super) fn enter<'s, T: Data>(
    uid: &str,
    cx: &mut Lowering<'s>,
    edge: Edge<Record<Change<T>>>,
) -> VecCollection<'s, Time, T> {
    let mut builder = cx.operator(uid);
    let mut input = builder.pipeline(edge);
    let (mut output, stream) = builder.output_stream::<Update<T>>();
    let mut now = Time::minimum();
    let mut updates: Vec<Update<T>> = Vec::new();
    builder.build(move |frontiers, holds| {
        let progress = frontiers.progress();
        if progress.epoch > now.epoch {
            now = Time::new(progress.epoch, progress.watermark);
        }
        while let Some((time, batch)) = input.next() {
            let time = Time::new(time.epoch, now.event);
            updates.extend(batch.drain(..).map(|record| {
                let Change { record, diff } = record.value;
                (record, time, diff as isize)
            }));
            output.send(time, &mut updates);
        }
        output.flush();
        holds.set((!progress.is_end()).then_some(now));
        false
    });
    stream.as_collection()
}
