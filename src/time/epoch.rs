//! The epoch clock: when one epoch ends and the next begins.
//!
//! All workers of a process share one epoch clock, so an epoch means the same everywhere: a source without
//! input advances with the others and never holds an epoch back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::EpochClaims;
use crate::clock::Clock;
use crate::lock::lock;

/// The epoch policy: how often results, commits and snapshots become consistent.
///
/// A shorter epoch lets results come sooner and costs more: closing one costs each worker a few
/// microseconds for each operator, and batches of state become smaller.
///
/// ```
/// use highwater::time::Epochs;
/// use std::time::Duration;
/// assert_eq!(Epochs::default(), Epochs::every(Duration::from_millis(10)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs(pub(crate) Policy);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Every(Duration),
    Records(u64),
    WhenDone,
}

impl Epochs {
    /// An epoch ends each time this much wall-clock time has passed, at least 1 millisecond. It ends sooner
    /// if a source has as many bytes in flight as it may, all of that epoch.
    pub fn every(interval: Duration) -> Epochs {
        Epochs(Policy::Every(interval))
    }

    /// An epoch ends when the sources of this process have emitted this many records in it. At least 1.
    ///
    /// Where the boundary falls among the records of several workers depends on timing; results do not.
    pub fn records(count: u64) -> Epochs {
        Epochs(Policy::Records(count))
    }

    /// An epoch ends as soon as the one before it is complete, so its length follows the load. Without
    /// records no epoch ends, unless an idle timeout waits for one: see
    /// [`idle_after`](super::Watermarks::idle_after).
    pub fn when_done() -> Epochs {
        Epochs(Policy::WhenDone)
    }
}

impl Default for Epochs {
    fn default() -> Epochs {
        Epochs::every(Duration::from_millis(10))
    }
}

/// The epoch clock that the sources of all workers share.
pub(crate) struct EpochClock {
    policy: Policy,
    clock: Clock,
    /// The first epoch.
    first: u64,
    current: AtomicU64,
    /// Locked while the clock turns; the listener that is called then.
    turning: Mutex<Option<OnTurn>>,
    /// The sources to activate when the clock has turned, if nothing else would.
    sources: Arc<EpochClaims>,
    records: AtomicU64,
    /// Epochs that ended early, between two ticks; for [`Policy::Every`].
    early: AtomicU64,
    /// The number of records when the current epoch began; for [`Policy::WhenDone`].
    began_at: AtomicU64,
}

/// Called with the epoch that ends, before any worker can see that it has.
pub(crate) type OnTurn = Box<dyn Fn(u64) + Send>;

impl EpochClock {
    pub(crate) fn new(epochs: Epochs, clock: Clock, first: u64, sources: Arc<EpochClaims>) -> EpochClock {
        let zero = || AtomicU64::new(0);
        EpochClock {
            policy: epochs.0,
            clock,
            first,
            current: AtomicU64::new(first),
            turning: Mutex::new(None),
            sources,
            records: zero(),
            early: zero(),
            began_at: zero(),
        }
    }

    /// Sets the listener that is called each time the clock turns.
    pub(crate) fn on_turn(&self, on_turn: OnTurn) {
        *self.turning() = Some(on_turn);
    }

    fn turning(&self) -> MutexGuard<'_, Option<OnTurn>> {
        lock(&self.turning)
    }

    /// Turns the clock to `next`, if it is not there yet; returns the current epoch.
    fn turn(&self, next: u64) -> u64 {
        let turning = self.turning();
        let current = self.current.load(Ordering::Acquire);
        if next > current {
            // Before the new epoch is visible: once a worker can leave the epoch, the listener has decided
            // about it.
            turning.iter().for_each(|told| told(current));
            self.current.store(next, Ordering::Release);
            // `wake` locks the list of sources and needs nothing that this lock protects.
            drop(turning);
            self.wake();
        }
        current.max(next)
    }

    /// Activates the sources, which sleep when they have nothing to read. Where the clock ticks they know
    /// when to wake up; elsewhere a sleeping source would keep the epoch open for all.
    fn wake(&self) {
        if !matches!(self.policy, Policy::Every(_)) {
            self.sources.wake();
        }
    }

    /// The current epoch. `open` is the first epoch that the dataflow has not completed.
    pub(crate) fn poll(&self, open: u64) -> u64 {
        let current = self.current.load(Ordering::Acquire);
        let next = match self.policy {
            Policy::Every(interval) => {
                let ticks = (self.clock.now().as_nanos() / interval.as_nanos()) as u64;
                self.first + ticks + self.early.load(Ordering::Acquire)
            }
            Policy::Records(count) => self.first + self.records.load(Ordering::Acquire) / count,
            Policy::WhenDone => {
                let records = self.records.load(Ordering::Acquire);
                // The epoch before is complete, and this one has records.
                let due = open >= current && records > self.began_at.load(Ordering::Acquire);
                if due {
                    self.began_at.fetch_max(records, Ordering::AcqRel);
                }
                current + u64::from(due)
            }
        };
        if next > current { self.turn(next) } else { current }
    }

    /// Sets the current epoch, where a driver begins epochs by hand.
    pub(crate) fn reach(&self, epoch: u64) {
        self.current.fetch_max(epoch, Ordering::AcqRel);
    }

    /// The current epoch, as the sources last saw it.
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Counts `records` that a source has emitted.
    pub(crate) fn count(&self, records: u64) {
        if !matches!(self.policy, Policy::Every(_)) {
            self.records.fetch_add(records, Ordering::AcqRel);
        }
    }

    /// Ends an epoch early, because it has become larger than what a source may have in flight.
    pub(crate) fn end(&self, epoch: u64) {
        let turning = self.turning();
        // Another source, or the clock, may have ended it already: it is ended once.
        if self.current.load(Ordering::Acquire) == epoch {
            turning.iter().for_each(|told| told(epoch));
            self.current.store(epoch + 1, Ordering::Release);
            match self.policy {
                Policy::Every(_) => self.early.fetch_add(1, Ordering::AcqRel),
                Policy::Records(count) => {
                    self.records.fetch_max((epoch + 1 - self.first).saturating_mul(count), Ordering::AcqRel)
                }
                Policy::WhenDone => {
                    self.began_at.fetch_max(self.records.load(Ordering::Acquire), Ordering::AcqRel)
                }
            };
            drop(turning);
            self.wake();
        }
    }

    /// The number of records after which a source should read the clock again.
    pub(crate) fn quantum(&self, limit: usize) -> usize {
        match self.policy {
            Policy::Records(count) => {
                let into = self.records.load(Ordering::Acquire) % count;
                limit.min((count - into) as usize)
            }
            _ => limit,
        }
    }

    /// How long until the clock turns by itself, if it does.
    pub(crate) fn until_tick(&self) -> Option<Duration> {
        match self.policy {
            Policy::Every(interval) => {
                let into = self.clock.now().as_nanos() % interval.as_nanos();
                Some(interval - Duration::from_nanos(into as u64))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_epochs_follow_the_clock_even_past_missed_ticks() {
        let clock = Clock::manual();
        let epochs =
            EpochClock::new(Epochs::every(Duration::from_millis(10)), clock.clone(), 0, Arc::default());
        assert_eq!(epochs.poll(0), 0);
        clock.advance(Duration::from_millis(35));
        assert_eq!(epochs.poll(0), 3);
        assert_eq!(epochs.until_tick(), Some(Duration::from_millis(5)));
    }

    #[test]
    fn record_epochs_follow_the_count() {
        let epochs = EpochClock::new(Epochs::records(100), Clock::manual(), 0, Arc::default());
        epochs.count(99);
        assert_eq!((epochs.poll(0), epochs.quantum(64)), (0, 1));
        epochs.count(1);
        assert_eq!((epochs.poll(0), epochs.quantum(64)), (1, 64));
    }

    #[test]
    fn an_epoch_can_end_early_and_the_clock_goes_on_from_there() {
        let clock = Clock::manual();
        let epochs =
            EpochClock::new(Epochs::every(Duration::from_millis(10)), clock.clone(), 0, Arc::default());
        epochs.end(0);
        epochs.end(0);
        assert_eq!(epochs.poll(0), 1);
        clock.advance(Duration::from_millis(10));
        assert_eq!(epochs.poll(0), 2);
        let epochs = EpochClock::new(Epochs::records(100), clock, 0, Arc::default());
        epochs.end(0);
        assert_eq!((epochs.poll(0), epochs.quantum(1000)), (1, 100));
    }

    #[test]
    fn the_next_epoch_waits_for_the_last_one_and_for_records() {
        let epochs = EpochClock::new(Epochs::when_done(), Clock::manual(), 0, Arc::default());
        assert_eq!(epochs.poll(0), 0);
        epochs.count(1);
        assert_eq!(epochs.poll(0), 1);
        epochs.count(1);
        assert_eq!(epochs.poll(0), 1);
        assert_eq!(epochs.poll(1), 2);
        assert_eq!(epochs.poll(2), 2);
    }
}
