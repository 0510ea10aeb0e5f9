//! A page in a file: rows encoded one by one, so that a key is found without decoding the others.
//!
//! First come the ends of the encoded keys and values, then the keys, then the values. To look a key up costs
//! a read of the ends and keys, a binary search that decodes ten of them, and a read of the values that are
//! wanted. A filter of ten bits for each row tells of 99 in 100 keys that are not there that they are not,
//! without any read.

use std::cmp::Ordering;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use fastbloom::BloomFilter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::state::run::page::{Page, Stored};
use crate::state::spill::files::{Extent, Files};

/// What of a page in a file is in memory.
struct StoredPage<K, V> {
    filter: BloomFilter,
    extent: Extent,
    rows: usize,
    /// The length of all keys.
    keys: usize,
    /// The length of all.
    len: usize,
    fail: Arc<dyn Fn(Error) + Send + Sync>,
    row: PhantomData<fn() -> (K, V)>,
}

/// The share of absent keys that a filter lets pass.
const FALSE_POSITIVES: f64 = 0.01;

/// Pages shorter than this stay in memory: they will be merged soon.
const LEAST: usize = 16 << 10;

/// Makes a page of rows, in a file if it is worth it. `hash` tells the hash of a row's key that pages are
/// asked for by.
///
/// What cannot be written stays in memory, and ends the job.
pub(in crate::state) fn store<K, V>(
    files: &Files,
    rows: Vec<(K, V)>,
    hash: impl Fn(&K) -> u64,
) -> (Page<K, V>, usize)
where
    K: Serialize + DeserializeOwned + Clone + 'static,
    V: Serialize + DeserializeOwned + Clone + 'static,
{
    match try_store(files, &rows, hash) {
        Ok((Some(page), len)) => (page, len),
        Ok((None, len)) => (Page::resident(rows), len),
        Err(error) => {
            files.memory.fail(error);
            (Page::resident(rows), LEAST)
        }
    }
}

fn try_store<K, V>(
    files: &Files,
    rows: &[(K, V)],
    hash: impl Fn(&K) -> u64,
) -> Result<(Option<Page<K, V>>, usize), Error>
where
    K: Serialize + DeserializeOwned + Clone + 'static,
    V: Serialize + DeserializeOwned + Clone + 'static,
{
    let Some((last, _)) = rows.last() else { return Ok((None, 0)) };
    let (keys, key_ends) = encode(rows.iter().map(|(key, _)| key))?;
    let (values, value_ends) = encode(rows.iter().map(|(_, value)| value))?;
    let mut bytes = Vec::with_capacity(8 * rows.len() + keys.len() + values.len());
    key_ends.iter().chain(&value_ends).for_each(|end| bytes.extend_from_slice(&end.to_le_bytes()));
    bytes.extend_from_slice(&keys);
    bytes.extend_from_slice(&values);
    if bytes.len() < LEAST {
        return Ok((None, bytes.len()));
    }
    let extent = files.write(&bytes).map_err(|error| files.full(error))?;
    let mut filter = BloomFilter::with_false_pos(FALSE_POSITIVES).expected_items(rows.len());
    rows.iter().for_each(|(key, _)| {
        filter.insert_hash(hash(key));
    });
    let (fail, row) = (files.memory.failure(), PhantomData);
    let stored =
        StoredPage { filter, extent, rows: rows.len(), keys: keys.len(), len: bytes.len(), fail, row };
    Ok((Some(Page::stored(rows.len(), last.clone(), stored)), bytes.len()))
}

/// Encodes some things, and says where each ends.
fn encode<'a, X: Serialize + 'a>(all: impl Iterator<Item = &'a X>) -> Result<(Vec<u8>, Vec<u32>), Error> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for one in all {
        bytes = postcard::to_extend(one, bytes).map_err(|error| {
            Error::new(
                ErrorKind::Data,
                format!("state cannot be encoded: {error}; see its type's `Serialize`"),
            )
        })?;
        let end = u32::try_from(bytes.len());
        ends.push(end.map_err(|_| Error::new(ErrorKind::Data, "a page of state is larger than 4 GiB"))?);
    }
    Ok((bytes, ends))
}

/// The ends of keys and values, and the keys.
struct Head {
    rows: usize,
    bytes: Vec<u8>,
}

impl Head {
    /// The end of the key, or past all keys of the value, of this number.
    fn end(&self, number: usize) -> Option<usize> {
        let bytes = self.bytes.get(4 * number..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }

    fn key<K: DeserializeOwned>(&self, row: usize) -> io::Result<K> {
        let start = if row == 0 { Some(0) } else { self.end(row - 1) };
        decode(&self.bytes, 8 * self.rows, start, self.end(row))
    }

    /// Where the values of so many first rows end.
    fn values(&self, rows: usize) -> Option<usize> {
        if rows == 0 { Some(0) } else { self.end(self.rows + rows - 1) }
    }
}

/// Decodes what lies between `start` and `end`, counted from `origin`.
fn decode<X: DeserializeOwned>(
    bytes: &[u8],
    origin: usize,
    start: Option<usize>,
    end: Option<usize>,
) -> io::Result<X> {
    let bytes = start.zip(end).and_then(|(start, end)| bytes.get(origin + start..origin + end));
    let bytes = bytes.ok_or_else(|| io::Error::other("a page of state has been changed"))?;
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

impl<K: DeserializeOwned, V: DeserializeOwned> StoredPage<K, V> {
    fn try_read(&self) -> io::Result<Vec<(K, V)>> {
        let head = Head { rows: self.rows, bytes: self.extent.read(0, self.len)? };
        let values = 8 * self.rows + self.keys;
        let row = |row| {
            let value = decode(&head.bytes, values, head.values(row), head.values(row + 1))?;
            Ok((head.key(row)?, value))
        };
        (0..self.rows).map(row).collect()
    }

    fn try_range(&self, place: &dyn Fn(&K) -> Ordering, visit: &mut dyn FnMut(K, V)) -> io::Result<()> {
        let head = Head { rows: self.rows, bytes: self.extent.read(0, 8 * self.rows + self.keys)? };
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if place(&head.key(middle)?).is_lt() { low = middle + 1 } else { high = middle }
        }
        let mut keys = Vec::new();
        for row in low..self.rows {
            let key = head.key(row)?;
            if place(&key).is_gt() {
                break;
            }
            keys.push(key);
        }
        let (start, end) = (head.values(low), head.values(low + keys.len()));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(io::Error::other("a page of state has been changed"));
        };
        let values = self.extent.read(8 * self.rows + self.keys + start, end.saturating_sub(start))?;
        for (row, key) in (low..).zip(keys) {
            let within = |end: Option<usize>| end.and_then(|end| end.checked_sub(start));
            visit(key, decode(&values, 0, within(head.values(row)), within(head.values(row + 1)))?);
        }
        Ok(())
    }

    /// Ends the job, if something could not be read.
    fn report<X>(&self, outcome: io::Result<X>) -> Option<X> {
        let lost = |error| (self.fail)(Error::io("cannot read state back from its local directory", error));
        outcome.map_err(lost).ok()
    }
}

impl<K: DeserializeOwned, V: DeserializeOwned> Stored<K, V> for StoredPage<K, V> {
    fn read(&self) -> Vec<(K, V)> {
        self.report(self.try_read()).unwrap_or_default()
    }

    fn may_hold(&self, hash: u64) -> bool {
        self.filter.contains_hash(hash)
    }

    fn range(&self, place: &dyn Fn(&K) -> Ordering, visit: &mut dyn FnMut(K, V)) {
        self.report(self.try_range(place, visit));
    }
}
