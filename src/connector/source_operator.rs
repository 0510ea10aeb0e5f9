//! The source as an operator of a job: the checks before it runs, and the construction of its
//! [instance](crate::connector::read) on each worker.

use std::sync::Arc;

use super::OnMalformed;
use super::origin::{AtSource, Plan, Timed, Timestamps};
use super::read::Reading;
use super::source::{Source, Split};
use crate::connector::split_offsets::SplitOffsets;
use crate::error::Result;
use crate::lock::lock;
use crate::snapshot::RestoredOperator;
use crate::stream::{Beginning, Job, Lowering, NodeInfo, Operator, Paths, Stream};
use crate::time::{WatermarkBoard, Watermarks};

impl Job {
    /// Reads a source. Input that is not a record ends the job.
    pub fn source<S, F>(
        &self,
        source: S,
        watermarks: Watermarks<S::Item, F>,
    ) -> Stream<S::Item, AtSource<S, F>>
    where
        S: Source,
        F: Timestamps<S::Item>,
    {
        self.source_with(source, watermarks, OnMalformed::Fail)
    }

    /// Reads a source, with a policy for input that is not a record.
    pub fn source_with<S, F>(
        &self,
        source: S,
        watermarks: Watermarks<S::Item, F>,
        on_malformed: OnMalformed,
    ) -> Stream<S::Item, AtSource<S, F>>
    where
        S: Source,
        F: Timestamps<S::Item>,
    {
        let paths = Paths { inputs: source.paths(), outputs: Vec::new() };
        let info =
            NodeInfo { paths, ..NodeInfo::new("source", source.name()) }.giving_time(watermarks.gives_time());
        let timed = Arc::new(Timed::new(source, watermarks, on_malformed));
        let id = self.graph.add(info, SourceOperator(Arc::clone(&timed)));
        Stream::new(AtSource::new(&self.graph, id, &timed))
    }
}

struct SourceOperator<S: Source, F>(Arc<Timed<S, F>>);

impl<S: Source, F: Timestamps<S::Item>> Operator for SourceOperator<S, F> {
    fn prepare(&self, workers: usize) -> Result<()> {
        let board = Arc::new(WatermarkBoard::new(workers, workers));
        *lock(&self.0.plan) = Plan { splits: self.0.source.splits()?, board };
        Ok(())
    }

    /// Checks the splits of the snapshot here, before the run that may be reading them is fenced.
    fn check(&self, beginning: &Beginning, from: Option<&RestoredOperator>) -> Result<()> {
        self.prepare(beginning.workers)?;
        let (source, mut plan) = (&self.0.source, lock(&self.0.plan));
        let marks = SplitOffsets::new(None, from)?;
        // A source without offsets in the snapshot begins anew, so its splits need not be matched.
        if !marks.is_empty() {
            plan.splits = source.resume(std::mem::take(&mut plan.splits), marks.earlier::<S>()?)?;
        }
        let there = plan.splits.iter().map(Split::id).collect();
        marks.check_there(&there, &source.name(), source.discovers_every().is_some())
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let ports = self.0.ports(&mut builder);
        // A source that waits for epochs to complete runs when the probe moves.
        worker.awaiting.borrow_mut().push(builder.activator());
        let saving = worker.saving(builder.uid());
        let from = worker.restored(uid);
        let mut reading = Reading::new(Arc::clone(&self.0), worker.clone(), ports, builder.activator(), uid);
        lock(&self.0.plan).board.join(worker.index, builder.sync_activator());
        reading.instance = worker.shared.asked.join(builder.sync_activator());
        match SplitOffsets::new(saving, from.as_ref()) {
            Ok(bookmarks) => reading.bookmarks = bookmarks,
            Err(error) => worker.shared.fail(error),
        }
        builder.build(move |_, holds| {
            reading.activate_or_fail(holds);
            // Also at the end of its input, the source must learn that its last epoch is complete.
            reading.awaited.is_some()
        });
    }
}
