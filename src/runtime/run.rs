//! The worker threads of a job: how they start, step, fail together and end.
//!
//! The engine steps the workers itself instead of handing them to timely's `execute`. A worker that panics or
//! fails records its error where all others look between two steps, so one fault ends the job within
//! milliseconds; with timely alone the other workers would wait for ever. A panic is never caught and stepped
//! over: the state of a dataflow after one cannot be trusted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use differential_dataflow::VecCollection;
use differential_dataflow::operators::arrange::Arranged;
use timely::WorkerConfig;
use timely::communication::{Allocator, WorkerGuards, initialize_from};
use timely::worker::Worker;

use super::lockstep::{Lockstep, Seat};
use super::restart;
use super::seeded_schedule::{Drawn, Schedule};
use crate::clock;
use crate::config::Options;
use crate::data::{Data, Key};
use crate::error::{Error, Result};
use crate::metric::Metrics;
use crate::notice::Notices;
use crate::snapshot::{Cause, CoordinatorMessage};
use crate::stream::{
    ArrangedStream, Attached, AttachedDataflow, Computation, Graph, Job, Recipes, Shared, StateTrace,
    WorkerContext, operator_fault,
};
use crate::time::Time;

/// The longest that a worker sleeps before it checks whether another has failed.
const NAP: Duration = Duration::from_millis(20);

/// How often to read a clock that is moved by hand while something waits for it: it wakes nobody up.
const LOOK: Duration = Duration::from_millis(1);

impl Job {
    /// Runs the job on one worker with the default [`Options`], until all input is read and all results are
    /// written.
    ///
    /// # Errors
    ///
    /// If a source or a sink fails, or user code panics. Output may then be incomplete.
    pub fn run(&self) -> Result<Summary> {
        self.run_with(Options::default())
    }

    /// Runs the job until all input is read and all results are written.
    ///
    /// # Errors
    ///
    /// If an option is invalid, a source or a sink fails, or user code panics.
    pub fn run_with(&self, options: Options) -> Result<Summary> {
        self.start(options)?.join()
    }

    /// Starts the job and returns at once.
    ///
    /// # Errors
    ///
    /// If an option is invalid, or a source or a sink does not exist.
    pub fn start(&self, options: Options) -> Result<Running> {
        let shared = self.prepare(&options, false)?;
        self.launch(shared, None)
    }

    /// Starts the job with workers that take turns. The first turn is taken when it is
    /// [driven](Lockstep::drive).
    pub(crate) fn start_in_turns(&self, options: Options, drawn: Drawn) -> Result<(Running, Arc<Lockstep>)> {
        let shared = self.prepare(&options, true)?;
        let schedule = Schedule::new(drawn, options.workers);
        let calls = self.graph.nodes().iter().any(|node| node.kind == "call");
        let lockstep = Arc::new(Lockstep::new(Arc::clone(&shared), schedule, calls));
        Ok((self.launch(shared, Some(Arc::clone(&lockstep)))?, lockstep))
    }

    fn prepare(&self, options: &Options, in_turns: bool) -> Result<Arc<Shared>> {
        options.check()?;
        if !self.graph.nodes().iter().any(|node| node.kind == "sink") {
            return Err(Error::config(
                "the job has no sink, so it would compute nothing: add one, or discard()",
            ));
        }
        if let Some(snapshots) = &options.snapshots {
            return restart::prepare(self, options, snapshots, in_turns);
        }
        self.graph.check(None)?;
        self.graph.prepare(options.workers)?;
        Ok(Arc::new(Shared::new(options, self.metrics.clone(), 0, None)))
    }

    fn launch(&self, shared: Arc<Shared>, lockstep: Option<Arc<Lockstep>>) -> Result<Running> {
        let communication = match shared.workers {
            1 => timely::CommunicationConfig::Thread,
            workers => timely::CommunicationConfig::Process(workers),
        };
        let (builders, others) = communication.try_build().map_err(Error::config)?;
        let known = Arc::clone(&shared);
        let recipes = Arc::new(self.graph.recipes());
        let nodes = recipes.len();
        let workers = initialize_from(builders, others, move |allocator| {
            work_or_fail(&recipes, allocator, &known, lockstep.as_ref())
        });
        let workers = workers.map_err(Error::config)?;
        let stop = shared.stopper();
        Ok(Running {
            workers: Some(workers),
            graph: self.graph.clone(),
            nodes,
            shared,
            stop,
            metrics: self.metrics.clone(),
            notices: self.notices.clone(),
        })
    }
}

/// A running job.
pub struct Running {
    workers: Option<WorkerGuards<()>>,
    graph: Graph,
    /// The number of operators that the workers have built.
    nodes: usize,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    metrics: Metrics,
    notices: Notices,
}

/// The outcome of a job.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Wall-clock time from start to end.
    pub elapsed: Duration,
    /// Its counters and gauges.
    pub metrics: Metrics,
}

impl Running {
    /// Requests a snapshot, which is cut when the current epoch ends. Has no effect if the job takes none.
    pub fn snapshot(&self) {
        if let Some(coordinator) = self.shared.coordinator() {
            coordinator.trigger.ask(Cause::Request);
        }
    }

    /// Attaches a differential computation to an arrangement of the job, on all workers, while they go on.
    ///
    /// Its first results are the whole collection as of an epoch that has just ended, and those after it what
    /// each later epoch has changed: none is missing, and none is there twice. It ends when its results are
    /// dropped, or the job ends: a job that comes to its end or is stopped waits for it, one that is
    /// suspended or fails does not.
    ///
    /// The arrangement is read where it lies, in memory or in files. What is copied is what the computation
    /// keeps; and while an operator walks over all of the arrangement, as at the beginning most do, what it
    /// has read. Results that are not taken pile up, and a computation that is slower than the job holds what
    /// it has not come to. It runs on the job's workers, and most of differential's operators walk over all
    /// that there is in one go: meanwhile the worker does nothing else. A panic in it ends the job. Snapshots
    /// know nothing of it.
    ///
    /// ```
    /// use highwater::connector::Generator;
    /// use highwater::data::Change;
    /// use highwater::prelude::*;
    ///
    /// let job = Job::new();
    /// let numbers = job.source(Generator::new(1, Some).rate(1000.0), Watermarks::none());
    /// let numbers = numbers.map(|n| Change::insert((n % 3, n))).arrange();
    /// numbers.discard();
    /// let running = job.start(Options::default())?;
    /// let mut keys = running.attach(&numbers, |_, numbers| {
    ///     numbers.as_collection(|key, _| *key.key()).distinct()
    /// })?;
    /// let mut seen = Vec::new();
    /// while seen.len() < 3
    ///     && let Some(epoch) = keys.next(Duration::from_secs(10))
    /// {
    ///     seen.extend(epoch.changes.into_iter().map(|change| change.record));
    /// }
    /// running.stop();
    /// running.join()?;
    /// seen.sort();
    /// assert_eq!(seen, [0, 1, 2]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the arrangement is not one of the job's, or the job has ended.
    pub fn attach<K, V, U, F>(&self, arranged: &ArrangedStream<K, V>, f: F) -> Result<Attached<U>>
    where
        K: Key,
        V: Key,
        U: Data + Ord,
        F: for<'s> Fn(&Computation<'s>, Arranged<'s, StateTrace<K, V>>) -> VecCollection<'s, Time, U>
            + Send
            + Sync
            + 'static,
    {
        if !self.graph.is_same(&arranged.graph()) || arranged.node() >= self.nodes {
            return Err(Error::config(
                "a computation can be attached to arrangements of the job that runs only: this one is of another job, or \
                 was made after the start",
            ));
        }
        let attached = Attached::new(&self.shared, arranged, f)?;
        // Workers that have nothing to do sleep for a while.
        self.workers.iter().flat_map(WorkerGuards::guards).for_each(|worker| worker.thread().unpark());
        Ok(attached)
    }

    /// Suspends the job: takes a last snapshot, waits until it is durable, and ends the workers where they
    /// are. A job that ends by itself meanwhile has ended, and one that takes no snapshots is
    /// [stopped](Running::stop).
    ///
    /// # Errors
    ///
    /// As [`join`](Running::join).
    pub fn suspend(self) -> Result<Summary> {
        match self.shared.coordinator() {
            Some(coordinator) => {
                coordinator.trigger.ask(Cause::Stop);
                // The job may end by itself, or fail, before the snapshot is committed.
                while !coordinator.trigger.is_stopped() && !self.is_finished() && !self.has_failed() {
                    std::thread::sleep(LOOK);
                }
                self.shared.leave();
            }
            None => self.stop(),
        }
        self.join()
    }

    /// Requests the end of the job: sources stop where they are, and what they have emitted is completed.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The flag that requests the end of the job, for a signal handler.
    pub fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// True if all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.shared.finished.load(Ordering::Acquire) == self.shared.workers
    }

    /// True if the job has ended with an error, or is about to.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Ends the workers where they are.
    pub(crate) fn abandon(&self) {
        self.shared.fail(Error::config("the job was abandoned"));
    }

    /// The first epoch that is not complete.
    pub fn open_epoch(&self) -> u64 {
        self.shared.open_epoch.load(Ordering::Relaxed)
    }

    /// The counters and gauges of the job.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Messages for the user that are no errors: take them now and then, and show them.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Waits until the job has ended.
    ///
    /// # Errors
    ///
    /// The first error of a source, a sink or user code.
    pub fn join(mut self) -> Result<Summary> {
        // A worker catches its panic and records it as an error, so joining its thread cannot panic.
        drop(self.workers.take());
        if let Some(coordinator) = self.shared.coordinator() {
            coordinator.finish();
        }
        match self.shared.take_failure() {
            Some(error) => Err(error),
            None => Ok(Summary { elapsed: self.shared.clock.now(), metrics: self.metrics.clone() }),
        }
    }
}

/// Dropping a job that nobody joined requests its end and waits for it: its threads never outlive it.
impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn work_or_fail(
    recipes: &Recipes,
    allocator: Allocator,
    shared: &Arc<Shared>,
    lockstep: Option<&Arc<Lockstep>>,
) {
    let index = allocator.index();
    // Taken first and dropped last: everything that a worker does, even ending, happens in its turn.
    let seat = lockstep.map(|lockstep| lockstep.seat(index));
    let work = || work(recipes, allocator, shared, seat.as_ref());
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        shared.fail(operator_fault::error_of(format_args!("worker {index}"), panic));
    }
    shared.finished.fetch_add(1, Ordering::AcqRel);
}

fn work(recipes: &Recipes, allocator: Allocator, shared: &Arc<Shared>, seat: Option<&Seat>) {
    let context = WorkerContext::new(allocator.index(), Arc::clone(shared));
    // Another worker may have failed while this thread started; its peers will never answer.
    if shared.has_failed() {
        return;
    }
    let mut worker = Worker::new(WorkerConfig::default(), allocator, Some(clock::instant()));
    worker.dataflow::<Time, _, _>(|scope| recipes.lower(scope, context.clone()));
    // Its operators have all joined by now, so the coordinator knows whose parts a snapshot needs.
    shared.send_to_coordinator(CoordinatorMessage::Ready(context.index));
    let (mut open, mut stopping, mut committed) = (0, false, 0);
    let (mut built, mut attached) = (0, Vec::new());
    while !shared.has_failed() && (worker.has_dataflows() || !shared.attachments.close(built)) {
        attach(&mut worker, &context, (&mut built, &mut attached));
        step(&mut worker, &context, seat);
        // No message activates a source that waits for room or a sink that waits for a commit, so both are
        // activated when an epoch completes, the job is asked to stop, or a snapshot is committed.
        let now = (context.open_epoch(), shared.is_stopping(), shared.committed());
        if now != (open, stopping, committed) {
            (open, stopping, committed) = now;
            shared.open_epoch.fetch_max(open, Ordering::Relaxed);
            for source in context.awaiting.borrow().iter() {
                source.activate();
            }
        }
    }
}

/// Builds what has been attached since the last call, and lets end what has been detached.
#[inline]
fn attach(
    worker: &mut Worker,
    context: &WorkerContext,
    (built, attached): (&mut usize, &mut Vec<AttachedDataflow>),
) {
    while let Some(attachment) = context.shared.attachments.get(*built) {
        *built += 1;
        attached.push(attachment(worker, &context.traces));
    }
    attached.retain_mut(AttachedDataflow::is_wanted);
}

/// Waits for something to do, and runs the operators that are activated.
fn step(worker: &mut Worker, context: &WorkerContext, seat: Option<&Seat>) {
    let alarms = &context.alarms;
    match seat {
        Some(seat) => {
            // Read before the turn is passed on: whether this step will do anything decides whether the
            // others are woken up.
            let is_active = worker.activations().borrow().empty_for() == Some(Duration::ZERO);
            seat.pass(is_active, alarms.next());
            // The job may have failed while this worker waited for its turn.
            if !context.shared.has_failed() {
                alarms.ring(context.shared.clock.now());
                worker.step();
            }
        }
        None => {
            alarms.ring(context.shared.clock.now());
            // Parked until a message comes, but never for longer than it takes to notice a failed peer or a
            // clock that was moved.
            worker.step_or_park(Some(alarms.next().map_or(NAP, |_| LOOK)));
        }
    }
}
