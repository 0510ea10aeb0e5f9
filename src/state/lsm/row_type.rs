//! What must be asked of the types of rows that are there as bytes.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::snapshot::Codec;
use crate::snapshot::block::{EncodedRow, RowKind};
use crate::state::lsm::expiry::{NEVER, UNBEGUN};

/// Two numbers that are made of a key, in whose order rows lie first.
///
/// For most tables the first is the hash that a key is owned by: then it tells two keys apart with next to no
/// exceptions, and what a worker owns of a table is one stretch of it. For tables in order of time it is
/// that.
pub(crate) type Prefix = (u64, u64);

/// The prefix of rows that lie in order of the hash that they are owned by.
#[inline]
pub(crate) fn prefix_of_hash(hash: u64) -> Prefix {
    (hash, 0)
}

/// A time as the first number of a prefix.
#[inline]
pub(crate) fn prefix_of_time(time: i64) -> u64 {
    time as u64 ^ 1 << 63
}

/// The time that is the first number of a prefix.
#[inline]
fn time_of_prefix((time, _): Prefix) -> i64 {
    (time ^ 1 << 63) as i64
}

/// Where a row lies, and who owns it. Rows of one prefix lie in order of the hashes that they are owned by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    pub(crate) prefix: Prefix,
    /// The hash that its key is owned by.
    pub(crate) owner: u64,
}

impl RowPlace {
    /// Where the rows lie of a key that is owned by a hash, in tables in order of that.
    #[inline]
    pub(crate) fn of_hash(hash: u64) -> RowPlace {
        RowPlace { prefix: prefix_of_hash(hash), owner: hash }
    }
}

/// The types of the rows of a table. Rows of one place lie in the order of their keys.
pub(crate) trait RowType: Send + Sync {
    /// What rows have.
    fn kind(&self) -> RowKind;

    /// True if rows lie in order of a time, and are over when it has been reached.
    fn is_by_time(&self) -> bool;

    /// Where the row of a key lies.
    fn place(&self, key: &[u8]) -> RowPlace;

    /// The order of two keys of one place. Keys may be equal that are not encoded alike.
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering;

    /// Sorts rows of one place by their keys; those of one key stay in the order in which they are.
    fn sort(&self, rows: &mut [EncodedRow<'_>]);

    /// True if the rows of a key add up; if not, the newest counts.
    fn adds_up(&self) -> bool;

    /// Adds a later value of a key to an earlier one. False if nothing is left then.
    ///
    /// # Errors
    ///
    /// If these are not such values.
    fn add(&self, earlier: &mut Vec<u8>, later: &[u8]) -> Result<bool>;

    /// Blocks of rows that were encoded by another codec.
    ///
    /// # Errors
    ///
    /// If these are not such rows, or the program was built without the codec.
    fn blocks(&self, page: Encoded<'_>) -> Result<Arc<Vec<u8>>>;

    /// Rows that are encoded [row by row](Codec::Rows), encoded by a codec.
    ///
    /// # Errors
    ///
    /// If the codec cannot encode them, or the program was built without it.
    fn encode(&self, page: Encoded<'_>, codec: Codec) -> Result<Vec<u8>>;
}

/// The first time at which a row is over, which says nothing any more then.
#[inline]
pub(super) fn over(is_by_time: bool, prefix: Prefix, row: &EncodedRow<'_>) -> i64 {
    match row.expires {
        _ if is_by_time => time_of_prefix(prefix),
        _ if row.value.is_none() => i64::MIN,
        NEVER | UNBEGUN => NEVER,
        expires => expires,
    }
}

/// The order of two keys of one place.
#[inline]
pub(super) fn compare(row_type: &dyn RowType, one: &[u8], other: &[u8]) -> Ordering {
    if one == other { Ordering::Equal } else { row_type.compare(one, other) }
}

/// A page as a codec wrote it.
#[derive(Clone, Copy)]
pub(crate) struct Encoded<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) rows: usize,
    pub(crate) codec: Codec,
}

impl Encoded<'_> {
    /// Its rows.
    pub(crate) fn rows<T: DeserializeOwned + 'static>(self) -> Result<Vec<T>> {
        self.codec.decode(self.bytes, self.rows)
    }
}
