//! An open loop: events are due at a rate, whoever reads them, and latency is counted from when they were
//! due.
//!
//! Event `n` is due `n / rate` after the first read. A reader that falls behind gives what is overdue at
//! once, and the time that was lost counts: a system that stalls for a second is not excused for the events
//! that came in that second (no "coordinated omission").
//!
//! Two latencies are told. Of an event's *result*: when it arrives at the sink; the sink measures that
//! itself, with [`Pace::due`]. And of its *epoch*: when everything that the event causes is known to be
//! there, measured here, since the source knows which events it read in which epoch and hears of its
//! completion.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Clock;
use crate::lock::lock;

/// When events are due, and how late their epochs were.
pub struct Pace {
    /// Events per second.
    rate: f64,
    clock: Clock,
    start: OnceLock<Duration>,
    /// The number of the event that is due first: where a reader goes on that an earlier run has left.
    first: OnceLock<u64>,
    log: Mutex<Log>,
}

struct Log {
    /// How many events have been read of each share, by its index.
    read: BTreeMap<u64, u64>,
    /// What a worker read in an epoch that is not complete: of a share, from one event to before another.
    pending: BTreeMap<(usize, u64), Vec<(Deal, u64, u64)>>,
    latency: Histogram<u64>,
}

/// How events are dealt to shares: in turn, some at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal {
    /// Which share this is.
    pub(super) index: u64,
    /// The number of shares.
    pub(super) shares: u64,
    /// The events of one turn.
    pub(super) turn: u64,
}

impl Deal {
    /// How many of the share's events come before event number `position`, which is the share's too.
    fn before(&self, position: u64) -> u64 {
        position / (self.turn * self.shares) * self.turn + position % self.turn
    }

    /// The number of the share's event before which come so many.
    fn number(&self, before: u64) -> u64 {
        (before / self.turn * self.shares + self.index) * self.turn + before % self.turn
    }
}

/// Points on a stretch of events for which latency is computed; between them it is linear.
const POINTS: u64 = 16;

impl Pace {
    /// A pace of so many events per second.
    pub fn new(rate: f64, clock: Clock) -> Pace {
        let log = Log { read: BTreeMap::new(), pending: BTreeMap::new(), latency: latencies() };
        Pace { rate, clock, start: OnceLock::new(), first: OnceLock::new(), log: Mutex::new(log) }
    }

    /// Events per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// When the event of this number is due, on the pace's clock; `None` before the first read.
    pub fn due(&self, number: u64) -> Option<Duration> {
        let start = self.start.get()?;
        let number = number.saturating_sub(self.first());
        let after = Duration::try_from_secs_f64(number as f64 / self.rate).unwrap_or(Duration::MAX);
        Some(start.saturating_add(after))
    }

    fn first(&self) -> u64 {
        self.first.get().copied().unwrap_or(0)
    }

    /// A share goes on at event `next`, and what comes before was read by another run. Events are due from
    /// where the first share goes on that says so; to be called before the first read.
    pub(super) fn go_on(&self, deal: Deal, next: u64) {
        let _ = self.first.set(next);
        let mut log = lock(&self.log);
        log.read.insert(deal.index, deal.before(next));
    }

    /// The clock that events are due by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// For each event, from when it was due to the completion of its epoch, in nanoseconds.
    pub fn completion(&self) -> Histogram<u64> {
        lock(&self.log).latency.clone()
    }

    /// The number of events that are due now.
    pub(super) fn count(&self) -> u64 {
        let now = self.clock.now();
        let start = *self.start.get_or_init(|| now);
        let passed = (now.saturating_sub(start).as_secs_f64() * self.rate) as u64;
        self.first().saturating_add(1).saturating_add(passed)
    }

    /// A worker has left an epoch, and the next event of a share is `next`.
    pub(super) fn left(&self, worker: usize, epoch: u64, deal: Deal, next: u64) {
        let mut log = lock(&self.log);
        let read = deal.before(next);
        let first = log.read.insert(deal.index, read).unwrap_or(0);
        log.pending.entry((worker, epoch)).or_default().push((deal, first, read));
    }

    /// A worker has learned that all epochs below `open` are complete.
    pub(super) fn completed(&self, worker: usize, open: u64) {
        let now = self.clock.now();
        let mut log = lock(&self.log);
        let Log { pending, latency, .. } = &mut *log;
        while let Some(entry) = pending.range((worker, 0)..(worker, open)).next() {
            let key = *entry.0;
            for (deal, first, end) in pending.remove(&key).unwrap_or_default() {
                self.record(latency, now, deal, (first, end));
            }
        }
    }

    /// Records the latency of each event of a stretch, at some points and with their weights.
    fn record(&self, latency: &mut Histogram<u64>, now: Duration, deal: Deal, (first, end): (u64, u64)) {
        let count = end.saturating_sub(first);
        let points = count.min(POINTS);
        for point in 0..points {
            let (from, to) = (point * count / points, (point + 1) * count / points);
            let middle = deal.number(first + (from + to) / 2);
            if let Some(due) = self.due(middle) {
                latency.saturating_record_n(now.saturating_sub(due).as_nanos() as u64, to - from);
            }
        }
    }
}

/// A histogram of latencies in nanoseconds, from a microsecond to some minutes, exact to a thousandth.
pub fn latencies() -> Histogram<u64> {
    match Histogram::new_with_bounds(1_000, 1_000_000_000_000, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants that are allowed: {error}"),
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events per second", self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_when_events_were_due() {
        let clock = Clock::manual();
        let pace = Pace::new(1_000.0, clock.clone());
        assert_eq!((pace.due(5), pace.count()), (None, 1));
        clock.advance(Duration::from_millis(100));
        assert_eq!(pace.count(), 101);
        // The worker stalled: it reads 100 events at 100 ms, and they are complete at 150 ms.
        pace.left(0, 3, Deal { index: 0, shares: 1, turn: 1 }, 100);
        pace.completed(0, 3);
        assert_eq!(pace.completion().len(), 0, "epoch 3 is not complete");
        clock.advance(Duration::from_millis(50));
        pace.completed(1, 4);
        pace.completed(0, 4);
        let latency = pace.completion();
        assert_eq!(latency.len(), 100);
        assert!((140_000_000..=150_200_000).contains(&latency.max()), "{}", latency.max());
        assert!((50_000_000..=60_000_000).contains(&latency.min()), "{}", latency.min());
    }

    #[test]
    fn what_an_earlier_run_has_read_is_not_waited_for() {
        let clock = Clock::manual();
        let pace = Pace::new(1_000.0, clock.clone());
        let deal = Deal { index: 0, shares: 1, turn: 1 };
        pace.go_on(deal, 5_000);
        assert_eq!(pace.count(), 5_001);
        clock.advance(Duration::from_millis(100));
        assert_eq!((pace.count(), pace.due(5_100)), (5_101, Some(Duration::from_millis(100))));
        pace.left(0, 3, deal, 5_100);
        pace.completed(0, 4);
        assert_eq!(pace.completion().len(), 100);
    }

    #[test]
    fn a_share_knows_its_events() {
        for (shares, turn) in [(1, 1), (3, 1), (1, 4), (2, 4), (3, 5)] {
            let mut dealt = vec![Vec::new(); shares as usize];
            (0..60).for_each(|n| dealt[(n / turn % shares) as usize].push(n));
            for (index, numbers) in (0..).zip(dealt) {
                let deal = Deal { index, shares, turn };
                for (before, number) in (0..).zip(numbers) {
                    assert_eq!((deal.before(number), deal.number(before)), (before, number), "{deal:?}");
                }
            }
        }
    }
}
