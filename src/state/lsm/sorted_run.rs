//! A run: the sorted rows that an interval of epochs has changed, in shared pages.

use std::sync::Arc;

use crate::snapshot::RunSnapshot;
use crate::state::lsm::page::{Page, outgoing};
use crate::state::lsm::row_type::{Prefix, RowPlace, RowType};

/// Pages, each of which comes after the one before, and the epochs that they are about.
pub(crate) struct SortedRun {
    /// The first epoch, and the first that it is not about.
    pub(super) epochs: (u64, u64),
    pub(super) pages: Vec<Arc<Page>>,
    /// The prefixes of the first and the last row of each page, side by side: a search among them stays in a
    /// few lines of the caches, where one among pages would wait for memory at each step.
    pub(super) bounds: Vec<(Prefix, Prefix)>,
    pub(super) len: usize,
    pub(super) bytes: usize,
    pub(super) sample: Sample,
}

/// Of the first rows of a run, some hundred at most, in order of hashes, the prefixes and hashes of their
/// keys, and when they are over. None of a run in order of time.
pub(super) type Sample = Vec<(u64, u64, i64)>;

impl SortedRun {
    /// A run of pages with a sample of the first rows.
    pub(super) fn new(epochs: (u64, u64), pages: Vec<Arc<Page>>, sample: Sample) -> SortedRun {
        let len = pages.iter().map(|page| page.len()).sum();
        let bytes = pages.iter().map(|page| page.stored_bytes()).sum();
        let bounds = pages.iter().map(|page| (page.first(), page.last)).collect();
        SortedRun { epochs, len, bytes, pages, bounds, sample }
    }

    /// The run as snapshots see it.
    pub(super) fn outgoing(&self, row_type: &Arc<dyn RowType>) -> RunSnapshot {
        let pages = self.pages.iter().map(|page| outgoing(page, row_type));
        RunSnapshot { epochs: self.epochs, pages: pages.collect() }
    }

    /// The pages, in order.
    pub(crate) fn pages(&self) -> &[Arc<Page>] {
        &self.pages
    }

    /// The number of the first page that may have a row of this prefix or a later one.
    pub(crate) fn first_page(&self, from: Prefix) -> usize {
        self.bounds.partition_point(|(_, last)| *last < from)
    }

    /// The bytes of its pages, in memory and in local files.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The pages of some runs that may have rows at a place, in the order of the runs.
///
/// A step for all runs and then the next one: so the processor waits for several of them at once.
pub(crate) fn pages_at<'r>(runs: impl Iterator<Item = &'r SortedRun>, place: RowPlace) -> Vec<&'r Page> {
    let RowPlace { prefix, owner } = place;
    let mut pages = Vec::new();
    for run in runs {
        let from = run.first_page(prefix);
        let here = run.bounds[from..].iter().take_while(|(first, _)| *first <= prefix).count();
        pages.extend(run.pages[from..from + here].iter().map(|page| &**page));
    }
    pages.retain(|page| page.may_hold(owner));
    pages
}
