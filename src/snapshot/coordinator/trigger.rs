//! When a snapshot is taken, and as of which epoch: the cut.
//!
//! A cut is decided when the epoch clock turns, for the epoch that it leaves. No source has left that epoch
//! then, so no operator has closed it: each will find the cut when it does, and hand over its state as of the
//! end of the same epoch, whenever that is for it. Nothing waits, and several cuts can be under way.
//!
//! An operator that skips epochs closes several at once, and its state is the same as of each: it serves all
//! cuts among them with one. When the input has ended all instances hand over their last state, for a cut
//! after all epochs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::lock::lock;
use crate::snapshot::coordinator::operator_snapshot::END;
use crate::snapshot::log::manifest::Cause;

/// How often snapshots are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotPolicy {
    /// At least this far apart.
    pub(crate) every: Option<Duration>,
    /// After this many epochs.
    pub(crate) epochs: Option<u64>,
}

/// The number of cuts in progress at which periodic cuts wait: where the store is slower than they come, they
/// would pile up. They wait as well while an operator copies what it had changed by the last cut, which it
/// would otherwise have to finish all at once.
const OPEN: usize = 4;

/// The cuts of a running job.
pub(crate) struct SnapshotTrigger {
    often: SnapshotPolicy,
    plan: Mutex<Plan>,
    /// The greatest epoch that a cut was made at the end of, plus one; zero before the first.
    upper: AtomicU64,
    /// The greatest cut that is committed, plus one; zero before the first.
    committed: AtomicU64,
    /// True if one is committed that was to be the last.
    stopped: AtomicBool,
    /// How many instances of operators are copying what they had changed by a cut.
    copying: AtomicUsize,
}

struct Plan {
    cuts: BTreeMap<u64, Cause>,
    /// When the last one was made, on the clock of the job, and at which epoch.
    last: (Duration, u64),
    /// A requested cut that has not been made yet.
    asked: Option<Cause>,
}

impl SnapshotTrigger {
    /// Cuts from epoch `first` on.
    pub(crate) fn new(often: SnapshotPolicy, first: u64) -> SnapshotTrigger {
        let plan = Plan { cuts: BTreeMap::new(), last: (Duration::ZERO, first), asked: None };
        SnapshotTrigger {
            often,
            plan: Mutex::new(plan),
            upper: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            copying: AtomicUsize::new(0),
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    /// Asks for a cut at the next turn of the epoch clock.
    pub(crate) fn ask(&self, cause: Cause) {
        self.plan().asked = Some(cause);
    }

    /// The epoch clock turns at `now`, away from `epoch`: a cut is made there, if one is due. To be called
    /// before anyone can see that it has turned.
    pub(crate) fn turn(&self, epoch: u64, now: Duration) {
        let mut plan = self.plan();
        let (at, last) = plan.last;
        let is_due = self.often.every.is_some_and(|every| now >= at.saturating_add(every))
            || self.often.epochs.is_some_and(|epochs| epoch >= last.saturating_add(epochs));
        let has_room = plan.cuts.len() < OPEN && self.copying.load(Ordering::Relaxed) == 0;
        // A requested cut does not wait for room.
        let cause = plan.asked.take().or((is_due && has_room).then_some(Cause::Interval));
        if let Some(cause) = cause {
            plan.last = (now, epoch);
            plan.cuts.insert(epoch, cause);
            // After the insertion: an operator that reads the new value finds the cut in the plan.
            self.upper.store(epoch + 1, Ordering::Release);
        }
    }

    /// An instance of an operator begins to copy.
    pub(crate) fn copies(&self) {
        self.copying.fetch_add(1, Ordering::Relaxed);
    }

    /// An instance that copied has done so.
    pub(crate) fn has_copied(&self) {
        self.copying.fetch_sub(1, Ordering::Relaxed);
    }

    /// The cuts that are served by the state as of the end of `epoch`, when `next` is the next epoch to come.
    #[inline]
    pub(crate) fn between(&self, epoch: u64, next: u64) -> Vec<u64> {
        let mut cuts = Vec::new();
        // Called whenever an operator closes epochs, mostly without a cut: then no lock is taken.
        if self.upper.load(Ordering::Acquire) > epoch {
            let plan = self.plan();
            cuts.extend(plan.cuts.range(epoch..next).map(|(cut, _)| *cut));
        }
        cuts.extend((next == END).then_some(END));
        cuts
    }

    /// Why a cut was made.
    pub(crate) fn cause(&self, cut: u64) -> Cause {
        self.plan().cuts.get(&cut).copied().unwrap_or(Cause::End)
    }

    /// A cut is committed, or no longer wanted: it and those before it are over.
    pub(crate) fn settle(&self, cut: u64, committed: bool) {
        // Before the cut is removed below, and its cause with it.
        if committed && matches!(self.cause(cut), Cause::Stop | Cause::End) {
            self.stopped.store(true, Ordering::Release);
        }
        // A commit ends all cuts before it; a snapshot that was given up ends alone.
        self.plan().cuts.retain(|other, _| if committed { *other > cut } else { *other != cut });
        if committed {
            // For the final cut this saturates at `END`, which `is_over` looks for.
            self.committed.fetch_max(cut.saturating_add(1), Ordering::AcqRel);
        }
    }

    /// True if what was handed over for `cut` is committed, with that cut or a later one.
    pub(crate) fn is_committed(&self, cut: u64) -> bool {
        self.committed.load(Ordering::Acquire) > cut || self.is_over()
    }

    /// True if a snapshot is committed that was to be the last.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// True if the last cut there is has been committed.
    fn is_over(&self) -> bool {
        self.committed.load(Ordering::Acquire) == END
    }

    /// What changes when a cut is committed.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn cuts_are_so_far_apart_as_was_said() {
        let cuts = SnapshotTrigger::new(SnapshotPolicy { every: Some(millis(100)), epochs: None }, 0);
        let turn = |epoch| {
            cuts.turn(epoch, millis(10 * epoch));
            let made = cuts.between(epoch, epoch + 1);
            made.iter().for_each(|cut| cuts.settle(*cut, true));
            made
        };
        let made: Vec<u64> = (0..100).flat_map(turn).collect();
        assert_eq!(made, [10, 20, 30, 40, 50, 60, 70, 80, 90]);
        let cuts = SnapshotTrigger::new(SnapshotPolicy { every: None, epochs: Some(7) }, 0);
        (0..30).for_each(|epoch| cuts.turn(epoch, Duration::ZERO));
        assert_eq!(cuts.between(0, 30), [7, 14, 21, 28]);
    }

    #[test]
    fn cuts_wait_while_many_are_under_way() {
        let cuts = SnapshotTrigger::new(SnapshotPolicy { every: None, epochs: Some(1) }, 0);
        (1..9).for_each(|epoch| cuts.turn(epoch, Duration::ZERO));
        assert_eq!(cuts.between(0, 20), [1, 2, 3, 4]);
        cuts.ask(Cause::Stop);
        cuts.turn(9, Duration::ZERO);
        cuts.turn(10, Duration::ZERO);
        assert_eq!(cuts.between(0, 20), [1, 2, 3, 4, 9], "what is asked for does not wait");
        cuts.settle(2, true);
        cuts.turn(11, Duration::ZERO);
        assert_eq!(cuts.between(0, 20), [3, 4, 9, 11]);
    }

    #[test]
    fn cuts_wait_while_the_last_one_is_copied() {
        let cuts = SnapshotTrigger::new(SnapshotPolicy { every: None, epochs: Some(1) }, 0);
        cuts.turn(1, Duration::ZERO);
        cuts.copies();
        cuts.copies();
        cuts.turn(2, Duration::ZERO);
        cuts.has_copied();
        cuts.turn(3, Duration::ZERO);
        assert_eq!(cuts.between(0, 20), [1]);
        cuts.ask(Cause::Request);
        cuts.turn(4, Duration::ZERO);
        cuts.has_copied();
        cuts.turn(5, Duration::ZERO);
        assert_eq!(cuts.between(0, 20), [1, 4, 5]);
    }

    #[test]
    fn a_cut_that_is_asked_for_is_made_at_the_next_turn() {
        let cuts = SnapshotTrigger::new(SnapshotPolicy::default(), 0);
        cuts.turn(4, Duration::ZERO);
        cuts.ask(Cause::Request);
        cuts.turn(5, Duration::ZERO);
        cuts.turn(6, Duration::ZERO);
        assert_eq!((cuts.between(0, 10), cuts.cause(5)), (vec![5], Cause::Request));
    }

    #[test]
    fn a_commit_covers_what_came_before() {
        let cuts = SnapshotTrigger::new(SnapshotPolicy { every: None, epochs: Some(1) }, 0);
        (1..5).for_each(|epoch| cuts.turn(epoch, Duration::ZERO));
        cuts.settle(2, false);
        assert_eq!((cuts.between(0, 9), cuts.is_committed(1)), (vec![1, 3, 4], false));
        cuts.settle(3, true);
        assert_eq!((cuts.between(0, 9), cuts.is_committed(2), cuts.is_committed(4)), (vec![4], true, false));
        cuts.settle(END, true);
        assert!(cuts.is_committed(4) && cuts.is_committed(END));
        assert_eq!(cuts.between(8, END), [END]);
    }
}
