//! The state that the operators of a running job share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use timely::dataflow::operators::probe;
use timely::scheduling::Activator;

use super::alarm::{Alarm, Alarms};
use super::attachments::Attachments;
use super::rounds::Counting;
use super::traces::Traces;
use crate::clock::Clock;
use crate::config::{Limits, Options, Seals, StateMemory};
use crate::data::Ownership;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::metric::Metrics;
use crate::snapshot::{
    CoordinatorHandle, CoordinatorMessage, OperatorSnapshot, Restored, RestoredOperator, SavedTables,
};
use crate::state::{MemoryBudget, Share, SharedBudget, SpillBudget, StateReaders};
use crate::time::{EpochClaims, EpochClock, Time};

/// The state that all workers of a running job share.
pub(crate) struct Shared {
    pub(crate) workers: usize,
    /// Which of them has which keys.
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) clock: Clock,
    pub(crate) epochs: EpochClock,
    /// Since when all readers were polled, for operators that measure silence.
    pub(crate) asked: Arc<EpochClaims>,
    pub(crate) limits: Limits,
    /// Of how many epochs readers can ask for the state.
    pub(crate) history: u64,
    seals: Seals,
    memory: Option<StateMemory>,
    /// The coordinator of snapshots, if any are taken.
    coordinator: OnceLock<CoordinatorHandle>,
    /// The first epoch.
    first: u64,
    /// The snapshot that the job is restored from.
    pub(crate) restored: Option<Arc<Restored>>,
    /// The last epoch as of whose end state was requested; zero if none was.
    wanted: AtomicU64,
    /// True if state is read from outside, so that the last state may be requested.
    read: AtomicBool,
    /// The most records that a source reads before it lets others run.
    piece: AtomicUsize,
    pub(crate) metrics: Metrics,
    /// What is attached while the job runs.
    pub(crate) attachments: Attachments,
    /// The first epoch that is not complete on all workers, as far as any worker knows.
    pub(crate) open_epoch: AtomicU64,
    /// The number of workers that have finished.
    pub(crate) finished: AtomicUsize,
    stop: Arc<AtomicBool>,
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Shared {
    /// `first` is the first epoch, and `restored` the snapshot that the job is restored from.
    pub(crate) fn new(
        options: &Options,
        metrics: Metrics,
        first: u64,
        restored: Option<Arc<Restored>>,
    ) -> Shared {
        let asked = Arc::<EpochClaims>::default();
        Shared {
            workers: options.workers,
            ownership: Arc::new(options.owners()),
            clock: options.clock.clone(),
            epochs: EpochClock::new(options.epochs, options.clock.clone(), first, Arc::clone(&asked)),
            asked,
            limits: options.limits,
            history: options.history,
            seals: options.seals,
            memory: options.memory.clone(),
            first,
            coordinator: OnceLock::new(),
            restored,
            wanted: AtomicU64::new(0),
            read: AtomicBool::new(false),
            piece: AtomicUsize::new(usize::MAX),
            metrics,
            attachments: Attachments::new(options.workers),
            open_epoch: AtomicU64::new(first),
            finished: AtomicUsize::new(0),
            stop: Arc::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Takes snapshots through a coordinator from now on.
    pub(crate) fn take_snapshots(&self, coordinator: CoordinatorHandle) {
        let (cuts, clock) = (Arc::clone(&coordinator.trigger), self.clock.clone());
        self.epochs.on_turn(Box::new(move |epoch| cuts.turn(epoch, clock.now())));
        let _ = self.coordinator.set(coordinator);
    }

    /// The coordinator of snapshots, if any are taken.
    pub(crate) fn coordinator(&self) -> Option<&CoordinatorHandle> {
        self.coordinator.get()
    }

    /// Sends the coordinator a message, if there is one.
    pub(crate) fn send_to_coordinator(&self, message: CoordinatorMessage) {
        if let Some(Err(error)) = self.coordinator().map(|coordinator| coordinator.send(message)) {
            self.fail(error);
        }
    }

    /// A value that changes when a snapshot is committed.
    pub(crate) fn committed(&self) -> u64 {
        self.coordinator().map_or(0, |coordinator| coordinator.trigger.committed())
    }

    /// The flag that stops the job.
    pub(crate) fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// True if the job was asked to end: sources stop, and what they have emitted is completed.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The most records that a source may read in an activation, if it would read more.
    pub(crate) fn piece(&self) -> usize {
        self.piece.load(Ordering::Relaxed)
    }

    /// Limits the records that a source reads in an activation.
    pub(crate) fn set_piece(&self, records: usize) {
        self.piece.store(records, Ordering::Relaxed);
    }

    /// Requests that all operators seal their state as of the end of an epoch that none has closed, and
    /// returns the epoch.
    pub(crate) fn ask(&self) -> u64 {
        let epoch = self.epochs.current() + 1;
        self.wanted.fetch_max(epoch, Ordering::AcqRel).max(epoch)
    }

    /// Records that state is read from outside: then the last state is sealed too.
    pub(crate) fn is_read(&self) {
        self.read.store(true, Ordering::Release);
    }

    /// True if all workers have finished: none does anything any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.finished.load(Ordering::Acquire) == self.workers
    }

    /// The first epoch of the job.
    pub(crate) fn first_epoch(&self) -> u64 {
        self.first
    }

    /// True if all workers have finished, or will soon because one has failed.
    pub(crate) fn is_over(&self) -> bool {
        self.has_failed() || self.has_ended()
    }

    /// The epoch as of which state is to be sealed, when `epoch` has closed and the next epoch is `next`.
    pub(crate) fn seal_now(&self, epoch: u64, next: u64) -> Option<u64> {
        let wanted = self.wanted.load(Ordering::Acquire);
        if (epoch.max(1)..next).contains(&wanted) {
            return Some(wanted);
        }
        if next == u64::MAX && self.read.load(Ordering::Acquire) {
            // No source turns the clock any more, so all operators on all workers return the same epoch.
            return Some(self.epochs.current().max(epoch));
        }
        (self.seals == Seals::EachEpoch).then_some(epoch)
    }

    /// Lets the workers end at their next step, without an error.
    pub(crate) fn leave(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Ends the job with an error. The first one counts; workers leave at their next step.
    pub(crate) fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }
}

/// The state that the operators of one worker share.
#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// The progress of the sinks of the whole job.
    pub(crate) probe: probe::Handle<Time>,
    /// Operators to run when the probe has moved: the sources, which may wait for that.
    pub(crate) awaiting: Rc<RefCell<Vec<Activator>>>,
    /// The memory budget of state, if there is one.
    pub(crate) memory: Option<Rc<SharedBudget>>,
    /// The arrangements that its operators share.
    pub(crate) traces: Traces,
    /// Operators to run at moments of a clock that is moved by hand.
    pub(crate) alarms: Alarms,
    /// The counting of epochs for the operator being built.
    pub(crate) counting: Counting,
    /// True if the input of that operator has event time, or may have.
    pub(crate) has_event_time: bool,
}

impl WorkerContext {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> WorkerContext {
        let memory = shared.memory.as_ref().map(|limit| {
            let share = limit.bytes / shared.workers.max(1);
            let failing = Arc::downgrade(&shared);
            let fail = move |error| match failing.upgrade() {
                Some(shared) => shared.fail(error),
                None => drop(error),
            };
            SharedBudget::new(share, limit.directory.clone(), Arc::new(fail))
        });
        let (probe, awaiting, traces) = (probe::Handle::default(), Rc::default(), Traces::default());
        let (alarms, counting) = (Alarms::default(), Counting::Epochs);
        let has_event_time = true;
        WorkerContext { index, shared, probe, awaiting, memory, traces, alarms, counting, has_event_time }
    }

    /// The readers of an operator's state, as far as they are the same for all operators.
    pub(crate) fn state_readers(&self) -> StateReaders {
        let (has_snapshots, is_on_demand) =
            (self.shared.coordinator().is_some(), self.shared.seals == Seals::OnDemand);
        StateReaders {
            read: false,
            memory: self.memory.clone(),
            history: self.shared.history > 0,
            saved: has_snapshots && is_on_demand,
            unasked: !has_snapshots && is_on_demand,
        }
    }

    /// The memory budget of an operator's state, if there is one.
    pub(crate) fn limit(&self, operator: &str) -> Option<MemoryBudget> {
        self.memory.as_ref().map(|memory| MemoryBudget::new(memory, operator, &self.shared.metrics))
    }

    /// The spill budget of state that is spilled in an order of its own, if memory is limited. Spilled items
    /// are counted by the metric `left`.
    pub(crate) fn quota(&self, operator: &str, left: &'static str) -> Option<SpillBudget> {
        self.memory.as_ref().map(|memory| SpillBudget::new(memory, operator, left, &self.shared.metrics))
    }

    /// The part of the keys that is this worker's.
    pub(crate) fn share(&self) -> Share {
        Share { worker: self.index, ownership: Arc::clone(&self.shared.ownership) }
    }

    /// The first epoch, as it is counted here.
    pub(crate) fn first_epoch(&self) -> u64 {
        self.counting.first_of(self.shared.first)
    }

    /// An epoch of this operator, as the job counts them.
    pub(crate) fn job_epoch(&self, epoch: u64) -> u64 {
        self.counting.epoch_of(epoch)
    }

    /// As [`Shared::seal_now`], in the counting of this operator.
    pub(crate) fn seal_now(&self, epoch: u64, next: u64) -> Option<u64> {
        let counting = self.counting;
        let wanted = self.shared.seal_now(counting.epoch_of(epoch), counting.epoch_of(next))?;
        Some(counting.first_of(wanted).max(epoch))
    }

    /// The saved state of an operator, if the job is restored from a snapshot that has it.
    pub(crate) fn restored(&self, uid: &str) -> Option<RestoredOperator> {
        self.shared.restored.as_ref()?.operator(uid)
    }

    /// Lets an instance of an operator take part in snapshots, if there are any.
    pub(crate) fn saving(&self, uid: Arc<str>) -> Option<Saving> {
        self.shared.coordinator()?;
        self.shared.send_to_coordinator(CoordinatorMessage::Joins((Arc::clone(&uid), self.index)));
        let (shared, counting) = (Arc::clone(&self.shared), self.counting);
        Some(Saving { uid, worker: self.index, shared, counting })
    }

    /// The alarm of an operator.
    pub(crate) fn alarm(&self, activator: Activator) -> Alarm {
        Alarm::new(self.shared.clock.clone(), self.alarms.clone(), activator)
    }

    /// The first epoch that the job has not completed.
    pub(crate) fn open_epoch(&self) -> u64 {
        self.probe.with_frontier(|frontier| crate::time::Progress::of(frontier).epoch)
    }
}

/// An instance of an operator that takes part in snapshots.
pub(crate) struct Saving {
    uid: Arc<str>,
    worker: usize,
    shared: Arc<Shared>,
    counting: Counting,
}

impl Saving {
    /// The cuts from `epoch` up to `next`, all served by the state as of the end of `epoch`.
    #[inline]
    pub(crate) fn cuts(&self, epoch: u64, next: u64) -> Vec<u64> {
        let (epoch, next) = (self.counting.epoch_of(epoch), self.counting.epoch_of(next));
        self.shared
            .coordinator()
            .map_or_else(Vec::new, |coordinator| coordinator.trigger.between(epoch, next))
    }

    /// Reports the start of copying. Until [`has_copied`](Saving::has_copied), cuts that were not requested
    /// explicitly wait.
    pub(crate) fn copies(&self) {
        self.shared.coordinator().into_iter().for_each(|coordinator| coordinator.trigger.copies());
    }

    /// Reports the end of copying.
    pub(crate) fn has_copied(&self) {
        self.shared.coordinator().into_iter().for_each(|coordinator| coordinator.trigger.has_copied());
    }

    /// How many rows a worker copies in an activation.
    pub(crate) fn slice(&self) -> usize {
        self.shared.coordinator().map_or(usize::MAX, |coordinator| coordinator.slice)
    }

    /// Hands over the state for some cuts.
    pub(crate) fn hand_over(&self, cuts: &[u64], state: Result<SavedTables>) {
        match state {
            Ok(state) => {
                for cut in cuts {
                    let (uid, state) = (Arc::clone(&self.uid), state.clone());
                    self.shared.send_to_coordinator(CoordinatorMessage::Part(OperatorSnapshot {
                        uid,
                        worker: self.worker,
                        cut: *cut,
                        state,
                    }));
                }
            }
            Err(error) => self.shared.fail(error),
        }
    }

    /// Records how long the worker was busy with handing over.
    pub(crate) fn paused(&self, time: Duration) {
        let longest = self.shared.metrics.metric("snapshots", "longest_pause_micros");
        longest.raise(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    }

    /// True if what was handed over for a cut is committed.
    pub(crate) fn is_committed(&self, cut: u64) -> bool {
        self.shared.coordinator().is_none_or(|coordinator| coordinator.trigger.is_committed(cut))
    }
}
