//! What has changed by a cut, encoded and not sorted, in segments that are filled once.
//!
//! A list that grows to millions of rows moves each time that it has doubled, and the last move takes longer
//! than a worker should pause. The memory of the segments is used again.

use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::snapshot::block::EncodedRow;
use crate::state::lsm::segment_pool::{SEGMENT, SegmentPool};
use crate::state::table::segmented_vec::SegmentedVec;

/// Rows in the order in which they were added; of those of a key the last one that has a value counts.
pub(crate) struct Delta {
    /// The epoch that it is the end of.
    pub(super) epoch: u64,
    /// The time that rows expire by.
    pub(super) clock: i64,
    pub(super) rows: SegmentedVec<DeltaRow>,
    segments: Vec<Vec<u8>>,
    /// Where bytes are added. The first segment of a delta grows, for there may be many deltas of a few rows.
    open: Vec<u8>,
    pool: Arc<SegmentPool>,
    /// What could not be encoded.
    pub(super) failed: Option<Error>,
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeltaRow {
    /// The hash that its key is owned by.
    pub(super) owner: u64,
    segment: u32,
    offset: u32,
}

/// What lies before a row: the lengths of its key and of its value, which is this much if it has none, and
/// when it expires.
const HEAD: usize = 16;
const NONE: u32 = u32::MAX;

impl Delta {
    /// The delta of what has changed up to and including an epoch, when the clock that rows expire by has
    /// come to `clock`. Its bytes are copied to segments of `pool` first.
    pub(super) fn new(epoch: u64, clock: i64, pool: &Arc<SegmentPool>) -> Delta {
        Delta {
            epoch,
            clock,
            rows: SegmentedVec::default(),
            segments: Vec::new(),
            open: Vec::new(),
            pool: Arc::clone(pool),
            failed: None,
        }
    }

    /// Adds a row of a key that is owned by a hash. `None` if the key is no more.
    #[inline]
    pub(crate) fn add<K: Serialize, V: Serialize>(&mut self, owner: u64, key: &K, value: Option<(&V, i64)>) {
        self.make_room();
        let offset = self.open.len();
        self.open.extend_from_slice(&[0; HEAD]);
        let result = encode(key, &mut self.open).and_then(|()| {
            let keys = self.open.len();
            value.map_or(Ok(()), |(value, _)| encode(value, &mut self.open)).map(|()| keys)
        });
        self.finish(owner, (offset, result), value.map(|(_, expires)| expires));
    }

    /// The part of [`add`](Delta::add) that is the same for all types.
    fn finish(&mut self, owner: u64, (offset, encoded): (usize, Result<usize>), expires: Option<i64>) {
        let lengths = encoded.and_then(|keys| {
            let len = |len: usize| u32::try_from(len).ok().filter(|len| *len < NONE).ok_or_else(too_long);
            len(self.open.len())?;
            let value = expires.map(|_| len(self.open.len() - keys)).transpose()?;
            Ok((len(keys - offset - HEAD)?, value.unwrap_or(NONE)))
        });
        match lengths {
            Ok((key, value)) => {
                let head = &mut self.open[offset..offset + HEAD];
                head[..4].copy_from_slice(&key.to_le_bytes());
                head[4..8].copy_from_slice(&value.to_le_bytes());
                head[8..].copy_from_slice(&expires.unwrap_or(0).to_le_bytes());
                let segment = self.segments.len() as u32;
                self.rows.push(DeltaRow { owner, segment, offset: offset as u32 });
            }
            Err(error) => {
                self.open.truncate(offset);
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Begins another segment, if this one is full.
    #[inline]
    fn make_room(&mut self) {
        if self.open.len() > SEGMENT - SEGMENT / 16 {
            self.begin_segment();
        }
    }

    #[inline(never)]
    fn begin_segment(&mut self) {
        let next = self.pool.take();
        self.segments.push(std::mem::replace(&mut self.open, next));
    }

    /// The rows, in order of their hashes and then of their arrival, and the bytes that they lie in.
    pub(super) fn sorted(self) -> (Vec<DeltaRow>, Vec<Vec<u8>>) {
        let Delta { rows, mut segments, open, .. } = self;
        segments.push(open);
        let mut rows = rows.into_list();
        rows.sort_unstable();
        (rows, segments)
    }
}

impl DeltaRow {
    /// The row in the bytes of its delta.
    #[inline]
    pub(super) fn row<'a>(&self, segments: &'a [Vec<u8>]) -> EncodedRow<'a> {
        let bytes = &segments[self.segment as usize][self.offset as usize..];
        let (head, bytes) = bytes.split_at(HEAD);
        let number =
            |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
        let (key, value) = (number(0) as usize, number(4));
        let expires = u64::from(number(8)) | u64::from(number(12)) << 32;
        let (key, bytes) = bytes.split_at(key);
        EncodedRow { key, value: (value != NONE).then(|| &bytes[..value as usize]), expires: expires as i64 }
    }
}

/// Appends a value as snapshots have it.
#[inline]
pub(crate) fn encode<T: Serialize>(value: &T, bytes: &mut Vec<u8>) -> Result<()> {
    match postcard::to_extend(value, std::mem::take(bytes)) {
        Ok(longer) => {
            *bytes = longer;
            Ok(())
        }
        Err(error) => Err(cannot(&error)),
    }
}

#[cold]
fn cannot(error: &postcard::Error) -> Error {
    Error::data(format!("state cannot be encoded for a snapshot: {error}; see its type's `Serialize`"))
}

#[cold]
fn too_long() -> Error {
    Error::data("a row of state is longer than 4 GiB: split it")
}
