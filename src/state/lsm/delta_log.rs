//! The delta log: the write buffer between a worker and the thread that writes snapshots, of a state that
//! nothing else reads.
//!
//! At each cut the worker appends one delta: copies of the entries that have changed since the last one, and
//! tombstones, encoded and not sorted. The thread of snapshots sorts them, cuts them into pages, and
//! [compacts](crate::state::lsm::compaction) sorted runs: so a state that is only saved costs its worker the
//! copies and nothing else. Deltas are numbered, and the runs *as of* a delta are those that it and the ones
//! before it made: a cut names the number.
//!
//! A page is written as soon as it is made, and its rows are let go as soon as they can be read again: with
//! local files they are in the cache of the operating system, or were not wanted for long. What a job goes on
//! from is let go as it is read. So a state that is saved lies in memory once, and what is handed over twice
//! only while a page is made of it. What a page is read from stays: it is named by the last snapshot that is
//! committed, or is newer than that, until the merge that reads it is done; and a merge is done by whoever
//! commits the next one.
//!
//! The memory of the copies is used again, as much of it as two deltas in a row have needed: it stays between
//! snapshots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::lock::lock;
use crate::snapshot::{BuiltRuns, DeferredRuns, EagerWriter, PageSource};
use crate::state::lsm::compaction::{may_merge, merges_from};
use crate::state::lsm::delta::{Delta, DeltaRow};
use crate::state::lsm::merge::Merge;
use crate::state::lsm::page::{Page, outgoing};
use crate::state::lsm::page_builder::PageBuilder;
use crate::state::lsm::row_type::{RowPlace, RowType, compare};
use crate::state::lsm::segment_pool::SegmentPool;
use crate::state::lsm::sorted_run::SortedRun;

/// The deltas of one state, and the runs that were made of them.
pub(crate) struct DeltaLog {
    row_type: Arc<dyn RowType>,
    /// Deltas that nobody has taken yet. They are numbered from 1 on, and only the worker appends.
    coming: Mutex<VecDeque<Delta>>,
    sorted: Mutex<Sorted>,
    /// Segments that deltas are copied to.
    pool: Arc<SegmentPool>,
}

/// Runs, oldest first, and the number of the last delta that is in them.
#[derive(Default)]
struct Sorted {
    last: u64,
    runs: Vec<Arc<SortedRun>>,
    /// How often merging has failed since it was done last, and the delta that it is tried again at.
    patience: (u32, u64),
    /// How many large segments the last delta had.
    free_segments: usize,
}

/// A merge that has failed time after time is tried at every n-th delta, as a power of two.
const MOST_PATIENCE: u32 = 3;

impl DeltaLog {
    pub(crate) fn new(row_type: Arc<dyn RowType>) -> DeltaLog {
        DeltaLog { row_type, coming: Mutex::default(), sorted: Mutex::default(), pool: Arc::default() }
    }

    /// Begins the delta of what has changed up to and including an epoch, when the clock that rows expire by
    /// has come to `clock`.
    pub(crate) fn delta(&self, epoch: u64, clock: i64) -> Delta {
        Delta::new(epoch, clock, &self.pool)
    }

    /// Leaves the next delta.
    pub(crate) fn append(&self, delta: Delta) {
        lock(&self.coming).push_back(delta);
    }

    fn build(&self) -> PageBuilder {
        PageBuilder::new(Arc::clone(&self.row_type), None)
    }

    /// Begins a run of pages that come from another snapshot, each [ended](PageBuilder::finish_page) by
    /// whoever adds its rows.
    pub(crate) fn build_page(&self) -> PageBuilder {
        PageBuilder::of_one_page(Arc::clone(&self.row_type), None)
    }

    /// Takes in a run that comes from another snapshot, after all others.
    pub(crate) fn adopt(&self, mut run: PageBuilder) {
        run.finish_page();
        let run = SortedRun::new((0, 0), run.pages, run.sample);
        lock(&self.sorted).runs.push(Arc::new(run));
    }

    /// Makes a run of the next delta. False if something could not be merged since it could not be read.
    fn sort(&self, sorted: &mut Sorted, delta: Delta, early: &mut Option<EagerWriter<'_>>) -> bool {
        let (epoch, clock) = (delta.epoch, delta.clock);
        let from = sorted.runs.last().map_or(0, |run| run.epochs.1);
        let mut writer = PageWriter::new(self, early, (from, epoch + 1));
        let (rows, segments) = delta.sorted();
        sorted.last += 1;
        if rows.is_empty() {
            return true;
        }
        let is_merged = may_merge(&sorted.runs, rows.len());
        let mut built = self.build();
        for same in rows.chunk_by(|one, other| one.owner == other.owner) {
            self.add_group(same, &segments, &mut built);
            if !is_merged {
                writer.catch_up(&mut built.pages);
            }
        }
        let free_segments = self.pool.give_back(segments);
        self.pool.keep(free_segments.min(sorted.free_segments));
        sorted.free_segments = free_segments;
        built.finish_page();
        if !is_merged {
            writer.catch_up(&mut built.pages);
        }
        sorted.runs.push(writer.run(built));
        let merges = merges_from(&sorted.runs, clock).filter(|_| sorted.last >= sorted.patience.1);
        if let Some(from) = merges
            && self.merge(sorted, (from, clock), early)
        {
            sorted.patience = (0, 0);
            return true;
        }
        if let (true, Some(newest)) = (is_merged, sorted.runs.last_mut()) {
            let mut pages = newest.pages.clone();
            PageWriter::new(self, early, newest.epochs).catch_up(&mut pages);
            *newest = Arc::new(SortedRun::new(newest.epochs, pages, newest.sample.clone()));
        }
        if merges.is_some() {
            let times = (sorted.patience.0 + 1).min(MOST_PATIENCE);
            sorted.patience = (times, sorted.last + (1 << times));
        }
        merges.is_none()
    }

    /// Adds the rows of one hash, which come after all that were added: of each key the last one that has a
    /// value, for what says that the key is no more was so before it came back.
    fn add_group(&self, same: &[DeltaRow], segments: &[Vec<u8>], built: &mut PageBuilder) {
        let place = RowPlace::of_hash(same[0].owner);
        if let [only] = same {
            return built.push(place, only.row(segments));
        }
        let mut rows: Vec<_> = same.iter().map(|place| place.row(segments)).collect();
        self.row_type.sort(&mut rows);
        for rows in rows.chunk_by(|one, other| compare(&*self.row_type, one.key, other.key).is_eq()) {
            let value = rows.iter().rfind(|row| row.value.is_some());
            value.or(rows.last()).iter().for_each(|row| built.push(place, **row));
        }
    }

    /// Makes one run of the newest ones from a place on, by a clock that rows expire by. False if they stay
    /// as they are since they could not be read.
    fn merge(
        &self,
        sorted: &mut Sorted,
        (from, clock): (usize, i64),
        early: &mut Option<EagerWriter<'_>>,
    ) -> bool {
        let merged = &sorted.runs[from..];
        let epochs = (merged[0].epochs.0, merged[merged.len() - 1].epochs.1);
        let mut writer = PageWriter::new(self, early, epochs);
        let runs = merged.iter().map(|run| &**run);
        let Ok(mut merge) = Merge::new(&self.row_type, runs, (from == 0, clock), self.build()) else {
            return false;
        };
        loop {
            let mut left = PIECE;
            let done = merge.work(&mut left);
            writer.catch_up(&mut merge.merged.pages);
            match done {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => return false,
            }
        }
        sorted.runs.truncate(from);
        let merged = merge.merged;
        sorted.runs.extend((!merged.pages.is_empty()).then(|| writer.run(merged)));
        true
    }
}

/// So many rows are merged before the pages of them are written: about a page.
const PIECE: usize = 1024;

/// Lets go of the rows of all pages that have been written.
fn release(pages: &mut [Arc<Page>], origin: &Arc<PageSource>) {
    for page in pages.iter_mut().filter(|page| page.is_resident()) {
        if let Some(released) = page.released(origin) {
            *page = Arc::new(released);
        }
    }
}

/// Writes the pages of a run as they are made, and lets go of their rows.
struct PageWriter<'a, 'e> {
    log: &'a DeltaLog,
    early: &'a mut Option<EagerWriter<'e>>,
    epochs: (u64, u64),
    /// So many pages have been written.
    written: usize,
    /// And so many let go.
    released: usize,
}

impl<'a, 'e> PageWriter<'a, 'e> {
    fn new(
        log: &'a DeltaLog,
        early: &'a mut Option<EagerWriter<'e>>,
        epochs: (u64, u64),
    ) -> PageWriter<'a, 'e> {
        PageWriter { log, early, epochs, written: 0, released: 0 }
    }

    /// Sees to the pages that are new.
    fn catch_up(&mut self, pages: &mut [Arc<Page>]) {
        let Some(early) = self.early.as_mut().filter(|_| self.written < pages.len()) else { return };
        for page in pages[self.written..].iter().filter(|page| page.written().get().is_none()) {
            early.write(self.epochs, &outgoing(page, &self.log.row_type));
        }
        self.written = pages.len();
        let Some(origin) = &early.origin else { return };
        let is_written = |page: &&Arc<Page>| page.written().get().is_some();
        let end = self.released + pages[self.released..].iter().take_while(is_written).count();
        release(&mut pages[std::mem::replace(&mut self.released, end)..end], origin);
    }

    /// The run that was built.
    fn run(self, built: PageBuilder) -> Arc<SortedRun> {
        Arc::new(SortedRun::new(self.epochs, built.pages, built.sample))
    }
}

impl DeferredRuns for DeltaLog {
    fn runs(&self, number: u64, mut early: Option<EagerWriter<'_>>) -> Result<BuiltRuns> {
        let (mut sorted, mut put_off) = (lock(&self.sorted), 0);
        while sorted.last < number {
            let next = lock(&self.coming).pop_front();
            let missing = || Error::data("a part of a snapshot was handed over before its state was");
            let mut next = next.ok_or_else(missing)?;
            if let Some(error) = next.failed.take() {
                return Err(error);
            }
            put_off += u64::from(!self.sort(&mut sorted, next, &mut early));
        }
        let runs = sorted.runs.iter().map(|run| run.outgoing(&self.row_type)).collect();
        Ok(BuiltRuns { runs, put_off })
    }

    fn release(&self, origin: &Arc<PageSource>) {
        for run in &mut lock(&self.sorted).runs {
            if run.pages.iter().any(|page| page.is_resident()) {
                let mut pages = run.pages.clone();
                release(&mut pages, origin);
                *run = Arc::new(SortedRun::new(run.epochs, pages, run.sample.clone()));
            }
        }
    }
}
