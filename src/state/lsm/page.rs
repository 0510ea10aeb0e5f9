//! A page: blocks of sorted rows that never change, in memory, in a local file, or where a snapshot has them.
//!
//! Pages are what runs share, what a state that is held on to is, and what is read when state is larger than
//! memory. What is known of a page without reading it is where its blocks begin and end, and a few numbers.
//! So it can be passed over, or shared by a merge, wherever its rows lie; and to find a key in it is to read
//! one block. Where keys are looked up, a filter of ten bits for each row tells of 99 in 100 keys that are
//! not there that they are not.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use fastbloom::BloomFilter;

use crate::error::{Error, Result};
use crate::snapshot::block::{self, BlockReader, EncodedRow, Place, RowKind};
use crate::snapshot::{Codec, PageRef, PageSource, SavedPage};
use crate::state::lsm::row_type::{Encoded, Prefix, RowType};
use crate::state::spill::files::Extent;

/// Sorted rows with distinct keys, at least one.
pub(crate) struct Page {
    pub(super) rows: usize,
    pub(super) fences: Vec<Fence>,
    /// The prefix of the last row.
    pub(super) last: Prefix,
    /// The least and the greatest hash that a row is owned by.
    pub(super) owners: (u64, u64),
    /// The first time at which a row of it is over.
    pub(super) over: i64,
    pub(super) body: Body,
    /// Tells of most hashes of which there is no key that there is none, if keys are looked up.
    pub(super) filter: Option<BloomFilter>,
    /// Where a snapshot has it.
    pub(super) written: OnceLock<PageRef>,
}

/// What is known of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence {
    /// The prefix of the first row.
    pub(super) first: Prefix,
    /// Where it ends in the bytes of its page.
    pub(super) end: u32,
}

/// Where the rows of a page lie.
pub(super) enum Body {
    Memory(Arc<Vec<u8>>),
    File(Stored),
    /// Where it was written.
    Snapshot(Arc<PageSource>),
}

/// A page in a file. What cannot be read is an error, and ends the job.
pub(super) struct Stored {
    pub(super) extent: Extent,
    pub(super) len: usize,
    pub(super) fail: Arc<dyn Fn(Error) + Send + Sync>,
}

impl Page {
    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Where a snapshot has it, once it has been written to one.
    pub(crate) fn written(&self) -> &OnceLock<PageRef> {
        &self.written
    }

    /// The same page, whose rows are not in memory but read from `origin`. `None` if it has not been written.
    pub(crate) fn released(&self, origin: &Arc<PageSource>) -> Option<Page> {
        let written = OnceLock::from(self.written.get()?.clone());
        let Page { rows, last, owners, over, .. } = *self;
        // It is read as a whole.
        let fences = self.fences.first().copied().into_iter().collect();
        let body = Body::Snapshot(Arc::clone(origin));
        Some(Page { rows, fences, last, owners, over, body, filter: None, written })
    }

    /// The bytes of its blocks, if they are in memory.
    pub(crate) fn resident(&self) -> Option<&Arc<Vec<u8>>> {
        match &self.body {
            Body::Memory(bytes) => Some(bytes),
            Body::File(_) | Body::Snapshot(_) => None,
        }
    }

    /// True if its rows are in memory.
    pub(crate) fn is_resident(&self) -> bool {
        self.resident().is_some()
    }

    /// The prefix of the first row.
    pub(super) fn first(&self) -> Prefix {
        self.fences.first().map_or((0, 0), |fence| fence.first)
    }

    /// The bytes of its blocks.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    fn bytes(&self, row_type: &dyn RowType) -> Result<Arc<Vec<u8>>> {
        match (&self.body, self.written.get()) {
            (Body::Memory(bytes), _) => Ok(Arc::clone(bytes)),
            (Body::File(stored), _) => stored.read(0..stored.len).map(Arc::new),
            (Body::Snapshot(origin), Some(place)) => {
                let (bytes, codec) = origin.page(place)?;
                if codec == Codec::Blocks {
                    return Ok(Arc::new(bytes));
                }
                let encoded = Encoded { bytes: &bytes, rows: self.rows, codec };
                row_type.blocks(encoded)
            }
            (Body::Snapshot(_), None) => Err(block::damaged()),
        }
    }

    /// Reads its rows. Of a page in a file one block is in memory at a time.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn read(self: &Arc<Page>, row_type: &dyn RowType) -> Result<PageReader> {
        PageReader::from_block(self, row_type, 0)
    }

    /// The same, from the first block on that may have a row of this prefix, or a later one.
    pub(crate) fn read_from(self: &Arc<Page>, row_type: &dyn RowType, prefix: Prefix) -> Result<PageReader> {
        let before = self.fences.partition_point(|fence| fence.first < prefix).saturating_sub(1);
        PageReader::from_block(self, row_type, before)
    }

    /// Where a block lies in the bytes of its page, by its number.
    fn block(&self, number: usize) -> Option<Range<usize>> {
        let end = self.fences.get(number)?.end as usize;
        let before = number.checked_sub(1).and_then(|before| self.fences.get(before));
        Some(before.map_or(0, |fence| fence.end as usize)..end)
    }

    /// False if no key of this hash is there, as far as that is known without reading.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.contains_hash(hash))
    }

    /// The bytes of its blocks, in memory or in a local file.
    pub(super) fn stored_bytes(&self) -> usize {
        match &self.body {
            Body::Memory(bytes) => bytes.len(),
            Body::File(stored) => stored.len,
            Body::Snapshot(_) => 0,
        }
    }

    /// Shows the rows of a prefix. Reads the blocks that may have one.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn range(
        &self,
        row_type: &dyn RowType,
        prefix: Prefix,
        visit: &mut dyn FnMut(EncodedRow<'_>),
    ) -> Result<()> {
        let before = self.fences.partition_point(|fence| fence.first < prefix).saturating_sub(1);
        for (number, fence) in self.fences.iter().enumerate().skip(before) {
            if fence.first > prefix {
                break;
            }
            let range = self.block(number).unwrap_or_default();
            match &self.body {
                Body::Memory(bytes) => {
                    let block = bytes.get(range).ok_or_else(block::damaged)?;
                    range_of_block(block, row_type, prefix, visit)?;
                }
                Body::File(stored) => range_of_block(&stored.read(range)?, row_type, prefix, visit)?,
                // A state whose pages are let go is not searched.
                Body::Snapshot(_) => {}
            }
        }
        Ok(())
    }
}

impl Stored {
    /// Reads bytes of the page. What cannot be read ends the job.
    fn read(&self, range: Range<usize>) -> Result<Vec<u8>> {
        self.extent.read(range.start, range.len()).map_err(|error| {
            (self.fail)(Error::io("cannot read state back from its local directory", error));
            block::damaged()
        })
    }
}

/// Shows the rows of a prefix in a block.
fn range_of_block(
    bytes: &[u8],
    row_type: &dyn RowType,
    prefix: Prefix,
    visit: &mut dyn FnMut(EncodedRow<'_>),
) -> Result<()> {
    let mut reader = BlockReader::new(bytes, 0..bytes.len(), row_type.kind())?;
    let mut places = Vec::with_capacity(block::BLOCK_ROWS);
    while let Some(place) = reader.next(bytes)? {
        places.push(place);
    }
    let prefix_of = |place: &Place| row_type.place(place.row(bytes).key).prefix;
    let first = places.partition_point(|place| prefix_of(place) < prefix);
    places[first..]
        .iter()
        .take_while(|place| prefix_of(place) == prefix)
        .for_each(|place| visit(place.row(bytes)));
    Ok(())
}

/// The rows of a page that are still to be read.
pub(crate) struct PageReader {
    /// The page, if its blocks are read one by one.
    page: Option<Arc<Page>>,
    /// The bytes of all blocks, or of the one at hand.
    bytes: Arc<Vec<u8>>,
    blocks: Blocks,
    kind: RowKind,
    block: BlockReader,
    place: Option<Place>,
}

/// Where the blocks lie that come next.
type Blocks = std::vec::IntoIter<Range<usize>>;

impl PageReader {
    /// The rows of a page from a block on; the first one is at hand.
    fn from_block(page: &Arc<Page>, row_type: &dyn RowType, number: usize) -> Result<PageReader> {
        let (page, bytes, blocks) = match &page.body {
            Body::File(_) => {
                let blocks = (number..page.fences.len()).filter_map(|number| page.block(number));
                (Some(Arc::clone(page)), Arc::default(), blocks.collect::<Vec<_>>())
            }
            Body::Memory(_) | Body::Snapshot(_) => {
                let bytes = page.bytes(row_type)?;
                let mut blocks = block::blocks(&bytes)?.0;
                blocks.drain(..number.min(blocks.len()));
                (None, bytes, blocks)
            }
        };
        let (blocks, kind, block) = (blocks.into_iter(), row_type.kind(), BlockReader::default());
        let mut reader = PageReader { page, bytes, blocks, kind, block, place: None };
        reader.step()?;
        Ok(reader)
    }

    /// The row at hand; `None` after the last one.
    #[inline]
    pub(crate) fn row(&self) -> Option<EncodedRow<'_>> {
        self.place.as_ref().map(|place| place.row(&self.bytes))
    }

    /// Goes on to the next row.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<()> {
        self.place = self.block.next(&self.bytes)?;
        while self.place.is_none()
            && let Some(next) = self.blocks.next()
        {
            self.begin(next)?;
            self.place = self.block.next(&self.bytes)?;
        }
        Ok(())
    }

    /// Begins a block.
    fn begin(&mut self, block: Range<usize>) -> Result<()> {
        let mut block = block;
        if let Some(Body::File(stored)) = self.page.as_ref().map(|page| &page.body) {
            let bytes = stored.read(block)?;
            (block, self.bytes) = (0..bytes.len(), Arc::new(bytes));
        }
        self.block = BlockReader::new(&self.bytes, block, self.kind)?;
        Ok(())
    }
}

/// A page that is to be written.
struct Outgoing {
    page: Arc<Page>,
    row_type: Arc<dyn RowType>,
}

/// A page as snapshots see it.
pub(super) fn outgoing(page: &Arc<Page>, row_type: &Arc<dyn RowType>) -> Arc<dyn SavedPage> {
    Arc::new(Outgoing { page: Arc::clone(page), row_type: Arc::clone(row_type) })
}

impl SavedPage for Outgoing {
    fn rows(&self) -> usize {
        self.page.rows
    }

    fn hashes(&self) -> (u64, u64) {
        self.page.owners
    }

    fn encode(&self, codec: Codec) -> Result<Cow<'_, [u8]>> {
        let rows = self.page.rows;
        let bytes = match self.page.resident() {
            Some(bytes) => Cow::Borrowed(&bytes[..]),
            None => Cow::Owned(self.page.bytes(&*self.row_type)?.to_vec()),
        };
        Ok(match codec {
            Codec::Blocks => bytes,
            Codec::Rows => block::unpack(&bytes, rows)?.into(),
            codec => {
                let bytes = block::unpack(&bytes, rows)?;
                self.row_type.encode(Encoded { bytes: &bytes, rows, codec: Codec::Rows }, codec)?.into()
            }
        })
    }

    fn written(&self) -> &OnceLock<PageRef> {
        &self.page.written
    }
}
