//! An input collection of a differential computation, kept for snapshots.
//!
//! An arrangement holds each record with its multiplicity, and the changes of an epoch are added to it when
//! the epoch closes. A record lies with the owner of its hash, to which all its changes are sent, so the
//! workers of the next run can share the collection among them.
//!
//! Costs a sort of each epoch's changes, merges, and a copy of each distinct record in addition to those that
//! the computation keeps. If memory is limited, the copies are in files.

use differential_dataflow::consolidation::consolidate;
use timely::dataflow::operators::generic::OperatorInfo;

use crate::data::{Diff, Key};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Arrangement, Hashed, OperatorState, Share, Spilling, Sums};
use crate::stream::WorkerContext;

/// A worker's share of a collection.
pub(super) struct Kept<T: Key> {
    name: &'static str,
    arrangement: Arrangement<Spilling<Sums<Hashed<T>, Diff>>>,
    /// The changes of the open epoch.
    new: Vec<(Hashed<T>, Diff)>,
}

impl<T: Key> Kept<T> {
    /// A collection that is part of snapshots under a name.
    pub(super) fn new(name: &'static str, worker: &WorkerContext, operator: OperatorInfo) -> Kept<T> {
        let rows = Spilling::new(Sums::new(), worker.memory.as_ref(), |row: &Hashed<T>| row.hash);
        Kept { name, arrangement: Arrangement::new(rows, operator), new: Vec::new() }
    }

    /// Adds a change of the open epoch.
    pub(super) fn add(&mut self, record: &T, diff: Diff) {
        self.new.push((Hashed::new(record.clone()), diff));
    }

    /// Adds the changes of an epoch that is complete.
    pub(super) fn close(&mut self, epoch: u64) {
        consolidate(&mut self.new);
        self.arrangement.seal(epoch, std::mem::take(&mut self.new));
    }

    /// Visits changes whose sum is the collection.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&T, Diff)) {
        self.arrangement.each(&mut |record, diff| visit(&record.key, *diff));
    }
}

impl<T: Key> OperatorState for Kept<T> {
    fn seal(&mut self, _: u64) {
        // Each epoch's changes are sealed when it closes.
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.push(self.arrangement.save(self.name));
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        self.arrangement.restore(self.name, from, share)
    }
}
