//! Computations that are attached to a running job.
//!
//! Each worker builds a dataflow of its own for the computation, whose source is its part of an arrangement:
//! first the state as of the last epoch that this worker has sealed, from then on what each epoch changes.
//! Runs are shared, and nothing is asked of the operators of the job.
//!
//! # Why nothing is missing, and nothing is there twice
//!
//! Of a worker, the state and what comes after it are cut at the end of one epoch. Workers need not agree on
//! that epoch: what a worker's state has is complete as of its own one, and changes of later ones come as
//! changes. So as of the greatest of these epochs, and each one after it, the collection is complete on all
//! workers; results of earlier ones are added to those of that epoch, which are the first that are told. What
//! the computation itself sees of earlier epochs is what some workers have and others do not have yet.
//!
//! # What it costs
//!
//! What the computation keeps, and the decoding of the rows that it reads; see [`trace`](crate::state) for
//! what a cursor holds meanwhile. Results are kept until they are taken. A computation that nobody wants any
//! more ends, and lets go of what it has held of the arrangement.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use differential_dataflow::VecCollection;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::operators::arrange::Arranged;
use differential_dataflow::trace::{BatchReader, TraceReader};
use timely::dataflow::Scope;
use timely::worker::Worker;

use super::arranged::ArrangedStream;
use super::computation::Computation;
use super::enter::Update;
use crate::clock::Clock;
use crate::data::{Change, Data, Key, Ownership};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::state::StateTrace;
use crate::stream::port::{Edges, OperatorBuilder};
use crate::stream::traces::Traces;
use crate::stream::{AttachedDataflow, Shared};
use crate::time::{Progress, Time};

/// The results of a computation that was attached to a running job: see
/// [`Running::attach`](crate::runtime::Running::attach).
///
/// When it is dropped the computation ends, and lets go of what it has held of the arrangement.
pub struct Attached<U: Data + Ord> {
    results: Arc<Results<U>>,
    shared: Arc<Shared>,
}

/// What an epoch has changed of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochChanges<U> {
    /// The epoch.
    pub epoch: u64,
    /// The changes, one for each record whose count differs, in order.
    pub changes: Vec<Change<U>>,
}

/// Where the workers put the results.
struct Results<U> {
    pending: Mutex<Pending<U>>,
    changed: Condvar,
    is_detached: Arc<AtomicBool>,
}

/// What has not been taken yet.
struct Pending<U> {
    /// As of which epoch each worker has begun.
    begun: Vec<Option<u64>>,
    /// The first epoch of which a worker may still put results.
    open: Vec<u64>,
    epochs: BTreeMap<u64, Vec<(U, isize)>>,
    /// True if the first results have been taken.
    is_first_taken: bool,
}

/// How often to look whether the job has ended.
const LOOK: Duration = Duration::from_millis(5);

impl<U: Data + Ord> Attached<U> {
    /// Attaches a computation to a job.
    pub(crate) fn new<K, V, F>(
        shared: &Arc<Shared>,
        arranged: &ArrangedStream<K, V>,
        f: F,
    ) -> Result<Attached<U>>
    where
        K: Key,
        V: Key,
        F: for<'s> Fn(&Computation<'s>, Arranged<'s, StateTrace<K, V>>) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        let pending = Pending {
            begun: vec![None; shared.workers],
            open: vec![0; shared.workers],
            epochs: BTreeMap::new(),
            is_first_taken: false,
        };
        let results = Arc::new(Results {
            pending: Mutex::new(pending),
            changed: Condvar::new(),
            is_detached: Arc::default(),
        });
        let (node, job, all) = (arranged.node(), Arc::downgrade(shared), Arc::clone(&results));
        let build = move |worker: &mut Worker, traces: &Traces| {
            let (shared, index) = (job.upgrade(), worker.index());
            worker.dataflow::<Time, _, _>(|scope| {
                let trace = traces.of::<K, V>(node);
                let mut trace = trace.borrow_mut();
                let mut end = None;
                trace.map_batches(|batch| end = Some((batch.upper().first().copied(), batch.last_epoch())));
                let epoch = match end {
                    // Up to the last epoch that this worker has closed.
                    Some((Some(upper), _)) => upper.epoch.saturating_sub(1),
                    // Up to the end: nothing has changed since.
                    Some((None, last)) => last.unwrap_or(0),
                    None => 0,
                };
                let before = shared.as_ref().map_or(0, |shared| shared.first_epoch().saturating_sub(1));
                all.begin(index, epoch.max(before));
                let (arranged, button) = trace.import_core(scope, "attached");
                if let Some(shared) = shared {
                    let collection = f(&Computation::new(scope, &shared), arranged);
                    gather(scope, &shared.ownership, index, collection, &all);
                }
                AttachedDataflow { is_detached: Arc::clone(&all.is_detached), button }
            })
        };
        if shared.is_over() || !shared.attachments.add(Arc::new(build)) {
            return Err(Error::config("the job has ended, so nothing can be attached to it"));
        }
        Ok(Attached { results, shared: Arc::clone(shared) })
    }

    /// The changes of the next epoch that has any. The first ones, which come also if there are none, are the
    /// whole collection as of some epoch. If the job is suspended or fails, nothing may come of its last
    /// epochs.
    ///
    /// `None` if there are none within `wait`, and once the job has ended and all have been taken: then it
    /// [is over](Attached::is_over).
    pub fn next(&mut self, wait: Duration) -> Option<EpochChanges<U>> {
        let clock = Clock::system();
        let mut pending = lock(&self.results.pending);
        loop {
            // Read before the results: what a worker has put, it has put before it ended.
            let is_over = self.shared.has_ended();
            if let Some(changes) = pending.take() {
                return Some(changes);
            }
            let left = wait.saturating_sub(clock.now());
            if left.is_zero() || is_over {
                return None;
            }
            let waited = self.results.changed.wait_timeout(pending, left.min(LOOK));
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// True if nothing more will come: the job has ended, and all results that were complete then have been
    /// taken.
    pub fn is_over(&self) -> bool {
        let is_over = self.shared.has_ended();
        let pending = lock(&self.results.pending);
        is_over && !pending.has_next()
    }
}

impl<U: Data + Ord> Drop for Attached<U> {
    fn drop(&mut self) {
        let mut pending = lock(&self.results.pending);
        self.results.is_detached.store(true, Ordering::Relaxed);
        pending.epochs.clear();
    }
}

impl<U: Data + Ord> Results<U> {
    fn begin(&self, worker: usize, epoch: u64) {
        lock(&self.pending).begun[worker] = Some(epoch);
    }

    /// Puts what a worker has of the epochs before another one.
    fn put(&self, worker: usize, open: u64, epochs: Vec<(u64, Vec<(U, isize)>)>) {
        let mut pending = lock(&self.pending);
        pending.open[worker] = open;
        if !self.is_detached.load(Ordering::Relaxed) {
            for (epoch, mut changes) in epochs {
                pending.epochs.entry(epoch).or_default().append(&mut changes);
            }
        }
        drop(pending);
        self.changed.notify_all();
    }
}

impl<U: Data + Ord> Pending<U> {
    /// The first epoch of which there may be more.
    fn complete(&self) -> u64 {
        self.open.iter().copied().min().unwrap_or(u64::MAX)
    }

    /// The epoch of the first results, once all workers have begun.
    fn first(&self) -> Option<u64> {
        self.begun.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// True if something can be taken.
    fn has_next(&self) -> bool {
        let complete = self.complete();
        match self.is_first_taken {
            true => self.epochs.range(..complete).next().is_some(),
            false => self.first().is_some_and(|first| first < complete),
        }
    }

    /// Takes what is next.
    fn take(&mut self) -> Option<EpochChanges<U>> {
        let complete = self.complete();
        if !self.is_first_taken {
            let first = self.first().filter(|first| *first < complete)?;
            let later = self.epochs.split_off(&(first + 1));
            let earlier = std::mem::replace(&mut self.epochs, later);
            let mut changes: Vec<_> = earlier.into_values().flatten().collect();
            consolidate(&mut changes);
            self.is_first_taken = true;
            return Some(EpochChanges::new(first, changes));
        }
        while let Some(next) = self.epochs.first_entry().filter(|next| *next.key() < complete) {
            let (epoch, mut changes) = next.remove_entry();
            consolidate(&mut changes);
            if !changes.is_empty() {
                return Some(EpochChanges::new(epoch, changes));
            }
        }
        None
    }
}

impl<U> EpochChanges<U> {
    fn new(epoch: u64, changes: Vec<(U, isize)>) -> EpochChanges<U> {
        let changes = changes.into_iter().map(|(record, diff)| Change { record, diff: diff as i64 });
        EpochChanges { epoch, changes: changes.collect() }
    }
}

/// Builds the operator that puts the changes of a collection where they can be taken.
fn gather<'s, U: Data + Ord>(
    scope: Scope<'s, Time>,
    ownership: &Arc<Ownership>,
    worker: usize,
    collection: VecCollection<'s, Time, U>,
    results: &Arc<Results<U>>,
) {
    let (results, mut none) = (Arc::clone(results), Edges::new(0, BTreeMap::new(), ownership));
    let mut builder = OperatorBuilder::new("attached", scope, &mut none);
    let mut input = builder.input_stream::<Update<U>>(collection.inner);
    let (mut epochs, mut open) = (BTreeMap::<u64, Vec<(U, isize)>>::new(), 0);
    builder.build(move |frontiers, holds| {
        while let Some((_, updates)) = input.next() {
            for (record, time, diff) in updates.drain(..) {
                epochs.entry(time.epoch).or_default().push((record, diff));
            }
        }
        let upper = frontiers.progress().epoch;
        if upper > open || Progress::of(frontiers.of(0)).is_end() {
            open = upper;
            let later = epochs.split_off(&upper);
            results.put(worker, open, std::mem::replace(&mut epochs, later).into_iter().collect());
        }
        holds.set(None);
        false
    });
}
