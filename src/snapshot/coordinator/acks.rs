//! Acknowledgements: collects the parts of each cut until there is one of every instance of every operator.
//!
//! An instance that has ended hands over its last state once, and that counts for all later cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::snapshot::coordinator::operator_snapshot::{END, OperatorSnapshot, SavedTables};

/// An instance of an operator: its uid and its worker.
pub(crate) type Instance = (Arc<str>, usize);

/// The parts of cuts that are in progress.
pub(crate) struct PendingSnapshots {
    workers: usize,
    /// Workers that have built all their operators.
    ready: BTreeSet<usize>,
    members: BTreeSet<Instance>,
    cuts: BTreeMap<u64, BTreeMap<Instance, SavedTables>>,
    ended: BTreeMap<Instance, SavedTables>,
    /// The greatest cut that was complete.
    done: Option<u64>,
}

/// A message to the coordinator of a running job.
pub(crate) enum CoordinatorMessage {
    /// An instance of an operator has been built.
    Joins(Instance),
    /// A worker has built all its operators.
    Ready(usize),
    /// An instance hands over a part.
    Part(OperatorSnapshot),
}

impl PendingSnapshots {
    /// For a job of this many workers.
    pub(crate) fn new(workers: usize) -> PendingSnapshots {
        PendingSnapshots {
            workers,
            ready: BTreeSet::new(),
            members: BTreeSet::new(),
            cuts: BTreeMap::new(),
            ended: BTreeMap::new(),
            done: None,
        }
    }

    /// Handles a message, and returns the cut that is complete by it, if one is: its parts by instance.
    pub(crate) fn take(
        &mut self,
        message: CoordinatorMessage,
    ) -> Option<(u64, BTreeMap<Instance, SavedTables>)> {
        match message {
            CoordinatorMessage::Joins(member) => drop(self.members.insert(member)),
            CoordinatorMessage::Ready(worker) => drop(self.ready.insert(worker)),
            CoordinatorMessage::Part(OperatorSnapshot { uid, worker, cut: END, state }) => {
                self.ended.insert((uid, worker), state);
            }
            CoordinatorMessage::Part(OperatorSnapshot { uid, worker, cut, state }) => {
                // A cut up to `done` is over: a late part must not open it again.
                if self.done.is_none_or(|done| done < cut) {
                    self.cuts.entry(cut).or_default().insert((uid, worker), state);
                }
            }
        }
        self.complete()
    }

    /// The first cut of which all parts are there.
    fn complete(&mut self) -> Option<(u64, BTreeMap<Instance, SavedTables>)> {
        // Before all workers have built their operators, members are missing, and a cut could seem whole
        // without them.
        if self.ready.len() < self.workers || self.done == Some(END) {
            return None;
        }
        let is_whole = |parts: &BTreeMap<Instance, SavedTables>| {
            self.members.iter().all(|member| parts.contains_key(member) || self.ended.contains_key(member))
        };
        // The oldest first: epochs ascend in the log.
        let whole = self.cuts.iter().find(|(_, parts)| is_whole(parts)).map(|(cut, _)| *cut);
        let (cut, mut parts) = match whole {
            Some(cut) => (cut, self.cuts.remove(&cut)?),
            // All instances have ended, so their last states are the final cut.
            None if is_whole(&BTreeMap::new()) => (END, BTreeMap::new()),
            None => return None,
        };
        // A part of an earlier cut that is not complete by now never will be: its epoch was skipped.
        self.cuts.retain(|other, _| *other > cut);
        self.done = Some(cut);
        // An instance that has ended hands over no more parts; its last state holds for every later cut.
        for (member, state) in &self.ended {
            parts.entry(member.clone()).or_insert_with(|| state.clone());
        }
        Some((cut, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(uid: &str, worker: usize, cut: u64) -> CoordinatorMessage {
        CoordinatorMessage::Part(OperatorSnapshot {
            uid: uid.into(),
            worker,
            cut,
            state: SavedTables::default(),
        })
    }

    fn joined(workers: usize) -> PendingSnapshots {
        let mut gather = PendingSnapshots::new(workers);
        for worker in 0..workers {
            for uid in ["a", "b"] {
                assert!(gather.take(CoordinatorMessage::Joins((uid.into(), worker))).is_none());
            }
            assert!(gather.take(CoordinatorMessage::Ready(worker)).is_none());
        }
        gather
    }

    #[test]
    fn a_cut_is_complete_with_its_last_part() {
        let mut gather = joined(2);
        for (uid, worker) in [("a", 0), ("b", 1), ("a", 1)] {
            assert!(gather.take(part(uid, worker, 5)).is_none());
            assert!(gather.take(part(uid, worker, 6)).is_none());
        }
        let (cut, parts) = gather.take(part("b", 0, 5)).unwrap();
        assert_eq!((cut, parts.len()), (5, 4));
        assert_eq!(gather.take(part("b", 0, 6)).map(|(cut, parts)| (cut, parts.len())), Some((6, 4)));
    }

    #[test]
    fn who_has_ended_counts_for_all_that_comes() {
        let mut gather = joined(1);
        assert!(gather.take(part("a", 0, END)).is_none());
        assert_eq!(gather.take(part("b", 0, 7)).map(|(cut, parts)| (cut, parts.len())), Some((7, 2)));
        assert_eq!(gather.take(part("b", 0, END)).map(|(cut, parts)| (cut, parts.len())), Some((END, 2)));
    }

    #[test]
    fn nothing_is_complete_before_all_workers_are_there() {
        let mut gather = PendingSnapshots::new(2);
        gather.take(CoordinatorMessage::Joins(("a".into(), 0)));
        gather.take(CoordinatorMessage::Ready(0));
        assert!(gather.take(part("a", 0, 3)).is_none());
        gather.take(CoordinatorMessage::Joins(("a".into(), 1)));
        gather.take(CoordinatorMessage::Ready(1));
        assert_eq!(gather.take(part("a", 1, 3)).map(|(cut, _)| cut), Some(3));
    }
}
