//! A collection, kept for snapshots and for those who share it.
//!
//! An arrangement holds each record with its multiplicity, and the changes of an epoch are added to it when
//! the epoch closes. A record lies with the owner of its hash, or of that of its key, to which all its
//! changes are sent, so the workers of the next run can share the collection among them.
//!
//! Costs a sort of each epoch's changes, merges, and a copy of each distinct record. If memory is limited,
//! the copies are in files.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::consolidation::consolidate;

use crate::data::Diff;
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Arrangement, OperatorState, Rows, Share, SortedRun};
use crate::stream::WorkerContext;

/// A worker's share of a collection.
pub(super) struct Kept<R: Rows<Value = Diff>> {
    name: &'static str,
    pub(super) arrangement: Arrangement<R>,
    /// The changes of the open epoch.
    new: Vec<(R::Key, Diff)>,
}

impl<R: Rows<Value = Diff>> Kept<R> {
    /// A collection that is part of snapshots under a name.
    pub(super) fn new(name: &'static str, rows: R, worker: &WorkerContext) -> Kept<R> {
        let clock = Rc::new(Cell::new(i64::MIN));
        let arrangement = Arrangement::new(rows, clock, worker.memory.as_ref());
        Kept { name, arrangement, new: Vec::new() }
    }

    /// Adds a change of the open epoch.
    #[inline]
    pub(super) fn add(&mut self, key: R::Key, diff: Diff) {
        self.new.push((key, diff));
    }

    /// Adds the changes of an epoch that is complete. Gives the run of them, if anything has changed.
    pub(super) fn close(&mut self, epoch: u64) -> Option<Arc<SortedRun>> {
        consolidate(&mut self.new);
        let run = self.arrangement.seal(epoch, &self.new);
        self.new.clear();
        run
    }

    /// Visits changes whose sum is the collection.
    pub(super) fn each(&self, visit: &mut dyn FnMut(R::Key, Diff)) {
        self.arrangement.each(visit);
    }
}

impl<R: Rows<Value = Diff>> OperatorState for Kept<R> {
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
