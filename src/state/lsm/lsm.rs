//! The runs of a state that can be read again, sealed by its worker.
//!
//! A seal adds a run, and pays for some rows of the merges that are under way: so no seal takes long for the
//! size of the state. While a large merge is under way, the runs that came after those it merges are merged
//! among themselves: so there are some runs for each of some sizes, as [`compaction`](super::compaction)
//! says.
//!
//! What goes wrong is not passed over: an encoding that is refused, a page that cannot be read. If memory is
//! limited it ends the job at once; if not, when a snapshot or a reader asks for the state.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::lock::lock;
use crate::snapshot::RunSnapshot;
use crate::state::lsm::compaction::merges_from;
use crate::state::lsm::merge::Merge;
use crate::state::lsm::page_builder::PageBuilder;
use crate::state::lsm::row_type::{RowType, prefix_of_time};
use crate::state::lsm::sorted_run::SortedRun;
use crate::state::spill::files::{Files, SharedBudget};

/// Runs, oldest first, and the merge of some of them.
pub(crate) struct Lsm {
    row_type: Arc<dyn RowType>,
    files: Option<Rc<Files>>,
    /// The time that rows expire by.
    pub(crate) clock: Rc<Cell<i64>>,
    runs: Vec<Arc<SortedRun>>,
    /// Merges under way. Each is of runs that come after those of the one before.
    merging: Vec<Merging>,
    /// How many runs there were when it was last asked whether some are to be merged, and the rows since.
    asked: (usize, usize),
    /// The first epoch of which nothing is sealed.
    upper: u64,
    failures: Arc<Failures>,
}

/// The merge of so many runs from a place on.
struct Merging {
    from: usize,
    runs: usize,
    merge: Merge,
}

/// So many rows are merged for each that is sealed, and these in any case. A row is merged some three times,
/// so no more is under way than can be done.
const FUEL: (usize, usize) = (8, 1024);

/// So many runs may come before it is asked whether they are to be merged.
const RUNS: usize = 4;

impl Lsm {
    /// No runs. Their pages lie in files, if memory is limited.
    pub(crate) fn new(
        row_type: Arc<dyn RowType>,
        clock: Rc<Cell<i64>>,
        memory: Option<&Rc<SharedBudget>>,
    ) -> Lsm {
        let files = memory.map(|memory| Rc::new(Files::new(Rc::clone(memory))));
        let failures =
            Arc::new(Failures { fail: memory.map(|memory| memory.failure()), first: Mutex::default() });
        let (runs, merging) = (Vec::new(), Vec::new());
        Lsm { row_type, files, clock, runs, merging, asked: (0, 0), upper: 0, failures }
    }

    /// Where what goes wrong is kept.
    pub(crate) fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// Lets whatever goes wrong end the job, by a call of `fail`. Nothing must have been sealed.
    pub(crate) fn fail_by(&mut self, fail: Arc<dyn Fn(Error) + Send + Sync>) {
        self.failures = Arc::new(Failures { fail: Some(fail), first: Mutex::default() });
    }

    /// The runs, oldest first. Together they are the state as of the last seal, and remain so: they never
    /// change.
    pub(crate) fn runs(&self) -> &[Arc<SortedRun>] {
        &self.runs
    }

    /// Begins the next run.
    pub(crate) fn build(&self) -> PageBuilder {
        PageBuilder::new(Arc::clone(&self.row_type), self.files.clone()).searched()
    }

    /// Begins a run of pages that are there already, in another form, each [ended](PageBuilder::finish_page)
    /// by whoever adds its rows.
    pub(crate) fn build_page(&self) -> PageBuilder {
        PageBuilder::of_one_page(Arc::clone(&self.row_type), self.files.clone()).searched()
    }

    /// Adds what changed up to and including `epoch`. There may be several runs of one epoch: state leaves
    /// memory in the midst of it too, and after a seal as of a later one, if none of those between has
    /// changed anything. Gives the run, if it has rows.
    pub(crate) fn seal(&mut self, epoch: u64, built: PageBuilder) -> Option<Arc<SortedRun>> {
        let epoch = epoch.max(self.upper.saturating_sub(1));
        let lower = std::mem::replace(&mut self.upper, epoch.saturating_add(1)).min(epoch);
        let added = self.add((lower, self.upper), built);
        if self.merging.is_empty() {
            self.expire();
        }
        if let Some(added) = &added {
            self.asked.1 += added.len();
            let mut fuel = FUEL.0 * added.len() + FUEL.1;
            let worked = self.work(&mut fuel);
            self.failures.keep(worked);
        }
        added
    }

    /// Adds a run from before the first epoch, after all others.
    pub(crate) fn adopt(&mut self, built: PageBuilder) {
        self.add((0, 0), built);
    }

    fn add(&mut self, epochs: (u64, u64), mut built: PageBuilder) -> Option<Arc<SortedRun>> {
        built.finish_page();
        let run = SortedRun::new(epochs, built.pages, built.sample);
        let added = (run.len() > 0).then(|| Arc::new(run));
        self.runs.extend(added.clone());
        added
    }

    /// Goes on with merging, the newest runs first.
    fn work(&mut self, fuel: &mut usize) -> Result<()> {
        while *fuel > 0 {
            self.begin_merge()?;
            let Some(Merging { merge, .. }) = self.merging.last_mut() else { return Ok(()) };
            let done = merge.work(fuel);
            if !matches!(done, Ok(false))
                && let Some(Merging { from, runs, merge }) = self.merging.pop()
                && done?
            {
                let range = from..from + runs;
                let epochs = (self.runs[range.start].epochs.0, self.runs[range.end - 1].epochs.1);
                let merged = SortedRun::new(epochs, merge.merged.pages, merge.merged.sample);
                self.runs.splice(range, (merged.len() > 0).then(|| Arc::new(merged)));
                self.asked.0 = self.runs.len();
            }
        }
        Ok(())
    }

    /// Begins a merge of runs that are in none, if some are to be merged.
    fn begin_merge(&mut self) -> Result<()> {
        if !self.is_to_ask() {
            return Ok(());
        }
        let above = self.merging.last().map_or(0, |merging| merging.from + merging.runs);
        let (clock, runs) = (self.clock.get(), &self.runs[above..]);
        let from = merges_from(runs, clock).map(|from| above + from);
        // One run alone is made anew only to drop rows, which what lies below would bring back.
        let Some(from) = from.filter(|from| *from == 0 || from + 1 < self.runs.len()) else { return Ok(()) };
        let runs = self.runs[from..].iter().map(|run| &**run);
        let merge = Merge::new(&self.row_type, runs, (from == 0, clock), self.build())?;
        self.merging.push(Merging { from, runs: self.runs.len() - from, merge });
        Ok(())
    }

    /// True if it is worth it to ask whether runs are to be merged, which costs a sort of their samples: if
    /// some runs have come since the last time, or not few rows.
    fn is_to_ask(&mut self) -> bool {
        let all: usize = self.runs.iter().map(|run| run.len()).sum();
        let is_it = self.runs.len() >= self.asked.0 + RUNS || self.asked.1 > all / 32;
        if is_it {
            self.asked = (self.runs.len(), 0);
        }
        is_it
    }

    /// Drops the pages of which all rows are over, if rows lie in order of time.
    fn expire(&mut self) {
        if !self.row_type.is_by_time() {
            return;
        }
        let reached = prefix_of_time(self.clock.get());
        for run in &mut self.runs {
            let over = run.pages.partition_point(|page| page.last.0 <= reached);
            if over > 0 {
                *run = Arc::new(SortedRun::new(run.epochs, run.pages[over..].to_vec(), Vec::new()));
            }
        }
        self.runs.retain(|run| run.len() > 0);
    }

    /// The runs as snapshots see them.
    pub(crate) fn outgoing(&self) -> Vec<RunSnapshot> {
        self.runs.iter().map(|run| run.outgoing(&self.row_type)).collect()
    }
}

/// What went wrong with a state, first.
pub(crate) struct Failures {
    /// Ends the job, if nobody else would.
    fail: Option<Arc<dyn Fn(Error) + Send + Sync>>,
    first: Mutex<Option<String>>,
}

impl Failures {
    /// Keeps an error. It ends the job, if memory is limited or the state is read by others.
    pub(crate) fn keep<T>(&self, outcome: Result<T>) -> Option<T> {
        outcome
            .map_err(|error| {
                lock(&self.first).get_or_insert_with(|| error.to_string());
                self.fail.iter().for_each(|fail| fail(Error::data(error.to_string())));
            })
            .ok()
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<String> {
        lock(&self.first).clone()
    }
}
