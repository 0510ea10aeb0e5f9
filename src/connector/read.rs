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
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use timely::scheduling::Activator;

use super::OnMalformed;
use super::bookmarks::{Bookmark, Bookmarks, Start};
use super::origin::{AtSource, Plan, Reads, SourceOutlet, Timed, Timestamps, read_for_all};
use super::source::{Position, Reader, Source, Split, Status};
use crate::data::{Record, hash64, worker_of};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::stream::{Alarm, Holds, Job, Lowering, NodeInfo, Operator, Paths, Stream, WorkerContext, lock};
use crate::time::{EventTime, SplitWatermark, Time, Watermarks};

/// How long the operator reads before it lets others run. What it gathers meanwhile is combined and sent as one.
const QUANTUM: Duration = Duration::from_micros(100);

/// The most records that it reads in that time.
const QUOTA: usize = 1 << 16;

/// Records read at a time: into one chain, or into a batch for several.
const PIECE: usize = 1024;
const SMALL_PIECE: usize = 256;

/// The least time until a reader is asked again that had nothing.
const MIN_WAIT: Duration = Duration::from_micros(1);

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
        let paths = Paths { inputs: source.paths(), outputs: Vec::new() };
        let info = NodeInfo { paths, ..NodeInfo::new("source", source.name()) };
        let timed = Arc::new(Timed::new(source, watermarks, on_malformed));
        let id = self.graph.add(info, SourceOperator(Arc::clone(&timed)));
        Stream::new(AtSource::new(&self.graph, id, &timed))
    }
}

struct SourceOperator<S: Source, F>(Arc<Timed<S, F>>);

impl<S: Source, F: Timestamps<S::Item>> Operator for SourceOperator<S, F> {
    fn prepare(&self, workers: usize) -> Result<()> {
        let board = (0..workers).map(|_| AtomicI64::new(EventTime::MIN)).collect();
        *lock(&self.0.plan) = Plan { splits: self.0.source.splits()?, board: Arc::new(board) };
        Ok(())
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let outlets = self.0.outlets(&mut builder);
        worker.awaiting.borrow_mut().push(builder.activator());
        let saving = worker.saving(builder.uid());
        let from = worker.restored(uid);
        let mut reading =
            Reading::new(Arc::clone(&self.0), worker.clone(), outlets, builder.activator(), uid);
        match Bookmarks::new(saving, from.as_ref()) {
            Ok(bookmarks) => reading.bookmarks = bookmarks,
            Err(error) => worker.shared.fail(error),
        }
        builder.build(move |_, holds| {
            reading.activate_or_fail(holds);
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

impl<S: Source> OpenSplit<S> {
    /// Where it stands.
    fn mark(&self) -> Result<Bookmark> {
        Bookmark::new::<S>(&self.split, &self.reader.position(), self.watermark.save())
    }
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
    bookmarks: Bookmarks,
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
    /// Goes off when something may be due.
    alarm: Alarm,
}

impl<S: Source, F: Timestamps<S::Item>> Reading<S, F> {
    fn new(
        timed: Arc<Timed<S, F>>,
        worker: WorkerContext,
        outlets: Vec<Box<dyn SourceOutlet<S, F>>>,
        activator: Activator,
        uid: &str,
    ) -> Reading<S, F> {
        let board = Arc::clone(&lock(&timed.plan).board);
        let metric = |name| worker.shared.metrics.metric(uid, name);
        let counts = Counts {
            records: metric("records_out"),
            malformed: metric("malformed"),
            watermark: metric("watermark"),
        };
        let alarm = worker.alarm(activator.clone());
        let epoch = worker.first_epoch();
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
            bookmarks: Bookmarks::default(),
            started: false,
            epoch,
            watermark: EventTime::MIN,
            in_flight: VecDeque::new(),
            emitted: 0,
            ended: Vec::new(),
            awaited: None,
            batch: Vec::new(),
            alarm,
        }
    }

    /// Runs the operator once; an error ends the job.
    fn activate_or_fail(&mut self, holds: &mut Holds) {
        if let Err(error) = self.activate(holds) {
            self.worker.shared.fail(error);
            holds.set([]);
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
        if self.worker.shared.is_stopping() {
            for split in self.splits.drain(..) {
                self.bookmarks.close(split.mark(), false)?;
            }
            self.look_at = None;
        }
        let more = self.read(now)?;
        for outlet in &mut self.outlets {
            outlet.flush();
            self.emitted += outlet.take_sent();
        }
        self.keep_watermark(now);
        if self.splits.is_empty() && self.look_at.is_none() {
            self.leave_epoch(u64::MAX);
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
            if index == 0 {
                let there: Vec<String> = plan.splits.iter().map(Split::id).collect();
                self.bookmarks.keep_absent(&there, &timed.source.name(), every.is_some())?;
            }
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
        let mark = match self.bookmarks.open(&split.id()) {
            Start::Done => return Ok(()),
            Start::At(mark) => Some(mark),
            Start::Beginning => None,
        };
        let position = mark.as_ref().map(Bookmark::position::<S>).transpose()?;
        let reader = self.timed.source.open(split, position)?;
        let mut watermark = SplitWatermark::new(&self.timed.watermarks.strategy);
        watermark.raise(self.watermark);
        if let Some(mark) = mark {
            watermark.restore(mark.watermark, &mark.generator);
        }
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
        if self.in_flight.is_empty() && self.is_full() {
            // All that is in flight belongs to this epoch, and it can only be completed once the epoch has ended.
            self.worker.shared.epochs.end(self.epoch);
        }
        let epoch = self.worker.shared.epochs.poll(open);
        if epoch > self.epoch && self.in_flight.len() < self.worker.shared.limits.epochs {
            self.leave_epoch(epoch);
            self.epoch = epoch;
        }
    }

    fn leave_epoch(&mut self, next: u64) {
        self.bookmarks.leave(self.epoch, next, self.splits.iter().map(OpenSplit::mark));
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
        let mut quota = self.worker.shared.epochs.quantum(QUOTA.min(self.worker.shared.piece()));
        let mut total = 0;
        while quota > 0 {
            if self.is_full() {
                break;
            }
            let Some(number) = self.furthest_behind(now) else { break };
            let (count, status) = self.read_piece(number, quota.min(PIECE))?;
            if self.timed.watermarks.max_drift.is_some() {
                self.announce();
            }
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
                Status::Wait(wait) => self.splits[number].due = now.saturating_add(wait.max(MIN_WAIT)),
                Status::Done => {
                    let split = self.splits.swap_remove(number);
                    self.bookmarks.close(split.mark(), true)?;
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

    /// The split to read next: the one with the least watermark of those that may have something, unless it is too far ahead
    /// of what others read.
    fn furthest_behind(&self, now: Duration) -> Option<usize> {
        let due = self.splits.iter().enumerate().filter(|(_, split)| split.due <= now);
        let (number, split) = due.min_by_key(|(_, split)| split.watermark.current())?;
        (split.watermark.current() <= self.limit()).then_some(number)
    }

    /// How far splits may be read: no further than the drift beyond the slowest split of all workers.
    fn limit(&self) -> EventTime {
        let Some(drift) = self.timed.watermarks.max_drift else { return EventTime::MAX };
        let mine = self.splits.iter().filter(|split| !split.idle).map(|split| split.watermark.current());
        let others = self.board.iter().enumerate().filter(|(worker, _)| *worker != self.worker.index);
        let others = others.map(|(_, watermark)| watermark.load(Ordering::Relaxed));
        mine.chain(others).min().map_or(EventTime::MAX, |slowest| slowest.saturating_add_unsigned(drift))
    }

    fn read_piece(&mut self, number: usize, limit: usize) -> Result<(usize, Status)> {
        let time = Time::new(self.epoch, self.watermark);
        let split = &mut self.splits[number];
        if std::mem::take(&mut split.idle) {
            split.watermark.raise(self.watermark);
        }
        let timestamp = &self.timed.watermarks.timestamp;
        let from = Reads { reader: &mut split.reader, watermark: &mut split.watermark, timestamp };
        match &mut self.outlets[..] {
            [outlet] => outlet.read(time, from, limit),
            outlets => read_for_all(outlets, &mut self.batch, time, from, limit.min(SMALL_PIECE)),
        }
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

    /// The least watermark of the splits that count, which it shows to the other workers; a worker without such splits holds no one back.
    fn announce(&self) -> Option<EventTime> {
        let active =
            self.splits.iter().filter(|split| !split.idle).map(|split| split.watermark.current()).min();
        let shown = active.map_or(EventTime::MAX, |least| least.max(self.watermark));
        self.board[self.worker.index].store(shown, Ordering::Relaxed);
        active
    }

    /// Moves the watermark to the least of the splits that count, and never back.
    fn keep_watermark(&mut self, now: Duration) {
        if let Some(silence) = self.timed.watermarks.idle_after {
            for split in &mut self.splits {
                split.idle = now.saturating_sub(split.heard) >= silence;
            }
        }
        let watermark = self.announce().unwrap_or_else(|| {
            let others = self.board.iter().map(|watermark| watermark.load(Ordering::Relaxed)).min();
            others.filter(|least| *least < EventTime::MAX).unwrap_or(EventTime::MIN)
        });
        if watermark > self.watermark {
            self.watermark = watermark;
            self.counts.watermark.set(watermark);
        }
    }

    /// Runs again at once if there is more to read, and otherwise when something may be due. If it is a limit that
    /// keeps the source from reading, it runs when the probe moves.
    fn reschedule(&mut self, now: Duration, more: bool) {
        let full = self.is_full();
        // A split that is due and was not read is ahead of others, whose progress nothing announces: then it looks again at once.
        let ahead = || !full && self.splits.iter().any(|split| split.due <= now);
        if (more && !full) || (full && self.in_flight.is_empty()) || ahead() {
            self.activator.activate();
            return;
        }
        let reads = self.splits.iter().map(|split| split.due).filter(|due| *due > now);
        let silence = self.timed.watermarks.idle_after;
        let idles =
            self.splits.iter().filter(|split| !split.idle).filter_map(|split| Some(split.heard + silence?));
        let tick = self.worker.shared.epochs.until_tick().map(|until| now + until);
        let Some(next) = reads.chain(idles).chain(tick).chain(self.look_at).min() else { return };
        self.alarm.ring_at(next, now);
    }

    /// True if no more bytes may be in flight.
    fn is_full(&self) -> bool {
        let in_flight: usize = self.in_flight.iter().map(|(_, bytes)| bytes).sum();
        in_flight + self.emitted >= self.worker.shared.limits.bytes
    }
}
