//! The source operator: reads splits, stamps records, keeps the clocks, and stays within its limits.
//!
//! Each worker's instance reads the splits assigned to it and holds one time: the current epoch and the least watermark of its
//! splits. Reading goes to the split that is furthest behind, a short piece at a time.
//!
//! # Flow control
//!
//! An epoch that the source has left stays *in flight* until the probe at the sinks has passed it. With too many epochs in flight the source stays
//! in its current epoch; with too many bytes in flight it reads nothing. Either way it waits for the probe, and the
//! current epoch can always be left once earlier ones complete, so waiting ends.
//!
//! # Idle splits
//!
//! A split that has been silent for long enough no longer counts for the watermark. If all splits of a worker are silent or done, the
//! worker follows the others, whose watermarks it sees on a board that the instances share. A split that comes
//! back takes on the watermark that went on without it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use timely::scheduling::Activator;

use super::OnMalformed;
use super::source::{Position, Reader, Source, Split, Status};
use crate::data::{Record, Visit, hash64, worker_of};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::stream::{
    Chain, ChainOutlet, ChainTap, Collector, Edge, Gather, Graph, Holds, Job, Lowering, NodeId, NodeInfo,
    Operator, OperatorBuilder, Origin, Outlet, Stream, Terminal, WeakGraph, WorkerContext, lock,
};
use crate::time::{EventTime, SplitWatermark, Stamps, Time, Watermarks};

/// How long the operator reads before it lets others run. What it gathers meanwhile is combined and sent as one.
const QUANTUM: Duration = Duration::from_micros(500);

/// The most records that it reads in that time.
const QUOTA: usize = 1 << 16;

/// Records read at a time.
const PIECE: usize = 1024;

/// A source and how its records get event times.
pub struct Timed<S: Source, F> {
    source: S,
    watermarks: Watermarks<S::Item, F>,
    on_malformed: OnMalformed,
    taps: Mutex<Vec<Arc<dyn SourceTap<S, F>>>>,
    plan: Mutex<Plan<S::Split>>,
}

/// What the main thread has prepared for the workers.
struct Plan<P> {
    splits: Vec<P>,
    board: Arc<Vec<AtomicI64>>,
}

/// The origin of a chain at a source: the chain is compiled into the loop that reads.
///
/// Like [`Node`](crate::stream::Node), it does not keep the job alive.
pub struct AtSource<S: Source, F> {
    graph: WeakGraph,
    id: NodeId,
    timed: Weak<Timed<S, F>>,
}

impl<S: Source, F> Clone for AtSource<S, F> {
    fn clone(&self) -> Self {
        AtSource { graph: self.graph.clone(), id: self.id, timed: Weak::clone(&self.timed) }
    }
}

/// Reads the event time off a record of a source.
pub trait Timestamps<T>: Fn(&T) -> EventTime + Clone + Send + Sync + 'static {}
impl<T, F: Fn(&T) -> EventTime + Clone + Send + Sync + 'static> Timestamps<T> for F {}

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

    /// Reads a source, and says what to do with input that is not a record.
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
        let info = NodeInfo::new("source", source.name());
        let plan = Mutex::new(Plan { splits: Vec::new(), board: Arc::default() });
        let timed = Arc::new(Timed { source, watermarks, on_malformed, taps: Mutex::default(), plan });
        let origin = Arc::downgrade(&timed);
        let id = self.graph.add(info, SourceOperator(timed));
        Stream::new(AtSource { graph: self.graph.downgrade(), id, timed: origin })
    }
}

impl<S: Source, F: Timestamps<S::Item>> Origin for AtSource<S, F> {
    type Item = S::Item;

    fn graph(&self) -> Graph {
        self.graph.upgrade()
    }

    fn id(&self) -> NodeId {
        self.id
    }

    fn attach<C, N>(chain: C, terminal: N) -> Edge<N::Element>
    where
        C: Chain<From = AtSource<S, F>>,
        N: Terminal<C::Out>,
    {
        let timed = chain.origin().timed.upgrade();
        let edge = chain.origin().graph().edge(&chain);
        if let Some(timed) = timed {
            lock(&timed.taps).push(Arc::new(ChainTap { chain, terminal, edge }));
        }
        edge
    }
}

impl<S: Source, F: Timestamps<S::Item>> Chain for AtSource<S, F> {
    type From = AtSource<S, F>;
    type Out = S::Item;

    fn origin(&self) -> &AtSource<S, F> {
        self
    }

    fn steps(&self, _: &mut Vec<&'static str>) {}

    fn collector<E: Collector<S::Item>>(self, end: E) -> impl Collector<S::Item, End = E::End> {
        end
    }
}

trait SourceTap<S: Source, F>: Send + Sync {
    fn open(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn SourceOutlet<S, F>>;
}

/// An outlet that can also be the body of the reading loop.
trait SourceOutlet<S: Source, F>: Outlet<S::Item> {
    /// Reads records into the chain, which may be sent from `time` on; returns how many.
    fn read(
        &mut self,
        time: Time,
        split: &mut OpenSplit<S>,
        timestamp: &F,
        limit: usize,
    ) -> Result<(usize, Status)>;
}

impl<S, F, C, N> SourceTap<S, F> for ChainTap<C, N>
where
    S: Source,
    F: Timestamps<S::Item>,
    C: Chain<From = AtSource<S, F>>,
    N: Terminal<C::Out>,
{
    fn open(&self, builder: &mut OperatorBuilder<'_, '_>) -> Box<dyn SourceOutlet<S, F>> {
        Box::new(self.outlet(builder))
    }
}

impl<S, F, C> SourceOutlet<S, F> for ChainOutlet<C>
where
    S: Source,
    F: Timestamps<S::Item>,
    C: Collector<S::Item, End: Gather>,
{
    fn read(
        &mut self,
        time: Time,
        split: &mut OpenSplit<S>,
        timestamp: &F,
        limit: usize,
    ) -> Result<(usize, Status)> {
        self.begin(time);
        let OpenSplit { reader, watermark, .. } = split;
        let collector = &mut self.collector;
        let (status, count) = match watermark.behind() {
            Some(mut behind) => {
                let mut stamping = Stamping { count: 0, timestamp, stamps: &mut behind, collector };
                let status = reader.read(limit, &mut stamping)?;
                let count = stamping.count;
                watermark.raise(behind.current);
                (status, count)
            }
            None => {
                let mut stamping = Stamping { count: 0, timestamp, stamps: watermark, collector };
                (reader.read(limit, &mut stamping)?, stamping.count)
            }
        };
        self.relieve();
        Ok((count, status))
    }
}

/// The body of the reading loop: gives each record its stamp and pushes it into a chain.
struct Stamping<'a, F, W, C> {
    count: usize,
    timestamp: &'a F,
    stamps: &'a mut W,
    collector: &'a mut C,
}

impl<T, F: Timestamps<T>, W: Stamps<T>, C: Collector<T>> Visit<T> for Stamping<'_, F, W, C> {
    #[inline(always)]
    fn visit(&mut self, value: T) {
        self.count += 1;
        let stamp = self.stamps.stamp(&value, (self.timestamp)(&value));
        self.collector.push(value, stamp);
    }
}

struct SourceOperator<S: Source, F>(Arc<Timed<S, F>>);

impl<S: Source, F: Timestamps<S::Item>> Operator for SourceOperator<S, F> {
    fn prepare(&self, workers: usize) -> Result<()> {
        let board = (0..workers).map(|_| AtomicI64::new(EventTime::MIN)).collect();
        *lock(&self.0.plan) = Plan { splits: self.0.source.splits()?, board: Arc::new(board) };
        Ok(())
    }

    fn lower(&self, name: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(name);
        let outlets = lock(&self.0.taps).iter().map(|tap| tap.open(&mut builder)).collect();
        let activator = builder.activator();
        worker.awaiting.borrow_mut().push(builder.activator());
        let metric = |metric| worker.shared.metrics.metric(name, metric);
        let counts = Counts {
            records: metric("records_out"),
            malformed: metric("malformed"),
            watermark: metric("watermark"),
        };
        let mut reading = Reading::new(Arc::clone(&self.0), worker, outlets, activator, counts);
        builder.build(move |_, holds| {
            if let Err(error) = reading.activate(holds) {
                reading.worker.shared.fail(error);
                holds.set([]);
            }
            reading.is_awaiting()
        });
    }
}

struct Counts {
    records: Metric,
    malformed: Metric,
    watermark: Metric,
}

struct OpenSplit<S: Source> {
    split: S::Split,
    /// True if it was read in the current epoch.
    read: bool,
    reader: S::Reader,
    watermark: SplitWatermark<S::Item>,
    /// When to ask again.
    due: Duration,
    /// When the last record came.
    heard: Duration,
    idle: bool,
}

/// One worker's instance of a source.
struct Reading<S: Source, F> {
    timed: Arc<Timed<S, F>>,
    worker: WorkerContext,
    outlets: Vec<Box<dyn SourceOutlet<S, F>>>,
    activator: Activator,
    counts: Counts,
    splits: Vec<OpenSplit<S>>,
    /// The ids of all splits seen so far, and when to look for more; only for sources that discover.
    known: BTreeSet<String>,
    look_at: Option<Duration>,
    board: Arc<Vec<AtomicI64>>,
    started: bool,
    epoch: u64,
    watermark: EventTime,
    /// Epochs left and not completed, with the bytes emitted in them.
    in_flight: VecDeque<(u64, usize)>,
    /// Bytes emitted in the current epoch.
    emitted: usize,
    /// Splits that were read to their end in the current epoch, with the position there.
    ended: Vec<(S::Split, Position<S>)>,
    /// The last epoch left in which something was read, until it is complete.
    awaited: Option<u64>,
    /// For more than one outlet: what was read and is walked by each.
    batch: Vec<Record<S::Item>>,
    /// The earliest timer that is set.
    alarm: Option<Duration>,
}

impl<S: Source, F: Timestamps<S::Item>> Reading<S, F> {
    fn new(
        timed: Arc<Timed<S, F>>,
        worker: WorkerContext,
        outlets: Vec<Box<dyn SourceOutlet<S, F>>>,
        activator: Activator,
        counts: Counts,
    ) -> Reading<S, F> {
        let board = Arc::clone(&lock(&timed.plan).board);
        Reading {
            timed,
            worker,
            outlets,
            activator,
            counts,
            splits: Vec::new(),
            known: BTreeSet::new(),
            look_at: None,
            board,
            started: false,
            epoch: 0,
            watermark: EventTime::MIN,
            in_flight: VecDeque::new(),
            emitted: 0,
            ended: Vec::new(),
            awaited: None,
            batch: Vec::new(),
            alarm: None,
        }
    }

    fn activate(&mut self, holds: &mut Holds) -> Result<()> {
        if self.worker.shared.has_failed() {
            self.awaited = None;
            return Ok(());
        }
        let open = self.worker.open_epoch();
        self.hear(open);
        if holds.is_empty() {
            return Ok(());
        }
        let now = self.worker.shared.clock.now();
        self.open_splits(now)?;
        self.keep_epoch(open);
        let shared = Arc::clone(&self.worker.shared);
        if shared.is_stopping() {
            self.splits.clear();
            self.look_at = None;
        }
        let more = self.read(now)?;
        for outlet in &mut self.outlets {
            outlet.flush();
            self.emitted += outlet.take_sent();
        }
        self.keep_watermark(now);
        if self.splits.is_empty() && self.look_at.is_none() {
            self.leave_epoch();
            holds.set([]);
            self.counts.watermark.set(EventTime::MAX);
            return Ok(());
        }
        holds.set([Time::new(self.epoch, self.watermark)]);
        self.reschedule(now, more);
        Ok(())
    }

    /// Opens the splits that are this worker's: at the start its share of all, later the new ones that fall to it.
    fn open_splits(&mut self, now: Duration) -> Result<()> {
        let (index, workers) = (self.worker.index, self.worker.shared.workers);
        let timed = Arc::clone(&self.timed);
        let every = timed.source.discovers_every();
        if !self.started {
            self.started = true;
            let plan = lock(&timed.plan);
            for (number, split) in plan.splits.iter().enumerate() {
                if number % workers == index {
                    self.open(split, now)?;
                }
                if every.is_some() {
                    self.known.insert(split.id());
                }
            }
            self.look_at = every.map(|every| now + every);
        } else if let (Some(at), Some(every)) = (self.look_at, every)
            && now >= at
        {
            self.look_at = Some(now + every);
            for split in timed.source.splits()? {
                let id = split.id();
                let mine = worker_of(hash64(&id), workers) == index;
                if self.known.insert(id) && mine {
                    self.open(&split, now)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, split: &S::Split, now: Duration) -> Result<()> {
        let reader = self.timed.source.open(split, None)?;
        let mut watermark = SplitWatermark::new(&self.timed.watermarks.strategy);
        watermark.raise(self.watermark);
        let split = split.clone();
        self.splits.push(OpenSplit {
            split,
            read: false,
            reader,
            watermark,
            due: now,
            heard: now,
            idle: false,
        });
        Ok(())
    }

    /// Takes note of the epochs that are complete.
    fn hear(&mut self, open: u64) {
        while self.in_flight.front().is_some_and(|(epoch, _)| *epoch < open) {
            self.in_flight.pop_front();
        }
        if self.awaited.is_some() {
            self.timed.source.epochs_completed(self.worker.index, open);
            self.awaited = self.awaited.filter(|epoch| *epoch >= open);
        }
    }

    /// True if epochs of this source are not complete, which it wants to hear of even when it has no more to read.
    fn is_awaiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Follows the epoch clock, unless too many epochs are in flight.
    fn keep_epoch(&mut self, open: u64) {
        let epoch = self.worker.shared.epochs.poll(open);
        if epoch > self.epoch && self.in_flight.len() < self.worker.shared.limits.epochs {
            self.leave_epoch();
            self.epoch = epoch;
        }
    }

    fn leave_epoch(&mut self) {
        if self.emitted > 0 {
            self.in_flight.push_back((self.epoch, std::mem::take(&mut self.emitted)));
        }
        let mut positions = std::mem::take(&mut self.ended);
        for split in self.splits.iter_mut().filter(|split| split.read) {
            split.read = false;
            positions.push((split.split.clone(), split.reader.position()));
        }
        if !positions.is_empty() {
            self.timed.source.epoch_left(self.worker.index, self.epoch, &positions);
            self.awaited = Some(self.epoch);
        }
    }

    /// Reads a quantum from the splits that are behind; answers whether there is more at once.
    fn read(&mut self, now: Duration) -> Result<bool> {
        let mut quota = self.worker.shared.epochs.quantum(QUOTA);
        let mut total = 0;
        while quota > 0 {
            let in_flight: usize = self.in_flight.iter().map(|(_, bytes)| bytes).sum();
            if in_flight + self.emitted >= self.worker.shared.limits.bytes {
                break;
            }
            let Some(number) = self.furthest_behind(now) else { break };
            let (count, status) = self.read_piece(number, quota.min(PIECE))?;
            let malformed = self.take_malformed(number)?;
            quota -= (count + malformed).min(quota);
            if count > 0 {
                let split = &mut self.splits[number];
                (split.heard, split.read) = (now, true);
                self.emitted += self.outlets.iter_mut().map(|outlet| outlet.take_sent()).sum::<usize>();
                total += count;
            }
            match status {
                Status::More if self.worker.shared.clock.now() >= now + QUANTUM => break,
                Status::More => {}
                Status::Wait(wait) => self.splits[number].due = now.saturating_add(wait),
                Status::Done => {
                    let split = self.splits.swap_remove(number);
                    if split.read {
                        self.ended.push((split.split, split.reader.position()));
                    }
                }
            }
        }
        if total > 0 {
            self.worker.shared.epochs.count(total as u64);
            self.counts.records.add(total as i64);
        }
        Ok(self.furthest_behind(now).is_some())
    }

    /// The split to read next: the one with the least watermark of those that may have something and are not too far ahead.
    fn furthest_behind(&self, now: Duration) -> Option<usize> {
        let limit = self.timed.watermarks.max_drift.map(|drift| {
            let others = self.board.iter().map(|watermark| watermark.load(Ordering::Relaxed));
            let slowest =
                self.splits.iter().filter(|split| !split.idle).map(|split| split.watermark.current());
            let slowest =
                slowest.chain(others.enumerate().filter(|(i, _)| *i != self.worker.index).map(|(_, w)| w));
            slowest.min().unwrap_or(EventTime::MAX).saturating_add_unsigned(drift)
        });
        let due = self.splits.iter().enumerate().filter(|(_, split)| split.due <= now);
        let (number, split) = due.min_by_key(|(_, split)| split.watermark.current())?;
        limit.is_none_or(|limit| split.watermark.current() <= limit).then_some(number)
    }

    fn read_piece(&mut self, number: usize, limit: usize) -> Result<(usize, Status)> {
        let time = Time::new(self.epoch, self.watermark);
        let split = &mut self.splits[number];
        if std::mem::take(&mut split.idle) {
            split.watermark.raise(self.watermark);
        }
        let timestamp = &self.timed.watermarks.timestamp;
        if let [outlet] = &mut self.outlets[..] {
            return outlet.read(time, split, timestamp, limit);
        }
        let OpenSplit { reader, watermark, .. } = split;
        let batch = &mut self.batch;
        let status = reader.read(limit.min(PIECE / 4), &mut |item| {
            let stamp = watermark.stamp(&item, timestamp(&item));
            batch.push(Record::new(item, stamp));
        })?;
        let count = batch.len();
        if let Some((last, others)) = self.outlets.split_last_mut() {
            for outlet in others {
                outlet.walk(time, batch, false);
            }
            last.walk(time, batch, true);
        }
        batch.clear();
        Ok((count, status))
    }

    /// Deals with what was no record, and says how much it was.
    fn take_malformed(&mut self, number: usize) -> Result<usize> {
        let malformed = self.splits[number].reader.malformed();
        match (malformed.first(), self.timed.on_malformed) {
            (Some(first), OnMalformed::Fail) => Err(Error::data(format!(
                "{}: {}: {:?}. Mend the input, or let the source skip what it cannot read.",
                first.place, first.reason, first.input
            ))),
            _ => {
                self.counts.malformed.add(malformed.len() as i64);
                Ok(malformed.len())
            }
        }
    }

    /// Moves the watermark to the least of the splits that count, and never back.
    fn keep_watermark(&mut self, now: Duration) {
        if let Some(silence) = self.timed.watermarks.idle_after {
            for split in &mut self.splits {
                split.idle = now.saturating_sub(split.heard) >= silence;
            }
        }
        let active =
            self.splits.iter().filter(|split| !split.idle).map(|split| split.watermark.current()).min();
        let slot = &self.board[self.worker.index];
        let watermark = match active {
            Some(least) => {
                slot.store(least.max(self.watermark), Ordering::Relaxed);
                least
            }
            None => {
                slot.store(EventTime::MAX, Ordering::Relaxed);
                let others = self.board.iter().map(|watermark| watermark.load(Ordering::Relaxed)).min();
                others.filter(|least| *least < EventTime::MAX).unwrap_or(EventTime::MIN)
            }
        };
        if watermark > self.watermark {
            self.watermark = watermark;
            self.counts.watermark.set(watermark);
        }
    }

    /// Runs again at once if there is more to read, and otherwise when something may be due. If it is a limit that
    /// keeps the source from reading, it runs when the probe moves.
    fn reschedule(&mut self, now: Duration, more: bool) {
        let limits = self.worker.shared.limits;
        let in_flight: usize = self.in_flight.iter().map(|(_, bytes)| bytes).sum();
        if more && in_flight + self.emitted < limits.bytes {
            self.activator.activate();
            return;
        }
        let reads = self.splits.iter().map(|split| split.due).filter(|due| *due > now);
        let silence = self.timed.watermarks.idle_after;
        let idles =
            self.splits.iter().filter(|split| !split.idle).filter_map(|split| Some(split.heard + silence?));
        let tick = self.worker.shared.epochs.until_tick().map(|until| now + until);
        let Some(next) = reads.chain(idles).chain(tick).chain(self.look_at).min() else { return };
        if self.alarm.is_none_or(|alarm| alarm <= now || next < alarm) {
            self.alarm = Some(next);
            self.activator.activate_after(next.saturating_sub(now));
        }
    }
}
