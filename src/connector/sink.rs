//! Sinks: a writer on each worker, which prepares and commits epoch by epoch.
//!
//! A writer is given the records of an epoch. When the epoch is complete everywhere it *prepares*, which
//! makes its output durable but not visible, and later it *commits*, which makes the output visible.
//!
//! # With snapshots
//!
//! The guarantee then depends on the writer.
//!
//! * A writer that is not [transactional](Writer::TRANSACTIONAL) commits each epoch at once. After a failure
//!   the job is restored from its last snapshot, and the output after that is written again: at least once.
//!   Where writing a record twice is the same as writing it once, as under a key, nothing more is needed.
//! * A transactional one prepares when a snapshot is taken: all output since the snapshot before, and the
//!   prepared output is named by the snapshot. It commits when the snapshot is durable: exactly once. Until
//!   then the output is not visible, so results appear as often as snapshots are taken. After a failure the
//!   sink [recovers](Sink::recover): the prepared output that the snapshot names is committed, perhaps for
//!   the second time, and all other prepared output is dropped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use timely::dataflow::operators::Probe;

use super::handle::SinkHandle;
use crate::data::{Data, Exchange, Record};
use crate::error::Result;
use crate::metric::Metric;
use crate::notice::Notices;
use crate::snapshot::{Generation, Generations, RestoredOperator, SavedTables};
use crate::stream::{
    Beginning, Capabilities, Chain, Edge, Frontiers, Input, Lowering, NodeInfo, Operator, Paths, Routing,
    Saving, Stream, Waiting,
};
use crate::time::Time;

/// Where records go. Users implement it for systems of their own.
pub trait Sink<T>: Send + Sync + 'static {
    /// The writer of one worker.
    type Writer: Writer<T>;

    /// Its name in messages and graphs.
    fn name(&self) -> String;

    /// Checks in the main thread, before the job starts, that the sink can be written.
    ///
    /// # Errors
    ///
    /// If it cannot; the job then does not start.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Called in the main thread, if snapshots are taken and the writer is
    /// [transactional](Writer::TRANSACTIONAL), before an earlier run that may have the store is fenced:
    /// rejects what [`recover`](Sink::recover) could not do, and changes nothing. It may be called several
    /// times.
    ///
    /// # Errors
    ///
    /// If the sink cannot start from there; the job does not start, and an earlier run is not fenced.
    fn check(&self, _recovery: &Recovery<<Self::Writer as Writer<T>>::Prepared>) -> Result<()> {
        Ok(())
    }

    /// Called in that case instead of [`prepare`](Sink::prepare), when this run owns the store: commits the
    /// prepared output that the restored snapshot names, although it may be committed already, and drops all
    /// other output that earlier runs have prepared and not committed. Earlier runs cannot commit a snapshot
    /// any more, but they may not know that yet.
    ///
    /// # Errors
    ///
    /// If it cannot; the job then does not start.
    fn recover(&self, _recovery: Recovery<<Self::Writer as Writer<T>>::Prepared>) -> Result<()> {
        self.prepare()
    }

    /// The files and directories that it writes: the job is rejected if another of its sinks writes there, or
    /// one of its sources reads there.
    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The writer of worker `worker` of `workers`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened; the job ends.
    fn open(&self, worker: usize, workers: usize) -> Result<Self::Writer>;
}

/// How a run with snapshots begins, as a transactional sink sees it.
#[derive(Clone, Debug)]
pub struct Recovery<P> {
    /// The runs that have owned the snapshot store. In [`Sink::recover`] the last of them is this one; in
    /// [`Sink::check`] it is not among them yet.
    pub generations: Generations,
    /// The epoch of the latest snapshot. If the run is not restored from that one, there may be output that
    /// the run does not know.
    pub latest: Option<u64>,
    /// True if the user starts the job [anew](crate::snapshot::Restore::Anew), whatever exists: output of
    /// earlier runs may then be deleted.
    pub anew: bool,
    /// The restored output; `None` if the run starts from the beginning, and then no output of an earlier run
    /// is valid any more.
    pub from: Option<PreparedOutput<P>>,
    /// Receives messages for the user.
    pub notices: Notices,
}

/// The output that a snapshot names.
#[derive(Clone, Debug)]
pub struct PreparedOutput<P> {
    /// The epoch of the snapshot.
    pub epoch: u64,
    /// The run that wrote it. Output that this run committed up to the epoch is where that run wrote.
    pub generation: Generation,
    /// The output that was prepared and perhaps not committed by then, in the order of epochs.
    pub prepared: Vec<P>,
}

impl<P> Recovery<P> {
    /// Maps the prepared output to a part of each.
    pub fn map<Q>(self, part: impl FnMut(P) -> Option<Q>) -> Recovery<Q> {
        let Recovery { generations, latest, anew, from, notices } = self;
        let from = from.map(|PreparedOutput { epoch, generation, prepared }| PreparedOutput {
            epoch,
            generation,
            prepared: prepared.into_iter().filter_map(part).collect(),
        });
        Recovery { generations, latest, anew, from, notices }
    }
}

/// Writes the records of one worker.
pub trait Writer<T>: 'static {
    /// A handle to the prepared output of an epoch, which is saved in a snapshot.
    type Prepared: Exchange;

    /// True if the writer must see epochs one after the other. Otherwise it is given each record on arrival,
    /// with its epoch, also while other workers are in an earlier epoch.
    const IN_ORDER: bool = true;

    /// True if prepared output can be kept invisible until a snapshot that names it is durable.
    const TRANSACTIONAL: bool = false;

    /// Writes a batch of an epoch, and may take the records out of it.
    ///
    /// # Errors
    ///
    /// If it cannot be written; the job ends.
    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<T>>) -> Result<()>;

    /// Makes the output of an epoch durable: all records written since the last call. Not called if there are
    /// none.
    ///
    /// # Errors
    ///
    /// If that fails; the job ends, and the epoch counts as not written.
    fn prepare(&mut self, epoch: u64) -> Result<Self::Prepared>;

    /// Makes the prepared output of an epoch visible. It must be idempotent.
    ///
    /// # Errors
    ///
    /// If that fails; the job ends, and a restart commits again.
    fn commit(&mut self, epoch: u64, prepared: Self::Prepared) -> Result<()>;

    /// Called at the end of the input.
    ///
    /// # Errors
    ///
    /// If the output cannot be completed.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Sends the records to a sink. Each worker writes its own records; nothing is exchanged.
    ///
    /// The sink's prepared output is part of snapshots, under the [`uid`](SinkHandle::uid) that the handle
    /// gives it.
    pub fn sink(self, sink: impl Sink<T>) -> SinkHandle {
        let graph = self.graph();
        let name = sink.name();
        let edge = self.emit();
        let paths = Paths { inputs: Vec::new(), outputs: sink.paths() };
        let info = NodeInfo { paths, ..NodeInfo::new("sink", name).input(edge, Routing::Forward) };
        let id = graph.add(info, SinkOperator { edge, sink });
        SinkHandle { graph: graph.downgrade(), id }
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

    fn check(&self, beginning: &Beginning, from: Option<&RestoredOperator>) -> Result<()> {
        match S::Writer::TRANSACTIONAL {
            true => self.sink.check(&self.recovery(beginning, from)?),
            false => Ok(()),
        }
    }

    fn recover(&self, beginning: &Beginning, from: Option<&RestoredOperator>) -> Result<()> {
        match S::Writer::TRANSACTIONAL {
            true => self.sink.recover(self.recovery(beginning, from)?),
            false => self.sink.prepare(),
        }
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let probe = cx.probe();
        let mut builder = cx.operator(uid);
        let input = builder.pipeline(self.edge);
        // The probe sees the sink's holds, so an epoch is complete only when it is written.
        let _ = builder.progress_output().probe_with(&probe);
        let records = worker.shared.metrics.metric(uid, "records_in");
        let saving = worker.saving(builder.uid());
        // It has prepared output to commit when a snapshot has become durable.
        if saving.is_some() && S::Writer::TRANSACTIONAL {
            worker.awaiting.borrow_mut().push(builder.activator());
        }
        let first = worker.first_epoch();
        let mut writing = match self.sink.open(worker.index, worker.shared.workers) {
            Ok(writer) => Some(Writing::<T, S::Writer>::new(input, writer, records, (saving, first))),
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
            // The job must not end before prepared output is committed.
            writing.as_ref().is_some_and(Writing::is_awaiting)
        });
    }
}

impl<T: Data, S: Sink<T>> SinkOperator<T, S> {
    /// The recovery information for the sink.
    fn recovery(
        &self,
        beginning: &Beginning,
        from: Option<&RestoredOperator>,
    ) -> Result<Recovery<<S::Writer as Writer<T>>::Prepared>> {
        let mut prepared: Vec<Note<T, S::Writer>> = Vec::new();
        if let Some(from) = from {
            from.notes(PREPARED)?.into_iter().for_each(|(_, notes): (u32, Vec<_>)| prepared.extend(notes));
        }
        // The snapshot has one list for each worker.
        prepared.sort_by_key(|(epoch, _)| *epoch);
        let prepared = prepared.into_iter().map(|(_, prepared)| prepared).collect();
        let from = beginning.restored.as_ref().map(|restored| {
            let (generation, epoch) = restored.identity();
            PreparedOutput { epoch, generation, prepared }
        });
        let (generations, latest, anew) = (beginning.generations.clone(), beginning.latest, beginning.anew);
        Ok(Recovery { generations, latest, anew, from, notices: beginning.notices.clone() })
    }
}

/// One worker's instance of a sink.
struct Writing<T, W: Writer<T>> {
    input: Input<Record<T>>,
    writer: W,
    records: Metric,
    /// Batches of later epochs, for writers that want them in order.
    waiting: Waiting<Record<T>>,
    /// Epochs with output that is not committed, with a time to hold for each.
    open: BTreeMap<u64, Time>,
    /// Set if snapshots are taken.
    part: Option<Part<W::Prepared>>,
    finished: bool,
}

/// How a writer takes part in snapshots.
struct Part<P> {
    saving: Saving,
    /// The first epoch that is not complete.
    reached: u64,
    /// True if something was written since the last cut.
    is_written: bool,
    /// Prepared output that waits for its snapshot to be durable, by cuts.
    prepared: BTreeMap<u64, P>,
    /// True if the last state was handed over and its snapshot is not durable yet.
    is_ending: bool,
}

/// A saved entry of prepared output: the cut, and the writer's handle.
type Note<T, W> = (u64, <W as Writer<T>>::Prepared);

/// The name of the note.
const PREPARED: &str = "prepared";

impl<T: Data, W: Writer<T>> Writing<T, W> {
    fn new(
        input: Input<Record<T>>,
        writer: W,
        records: Metric,
        (saving, first): (Option<Saving>, u64),
    ) -> Writing<T, W> {
        let part = saving.map(|saving| Part {
            saving,
            reached: first,
            is_written: false,
            prepared: BTreeMap::new(),
            is_ending: false,
        });
        let (waiting, open) = (Waiting::default(), BTreeMap::new());
        Writing { input, writer, records, waiting, open, part, finished: false }
    }

    /// True if output becomes visible only when a snapshot is durable.
    fn is_transactional(&self) -> bool {
        W::TRANSACTIONAL && self.part.is_some()
    }

    /// True if work is pending that no input covers.
    fn is_awaiting(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.is_ending || !part.prepared.is_empty())
    }

    fn activate(&mut self, frontiers: &Frontiers, holds: &mut Capabilities) -> Result<()> {
        let progress = frontiers.progress();
        // A transactional writer must separate the epochs before a cut from those after it.
        let waits = W::IN_ORDER || self.is_transactional();
        let mut count = 0;
        while let Some((time, batch)) = self.input.next() {
            count += batch.len();
            if waits {
                self.waiting.push(time, std::mem::take(batch));
            } else {
                self.open.entry(time.epoch).or_insert(time);
                self.writer.write(time.epoch, batch)?;
                batch.clear();
            }
        }
        if count > 0 {
            self.records.add(count as i64);
        }
        let upper = if progress.is_end() { u64::MAX } else { progress.epoch };
        if self.is_transactional() {
            self.transact(upper)?;
        } else {
            self.close(progress.epoch)?;
            self.acknowledge(upper);
        }
        if progress.is_end() && !self.is_awaiting() && !std::mem::replace(&mut self.finished, true) {
            self.writer.finish()?;
        }
        let waiting = self.waiting.times();
        holds.set(waiting.chain(self.open.values().copied()));
        Ok(())
    }

    /// Prepares the output up to each cut below `upper`, and commits the output that durable snapshots name.
    fn transact(&mut self, upper: u64) -> Result<()> {
        let Writing { writer, waiting, part, .. } = self;
        let Some(Part { saving, reached, is_written, prepared, is_ending }) = part else {
            return Ok(());
        };
        let mut write = |writer: &mut W, up_to: u64, is_written: &mut bool| {
            while let Some(epoch) = waiting.first_epoch().filter(|epoch| *epoch <= up_to) {
                *is_written = true;
                waiting
                    .take(epoch)
                    .into_iter()
                    .try_for_each(|(_, mut batch)| writer.write(epoch, &mut batch))?;
            }
            Ok::<_, crate::Error>(())
        };
        if upper > *reached {
            for cut in saving.cuts(*reached, upper) {
                write(writer, cut, is_written)?;
                // Writers rely on it that `prepare` is not called without output.
                if std::mem::take(is_written) {
                    prepared.insert(cut, writer.prepare(cut)?);
                }
                let mut state = SavedTables::default();
                // All that is not committed yet, not only this cut's: this snapshot may become durable
                // instead of an earlier one, and must name that one's output too.
                let outcome = state.note(PREPARED, &prepared.iter().collect::<Vec<_>>());
                saving.hand_over(&[cut], outcome.map(|()| state));
                *is_ending = cut == u64::MAX;
            }
            *reached = upper;
        }
        // Batches of the open epoch need not wait for the next cut, which is not before the end of this
        // epoch.
        write(writer, upper, is_written)?;
        // In order of cuts. Output is committed only once a durable snapshot names it; otherwise a failure
        // would write it again.
        while let Some(first) = prepared.first_entry().filter(|first| saving.is_committed(*first.key())) {
            let (cut, prepared) = first.remove_entry();
            writer.commit(cut, prepared)?;
        }
        *is_ending &= !saving.is_committed(u64::MAX);
        Ok(())
    }

    /// Acknowledges the cuts of epochs below `upper`, whose output is all committed. The sink has no state to
    /// save.
    fn acknowledge(&mut self, upper: u64) {
        let Some(Part { saving, reached, .. }) = &mut self.part else { return };
        if upper > *reached {
            let cuts = saving.cuts(*reached, upper);
            saving.hand_over(&cuts, Ok(SavedTables::default()));
            *reached = upper;
        }
    }

    /// Commits the epochs below `upper` in order. Waiting batches are written once all earlier epochs are
    /// committed.
    fn close(&mut self, upper: u64) -> Result<()> {
        loop {
            let waiting = self.waiting.first_epoch().filter(|epoch| *epoch <= upper);
            let open = self.open.keys().next().copied().filter(|epoch| *epoch < upper);
            match (waiting, open) {
                (Some(epoch), open) if open.is_none_or(|open| epoch <= open) => {
                    for (time, mut batch) in self.waiting.take(epoch) {
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

    fn check(&self, recovery: &Recovery<<S::Writer as Writer<T>>::Prepared>) -> Result<()> {
        (**self).check(recovery)
    }

    fn recover(&self, recovery: Recovery<<S::Writer as Writer<T>>::Prepared>) -> Result<()> {
        (**self).recover(recovery)
    }

    fn paths(&self) -> Vec<PathBuf> {
        (**self).paths()
    }

    fn open(&self, worker: usize, workers: usize) -> Result<S::Writer> {
        (**self).open(worker, workers)
    }
}
