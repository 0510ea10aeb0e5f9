//! What a sink is: a writer on each worker, which prepares and commits epoch by epoch.
//!
//! A writer is given the records of an epoch, then told that the epoch is complete everywhere: it *prepares*, which makes what it
//! wrote durable but not visible, and later it *commits*, which makes it visible. Without snapshots the commit
//! follows at once. With snapshots it follows when the snapshot that holds the prepared handle is safe; after a failure it may be asked
//! to commit the same epoch again, and must do nothing then.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::dataflow::operators::Probe;

use crate::data::{Data, Exchange, Record};
use crate::error::Result;
use crate::metric::Metric;
use crate::stream::{Chain, Edge, Frontiers, Holds, Input, Lowering, NodeInfo, Operator, Routing, Stream};
use crate::time::Time;

/// Where records go. Users implement it for systems of their own.
pub trait Sink<T>: Send + Sync + 'static {
    /// What writes on one worker.
    type Writer: Writer<T>;

    /// What to call it in messages and graphs.
    fn name(&self) -> String;

    /// Checks in the main thread, before the job starts, that the sink can be written.
    ///
    /// # Errors
    ///
    /// If it cannot; the job then does not start.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// The writer of worker `worker` of `workers`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened; the job ends.
    fn open(&self, worker: usize, workers: usize) -> Result<Self::Writer>;
}

/// Writes the records of one worker.
pub trait Writer<T>: 'static {
    /// What stands for the prepared output of an epoch, and can be kept in a snapshot.
    type Prepared: Exchange;

    /// True if the writer must see epochs one after the other. Otherwise it is given each record as it comes, with its epoch:
    /// sooner, if other workers are in an earlier epoch.
    const IN_ORDER: bool = true;

    /// Writes a batch of an epoch, and may take it.
    ///
    /// # Errors
    ///
    /// If it cannot be written; the job ends.
    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<T>>) -> Result<()>;

    /// Makes the output of an epoch durable. Not called for epochs without any.
    ///
    /// # Errors
    ///
    /// If that fails; the job ends, and the epoch counts as not written.
    fn prepare(&mut self, epoch: u64) -> Result<Self::Prepared>;

    /// Makes the prepared output of an epoch visible. Doing it twice does it once.
    ///
    /// # Errors
    ///
    /// If that fails; the job ends, and a restart commits again.
    fn commit(&mut self, epoch: u64, prepared: Self::Prepared) -> Result<()>;

    /// There will be no more.
    ///
    /// # Errors
    ///
    /// If what was written cannot be completed.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Sends the records to a sink. Each worker writes those that it has; nothing is exchanged.
    pub fn sink(self, sink: impl Sink<T>) {
        let graph = self.graph();
        let name = sink.name();
        let edge = self.emit();
        let info = NodeInfo::new("sink", name).input(edge, Routing::Forward);
        graph.add(info, SinkOperator { edge, sink });
    }
}

struct SinkOperator<T, S> {
    edge: Edge<Record<T>>,
    sink: S,
}

impl<T: Data, S: Sink<T>> Operator for SinkOperator<T, S> {
    fn prepare(&self, _: usize) -> Result<()> {
        self.sink.prepare()
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let probe = cx.probe();
        let mut builder = cx.operator(uid);
        let input = builder.pipeline(self.edge);
        let _ = builder.progress_output().probe_with(&probe);
        let records = worker.shared.metrics.metric(uid, "records_in");
        let mut writing = match self.sink.open(worker.index, worker.shared.workers) {
            Ok(writer) => Some(Writing::<T, S::Writer>::new(input, writer, records)),
            Err(error) => {
                worker.shared.fail(error);
                None
            }
        };
        builder.build(move |frontiers, holds| {
            if let Some(active) = &mut writing
                && let Err(error) = active.activate(frontiers, holds)
            {
                worker.shared.fail(error);
                writing = None;
            }
            false
        });
    }
}

/// One worker's instance of a sink.
struct Writing<T, W> {
    input: Input<Record<T>>,
    writer: W,
    records: Metric,
    /// Batches of later epochs, for writers that want them in order.
    waiting: BTreeMap<u64, Vec<(Time, Vec<Record<T>>)>>,
    /// Epochs that were written to and are not committed, with a time to hold for each.
    open: BTreeMap<u64, Time>,
    finished: bool,
}

impl<T: Data, W: Writer<T>> Writing<T, W> {
    fn new(input: Input<Record<T>>, writer: W, records: Metric) -> Writing<T, W> {
        Writing { input, writer, records, waiting: BTreeMap::new(), open: BTreeMap::new(), finished: false }
    }

    fn activate(&mut self, frontiers: &Frontiers, holds: &mut Holds) -> Result<()> {
        let progress = frontiers.progress();
        let mut count = 0;
        while let Some((time, batch)) = self.input.next() {
            count += batch.len();
            if W::IN_ORDER {
                self.waiting.entry(time.epoch).or_default().push((time, std::mem::take(batch)));
            } else {
                self.open.entry(time.epoch).or_insert(time);
                self.writer.write(time.epoch, batch)?;
                batch.clear();
            }
        }
        if count > 0 {
            self.records.add(count as i64);
        }
        self.close(progress.epoch)?;
        if progress.is_end() && !std::mem::replace(&mut self.finished, true) {
            self.writer.finish()?;
        }
        let waiting = self.waiting.values().flatten().map(|(time, _)| *time);
        holds.set(waiting.chain(self.open.values().copied()));
        Ok(())
    }

    /// Commits the epochs below `upper` in order. What waits is written once all epochs before it are committed.
    fn close(&mut self, upper: u64) -> Result<()> {
        loop {
            let waiting = self.waiting.keys().next().copied().filter(|epoch| *epoch <= upper);
            let open = self.open.keys().next().copied().filter(|epoch| *epoch < upper);
            match (waiting, open) {
                (Some(epoch), open) if open.is_none_or(|open| epoch <= open) => {
                    for (time, mut batch) in self.waiting.remove(&epoch).unwrap_or_default() {
                        self.open.entry(epoch).or_insert(time);
                        self.writer.write(epoch, &mut batch)?;
                    }
                }
                (_, Some(epoch)) => {
                    self.open.remove(&epoch);
                    let prepared = self.writer.prepare(epoch)?;
                    self.writer.commit(epoch, prepared)?;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Keeps a sink in an `Arc`, so that a handle to it can be kept too.
impl<T, S: Sink<T>> Sink<T> for Arc<S> {
    type Writer = S::Writer;

    fn name(&self) -> String {
        (**self).name()
    }

    fn prepare(&self) -> Result<()> {
        (**self).prepare()
    }

    fn open(&self, worker: usize, workers: usize) -> Result<S::Writer> {
        (**self).open(worker, workers)
    }
}

/// Writes nothing.
struct Discard;

impl<T: Data> Sink<T> for Discard {
    type Writer = Discard;

    fn name(&self) -> String {
        "discard".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<Discard> {
        Ok(Discard)
    }
}

impl<T> Writer<T> for Discard {
    type Prepared = ();
    const IN_ORDER: bool = false;

    fn write(&mut self, _: u64, _: &mut Vec<Record<T>>) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> Result<()> {
        Ok(())
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Drops the records at the end: everything before it is still computed.
    pub fn discard(self) {
        self.sink(Discard);
    }
}
