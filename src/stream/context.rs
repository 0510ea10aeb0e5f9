//! What the operators of a running job share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use timely::dataflow::operators::probe;
use timely::scheduling::Activator;

use super::tap::lock;
use crate::clock::Clock;
use crate::config::{Limits, Options, Seals};
use crate::error::Error;
use crate::metric::Metrics;
use crate::time::{EpochClock, Time};

/// What all workers of a running job share.
pub(crate) struct Shared {
    pub(crate) workers: usize,
    pub(crate) clock: Clock,
    pub(crate) epochs: EpochClock,
    pub(crate) limits: Limits,
    seals: Seals,
    /// The number of times that someone has asked for state.
    asked: AtomicU64,
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
            asked: AtomicU64::new(0),
            metrics,
            open_epoch: AtomicU64::new(0),
            finished: AtomicUsize::new(0),
            stop,
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// True if the job was asked to end: sources stop, and what they have emitted is completed.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks all operators to seal their state when they close their next epoch.
    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    /// True if state is to be sealed now. `heard` is what the operator knew of the askers, and is brought up to date.
    pub(crate) fn wants_seal(&self, heard: &mut u64) -> bool {
        let asked = self.asked.load(Ordering::Acquire);
        std::mem::replace(heard, asked) < asked || self.seals == Seals::EachEpoch
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
}

impl WorkerContext {
    /// The first epoch that the job has not completed.
    pub(crate) fn open_epoch(&self) -> u64 {
        self.probe.with_frontier(|frontier| crate::time::Progress::of(frontier).epoch)
    }
}
