//! Blocks: some rows as bytes, the unit that is read to find a key.
//!
//! | bytes | what |
//! |---|---|
//! | varint | the number of rows |
//! | varint, varint | the lengths of the heads, and of the keys |
//! | | the heads: for each row the length of its key, that of its value and one, or 0 if it says that the key is no more, and when it expires if rows do |
//! | | the keys, one after the other |
//! | | the values |
//!
//! So what is alike lies together, which lets compression find it. A time is written as twice its distance
//! from 0, or that less one if it lies before, and two more; the two that mean "never" and "not yet known",
//! which are by far the most common, are 0 and 1 by that, since the numbers go round.
//!
//! A page ends with where its blocks end, four bytes for each, their number, and a byte that tells the kind
//! of its rows.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::snapshot::page::varint;

/// The kind of rows of a page: what they are [row by row](crate::snapshot::Codec::Rows).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// A key and a value, one after the other.
    Plain = 0,
    /// A key, whether there is a value, and if so that and when it expires.
    #[default]
    Expiring = 1,
}

/// A row of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncodedRow<'a> {
    pub(crate) key: &'a [u8],
    /// `None` if the key is no more.
    pub(crate) value: Option<&'a [u8]>,
    /// When it expires.
    pub(crate) expires: i64,
}

/// Rows in a full block, if they are short.
pub(crate) const BLOCK_ROWS: usize = 64;

/// A block that is being made.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    kind: RowKind,
    rows: usize,
    heads: Vec<u8>,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl BlockBuilder {
    /// A block of rows of a kind.
    pub(crate) fn new(kind: RowKind) -> BlockBuilder {
        BlockBuilder { kind, ..BlockBuilder::default() }
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes of the rows.
    pub(crate) fn len(&self) -> usize {
        self.heads.len() + self.keys.len() + self.values.len()
    }

    /// Adds a row.
    #[inline]
    pub(crate) fn push(&mut self, row: EncodedRow<'_>) {
        self.rows += 1;
        varint::put(&mut self.heads, row.key.len() as u64);
        varint::put(&mut self.heads, row.value.map_or(0, |value| value.len() as u64 + 1));
        if self.kind == RowKind::Expiring {
            varint::put(&mut self.heads, number_of(row.expires));
        }
        self.keys.extend_from_slice(row.key);
        self.values.extend_from_slice(row.value.unwrap_or_default());
    }

    /// Appends the block, and begins the next one.
    pub(crate) fn finish(&mut self, bytes: &mut Vec<u8>) {
        let BlockBuilder { rows, heads, keys, values, .. } = self;
        for number in [*rows, heads.len(), keys.len()] {
            varint::put(bytes, number as u64);
        }
        *rows = 0;
        for part in [heads, keys, values] {
            bytes.append(part);
        }
    }
}

/// When a row expires that does not.
pub(crate) const NEVER: i64 = i64::MAX;

/// A time as a number that is small for the common ones.
#[inline]
fn number_of(time: i64) -> u64 {
    let distance = (time as u64) << 1;
    (if time < 0 { !distance } else { distance }).wrapping_add(2)
}

/// The time of a number.
#[inline]
fn time_of(number: u64) -> i64 {
    let distance = number.wrapping_sub(2);
    let half = (distance >> 1) as i64;
    if distance & 1 == 0 { half } else { !half }
}

/// Where a row lies in the bytes of its page.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    key: Range<usize>,
    value: Option<Range<usize>>,
    expires: i64,
}

impl Place {
    /// The row there.
    #[inline]
    pub(crate) fn row<'a>(&self, bytes: &'a [u8]) -> EncodedRow<'a> {
        let value = self.value.as_ref().map(|value| &bytes[value.clone()]);
        EncodedRow { key: &bytes[self.key.clone()], value, expires: self.expires }
    }
}

/// The rows of a block that are still to be read: places in the bytes that it lies in.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockReader {
    kind: RowKind,
    left: usize,
    head: usize,
    key: usize,
    value: usize,
    /// Where the heads end, the keys and the values.
    ends: [usize; 3],
}

impl BlockReader {
    /// The rows of the block in a range of bytes.
    ///
    /// # Errors
    ///
    /// If there is no block.
    pub(crate) fn new(bytes: &[u8], range: Range<usize>, kind: RowKind) -> Result<BlockReader> {
        let block = bytes.get(..range.end).ok_or_else(damaged)?;
        let mut place = range.start;
        let mut number = || varint::take_len(block, &mut place).ok_or_else(damaged);
        let (left, heads, keys) = (number()?, number()?, number()?);
        let key = place.checked_add(heads).ok_or_else(damaged)?;
        let value = key.checked_add(keys).filter(|value| *value <= range.end).ok_or_else(damaged)?;
        Ok(BlockReader { kind, left, head: place, key, value, ends: [key, value, range.end] })
    }

    /// The place of the next row, whose bytes are there; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the rows are not what the block says.
    #[inline]
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Option<Place>> {
        if self.left == 0 {
            let is_read = [self.head, self.key, self.value] == self.ends;
            return if is_read { Ok(None) } else { Err(damaged()) };
        }
        self.left -= 1;
        let heads = bytes.get(..self.ends[0]).ok_or_else(damaged)?;
        let mut head = || varint::take(heads, &mut self.head).ok_or_else(damaged);
        let (key, value) = (head()?, head()?);
        let expires = if self.kind == RowKind::Expiring { time_of(head()?) } else { NEVER };
        let key = stretch(&mut self.key, key, self.ends[1])?;
        let value =
            value.checked_sub(1).map(|len| stretch(&mut self.value, len, self.ends[2])).transpose()?;
        Ok(Some(Place { key, value, expires }))
    }
}

/// So many bytes from a place on, which moves behind them.
#[inline]
fn stretch(place: &mut usize, len: u64, end: usize) -> Result<Range<usize>> {
    let start = *place;
    let stop = usize::try_from(len).ok().and_then(|len| start.checked_add(len)).filter(|stop| *stop <= end);
    *place = stop.ok_or_else(damaged)?;
    Ok(start..*place)
}

/// Where the blocks of a page lie, and the kind of their rows.
///
/// # Errors
///
/// If these bytes are no page of blocks.
pub(crate) fn blocks(page: &[u8]) -> Result<(Vec<Range<usize>>, RowKind)> {
    let (rest, kind) = match page.split_last() {
        Some((0, rest)) => (rest, RowKind::Plain),
        Some((1, rest)) => (rest, RowKind::Expiring),
        _ => return Err(damaged()),
    };
    let (rest, count) = rest.split_last_chunk::<4>().ok_or_else(damaged)?;
    let count = u32::from_le_bytes(*count) as usize;
    let ends = count.checked_mul(4).and_then(|len| rest.len().checked_sub(len)).ok_or_else(damaged)?;
    let (blocks, ends) = rest.split_at(ends);
    let (ends, _) = ends.as_chunks::<4>();
    let mut start = 0;
    let range = |end: &[u8; 4]| {
        let end = u32::from_le_bytes(*end) as usize;
        let range = std::mem::replace(&mut start, end)..end;
        if range.is_empty() || range.end > blocks.len() { Err(damaged()) } else { Ok(range) }
    };
    let ranges = ends.iter().map(range).collect::<Result<Vec<_>>>()?;
    if start == blocks.len() { Ok((ranges, kind)) } else { Err(damaged()) }
}

/// Appends where the blocks of a page end, and the kind of their rows.
pub(crate) fn finish_page(bytes: &mut Vec<u8>, ends: &[u32], kind: RowKind) {
    ends.iter().for_each(|end| bytes.extend_from_slice(&end.to_le_bytes()));
    bytes.extend_from_slice(&(ends.len() as u32).to_le_bytes());
    bytes.push(kind as u8);
}

/// The rows of a page as they are encoded [row by row](crate::snapshot::Codec::Rows).
///
/// # Errors
///
/// If these are not as many rows.
pub(crate) fn unpack(page: &[u8], rows: usize) -> Result<Vec<u8>> {
    let (mut unpacked, mut found) = (Vec::with_capacity(page.len()), 0);
    let (ranges, kind) = blocks(page)?;
    for range in ranges {
        let mut reader = BlockReader::new(page, range, kind)?;
        while let Some(place) = reader.next(page)? {
            let row = place.row(page);
            unpacked.extend_from_slice(row.key);
            match row.value {
                _ if kind == RowKind::Plain => unpacked.extend_from_slice(row.value.unwrap_or_default()),
                None => unpacked.push(0),
                Some(value) => {
                    unpacked.push(1);
                    unpacked.extend_from_slice(value);
                    varint::put(&mut unpacked, number_of(row.expires).wrapping_sub(2));
                }
            }
            found += 1;
        }
    }
    if found == rows { Ok(unpacked) } else { Err(damaged()) }
}

/// The error of bytes that are no page of blocks.
pub(crate) fn damaged() -> Error {
    Error::data("a page does not hold blocks of rows: it was written by another codec or is damaged")
}
