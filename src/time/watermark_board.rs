//! The progress of the splits on each worker, shared between workers, and the wake-ups when it changes.
//!
//! A worker publishes the least watermark of its active splits, the greatest that any of its splits has had,
//! and whether one of them is silent. A worker without an active split derives its own watermark from these:
//! while other workers have active splits, it follows the least of theirs; when no split is active anywhere
//! and some are silent, nothing holds event time back, and the watermark becomes the greatest published one.
//! The outcome is the same whichever fell silent first, and however the splits are spread over workers.
//!
//! # Waiting
//!
//! A worker that waits for others publishes what it waits for, and sleeps. A worker that publishes progress
//! then checks who waits for it. Each writes before it reads, sequentially consistent, so at least one of
//! them sees the other and no wake-up is lost.
//!
//! Costs a few stores and a look at each worker's slot when something has changed, and nothing otherwise.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

use timely::scheduling::SyncActivator;

use super::EventTime;

/// The progress of the splits of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The least watermark of the active ones; the end of time if none is.
    pub(crate) least: EventTime,
    /// The greatest watermark that any split has, or had when it ended.
    pub(crate) greatest: EventTime,
    /// True if some are silent.
    pub(crate) is_silent: bool,
}

/// The published progress of all workers.
pub(crate) struct WatermarkBoard(Vec<Place>);

/// The slot of one worker, in cache lines of its own.
#[repr(align(128))]
struct Place {
    least: AtomicI64,
    greatest: AtomicI64,
    is_silent: AtomicBool,
    /// The watermark that the least of the others must reach before it continues; the end of time if it does
    /// not wait.
    wanted: AtomicI64,
    /// True if it is to be woken when anything changes.
    follows: AtomicBool,
    /// What wakes it.
    activator: OnceLock<SyncActivator>,
}

impl WatermarkBoard {
    /// A board for this many workers, of which the first `keepers` have splits and are at the beginning of
    /// time.
    pub(crate) fn new(workers: usize, keepers: usize) -> WatermarkBoard {
        let place = |worker| Place {
            least: AtomicI64::new(if worker < keepers { EventTime::MIN } else { EventTime::MAX }),
            greatest: AtomicI64::new(EventTime::MIN),
            is_silent: AtomicBool::new(false),
            wanted: AtomicI64::new(EventTime::MAX),
            follows: AtomicBool::new(false),
            activator: OnceLock::new(),
        };
        WatermarkBoard((0..workers).map(place).collect())
    }

    /// Sets what wakes a worker.
    pub(crate) fn join(&self, worker: usize, activator: SyncActivator) {
        let _ = self.0[worker].activator.set(activator);
    }

    /// Publishes the progress of a worker, and wakes those that wait for it. Call it only on a change.
    pub(crate) fn show(&self, worker: usize, reach: Reach) {
        let own = &self.0[worker];
        // `least` is stored last: a reader that finds no active split here also finds the `greatest` and
        // `is_silent` that belong to it.
        own.greatest.store(reach.greatest, SeqCst);
        own.is_silent.store(reach.is_silent, SeqCst);
        own.least.store(reach.least, SeqCst);
        for (other, place) in self.0.iter().enumerate().filter(|(other, _)| *other != worker) {
            // After the stores above. The waiting worker stores `wanted` before it reads them, so one of the
            // two sees the other.
            let wanted = place.wanted.load(SeqCst);
            let is_reached = wanted < EventTime::MAX && self.least_of_others(other) >= wanted;
            // Swapped, so that of several publishers one sends the wake-up.
            let wakes = is_reached && place.wanted.swap(EventTime::MAX, SeqCst) < EventTime::MAX;
            let follows = place.follows.load(SeqCst) && place.follows.swap(false, SeqCst);
            if wakes || follows {
                // One that has left needs no wake-up.
                let _ = place.activator.get().map(SyncActivator::activate);
            }
        }
    }

    /// The least watermark of the active splits on all other workers; the end of time if there are none.
    pub(crate) fn least_of_others(&self, worker: usize) -> EventTime {
        let others = self.0.iter().enumerate().filter(|(other, _)| *other != worker);
        others.map(|(_, place)| place.least.load(SeqCst)).min().unwrap_or(EventTime::MAX)
    }

    /// Requests a wake-up once the least of the others has reached `wanted`; false if it has already.
    pub(crate) fn wait(&self, worker: usize, wanted: EventTime) -> bool {
        let place = &self.0[worker];
        // Before the check, or a publisher in between would miss the request.
        place.wanted.store(wanted, SeqCst);
        let waits = self.least_of_others(worker) < wanted;
        if !waits {
            // The request is withdrawn, since the caller does not sleep.
            place.wanted.store(EventTime::MAX, SeqCst);
        }
        waits
    }

    /// True if a worker is to be woken when anything changes.
    pub(crate) fn is_following(&self, worker: usize) -> bool {
        self.0[worker].follows.load(SeqCst)
    }

    /// Requests one wake-up when anything changes. Call it before reading the board.
    pub(crate) fn follow(&self, worker: usize) {
        self.0[worker].follows.store(true, SeqCst);
    }

    /// The watermark of a worker without an active split, if there is one.
    pub(crate) fn without(&self, worker: usize) -> Option<EventTime> {
        let least = self.least_of_others(worker);
        if least < EventTime::MAX {
            return Some(least);
        }
        // Splits that have all ended prove nothing about splits that will be discovered.
        let is_silent = self.0.iter().any(|place| place.is_silent.load(SeqCst));
        let greatest = self.0.iter().map(|place| place.greatest.load(SeqCst)).max();
        greatest.filter(|_| is_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(least: EventTime, greatest: EventTime, is_silent: bool) -> Reach {
        Reach { least, greatest, is_silent }
    }

    #[test]
    fn who_has_no_split_that_counts_follows_the_least_or_goes_to_the_greatest() {
        let board = WatermarkBoard::new(3, 3);
        board.show(0, reach(EventTime::MAX, 50, true));
        assert_eq!(board.without(0), Some(EventTime::MIN), "two workers have not begun");
        board.show(1, reach(30, 40, false));
        board.show(2, reach(20, 90, false));
        assert_eq!(board.without(0), Some(20));
        board.show(2, reach(EventTime::MAX, 90, true));
        assert_eq!((board.without(0), board.without(2)), (Some(30), Some(30)));
        board.show(1, reach(EventTime::MAX, 40, false));
        assert_eq!(
            [0, 1, 2].map(|worker| board.without(worker)),
            [Some(90); 3],
            "nobody holds anything back"
        );
    }

    #[test]
    fn splits_that_have_all_ended_are_not_silent() {
        let board = WatermarkBoard::new(2, 2);
        board.show(0, reach(EventTime::MAX, 50, false));
        board.show(1, reach(EventTime::MAX, 60, false));
        assert_eq!(board.without(0), None, "those that will be found may be anywhere");
    }

    #[test]
    fn a_wait_ends_when_the_least_of_the_others_is_there() {
        let board = WatermarkBoard::new(3, 2);
        board.show(0, reach(100, 100, false));
        assert!(board.wait(0, 40));
        board.show(1, reach(39, 39, false));
        assert_eq!(board.0[0].wanted.load(SeqCst), 40);
        board.show(1, reach(40, 40, false));
        assert_eq!(board.0[0].wanted.load(SeqCst), EventTime::MAX);
        assert!(!board.wait(0, 40), "it is there");
    }
}
