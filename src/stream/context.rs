//! What the operators of a running job share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use timely::dataflow::operators::probe;
use timely::scheduling::Activator;

use super::alarm::{Alarm, Alarms};
use super::lock::lock;
use super::rounds::Counting;
use crate::clock::Clock;
use crate::config::{Limits, Options, Seals, StateMemory};
use crate::error::{Error, Result};
use crate::metric::Metrics;
use crate::snapshot::{
    CoordinatorHandle, CoordinatorMessage, OperatorSnapshot, Restored, RestoredOperator, SavedTables,
};
use crate::state::{MemoryBudget, Share, SharedBudget, SpillBudget, StateReaders};
use crate::time::{EpochClaims, EpochClock, Time};

/// What all workers of a running job share.
pub(crate) struct Shared {
    pub(crate) workers: usize,
    pub(crate) clock: Clock,
    pub(crate) epochs: EpochClock,
    /// Up to when readers were asked, for those who measure silence.
    pub(crate) asked: Arc<EpochClaims>,
    pub(crate) limits: Limits,
    seals: Seals,
    memory: Option<StateMemory>,
    /// Where snapshots are taken, if they are.
    coordinator: OnceLock<CoordinatorHandle>,
    /// The first epoch.
    first: u64,
    /// What the job goes on from.
    pub(crate) restored: Option<Arc<Restored>>,
    /// The last epoch as of whose end someone wants state; zero if no one has asked.
    wanted: AtomicU64,
    /// True if someone may want the last state.
    read: AtomicBool,
    /// The most records that a source reads before it lets others run.
    piece: AtomicUsize,
    pub(crate) metrics: Metrics,
    /// The first epoch that is not complete on all workers, as far as any worker knows.
    pub(crate) open_epoch: AtomicU64,
    /// Workers that are through.
    pub(crate) finished: AtomicUsize,
    stop: Arc<AtomicBool>,
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Shared {
    /// `first` is the first epoch, and `restored` what the job goes on from.
    pub(crate) fn new(
        options: &Options,
        metrics: Metrics,
        first: u64,
        restored: Option<Arc<Restored>>,
    ) -> Shared {
        let asked = Arc::<EpochClaims>::default();
        Shared {
            workers: options.workers,
            clock: options.clock.clone(),
            epochs: EpochClock::new(options.epochs, options.clock.clone(), first, Arc::clone(&asked)),
            asked,
            limits: options.limits,
            seals: options.seals,
            memory: options.memory.clone(),
            first,
            coordinator: OnceLock::new(),
            restored,
            wanted: AtomicU64::new(0),
            read: AtomicBool::new(false),
            piece: AtomicUsize::new(usize::MAX),
            metrics,
            open_epoch: AtomicU64::new(first),
            finished: AtomicUsize::new(0),
            stop: Arc::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Takes snapshots through a coordinator from now on.
    pub(crate) fn take_snapshots(&self, coordinator: CoordinatorHandle) {
        let (cuts, clock) = (Arc::clone(&coordinator.cuts), self.clock.clone());
        self.epochs.on_turn(Box::new(move |epoch| cuts.turn(epoch, clock.now())));
        let _ = self.coordinator.set(coordinator);
    }

    /// The coordinator of snapshots, if they are.
    pub(crate) fn coordinator(&self) -> Option<&CoordinatorHandle> {
        self.coordinator.get()
    }

    /// Sends the coordinator a message, if there is one.
    pub(crate) fn say(&self, word: CoordinatorMessage) {
        if let Some(Err(error)) = self.coordinator().map(|coordinator| coordinator.say(word)) {
            self.fail(error);
        }
    }

    /// What changes when a snapshot is committed.
    pub(crate) fn committed(&self) -> u64 {
        self.coordinator().map_or(0, |coordinator| coordinator.cuts.committed())
    }

    /// What asks the job to end.
    pub(crate) fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// True if the job was asked to end: sources stop, and what they have emitted is completed.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The most records that a source may read before it lets others run, if it would read more.
    pub(crate) fn piece(&self) -> usize {
        self.piece.load(Ordering::Relaxed)
    }

    /// Lets sources read no more than so many records before they let others run.
    pub(crate) fn set_piece(&self, records: usize) {
        self.piece.store(records, Ordering::Relaxed);
    }

    /// Asks all operators to seal their state as of the end of an epoch that none has closed, and says which
    /// one.
    pub(crate) fn ask(&self) -> u64 {
        let epoch = self.epochs.current() + 1;
        self.wanted.fetch_max(epoch, Ordering::AcqRel).max(epoch)
    }

    /// Takes note that state is read from outside: then the last state is sealed too.
    pub(crate) fn is_read(&self) {
        self.read.store(true, Ordering::Release);
    }

    /// True if all workers are through, or will be soon because one has failed.
    pub(crate) fn is_over(&self) -> bool {
        self.has_failed() || self.finished.load(Ordering::Acquire) == self.workers
    }

    /// The epoch that state is to be sealed as of, when `epoch` has closed and the next to come is `next`.
    pub(crate) fn seal_now(&self, epoch: u64, next: u64) -> Option<u64> {
        let wanted = self.wanted.load(Ordering::Acquire);
        if (epoch.max(1)..next).contains(&wanted) {
            return Some(wanted);
        }
        if next == u64::MAX && self.read.load(Ordering::Acquire) {
            // No source turns the clock any more, so all operators on all workers say the same.
            return Some(self.epochs.current().max(epoch));
        }
        (self.seals == Seals::EachEpoch).then_some(epoch)
    }

    /// Lets the workers leave where they are.
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

/// What the operators of one worker share.
#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// How far the sinks of the whole job have come.
    pub(crate) probe: probe::Handle<Time>,
    /// Operators to run when the probe has moved: the sources, which may wait for that.
    pub(crate) awaiting: Rc<RefCell<Vec<Activator>>>,
    /// What state may take of memory, if that is limited.
    pub(crate) memory: Option<Rc<SharedBudget>>,
    /// Operators to run when a clock that is moved by hand has come to a moment.
    pub(crate) alarms: Alarms,
    /// How epochs are counted where the operator is that is being built.
    pub(crate) counting: Counting,
    /// True if what that operator reads has event time, or may have.
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
        let (probe, awaiting) = (probe::Handle::default(), Rc::default());
        let (alarms, counting) = (Alarms::default(), Counting::Epochs);
        let has_event_time = true;
        WorkerContext { index, shared, probe, awaiting, memory, alarms, counting, has_event_time }
    }

    /// Who asks for the state of an operator, as far as that is the same for all.
    pub(crate) fn state_readers(&self) -> StateReaders {
        let is_saved = self.shared.coordinator().is_some() && self.shared.seals == Seals::OnDemand;
        StateReaders { read: false, memory: self.memory.clone(), saved: is_saved }
    }

    /// The limit of an operator's state, if there is one.
    pub(crate) fn limit(&self, operator: &str) -> Option<MemoryBudget> {
        self.memory.as_ref().map(|memory| MemoryBudget::new(memory, operator, &self.shared.metrics))
    }

    /// What a limit of memory asks of state that leaves memory in its own order, if there is one. What leaves
    /// is counted as the metric `left`.
    pub(crate) fn quota(&self, operator: &str, left: &'static str) -> Option<SpillBudget> {
        self.memory.as_ref().map(|memory| SpillBudget::new(memory, operator, left, &self.shared.metrics))
    }

    /// The part of the keys that is this worker's.
    pub(crate) fn share(&self) -> Share {
        Share { worker: self.index, workers: self.shared.workers }
    }

    /// The first epoch, as it is counted here.
    pub(crate) fn first_epoch(&self) -> u64 {
        self.counting.first_of(self.shared.first)
    }

    /// The number here that state is to be sealed as of, when `epoch` has closed and the next to come is
    /// `next`.
    pub(crate) fn seal_now(&self, epoch: u64, next: u64) -> Option<u64> {
        let counting = self.counting;
        let wanted = self.shared.seal_now(counting.epoch_of(epoch), counting.epoch_of(next))?;
        Some(counting.first_of(wanted).max(epoch))
    }

    /// What a snapshot has of an operator, if the job goes on from one that has.
    pub(crate) fn restored(&self, uid: &str) -> Option<RestoredOperator> {
        self.shared.restored.as_ref()?.operator(uid)
    }

    /// Lets an instance of an operator take part in snapshots, if there are any.
    pub(crate) fn saving(&self, uid: Arc<str>) -> Option<Saving> {
        self.shared.coordinator()?;
        self.shared.say(CoordinatorMessage::Joins((Arc::clone(&uid), self.index)));
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
    /// The cuts that are served by the state as of the end of `epoch`, when the next epoch is `next`.
    #[inline]
    pub(crate) fn cuts(&self, epoch: u64, next: u64) -> Vec<u64> {
        let (epoch, next) = (self.counting.epoch_of(epoch), self.counting.epoch_of(next));
        self.shared.coordinator().map_or_else(Vec::new, |coordinator| coordinator.cuts.between(epoch, next))
    }

    /// Begins to copy what is to be handed over. Until [`has_copied`](Saving::has_copied), cuts that are not
    /// asked for wait.
    pub(crate) fn copies(&self) {
        self.shared.coordinator().into_iter().for_each(|coordinator| coordinator.cuts.copies());
    }

    /// Ends what [`copies`](Saving::copies) has begun.
    pub(crate) fn has_copied(&self) {
        self.shared.coordinator().into_iter().for_each(|coordinator| coordinator.cuts.has_copied());
    }

    /// How many rows a worker copies at a time.
    pub(crate) fn slice(&self) -> usize {
        self.shared.coordinator().map_or(usize::MAX, |coordinator| coordinator.slice)
    }

    /// Hands over the state for some cuts.
    pub(crate) fn hand_over(&self, cuts: &[u64], state: Result<SavedTables>) {
        match state {
            Ok(state) => {
                for cut in cuts {
                    let (uid, state) = (Arc::clone(&self.uid), state.clone());
                    self.shared.say(CoordinatorMessage::Part(OperatorSnapshot {
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

    /// Takes note of how long the worker has been busy with handing over.
    pub(crate) fn paused(&self, time: Duration) {
        let longest = self.shared.metrics.metric("snapshots", "longest_pause_micros");
        longest.raise(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    }

    /// True if what was handed over for a cut is committed.
    pub(crate) fn is_committed(&self, cut: u64) -> bool {
        self.shared.coordinator().is_none_or(|coordinator| coordinator.cuts.is_committed(cut))
    }
}
