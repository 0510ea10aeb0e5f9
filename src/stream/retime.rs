//! New event times for a stream, assigned after its source.
//!
//! [`with_watermarks`](Stream::with_watermarks) discards the stamps of records, assigns new ones by a
//! strategy of its own, and starts a new watermark. So one source can be read under several strategies at
//! once, and event times that the source cannot know, such as times that a step has parsed, can be used.
//!
//! # Splits
//!
//! A strategy follows one split, whose records have an order. After the source a stream has no splits any
//! more, so a function assigns each record to one, and their number is fixed from the beginning: a split
//! without any record yet holds the watermark back, whichever worker keeps it. Each split is kept by one
//! worker, to which its records are sent.
//!
//! # Silence
//!
//! A split is known here by its records alone. If none come, they may not be read yet, or be queued behind
//! many others. So silence is measured by what the [sources record](crate::time::EpochClaims): a split is
//! silent if none of its records were among all that the sources' readers had until that long after its last
//! record was stamped. That is known at the end of the epoch in which the last reader was polled. A busy
//! source, backpressure, a slow step or a restart delay the detection, and make no record late.
//!
//! # Why it is correct
//!
//! An operator that forwards records cannot advance the watermark on its own: timely assumes that input at a
//! time causes output at that time or later, so the source's low capability holds back every frontier after
//! it. So this operator acts as a source for those after it. Its outputs are not connected to its input; it
//! holds one time, the open epoch and the least watermark of its splits, from the beginning to the end of the
//! input, and sends each record at it. A record's new stamp has the watermark of its own split, which is not
//! below that. So a record that is not late by its stamp finds nothing closed, as behind a source.
//!
//! Epochs are taken one after the other, so the watermarks at the end of an epoch are a function of the input
//! up to there.
//!
//! # In snapshots
//!
//! The saved state is per split and not per worker: its watermark, and the state of its generator. The idle
//! timeout starts over. A snapshot has both for each split by its number, and the worker that keeps the split
//! in the next run restores them: the stamps to come are the same on any number of workers. A worker's own
//! watermark is computed again: it is the least of its splits, and not below the least that any worker had,
//! which matters for workers whose splits are all silent. Nothing downstream has seen more than that least.
//! Records are not saved: those of epochs after the cut are read again.
//!
//! The number of splits determines which records form a split, so it cannot change from one run to the next.
//! The strategy may: the splits' watermarks stay, and the new generators are given the state of the old ones.
//!
//! # Cost
//!
//! An exchange of each record to the worker that keeps its split, within a process a copy; a stamp; and
//! batches of later epochs wait for the open one to complete, as before any operator that keeps state. A
//! snapshot costs the saved state of the generators, for each split.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use timely::scheduling::SyncActivator;

use super::alarm::Alarm;
use super::chain::{Chain, Origin};
use super::context::{Shared, WorkerContext};
use super::graph::{Lowering, NodeInfo, Operator, Routing};
use super::rounds::Counting;
use super::{Edge, Stream};
use crate::data::{Data, Exchange, Record, Stamp};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::metric::Metric;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::Share;
use crate::stream::consumers::{Consumers, Node, Outputs};
use crate::stream::epoch_driver::{self, OperatorLogic};
use crate::time::{EventTime, Reach, SplitMark, SplitWatermarks, Ticks, Time, WatermarkBoard, Watermarks};

impl<T: Exchange, C: Chain<Out = T>> Stream<T, C> {
    /// Gives the records new event times and starts a new watermark: Flink's `assignTimestampsAndWatermarks`.
    ///
    /// `split` tells which of `splits` splits a record belongs to, numbered from 0; of a greater number the
    /// remainder counts. Each split has a watermark of its own under the strategy, and the stream has the
    /// least of them. A split that gives nothing, or nothing more, holds it back until the whole input ends,
    /// unless the strategy has an [idle timeout](Watermarks::idle_after). Which records are late is the same
    /// in every run, on any number of workers, if the records of each split come in an order of their own: if
    /// each is read from one split of a source, with nothing but stateless steps on the way.
    ///
    /// # Errors
    ///
    /// The job does not start if there are no splits, or if the strategy wants splits
    /// [aligned](Watermarks::align), which only a source can do. It ends at once if it goes on from a
    /// snapshot in which there were more splits, or fewer.
    ///
    /// ```
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use highwater::window::Tumbling;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let lines = job.collection(["3 a", "12 a", "7 a", "25 a"]);
    /// let parsed = lines.filter_map(|line| line.split_once(' ')?.0.parse::<i64>().ok());
    /// // The same stream twice: strict, and with patience.
    /// let count = |disorder| {
    ///     let watermarks = Watermarks::bounded(Duration::from_millis(disorder), |time: &i64| *time);
    ///     let timed = parsed.clone().with_watermarks(watermarks, 1, |_| 0);
    ///     timed.window_all(Tumbling::of(Duration::from_millis(10))).count().map(|w| w.value).collect()
    /// };
    /// let (strict, patient) = (count(0), count(5));
    /// job.run()?;
    /// assert_eq!(strict.values(), [1, 1, 1]); // 7 comes when [0, 10) is over
    /// assert_eq!(patient.values(), [2, 1, 1]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn with_watermarks<F, S>(self, watermarks: Watermarks<T, F>, splits: usize, split: S) -> Stream<T>
    where
        F: Fn(&T) -> EventTime + Clone + Send + Sync + 'static,
        S: Fn(&T) -> usize + Clone + Send + Sync + 'static,
    {
        let graph = self.graph();
        if splits == 0 {
            graph.complain("with_watermarks needs at least 1 split");
        }
        if watermarks.max_drift.is_some() {
            graph.complain(
                "only a source can align splits: remove align from the strategy of with_watermarks",
            );
        }
        let splits = splits.max(1);
        let name = format!("{:?}, {splits} splits", watermarks.strategy);
        let gives_time = watermarks.gives_time();
        // The number of workers is known when the job starts. `prepare` replaces the board in the main
        // thread, before any worker takes it in `make`, so all workers of a run share one.
        let board = Arc::new(Mutex::new(Arc::new(WatermarkBoard::new(0, 0))));
        let prepared = Arc::clone(&board);
        let prepare = move |workers| *lock(&prepared) = Arc::new(WatermarkBoard::new(workers, splits));
        let keeper = split.clone();
        let make = move |worker: &WorkerContext, activator: SyncActivator| {
            let (workers, shared) = (worker.shared.workers, Arc::clone(&worker.shared));
            let spread = Spread { splits, worker: worker.index, workers };
            let mine = spread.own().count();
            let (now, silence) = (ticks(shared.clock.now()), watermarks.idle_after.map(ticks));
            let (split, board) = (keeper.clone(), Arc::clone(&lock(&board)));
            board.join(worker.index, activator);
            if silence.is_some() {
                shared.asked.want();
            }
            (mine > 0).then(|| Keeper {
                splits: SplitWatermarks::new(&watermarks.strategy, mine, silence, now),
                place: Box::new(move |value: &T| split(value) % splits / workers),
                timestamp: watermarks.timestamp.clone(),
                shared,
                now,
                board,
                shown: None,
                spread,
            })
        };
        let stamped =
            self.restamp(name, move |value, workers| split(value) % splits % workers, prepare, make);
        stamped.graph().describe(stamped.chain.id(), |info| info.gives_time = Some(gives_time));
        stamped
    }

    /// Gives the records new stamps by the stamper that `make` returns on each worker; `None` on workers that
    /// `route` sends no records to.
    pub(crate) fn restamp<S: Stamper<T>>(
        self,
        name: String,
        route: impl Fn(&T, usize) -> usize + Clone + Send + Sync + 'static,
        prepare: impl Fn(usize) + Send + Sync + 'static,
        make: impl Fn(&WorkerContext, SyncActivator) -> Option<S> + Send + Sync + 'static,
    ) -> Stream<T> {
        let graph = self.graph();
        let edge = self.emit();
        let info =
            NodeInfo::new("watermarks", name).input(edge, Routing::Custom).stateful().giving_time(true);
        let consumers = Consumers::new();
        let id =
            graph.add(info, RetimeOperator { edge, route, prepare, make, consumers: Arc::clone(&consumers) });
        Stream::new(Node::new(&graph, id, &consumers))
    }
}

/// Stamps records on one worker, in order of arrival.
pub(crate) trait Stamper<T>: 'static {
    /// Stamps a record.
    fn stamp(&mut self, value: &T) -> Stamp;

    /// The worker's watermark: not above the watermark of any stamp to come, so records older than this are
    /// late. It never falls.
    fn watermark(&self) -> EventTime;

    /// Called before the records of a batch: time may have passed.
    fn wake(&mut self) {}

    /// Called when an epoch of the job is over, before anything of the next.
    fn close(&mut self, _epoch: u64) {}

    /// Called at the end of an activation. Returns how long until the operator should run even without input.
    fn rest(&mut self) -> Option<Duration> {
        None
    }

    /// Adds the state to restore from to a snapshot.
    fn save(&self, _saved: &mut SavedTables) -> Result<()> {
        Ok(())
    }

    /// Restores what the stampers of all workers have saved.
    fn restore(&mut self, _from: &RestoredOperator) -> Result<()> {
        Ok(())
    }
}

struct RetimeOperator<T, R, P, M> {
    edge: Edge<Record<T>>,
    route: R,
    prepare: P,
    make: M,
    consumers: Arc<Consumers<T>>,
}

impl<T, S, R, P, M> Operator for RetimeOperator<T, R, P, M>
where
    T: Exchange,
    S: Stamper<T>,
    R: Fn(&T, usize) -> usize + Clone + Send + Sync + 'static,
    P: Fn(usize) + Send + Sync + 'static,
    M: Fn(&WorkerContext, SyncActivator) -> Option<S> + Send + Sync + 'static,
{
    fn prepare(&self, workers: usize) -> Result<()> {
        (self.prepare)(workers);
        Ok(())
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let workers = worker.shared.workers;
        let watermark = worker.shared.metrics.metric(uid, "watermark");
        let mut builder = cx.operator(uid);
        let stamper = (self.make)(&worker, builder.sync_activator());
        builder.keep_time();
        let route = self.route.clone();
        let input = builder.exchange(self.edge, move |record| route(&record.value, workers));
        let ports = self.consumers.open(&mut builder);
        let alarm = worker.alarm(builder.activator());
        let counting = worker.counting;
        let logic = Retime { stamper, counting, alarm, shown: EventTime::MIN, watermark };
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}

/// The logic on one worker.
struct Retime<S> {
    /// `None` on workers that no records are sent to.
    stamper: Option<S>,
    counting: Counting,
    alarm: Alarm,
    /// The last value of the metric.
    shown: EventTime,
    watermark: Metric,
}

impl<T: Data, S: Stamper<T>> OperatorLogic<Record<T>> for Retime<S> {
    type Out = T;
    const KEEPS_TIME: bool = true;

    fn batch(&mut self, time: Time, batch: &mut Vec<Record<T>>, out: &mut Outputs<T>) {
        let Some(stamper) = &mut self.stamper else {
            unreachable!("records are sent to workers that keep watermarks, and to no others")
        };
        stamper.wake();
        // From before the batch: no stamp in it is below this.
        let at = Time::new(time.epoch, stamper.watermark());
        for record in batch.iter_mut() {
            record.stamp = stamper.stamp(&record.value);
        }
        out.give_batch(at, batch);
    }

    fn advance(&mut self, _: EventTime, _: Time, _: &mut Outputs<T>) {}

    fn close(&mut self, epoch: u64, _: Option<Time>, _: &mut Outputs<T>) {
        // In a loop the number of an epoch includes its round: an epoch of the job is over when the next
        // number is the first of the next epoch.
        let over = self.counting.epoch_of(epoch.saturating_add(1)).checked_sub(1);
        if let (Some(stamper), Some(over)) = (&mut self.stamper, over) {
            stamper.close(over);
        }
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        self.stamper.as_ref().map_or(Ok(()), |stamper| stamper.save(saved))
    }

    fn restore(&mut self, from: &RestoredOperator, _: &Share) -> Result<()> {
        self.stamper.as_mut().map_or(Ok(()), |stamper| stamper.restore(from))
    }

    fn owes(&self) -> Option<EventTime> {
        // Held until the input ends: it covers the waiting batches and all records to come. A worker without
        // splits receives none.
        self.stamper.as_ref().map(Stamper::watermark)
    }

    fn rest(&mut self) {
        let Some(stamper) = &mut self.stamper else { return };
        if let Some(wait) = stamper.rest() {
            self.alarm.ring_in(wait);
        }
        let watermark = stamper.watermark();
        if watermark > self.shown {
            self.shown = watermark;
            self.watermark.set(watermark);
        }
    }
}

/// Keeps the splits of one worker under a strategy of the user's, with silence measured on the job's clock.
struct Keeper<T, F> {
    splits: SplitWatermarks<T>,
    /// The place of a record's split among those kept here.
    place: Box<dyn Fn(&T) -> usize>,
    timestamp: F,
    shared: Arc<Shared>,
    now: Ticks,
    board: Arc<WatermarkBoard>,
    /// The reach last published for this worker.
    shown: Option<Reach>,
    spread: Spread,
}

/// The splits that a worker keeps: every `workers`-th, from its own index on.
#[derive(Clone, Copy)]
struct Spread {
    splits: usize,
    worker: usize,
    workers: usize,
}

impl Spread {
    /// The numbers of its splits, in order of their places.
    fn own(self) -> impl Iterator<Item = usize> {
        (self.worker..self.splits).step_by(self.workers)
    }
}

/// The saved state of a worker: the number of all splits, the worker's watermark, and each of its splits by
/// number.
type Known = (usize, EventTime, Vec<(usize, SplitMark)>);

/// The name of the note.
const WATERMARKS: &str = "watermarks";

/// A time in nanoseconds; an `i64` has room for 292 years.
fn ticks(time: Duration) -> Ticks {
    Ticks::try_from(time.as_nanos()).unwrap_or(Ticks::MAX)
}

impl<T: Data, F: Fn(&T) -> EventTime + 'static> Stamper<T> for Keeper<T, F> {
    fn stamp(&mut self, value: &T) -> Stamp {
        self.splits.stamp((self.place)(value), value, (self.timestamp)(value), self.now)
    }

    fn watermark(&self) -> EventTime {
        self.splits.watermark()
    }

    fn wake(&mut self) {
        // Only the idle timeout needs the clock.
        if self.splits.has_limit() {
            self.now = ticks(self.shared.clock.now());
        }
    }

    fn close(&mut self, epoch: u64) {
        if self.splits.has_limit() {
            // Input that a driver feeds by hand has no readers that could still have records.
            let asked = self.shared.asked.by(epoch).unwrap_or_else(|| self.shared.clock.now());
            self.splits.pass(ticks(asked), &mut |_, _| {});
        }
    }

    fn rest(&mut self) -> Option<Duration> {
        if !self.splits.has_limit() {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        // Where epochs end by the clock, the end of each detects silent splits, without an alarm.
        let is_told = shared.epochs.until_tick().is_some();
        self.keep_board(!is_told);
        let due = self.splits.due().filter(|_| !is_told)?;
        self.wake();
        if due < self.now {
            // Under other policies no epoch ends without records, so silence would never be detected.
            shared.epochs.end(shared.epochs.current());
        }
        // One more nanosecond: a split falls silent after `due`, not at it. The minimum keeps a worker that
        // waits for an epoch to end from running all the time.
        Some(Duration::from_nanos(due.saturating_sub(self.now).max(0).unsigned_abs() + 1).max(MIN_WAIT))
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        let splits = self.spread.own().zip(self.splits.save()).collect();
        let known: Known = (self.spread.splits, self.splits.watermark(), splits);
        saved.note(WATERMARKS, &known)
    }

    fn restore(&mut self, from: &RestoredOperator) -> Result<()> {
        let (mut least, mut marks) = (EventTime::MAX, BTreeMap::new());
        for (_, (splits, watermark, own)) in from.notes::<Known>(WATERMARKS)? {
            if splits != self.spread.splits {
                return Err(Error::config(format!(
                    "the watermarks {:?} are of {splits} splits in the snapshot and of {} in the job: leave the number as it was, or give them \
                     another uid to begin anew",
                    from.uid(),
                    self.spread.splits,
                )));
            }
            least = least.min(watermark);
            marks.extend(own);
        }
        // `least` would be the end of time, which nothing has promised.
        if marks.is_empty() {
            return Ok(());
        }
        let own = self.spread.own().enumerate();
        let own = own.filter_map(|(place, split)| Some((place, marks.remove(&split)?)));
        self.splits.restore(least, own);
        Ok(())
    }
}

impl<T, F> Keeper<T, F> {
    /// Publishes the progress of the splits, and follows other workers if all are silent. If it `listens` it
    /// is activated when they have advanced.
    fn keep_board(&mut self, listens: bool) {
        let (worker, reach) = (self.spread.worker, self.splits.reach());
        if self.shown != Some(reach) {
            self.shown = Some(reach);
            self.board.show(worker, reach);
        }
        if reach.least == EventTime::MAX {
            if listens {
                // Before the board is read, so that no change between the two is missed.
                self.board.follow(worker);
            }
            self.board.without(worker).into_iter().for_each(|watermark| self.splits.raise(watermark));
        }
    }
}

/// The least time until a worker looks again whether splits have fallen silent.
const MIN_WAIT: Duration = Duration::from_millis(10);
