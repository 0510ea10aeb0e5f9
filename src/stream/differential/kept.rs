//! A collection that a computation was given, kept for snapshots.
//!
//! Each record that is there and how often, in an arrangement, to which the changes of an epoch are added
//! when it closes. A record lies with the owner of its hash, where all changes of it are sent to, so that the
//! workers of the next run can share the collection among them.
//!
//! Costs a sort of each epoch's changes, merges, and a copy of each distinct record beside those that the
//! computation keeps; in files, if memory is limited.

use differential_dataflow::consolidation::consolidate;
use timely::dataflow::operators::generic::OperatorInfo;

use crate::data::{Diff, Key};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, TableSnapshot};
use crate::state::{Arrangement, Hashed, Share, Spilling, Sums};
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

    /// The epoch is complete.
    pub(super) fn close(&mut self, epoch: u64) {
        consolidate(&mut self.new);
        self.arrangement.seal(epoch, std::mem::take(&mut self.new));
    }

    pub(super) fn save(&self) -> TableSnapshot {
        self.arrangement.save(self.name)
    }

    pub(super) fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        self.arrangement.restore(self.name, from, share)
    }

    /// Shows changes that the collection is the sum of.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&T, Diff)) {
        self.arrangement.each(&mut |record, diff| visit(&record.key, *diff));
    }
}
