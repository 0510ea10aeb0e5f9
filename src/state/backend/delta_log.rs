//! The delta log: the write buffer between a worker and the thread that writes snapshots, of a state that
//! nothing else reads.
//!
//! At each cut the worker appends one delta: copies of the entries that have changed since the last one, and
//! tombstones, unsorted, in a few vectors by ranges of hashes. The thread of snapshots sorts each vector,
//! cuts it into pages, and [compacts](crate::state::backend::compaction) sorted runs: so a state that is only
//! saved costs its worker the copies and nothing else. Deltas are numbered, and the runs *as of* a delta are
//! those that it and the ones before it made: a cut names the number.
//!
//! A page is written as soon as it is made, and its rows are let go as soon as they can be read again: so
//! what is handed over lies in memory twice only while a page is made of it. The memory of the copies is used
//! again, as much of it as two deltas in a row have needed: it stays between snapshots.

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::data::{Exchange, Key};
use crate::error::{Error, Result};
use crate::snapshot::{self, BuiltRuns, DeferredRuns, EagerWriter, PageRef, PageSource};
use crate::state::backend::compaction::{Sample, SavedRun, may_merge, merges_from, sample};
use crate::state::backend::kway_merge::merge_runs;
use crate::state::backend::written_page::{UnreadablePage, evicted_page};
use crate::state::run::builder::RunBuilder;
use crate::state::run::hashed::{Hashed, Owner};
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows, Row};
use crate::state::run::page::Page;
use crate::state::run::persist::outgoing;
use crate::state::run::rows::Rows;
use crate::state::run::sorted_run::PageOf;
use crate::state::table::segmented_vec::{BufferPool, SegmentedVec};

/// Rows that say that something is no more.
pub(crate) type Tombstones<K, S> = BTreeSet<(Hashed<K>, S)>;

/// What has changed by a cut.
pub(crate) struct Delta<K, S, V> {
    /// The epoch that it is the end of.
    pub(in crate::state) epoch: u64,
    /// The time that items expire by.
    pub(in crate::state) clock: i64,
    /// What is no more, unless it is in the segmented vectors.
    pub(in crate::state) tombstones: Tombstones<K, S>,
    /// What there is, in segmented vectors by ranges of hashes. Each item once. A row that has been taken out
    /// is `None`.
    pub(in crate::state) row_parts: Vec<SegmentedVec<Option<Row<K, S, V>>>>,
}

/// The deltas of one state, and the runs that were made of them.
pub(crate) struct DeltaLog<K: Key, S: Key, V: Exchange> {
    owner: Owner<K>,
    /// Deltas that nobody has taken yet. They are numbered from 1 on, and only the worker appends.
    coming: Mutex<VecDeque<Delta<K, S, V>>>,
    sorted: Mutex<Sorted<K, S, V>>,
    /// Segments that deltas are copied to.
    pub(in crate::state) buffers: Arc<BufferPool<Option<Row<K, S, V>>>>,
    /// Set when something that is merged could not be read.
    lost: UnreadablePage,
}

/// Runs, oldest first, and the number of the last delta that is in them.
struct Sorted<K: Key, S: Key, V: Exchange> {
    last: u64,
    runs: Vec<SavedRun<K, S, V>>,
    /// How often merging has failed since it was done last, and the delta that it is tried again at.
    patience: (u32, u64),
    /// How many large segments the last delta had.
    free_segments: usize,
}

/// A merge that has failed time after time is tried at every n-th delta, as a power of two.
const MOST_PATIENCE: u32 = 3;

impl<K: Key, S: Key, V: Exchange> DeltaLog<K, S, V> {
    pub(crate) fn new(owner: Owner<K>) -> DeltaLog<K, S, V> {
        let sorted = Mutex::new(Sorted { last: 0, runs: Vec::new(), patience: (0, 0), free_segments: 0 });
        DeltaLog {
            owner,
            coming: Mutex::default(),
            sorted,
            buffers: Arc::default(),
            lost: UnreadablePage::default(),
        }
    }

    /// Takes in a run that comes from another snapshot, after all others.
    pub(in crate::state) fn adopt(&self, pages: Vec<PageOf<ItemRows<K, S, V>>>, sample: Sample<K, S>) {
        lock(&self.sorted).runs.push(SavedRun::new((0, 0), pages, sample));
    }

    /// A page of another snapshot, which can be read again: see [`evicted_page`].
    pub(in crate::state) fn released(
        &self,
        rows: (usize, (Hashed<K>, S)),
        origin: &Arc<PageSource>,
        place: PageRef,
    ) -> PageOf<ItemRows<K, S, V>> {
        Arc::new(evicted_page(rows, (origin, place), self.owner, &self.lost))
    }

    /// Leaves the next delta.
    pub(in crate::state) fn append(&self, delta: Delta<K, S, V>) {
        lock(&self.coming).push_back(delta);
    }

    /// A page that can be read again from where it was written, if that is known and it has rows.
    fn let_go(
        &self,
        page: &Page<(Hashed<K>, S), ItemOrTombstone<V>>,
        origin: &Arc<PageSource>,
    ) -> Option<PageOf<ItemRows<K, S, V>>> {
        match (page.written().get(), page.rows()) {
            (Some(place), Some([.., (last, _)])) => {
                Some(self.released((page.len(), last.clone()), origin, place.clone()))
            }
            _ => None,
        }
    }

    /// Makes a run of the next delta. False if something could not be merged since it could not be read.
    fn sort(
        &self,
        sorted: &mut Sorted<K, S, V>,
        delta: Delta<K, S, V>,
        early: &mut Option<EagerWriter<'_>>,
    ) -> bool {
        let Delta { epoch, clock, tombstones, row_parts } = delta;
        let rows = ItemRows::new(self.owner);
        rows.reach(clock);
        let from = sorted.runs.last().map_or(0, |run| run.epochs.1);
        let mut page_writer = PageWriter::new(self, early, (from, epoch + 1));
        let most = tombstones.len() + row_parts.iter().map(SegmentedVec::len).sum::<usize>();
        let is_merged = may_merge(&sorted.runs, most);
        let tombstones = tombstones.into_iter().map(|row| (row, None)).collect();
        let mut built = RunBuilder::new(rows.clone(), tombstones);
        let mut free_segments = 0;
        for segments in row_parts {
            free_segments += self.buffers.give_back(build_rows(segments, &mut built));
            if !is_merged {
                page_writer.catch_up(&mut built.pages);
            }
        }
        self.buffers.keep(free_segments.min(sorted.free_segments));
        sorted.free_segments = free_segments;
        let mut pages = built.finish();
        sorted.last += 1;
        if pages.is_empty() {
            return true;
        }
        if !is_merged {
            page_writer.catch_up(&mut pages);
        }
        sorted.runs.push(page_writer.segment(pages));
        let merges = merges_from(&sorted.runs, clock).filter(|_| sorted.last >= sorted.patience.1);
        if let Some(from) = merges
            && self.merge(sorted, from, &rows, early)
        {
            sorted.patience = (0, 0);
            return true;
        }
        if let (true, Some(newest)) = (is_merged, sorted.runs.last_mut()) {
            PageWriter::new(self, early, newest.epochs).catch_up(&mut newest.pages);
        }
        if merges.is_some() {
            let times = (sorted.patience.0 + 1).min(MOST_PATIENCE);
            sorted.patience = (times, sorted.last + (1 << times));
        }
        merges.is_none()
    }

    /// Makes one run of the newest ones from a place on. False if they stay as they are since they could not
    /// be read.
    fn merge(
        &self,
        sorted: &mut Sorted<K, S, V>,
        from: usize,
        rows: &ItemRows<K, S, V>,
        early: &mut Option<EagerWriter<'_>>,
    ) -> bool {
        let merged = &sorted.runs[from..];
        let epochs = (merged[0].epochs.0, merged[merged.len() - 1].epochs.1);
        let mut page_writer = PageWriter::new(self, early, epochs);
        let pages = merged.iter().map(|run| run.pages.clone()).collect();
        let pages = merge_runs(rows, pages, from == 0, |pages| {
            let goes_on = !self.lost.is_set();
            if goes_on {
                page_writer.catch_up(pages);
            }
            goes_on
        });
        if self.lost.take() {
            return false;
        }
        sorted.runs.truncate(from);
        sorted.runs.extend((!pages.is_empty()).then(|| page_writer.segment(pages)));
        true
    }
}

/// Writes the pages of a run as they are made, and lets go of their rows.
struct PageWriter<'a, 'e, K: Key, S: Key, V: Exchange> {
    log: &'a DeltaLog<K, S, V>,
    early: &'a mut Option<EagerWriter<'e>>,
    epochs: (u64, u64),
    /// So many pages have been written.
    written: usize,
    /// And so many let go.
    tombstones: usize,
    sample: Sample<K, S>,
}

impl<'a, 'e, K: Key, S: Key, V: Exchange> PageWriter<'a, 'e, K, S, V> {
    fn new(
        log: &'a DeltaLog<K, S, V>,
        early: &'a mut Option<EagerWriter<'e>>,
        epochs: (u64, u64),
    ) -> PageWriter<'a, 'e, K, S, V> {
        PageWriter { log, early, epochs, written: 0, tombstones: 0, sample: Vec::new() }
    }

    /// Sees to the pages that are new.
    fn catch_up(&mut self, pages: &mut [PageOf<ItemRows<K, S, V>>]) {
        self.look_at(pages);
        let Some(early) = self.early else { return };
        for page in pages[self.written..].iter().filter(|page| page.written().get().is_none()) {
            early.write(self.epochs, &outgoing::<ItemRows<K, S, V>>(page));
        }
        self.written = pages.len();
        let Some(origin) = &early.origin else { return };
        while let Some(page) = pages.get_mut(self.tombstones)
            && page.written().get().is_some()
        {
            if let Some(released) = self.log.let_go(page, origin) {
                *page = released;
            }
            self.tombstones += 1;
        }
    }

    /// Takes the sample of the first page, while its rows are there.
    fn look_at(&mut self, pages: &[PageOf<ItemRows<K, S, V>>]) {
        if let (true, Some(first)) = (self.sample.is_empty(), pages.first()) {
            self.sample = first.rows().map_or_else(|| sample(&first.read()), sample);
        }
    }

    /// The run of these pages.
    fn segment(mut self, pages: Vec<PageOf<ItemRows<K, S, V>>>) -> SavedRun<K, S, V> {
        self.look_at(&pages);
        SavedRun::new(self.epochs, pages, self.sample)
    }
}

/// About so many rows are fetched before they are moved.
const AHEAD: usize = 256;

/// Adds the rows of a segmented vector, which come after all that were added, in order of their hashes:
/// numbers are sorted and not rows, and each row moves once. Gives the segments, of nothing.
fn build_rows<K: Key, S: Key, V: Exchange>(
    segments: SegmentedVec<Option<Row<K, S, V>>>,
    built: &mut RunBuilder<ItemRows<K, S, V>>,
) -> Vec<Vec<Option<Row<K, S, V>>>> {
    let mut places: Vec<(u64, u32, u32)> = Vec::with_capacity(segments.len());
    let mut free_segments = segments.into_segments();
    for (segment, number) in free_segments.iter().zip(0..) {
        let rows = segment.iter().flatten().zip(0..);
        places.extend(rows.map(|(((key, _), _), place)| (key.hash, number, place)));
    }
    places.sort_unstable();
    let mut rest = &places[..];
    while let Some((last, _, _)) = rest.get(AHEAD.min(rest.len()).wrapping_sub(1)) {
        let (some, later) = rest.split_at(rest.partition_point(|(hash, _, _)| hash <= last));
        // The loads of a loop with nothing else in it do not wait for each other.
        black_box(
            some.iter()
                .filter(|(_, segment, place)| free_segments[*segment as usize][*place as usize].is_some())
                .count(),
        );
        for same in some.chunk_by(|one, other| one.0 == other.0) {
            let rows = same
                .iter()
                .filter_map(|(_, segment, place)| free_segments[*segment as usize][*place as usize].take());
            built.group(|group| group.extend(rows));
        }
        rest = later;
    }
    free_segments
}

impl<K: Key, S: Key, V: Exchange> DeferredRuns for DeltaLog<K, S, V> {
    fn runs(&self, number: u64, mut early: Option<EagerWriter<'_>>) -> Result<BuiltRuns> {
        let (mut sorted, mut put_off) = (lock(&self.sorted), 0);
        while sorted.last < number {
            let next = lock(&self.coming).pop_front();
            let missing = || Error::data("a part of a snapshot was handed over before its state was");
            put_off += u64::from(!self.sort(&mut sorted, next.ok_or_else(missing)?, &mut early));
        }
        let run = |run: &SavedRun<K, S, V>| snapshot::RunSnapshot {
            epochs: run.epochs,
            pages: run.pages.iter().map(outgoing::<ItemRows<K, S, V>>).collect(),
        };
        Ok(BuiltRuns { runs: sorted.runs.iter().map(run).collect(), put_off })
    }

    fn release(&self, origin: &Arc<PageSource>) {
        let mut sorted = lock(&self.sorted);
        for page in sorted.runs.iter_mut().flat_map(|run| &mut run.pages) {
            if let Some(released) = self.let_go(page, origin) {
                *page = released;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
