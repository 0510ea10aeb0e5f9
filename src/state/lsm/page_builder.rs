//! Pages that are made of rows in their order, in memory or in local files.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use fastbloom::BloomFilter;

use crate::data::hash64;
use crate::snapshot::block::{BLOCK_ROWS, BlockBuilder, EncodedRow, finish_page};
use crate::state::lsm::page::{Body, Fence, Page, Stored};
use crate::state::lsm::row_type::{Prefix, RowPlace, RowType, over};
use crate::state::lsm::sorted_run::Sample;
use crate::state::spill::files::Files;

/// Rows in a full page. Large enough that its costs vanish in the rows', small enough to be written, read or
/// skipped in well under a millisecond.
pub(crate) const PAGE_ROWS: usize = 1024;

/// Bytes in a full page, if its rows are long: in memory, and in a file.
const PAGE_BYTES: (usize, usize) = (256 << 10, 64 << 10);

/// The most rows of a sample. Some hundred of each run tell to a few in a hundred what a merge would drop.
const SAMPLE: usize = 256;

/// No page is longer, of whatever rows it was made: what snapshots can have.
const MAX_PAGE: usize = 512 << 20;

/// Rows and bytes in a full block.
const BLOCK: (usize, usize) = (BLOCK_ROWS, 4 << 10);

/// Pages shorter than this stay in memory: they will be merged soon.
const LEAST: usize = 4 << 10;

/// The share of absent keys that a filter lets pass.
const FALSE_POSITIVES: f64 = 0.01;

/// A run of pages that is being made.
pub(crate) struct PageBuilder {
    /// The pages that are full.
    pub(crate) pages: Vec<Arc<Page>>,
    /// The sample of the run.
    pub(super) sample: Sample,
    row_type: Arc<dyn RowType>,
    /// Where pages go to, if memory is limited.
    files: Option<Rc<Files>>,
    /// True if keys will be looked up.
    is_searched: bool,
    /// So many rows and bytes make a page full.
    full: (usize, usize),
    block: BlockBuilder,
    /// Where a row is encoded before it is added.
    pub(crate) scratch: Vec<u8>,
    bytes: Vec<u8>,
    fences: Vec<Fence>,
    /// The hashes that rows are owned by.
    owners: Vec<u64>,
    last: Prefix,
    over: i64,
}

impl PageBuilder {
    /// A run of rows of a type, in files if there are some.
    pub(crate) fn new(row_type: Arc<dyn RowType>, files: Option<Rc<Files>>) -> PageBuilder {
        let bytes = if files.is_some() { PAGE_BYTES.1 } else { PAGE_BYTES.0 };
        PageBuilder {
            pages: Vec::new(),
            sample: Vec::new(),
            files,
            is_searched: false,
            full: (PAGE_ROWS, bytes),
            block: BlockBuilder::new(row_type.kind()),
            row_type,
            scratch: Vec::new(),
            bytes: Vec::new(),
            fences: Vec::new(),
            owners: Vec::new(),
            last: (0, 0),
            over: i64::MAX,
        }
    }

    /// The same of one page, of as many rows as there are: those of a page that is there already, in another
    /// form.
    pub(crate) fn of_one_page(row_type: Arc<dyn RowType>, files: Option<Rc<Files>>) -> PageBuilder {
        PageBuilder { full: (usize::MAX, usize::MAX), ..PageBuilder::new(row_type, files) }
    }

    /// The same, with filters: keys will be looked up.
    pub(super) fn searched(self) -> PageBuilder {
        PageBuilder { is_searched: true, ..self }
    }

    /// Adds a row that lies at a place.
    #[inline]
    pub(crate) fn push(&mut self, place: RowPlace, row: EncodedRow<'_>) {
        if self.block.rows() == 0 {
            self.fences.push(Fence { first: place.prefix, end: 0 });
        }
        let over = over(self.row_type.is_by_time(), place.prefix, &row);
        if self.sample.len() < SAMPLE && !self.row_type.is_by_time() {
            self.sample.push((place.prefix.0, hash64(row.key), over));
        }
        (self.last, self.over) = (place.prefix, self.over.min(over));
        self.owners.push(place.owner);
        self.block.push(row);
        if self.block.rows() >= BLOCK.0 || self.block.len() >= BLOCK.1 {
            self.finish_block();
            if self.owners.len() >= self.full.0 || self.bytes.len() >= self.full.1.min(MAX_PAGE) {
                self.finish_page();
            }
        }
    }

    /// True if a page can follow that is there already: the sample is complete, and the page before is not
    /// too short.
    pub(super) fn can_share(&self) -> bool {
        let is_sampled = self.sample.len() >= SAMPLE || self.row_type.is_by_time();
        let is_open = self.owners.is_empty()
            || self.owners.len() >= PAGE_ROWS / 2
            || self.bytes.len() >= self.full.1 / 2;
        is_sampled && is_open
    }

    /// Adds a page that is there already.
    pub(super) fn share(&mut self, page: Arc<Page>) {
        self.finish_page();
        self.pages.push(page);
    }

    /// Ends the page.
    pub(crate) fn finish_page(&mut self) {
        self.finish_block();
        if self.owners.is_empty() {
            return;
        }
        let ends: Vec<u32> = self.fences.iter().map(|fence| fence.end).collect();
        finish_page(&mut self.bytes, &ends, self.row_type.kind());
        let owners = self
            .owners
            .iter()
            .fold((u64::MAX, 0), |(least, greatest), owner| (least.min(*owner), greatest.max(*owner)));
        let page = Page {
            rows: self.owners.len(),
            fences: std::mem::take(&mut self.fences),
            last: self.last,
            owners,
            over: std::mem::replace(&mut self.over, i64::MAX),
            filter: self.filter(),
            body: self.body(),
            written: OnceLock::new(),
        };
        self.pages.push(Arc::new(page));
        self.owners.clear();
    }

    /// The bytes of the page, in a file if that is worth it. What cannot be written stays in memory, and ends
    /// the job.
    fn body(&mut self) -> Body {
        let len = self.bytes.len();
        if let Some(files) = self.files.as_ref().filter(|_| len >= LEAST) {
            match files.write(&self.bytes) {
                Ok(extent) => {
                    self.bytes.clear();
                    return Body::File(Stored { extent, len, fail: files.memory.failure() });
                }
                Err(error) => files.memory.fail(files.full(error)),
            }
        }
        // The next page is about as long.
        let mut bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(len + len / 16));
        if bytes.capacity() > len + len / 4 {
            bytes.shrink_to_fit();
        }
        Body::Memory(Arc::new(bytes))
    }

    /// The filter of the page, if keys are looked up in it.
    fn filter(&self) -> Option<BloomFilter> {
        if !self.is_searched || self.row_type.is_by_time() {
            return None;
        }
        let mut filter = BloomFilter::with_false_pos(FALSE_POSITIVES).expected_items(self.owners.len());
        self.owners.iter().for_each(|owner| {
            filter.insert_hash(*owner);
        });
        Some(filter)
    }

    fn finish_block(&mut self) {
        if self.block.rows() > 0 {
            self.block.finish(&mut self.bytes);
            let end = self.bytes.len() as u32;
            self.fences.iter_mut().rev().take(1).for_each(|fence| fence.end = end);
        }
    }
}
