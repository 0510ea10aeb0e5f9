//! One worker's instance of a source: reads splits, stamps records, advances epoch and watermark, and applies
//! backpressure.
//!
//! An instance reads the splits assigned to it and holds one time: the current epoch and the least watermark
//! of its splits. It reads the split that is furthest behind, a short piece at a time.
//!
//! # Flow control
//!
//! An epoch that the source has left stays *in flight* until the probe at the sinks has passed it. With too
//! many epochs in flight the source stays in its current epoch; with too many bytes in flight it reads
//! nothing. Either way it waits for the probe, and the current epoch can always be left once earlier ones
//! complete, so waiting ends.
//!
//! # Idle splits
//!
//! A split whose reader has had no records for long enough no longer counts for the watermark: see
//! [`split_schedule`](crate::connector::split_schedule). If no split of a worker counts, the worker follows
//! those of other workers, which it reads from a [board](crate::time::WatermarkBoard) that the instances
//! share; if none counts anywhere, the watermark becomes the greatest of all. A split that has records again
//! takes on the watermark that advanced without it.
//!
//! # Waiting
//!
//! A worker that has nothing to read sleeps until a reader is to be polled again, the epoch clock ticks, or
//! the board reaches the watermark that it waits for. The last applies if all its splits are too far ahead of
//! those of other workers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use timely::scheduling::Activator;

use super::OnMalformed;
use super::origin::{Reads, SourceOutlet, Timed, Timestamps, read_for_all};
use super::readers::Readers;
use super::source::{Position, Reader, Source, Split, Status};
use crate::connector::bytes_in_flight::Flight;
use crate::connector::shared_progress::SharedProgress;
use crate::connector::split_offsets::{SplitOffset, SplitOffsets, Start};
use crate::connector::split_schedule::SplitSchedule;
use crate::data::{Record, hash64, worker_of};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::metric::Metric;
use crate::stream::{Alarm, Capabilities, WorkerContext};
use crate::time::{EventTime, SplitWatermark, Time};

/// How long the operator reads in an activation. The records of that time are sent together.
const QUANTUM: Duration = Duration::from_micros(100);

/// The most records that it reads in that time.
const QUOTA: usize = 1 << 16;

/// Records read at a time: into one chain, or into a batch for several.
const PIECE: usize = 1024;
const SMALL_PIECE: usize = 256;

/// The records read first, since it is not known yet how long records are.
const FIRST_PIECE: usize = 16;

/// The least time until a reader that had nothing is polled again.
const MIN_WAIT: Duration = Duration::from_micros(1);

struct Counts {
    records: Metric,
    malformed: Metric,
    watermark: Metric,
}

/// One worker's instance of a source.
pub(super) struct Reading<S: Source, F> {
    timed: Arc<Timed<S, F>>,
    worker: WorkerContext,
    ports: Vec<Box<dyn SourceOutlet<S, F>>>,
    activator: Activator,
    counts: Counts,
    splits: Readers<S>,
    schedule: SplitSchedule,
    /// The splits that were read in the current epoch, some perhaps twice.
    touched: Vec<usize>,
    /// The ids of all splits seen so far, and when to look for more; only for sources that discover.
    known: BTreeSet<String>,
    look_at: Option<Duration>,
    /// Its number among all sources' instances.
    pub(super) instance: usize,
    standing: SharedProgress,
    pub(super) bookmarks: SplitOffsets,
    started: bool,
    epoch: u64,
    watermark: EventTime,
    flight: Flight,
    /// How many records have been read.
    records_read: usize,
    /// Splits that were read to their end in the current epoch, with the position there.
    ended: Vec<(S::Split, Position<S>)>,
    /// The last epoch left in which something was read, until that epoch is complete.
    pub(super) awaited: Option<u64>,
    /// The records read, for several outlets, each of which walks them.
    batch: Vec<Record<S::Item>>,
    /// Activates the operator when something may be due.
    alarm: Alarm,
}

impl<S: Source, F: Timestamps<S::Item>> Reading<S, F> {
    pub(super) fn new(
        timed: Arc<Timed<S, F>>,
        worker: WorkerContext,
        ports: Vec<Box<dyn SourceOutlet<S, F>>>,
        activator: Activator,
        uid: &str,
    ) -> Reading<S, F> {
        let standing = SharedProgress::new(Arc::clone(&lock(&timed.plan).board), worker.index);
        let metric = |name| worker.shared.metrics.metric(uid, name);
        let counts = Counts {
            records: metric("records_out"),
            malformed: metric("malformed"),
            watermark: metric("watermark"),
        };
        let alarm = worker.alarm(activator.clone());
        let epoch = worker.first_epoch();
        let most = timed.source.max_open_readers() / worker.shared.workers.max(1);
        let schedule = SplitSchedule::new(timed.watermarks.idle_after);
        Reading {
            timed,
            worker,
            ports,
            activator,
            counts,
            splits: Readers::new(most),
            schedule,
            touched: Vec::new(),
            known: BTreeSet::new(),
            look_at: None,
            instance: 0,
            standing,
            bookmarks: SplitOffsets::default(),
            started: false,
            epoch,
            watermark: EventTime::MIN,
            flight: Flight::default(),
            records_read: 0,
            ended: Vec::new(),
            awaited: None,
            batch: Vec::new(),
            alarm,
        }
    }

    /// Runs the operator once; an error ends the job.
    pub(super) fn activate_or_fail(&mut self, holds: &mut Capabilities) {
        if let Err(error) = self.activate(holds) {
            self.worker.shared.fail(error);
            holds.set([]);
        }
    }

    fn activate(&mut self, holds: &mut Capabilities) -> Result<()> {
        if self.worker.shared.has_failed() {
            self.awaited = None;
            return Ok(());
        }
        let open = self.worker.open_epoch();
        // Before the check below: after its end the source still reports complete epochs.
        self.hear(open);
        if holds.is_empty() {
            return Ok(());
        }
        let now = self.worker.shared.clock.now();
        self.open_splits(now)?;
        // Before the watermark moves: a split that is due to be polled counts until it was polled.
        self.schedule.wake(now);
        self.keep_epoch(open, now);
        if self.worker.shared.is_stopping() {
            self.stop()?;
        }
        let more = self.read(now)?;
        // Records of this activation are sent under the time held so far, so before the watermark moves.
        for outlet in &mut self.ports {
            outlet.flush();
            self.flight.add(outlet.take_sent());
        }
        self.keep_watermark(now);
        if self.schedule.len() == 0 && self.look_at.is_none() {
            self.leave_epoch(u64::MAX, Duration::MAX);
            holds.set([]);
            self.counts.watermark.set(EventTime::MAX);
            return Ok(());
        }
        holds.set([Time::new(self.epoch, self.watermark)]);
        self.reschedule(now, more);
        Ok(())
    }

    /// Stops reading.
    fn stop(&mut self) -> Result<()> {
        let (splits, schedule) =
            (self.splits.drain(), std::mem::replace(&mut self.schedule, SplitSchedule::new(None)));
        for (slot, split) in splits {
            // A silent split promises the watermark that has advanced without it. The saved mark must too, or
            // the next run would accept records that this one counts as late.
            let least = if schedule.is_silent(slot) { self.watermark } else { EventTime::MIN };
            self.bookmarks.close(split.mark(least), false)?;
            if split.read {
                self.ended.extend(split.position().map(|position| (split.split, position)));
            }
        }
        self.look_at = None;
        Ok(())
    }

    /// Opens the splits of this worker: at the start its share of all, later its share of the new ones.
    fn open_splits(&mut self, now: Duration) -> Result<()> {
        let (index, workers) = (self.worker.index, self.worker.shared.workers);
        let timed = Arc::clone(&self.timed);
        let every = timed.source.discovers_every();
        if !self.started {
            self.started = true;
            let plan = lock(&timed.plan);
            if !self.bookmarks.is_empty() {
                let there = plan.splits.iter().map(Split::id).collect();
                // By hash and not by number: the worker that will discover the split must have its offset.
                self.bookmarks.keep_absent(&there, |split| worker_of(hash64(split), workers) == index);
            }
            for (number, split) in plan.splits.iter().enumerate() {
                if number % workers == index {
                    self.open(split, now)?;
                }
                if every.is_some() {
                    self.known.insert(split.id());
                }
            }
            // A split that has ended still counts for the greatest watermark.
            self.bookmarks.greatest_closed().into_iter().for_each(|watermark| self.schedule.reach(watermark));
            self.look_at = every.map(|every| now + every);
        } else if let (Some(at), Some(every)) = (self.look_at, every)
            && now >= at
        {
            let splits = timed.source.splits()?;
            // Counted from the end of the listing, which may take longer than the interval.
            self.look_at = Some(self.worker.shared.clock.now() + every);
            for split in splits {
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
        let position = mark.as_ref().map(SplitOffset::position::<S>).transpose()?.flatten();
        let mut watermark = SplitWatermark::new(&self.timed.watermarks.strategy);
        // The worker has promised its watermark downstream, for new splits too.
        watermark.raise(self.watermark);
        if let Some(mark) = mark {
            watermark.restore(mark.watermark, &mark.generator);
        }
        let slot = self.schedule.add(watermark.current(), now);
        self.splits.add(&self.timed.source, slot, split, position, watermark)
    }

    /// Handles the completion of the epochs below `open`, and passes it on to the source.
    fn hear(&mut self, open: u64) {
        self.flight.hear(open);
        if self.awaited.is_some() {
            self.timed.source.epochs_completed(self.worker.index, open);
            self.awaited = self.awaited.filter(|epoch| *epoch >= open);
        }
    }

    /// Follows the epoch clock, unless too many epochs are in flight.
    fn keep_epoch(&mut self, open: u64, now: Duration) {
        if self.flight.epochs() == 0 && self.is_full() {
            // All bytes in flight belong to this epoch, and can only be released once the epoch has ended.
            // Waiting for the clock would stop the source until then.
            self.worker.shared.epochs.end(self.epoch);
        }
        let epoch = self.worker.shared.epochs.poll(open);
        if epoch > self.epoch && self.flight.epochs() < self.worker.shared.limits.epochs {
            // The scan of the splits is skipped unless an operator measures silence.
            let is_asked = self.worker.shared.asked.is_wanted();
            let asked = if is_asked { self.schedule.asked_since(now) } else { Duration::ZERO };
            self.leave_epoch(epoch, asked);
            self.epoch = epoch;
        }
    }

    /// Leaves the epoch. All readers were polled since `asked`.
    fn leave_epoch(&mut self, next: u64, asked: Duration) {
        // Before the capability moves: an operator that sees the end of the epoch must find the record of it.
        self.worker.shared.asked.leave(self.instance, next, asked, self.worker.open_epoch());
        let least = |slot| if self.schedule.is_silent(slot) { self.watermark } else { EventTime::MIN };
        self.bookmarks.leave(
            self.epoch,
            next,
            self.splits.iter().map(|(slot, split)| split.mark(least(slot))),
        );
        self.flight.leave(self.epoch);
        let mut positions = std::mem::take(&mut self.ended);
        // Only splits that were read: a source may have many more.
        for slot in self.touched.drain(..) {
            if let Some(split) = self.splits.get(slot).filter(|split| split.read) {
                split.read = false;
                positions.extend(split.position().map(|position| (split.split.clone(), position)));
            }
        }
        if !positions.is_empty() {
            self.timed.source.epoch_left(self.worker.index, self.epoch, &positions);
            self.awaited = Some(self.epoch);
        }
    }

    /// Reads a quantum from the splits that are behind; returns whether there is more to read at once.
    fn read(&mut self, now: Duration) -> Result<bool> {
        let mut quota = self.worker.shared.epochs.quantum(QUOTA.min(self.worker.shared.piece()));
        let (mut total, mut going) = (0, None);
        while quota > 0 && !self.is_full() {
            let limit = self.limit();
            let Some(slot) = going.take().or_else(|| self.schedule.take(limit)) else { break };
            let (count, malformed, status) = self.read_piece(slot, quota.min(self.piece()))?;
            self.records_read = self.records_read.saturating_add(count);
            // Malformed input costs time too, and must not let one activation run without end.
            quota -= (count + malformed).min(quota);
            total += count;
            let at = self.worker.shared.clock.now();
            match status {
                Status::More if self.schedule.goes_on(slot, self.limit()) => going = Some(slot),
                Status::More => self.schedule.put(slot, at),
                Status::Wait(wait) => self.schedule.rest(slot, at, now.saturating_add(wait.max(MIN_WAIT))),
                Status::Done => self.close(slot)?,
            }
            // Polls that find nothing do not end the quantum, or slow polls would keep other splits from
            // their turn.
            if at >= now + QUANTUM && !matches!(status, Status::Wait(_)) {
                break;
            }
        }
        going.into_iter().for_each(|slot| self.schedule.put(slot, now));
        if total > 0 {
            self.worker.shared.epochs.count(total as u64);
            self.counts.records.add(total as i64);
        }
        // Where records turn the epoch clock, a source must poll it once more after the last of them.
        let turns = total > 0 && self.worker.shared.epochs.until_tick().is_none();
        Ok(turns || self.schedule.next_to_read().is_some_and(|next| next <= self.limit()))
    }

    /// The watermark up to which splits may be read: the slowest split of all workers, plus the drift.
    fn limit(&self) -> EventTime {
        let Some(drift) = self.timed.watermarks.max_drift else { return EventTime::MAX };
        let (mine, others) = (self.schedule.least(), self.standing.least_of_others());
        let slowest = mine.map_or(others, |mine| mine.max(self.watermark).min(others));
        slowest.saturating_add_unsigned(drift)
    }

    /// How many records are to be read at a time: few at first, and not many more than there is room for.
    fn piece(&self) -> usize {
        let most = PIECE.min(FIRST_PIECE.saturating_add(self.records_read));
        match self.ports.iter().map(|port| port.heap()).sum() {
            0 => most,
            heap => most.min(self.flight.room(self.worker.shared.limits.bytes) / heap).max(1),
        }
    }

    /// Reads a piece of a split; returns the number of records, and of malformed inputs.
    fn read_piece(&mut self, slot: usize, limit: usize) -> Result<(usize, usize, Status)> {
        if self.splits.open(&self.timed.source, slot)? {
            // Opening a reader costs more than a piece: it may read several pieces before it can be parked
            // again.
            self.schedule.slice(slot);
        }
        let time = Time::new(self.epoch, self.watermark);
        let split = self.splits.split(slot);
        if self.schedule.is_silent(slot) {
            split.watermark.raise(self.watermark);
        }
        let (reader, watermark) = split.parts();
        let from = Reads { reader, watermark, timestamp: &self.timed.watermarks.timestamp };
        let (count, status) = match &mut self.ports[..] {
            [outlet] => outlet.read(time, from, limit)?,
            ports => read_for_all(ports, &mut self.batch, time, from, limit.min(SMALL_PIECE))?,
        };
        let malformed = self.take_malformed(slot)?;
        let split = self.splits.split(slot);
        if count > 0 {
            if !std::mem::replace(&mut split.read, true) {
                self.touched.push(slot);
            }
            self.flight.add(self.ports.iter_mut().map(|outlet| outlet.take_sent()).sum());
        }
        let gave = count + malformed > 0 || status == Status::More;
        self.schedule.note(slot, split.watermark.current(), gave);
        // At once, not at the end of the quantum: workers with aligned splits may wait for it.
        if self.timed.watermarks.max_drift.is_some() {
            self.standing.show(self.schedule.shown(self.watermark));
        }
        Ok((count, malformed, status))
    }

    /// Closes a split that was read to its end.
    fn close(&mut self, slot: usize) -> Result<()> {
        self.schedule.remove(slot);
        let Some(split) = self.splits.remove(slot) else { return Ok(()) };
        self.bookmarks.close(split.mark(EventTime::MIN), true)?;
        if split.read {
            self.ended.extend(split.position().map(|position| (split.split, position)));
        }
        Ok(())
    }

    /// Handles malformed input by the policy; returns how many inputs.
    fn take_malformed(&mut self, slot: usize) -> Result<usize> {
        let malformed = self.splits.split(slot).parts().0.malformed();
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

    /// Advances the watermark to the least of the splits that count; it never falls. A worker without such
    /// splits holds no other worker back.
    fn keep_watermark(&mut self, now: Duration) {
        self.standing.show(self.schedule.shown(self.watermark));
        self.standing.lead();
        let watermark = match self.schedule.least() {
            None => self.standing.follow(now),
            least => least,
        };
        if let Some(watermark) = watermark.filter(|watermark| *watermark > self.watermark) {
            self.watermark = watermark;
            self.counts.watermark.set(watermark);
        }
    }

    /// Runs again at once if there is more to read, and otherwise when something may be due. A source that is
    /// blocked by backpressure runs when the probe moves; one that waits for other workers, when these
    /// advance.
    fn reschedule(&mut self, now: Duration, more: bool) {
        // A full source with earlier epochs in flight is activated by the probe. Without any, it must end the
        // current epoch itself.
        let at_once = if self.is_full() { self.flight.epochs() == 0 } else { more || self.is_let_on() };
        if at_once {
            self.activator.activate();
            return;
        }
        let tick = self.worker.shared.epochs.until_tick().map(|until| now + until);
        let dues = [self.schedule.next_due(), tick, self.look_at, self.standing.look_at()];
        let Some(next) = dues.into_iter().flatten().min() else { return };
        self.alarm.ring_at(next, now);
    }

    /// True if a split that was too far ahead of those of other workers no longer is. Otherwise the board
    /// will wake this worker when that changes.
    fn is_let_on(&self) -> bool {
        let (Some(next), Some(drift)) = (self.schedule.next_to_read(), self.timed.watermarks.max_drift)
        else {
            return false;
        };
        // The second condition: if the slowest split is one of this worker, it has nothing now, and its next
        // poll will activate the operator.
        let wanted = next.saturating_sub_unsigned(drift);
        !self.standing.waits(wanted) && next <= self.limit()
    }

    /// True if no more bytes may be in flight.
    fn is_full(&self) -> bool {
        self.flight.is_full(self.worker.shared.limits.bytes)
    }
}
