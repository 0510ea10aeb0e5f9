//! An input collection of a differential computation, kept for snapshots.
//!
//! An arrangement holds each record with its multiplicity, and the changes of an epoch are added to it when
//! the epoch closes. A record lies with the owner of its hash, to which all its changes are sent, so the
//! workers of the next run can share the collection among them.
//!
//! Costs a sort of each epoch's changes, merges, and a copy of each distinct record in addition to those that
//! the computation keeps. If memory is limited, the copies are in files.

use std::cell::Cell;
use std::rc::Rc;

use differential_dataflow::consolidation::consolidate;

use crate::data::{Diff, Key};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Arrangement, Hashed, OperatorState, Share, Sums};
use crate::stream::WorkerContext;

/// A worker's share of a collection.
pub(super) struct Kept<T: Key> {
    name: &'static str,
    arrangement: Arrangement<Sums<Hashed<T>, Diff>>,
    /// The changes of the open epoch.
    new: Vec<(Hashed<T>, Diff)>,
}

impl<T: Key> Kept<T> {
    /// A collection that is part of snapshots under a name.
    pub(super) fn new(name: &'static str, worker: &WorkerContext) -> Kept<T> {
        let clock = Rc::new(Cell::new(i64::MIN));
        let arrangement = Arrangement::new(Sums::new(), clock, worker.memory.as_ref());
        Kept { name, arrangement, new: Vec::new() }
    }

    /// Adds a change of the open epoch.
    pub(super) fn add(&mut self, record: &T, diff: Diff) {
        self.new.push((Hashed::new(record.clone()), diff));
    }

    /// Adds the changes of an epoch that is complete.
    pub(super) fn close(&mut self, epoch: u64) {
        consolidate(&mut self.new);
        self.arrangement.seal(epoch, &self.new);
        self.new.clear();
    }

    /// Visits changes whose sum is the collection.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&T, Diff)) {
        self.arrangement.each(&mut |record, diff| visit(&record.key, diff));
    }
}

impl<T: Key> OperatorState for Kept<T> {
    fn seal(&mut self, _: u64) {
        // Each epoch's changes are sealed when it closes.
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.tables.push(self.arrangement.save(self.name)?);
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.arrangement.restore(self.name, from, share)
    }
}
