//! A run: the sorted rows that an interval of epochs has changed, in shared pages.

use std::sync::Arc;

use crate::error::Result;
use crate::snapshot::RunSnapshot;
use crate::snapshot::block::EncodedRow;
use crate::state::lsm::page::{Page, outgoing};
use crate::state::lsm::row_type::{Prefix, RowType};

/// Pages, each of which comes after the one before, and the epochs that they are about.
pub(crate) struct SortedRun {
    /// The first epoch, and the first that it is not about.
    pub(super) epochs: (u64, u64),
    pub(super) pages: Vec<Arc<Page>>,
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
        SortedRun { epochs, len, bytes, pages, sample }
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
        self.pages.partition_point(|page| page.last < from)
    }

    /// The bytes of its pages, in memory and in local files.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Shows the rows of a prefix, which is that of a key with this hash. Reads only blocks that may have
    /// one.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn range(
        &self,
        row_type: &dyn RowType,
        (prefix, hash): (Prefix, u64),
        visit: &mut dyn FnMut(EncodedRow<'_>),
    ) -> Result<()> {
        for page in self.pages[self.first_page(prefix)..].iter().take_while(|page| page.first() <= prefix) {
            if page.may_hold(hash) {
                page.range(row_type, prefix, visit)?;
            }
        }
        Ok(())
    }
}
