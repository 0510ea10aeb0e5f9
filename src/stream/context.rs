//! What the operators of a running job share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use timely::dataflow::operators::probe;
use timely::scheduling::Activator;

use super::alarm::{Alarm, Alarms};
use super::tap::lock;
use crate::clock::Clock;
use crate::config::{Limits, Options, Seals, StateMemory};
use crate::error::Error;
use crate::metric::Metrics;
use crate::state::{Limit, Memory};
use crate::time::{EpochClock, Time};

/// What all workers of a running job share.
pub(crate) struct Shared {
    pub(crate) workers: usize,
    pub(crate) clock: Clock,
    pub(crate) epochs: EpochClock,
    pub(crate) limits: Limits,
    seals: Seals,
    memory: Option<StateMemory>,
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
    pub(crate) fn new(options: &Options, metrics: Metrics, stop: Arc<AtomicBool>) -> Shared {
        Shared {
            workers: options.workers,
            clock: options.clock.clone(),
            epochs: EpochClock::new(options.epochs, options.clock.clone()),
            limits: options.limits,
            seals: options.seals,
            memory: options.memory.clone(),
            wanted: AtomicU64::new(0),
            read: AtomicBool::new(false),
            piece: AtomicUsize::new(usize::MAX),
            metrics,
            open_epoch: AtomicU64::new(0),
            finished: AtomicUsize::new(0),
            stop,
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
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

    /// Asks all operators to seal their state as of the end of an epoch that none has closed, and says which one.
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
        let last = next == u64::MAX && self.read.load(Ordering::Acquire);
        (last || self.seals == Seals::EachEpoch).then_some(epoch)
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
    pub(crate) memory: Option<Rc<Memory>>,
    /// Operators to run when a clock that is moved by hand has come to a moment.
    pub(crate) alarms: Alarms,
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
            Memory::new(share, limit.directory.clone(), Arc::new(fail))
        });
        let (probe, awaiting) = (probe::Handle::default(), Rc::default());
        WorkerContext { index, shared, probe, awaiting, memory, alarms: Alarms::default() }
    }

    /// The limit of an operator's state, if there is one.
    pub(crate) fn limit(&self, operator: &str) -> Option<Limit> {
        self.memory.as_ref().map(|memory| Limit::new(memory, operator, &self.shared.metrics))
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
