//! The driver: runs one operator or a few by hand, with the test in charge of input, event time and wall
//! clock.
//!
//! A [`Driver`] runs a part of a job on the calling thread, without sources and without a clock that moves by
//! itself. Each call is an epoch of its own and returns when everything that it causes has happened, so a
//! test of windows, timers or state states exactly what happens in which order. It corresponds to Flink's
//! `KeyedOneInputStreamOperatorTestHarness`, but over whole streams.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::communication::allocator::Thread;
use timely::worker::Worker;

use crate::clock::{self, Clock};
use crate::config::Options;
use crate::connector::Collected;
use crate::data::{Data, Ownership, Record, Stamp};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::metric::Metrics;
use crate::object::Memory;
use crate::runtime::prepare;
use crate::snapshot::{Cause, CoordinatorMessage, Restore, Snapshots};
use crate::stream::{
    Chain, Consumers, Job, Lowering, Node, NodeInfo, Operator, Shared, Stream, WorkerContext, operator_fault,
};
use crate::time::{EventTime, Time};

/// Feeds a stream by hand and collects its output.
///
/// ```
/// use highwater::harness::Driver;
/// use highwater::window::Sessions;
/// use std::time::Duration;
///
/// let mut driver = Driver::new(|clicks| {
///     let keyed = clicks.key_by(|who: &&str| who.to_string()).map_values(|_| ());
///     keyed.window(Sessions::with_gap(Duration::from_millis(10))).count().map(|s| (s.key, s.window.end, s.value))
/// })?;
/// driver.push("ann", 1)?;
/// driver.push("ann", 8)?;
/// driver.watermark(17)?;
/// assert!(driver.take_output().is_empty());
/// driver.watermark(18)?; // nothing before 18 can come any more
/// assert_eq!(driver.take_output(), [("ann".to_string(), 18, 2)]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub struct Driver<T, O> {
    job: Job,
    options: Options,
    worker: Worker,
    context: WorkerContext,
    clock: Clock,
    feed: Arc<Mutex<Feed<T>>>,
    output: Collected<O>,
    /// How much of the output was taken.
    taken: usize,
    epoch: u64,
    watermark: EventTime,
}

/// The input of the next step.
struct Feed<T> {
    records: Vec<Record<T>>,
    /// The time of these records, and the time from which on more may come; `None` at the end of the input.
    at: Time,
    next: Option<Time>,
}

impl<T: Data, O: Data> Driver<T, O> {
    /// Builds a part of a job.
    ///
    /// # Errors
    ///
    /// If it is invalid.
    pub fn new<C: Chain<Out = O>>(build: impl FnOnce(Stream<T>) -> Stream<O, C>) -> Result<Driver<T, O>> {
        Driver::with(Options::default(), build)
    }

    /// Builds a part of a job, to be run with options. Workers, epochs and the clock are the driver's.
    ///
    /// # Errors
    ///
    /// If an option or the job is invalid.
    pub fn with<C: Chain<Out = O>>(
        options: Options,
        build: impl FnOnce(Stream<T>) -> Stream<O, C>,
    ) -> Result<Driver<T, O>> {
        let (clock, job) = (Clock::manual(), Job::new());
        let snapshots = Snapshots::in_store(Arc::new(Memory::default())).restore(Restore::Latest);
        let options = options.ownership(Ownership::uniform(1)).clock(clock.clone()).snapshots(snapshots);
        options.check()?;
        let start = Time::new(0, EventTime::MIN);
        let feed = Arc::new(Mutex::new(Feed { records: Vec::new(), at: start, next: Some(start) }));
        let consumers = Consumers::new();
        let operator = Hand { feed: Arc::clone(&feed), consumers: Arc::clone(&consumers) };
        let id = job.graph.add(NodeInfo::new("source", "by hand"), operator);
        let output = build(Stream::new(Node::new(&job.graph, id, &consumers))).collect();
        let (worker, context) = build_worker(&job, &options)?;
        let (taken, epoch, watermark) = (0, 0, EventTime::MIN);
        Ok(Driver { job, options, worker, context, clock, feed, output, taken, epoch, watermark })
    }

    /// Takes a snapshot, drops the worker, and restores the snapshot. The output must not change by that.
    ///
    /// ```
    /// use highwater::harness::Driver;
    ///
    /// let mut driver = Driver::new(|words| words.key_by(|word: &&str| word.to_string()).count().map(|c| c.record))?;
    /// driver.push("to", 0)?;
    /// driver.restart()?;
    /// driver.push("to", 0)?;
    /// assert_eq!(driver.take_output().last(), Some(&("to".to_string(), 2)));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the input has ended, or the job fails.
    pub fn restart(&mut self) -> Result<()> {
        let refused = || Error::config("no snapshot can be taken of what is driven: its input has ended");
        let cut = self.epoch;
        let cuts = Arc::clone(&self.context.shared.coordinator().ok_or_else(refused)?.trigger);
        // The cut must be decided before the epoch closes, for operators copy their state when it does.
        cuts.ask(Cause::Request);
        cuts.turn(cut, self.clock.now());
        self.step(Vec::new(), true)?;
        if !cuts.is_committed(cut) {
            return Err(refused());
        }
        let at = Time::new(self.epoch, self.watermark);
        *lock(&self.feed) = Feed { records: Vec::new(), at, next: Some(at) };
        (self.worker, self.context) = build_worker(&self.job, &self.options)?;
        self.step(Vec::new(), true)
    }

    /// Pushes a record that happened at `timestamp`. Its stamp has the current watermark.
    ///
    /// # Errors
    ///
    /// If the job fails.
    pub fn push(&mut self, value: T, timestamp: EventTime) -> Result<()> {
        let stamp = Stamp { timestamp, watermark: self.watermark };
        self.step(vec![Record::new(value, stamp)], true)
    }

    /// Pushes a record with a stamp of your own, such as that of a split that is ahead of others.
    ///
    /// # Errors
    ///
    /// If the job fails.
    pub fn push_record(&mut self, record: Record<T>) -> Result<()> {
        self.step(vec![record], true)
    }

    /// Advances the watermark: nothing older than `time` will come. Flink's watermark `w` is `w + 1` here. An
    /// earlier time has no effect, since event time does not go back.
    ///
    /// # Errors
    ///
    /// If the job fails.
    pub fn watermark(&mut self, time: EventTime) -> Result<()> {
        self.watermark = self.watermark.max(time);
        self.step(Vec::new(), true)
    }

    /// Moves the wall clock, which begins at 0, to `millis`. It does not go back.
    ///
    /// # Errors
    ///
    /// If the job fails.
    pub fn processing_time(&mut self, millis: i64) -> Result<()> {
        let ahead = u64::try_from(millis.saturating_sub(self.clock.millis())).unwrap_or(0);
        self.clock.advance(Duration::from_millis(ahead));
        self.step(Vec::new(), true)
    }

    /// Ends the input: event time ends, and all timers fire. Records pushed afterwards are ignored.
    ///
    /// # Errors
    ///
    /// If the job fails.
    pub fn finish(&mut self) -> Result<()> {
        self.step(Vec::new(), false)
    }

    /// The output since the last call, in order.
    pub fn take_output(&mut self) -> Vec<O> {
        self.take_records().into_iter().map(|record| record.value).collect()
    }

    /// The output since the last call, in order, with its stamps.
    pub fn take_records(&mut self) -> Vec<Record<O>> {
        let records: Vec<_> =
            self.output.records().into_iter().skip(self.taken).map(|(_, record)| record).collect();
        self.taken += records.len();
        records
    }

    /// The counters and gauges of the operators.
    pub fn metrics(&self) -> &Metrics {
        &self.job.metrics
    }

    /// Pushes records in an epoch of their own and steps the worker until that epoch is complete.
    fn step(&mut self, records: Vec<Record<T>>, more: bool) -> Result<()> {
        if lock(&self.feed).next.is_none() {
            return Ok(());
        }
        let at = Time::new(self.epoch, lock(&self.feed).at.event);
        self.epoch += 1;
        self.context.shared.epochs.reach(self.epoch);
        let next = Time::new(self.epoch, self.watermark);
        *lock(&self.feed) = Feed { records, at, next: more.then_some(next) };
        // The input operator has no upstream that would activate it.
        self.context.awaiting.borrow().iter().for_each(|input| input.activate());
        let is_done = |context: &WorkerContext| match more {
            true => context.open_epoch() >= next.epoch,
            false => context.open_epoch() == u64::MAX,
        };
        while !is_done(&self.context) {
            let shared = &self.context.shared;
            if !shared.has_failed() {
                self.context.alarms.ring(self.clock.now());
                let worker = &mut self.worker;
                operator_fault::catch(|| worker.step()).map_err(|error| shared.fail(error)).ok();
            }
            if shared.has_failed() {
                let unknown = || Error::config("the job has failed before");
                return Err(shared.take_failure().unwrap_or_else(unknown));
            }
        }
        lock(&self.feed).at = next;
        Ok(())
    }
}

/// Builds the only worker of a job, and restores the last snapshot.
fn build_worker(job: &Job, options: &Options) -> Result<(Worker, WorkerContext)> {
    let shared = match &options.snapshots {
        Some(snapshots) => prepare(job, options, snapshots, true)?,
        None => {
            job.graph.check(None)?;
            job.graph.prepare(1)?;
            Arc::new(Shared::new(options, job.metrics.clone(), 0, None))
        }
    };
    let context = WorkerContext::new(0, shared);
    let allocator = Allocator::Thread(Thread::default());
    let mut worker = Worker::new(WorkerConfig::default(), allocator, Some(clock::instant()));
    worker.dataflow::<Time, _, _>(|scope| job.graph.recipes().lower(scope, context.clone()));
    context.shared.send_to_coordinator(CoordinatorMessage::Ready(0));
    Ok((worker, context))
}

/// The source operator: emits what the test has pushed.
struct Hand<T> {
    feed: Arc<Mutex<Feed<T>>>,
    consumers: Arc<Consumers<T>>,
}

impl<T: Data> Operator for Hand<T> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let awaiting = Rc::clone(&cx.worker.awaiting);
        let mut builder = cx.operator(uid);
        let mut ports = self.consumers.open(&mut builder);
        awaiting.borrow_mut().push(builder.activator());
        let feed = Arc::clone(&self.feed);
        builder.build(move |_, holds| {
            let mut feed = lock(&feed);
            let at = feed.at;
            feed.records.drain(..).for_each(|record| ports.give(at, record));
            ports.flush();
            holds.set(feed.next);
            false
        });
    }
}
