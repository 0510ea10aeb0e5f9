//! What rows of a table are: their types, the order in which they lie, what several of one key mean, and how
//! they become bytes.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::{Exchange, sort_by};
use crate::error::{Error, Result};
use crate::snapshot::block::{self, EncodedRow, RowKind};
use crate::snapshot::{Codec, Schema};
use crate::state::lsm::delta::encode;
use crate::state::lsm::expiry::NEVER;
use crate::state::lsm::page_builder::PageBuilder;
use crate::state::lsm::row_type::{Encoded, Prefix, RowPlace, RowType, prefix_of_hash};

/// The kind of rows of which the newest of a key counts: the first word of their schema.
pub(crate) const LATEST: &str = "latest";

/// The kind of rows of a key that are added up.
pub(crate) const SUMS: &str = "sums";

/// Rows of a table.
///
/// A row is saved as a tuple of what it is made of. The first of these are its key, the others its value; so
/// a row is the bytes of its key and those of its value.
pub(crate) trait Rows: Clone + Send + Sync + 'static {
    type Key: Ord + Clone + Send + Sync + 'static;
    type Value: Clone + Send + Sync + Serialize + DeserializeOwned + 'static;

    /// What of a row may once have been of another type. The rest says where it lies.
    type Part: Exchange;

    /// True if the part says where a row lies, too.
    const ORDERED_BY_PART: bool = false;

    /// False if each worker has all rows.
    const BY_KEY: bool = true;

    /// True if rows lie in order of a time, and are over when it has been reached.
    const BY_TIME: bool = false;

    /// True if the rows of a key add up; if not, the newest counts.
    const ADDS_UP: bool = false;

    /// What rows have.
    const KIND: RowKind = RowKind::Plain;

    /// What rows are made of that have this type for their part.
    fn schema_of<P: DeserializeOwned + 'static>() -> Schema;

    /// What the rows are made of.
    fn schema() -> Schema {
        Self::schema_of::<Self::Part>()
    }

    /// The hash that a row's key is owned by.
    fn owner(key: &Self::Key) -> u64;

    /// What comes first in the order of keys.
    fn prefix(key: &Self::Key) -> Prefix {
        prefix_of_hash(Self::owner(key))
    }

    /// Where the row of a key lies.
    fn place(key: &Self::Key) -> RowPlace {
        RowPlace { prefix: Self::prefix(key), owner: Self::owner(key) }
    }

    /// Joins a later value of a key to an earlier one.
    fn absorb(&self, earlier: &mut Self::Value, later: &Self::Value) {
        earlier.clone_from(later);
    }

    /// True if a sum says nothing.
    fn is_zero(_: &Self::Value) -> bool {
        false
    }

    /// Appends a key.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded.
    fn encode_key(&self, key: &Self::Key, bytes: &mut Vec<u8>) -> Result<()>;

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// If these bytes are none.
    fn decode_key(&self, bytes: &[u8]) -> Result<Self::Key>;

    /// Appends a value, and says when it expires. `None` if it says that the key is no more.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded.
    fn encode_value(&self, value: &Self::Value, bytes: &mut Vec<u8>) -> Result<Option<i64>> {
        encode(value, bytes).map(|()| Some(NEVER))
    }

    /// Reads the value of a row.
    ///
    /// # Errors
    ///
    /// If its bytes are none.
    fn decode_value(&self, row: EncodedRow<'_>) -> Result<Self::Value> {
        decode(row.value.unwrap_or_default())
    }

    /// The rows as a codec has them.
    fn encode(rows: &[(Self::Key, Self::Value)], codec: Codec) -> Result<Vec<u8>>;

    /// So many rows out of bytes, whose parts are read as `P`s, of which `own` makes what they are.
    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> Self::Part,
    ) -> Result<Vec<(Self::Key, Self::Value)>>;

    /// So many rows out of bytes.
    fn decode(&self, page: Encoded<'_>) -> Result<Vec<(Self::Key, Self::Value)>> {
        self.decode_of::<Self::Part>(page, |part| part)
    }

    /// A row out of bytes.
    fn decode_row(&self, row: EncodedRow<'_>) -> Result<(Self::Key, Self::Value)> {
        Ok((self.decode_key(row.key)?, self.decode_value(row)?))
    }
}

impl<R: Rows> RowType for R {
    fn kind(&self) -> RowKind {
        R::KIND
    }

    fn is_by_time(&self) -> bool {
        R::BY_TIME
    }

    fn place(&self, key: &[u8]) -> RowPlace {
        // A checksum has been looked at before, so these are such keys.
        self.decode_key(key).map_or_else(|_| RowPlace::default(), |key| R::place(&key))
    }

    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering {
        let decoded = |key| self.decode_key(key).ok();
        decoded(one).cmp(&decoded(other))
    }

    fn sort(&self, rows: &mut [EncodedRow<'_>]) {
        // Each key is decoded once, and not at each comparison.
        let mut sorted: Vec<_> = rows.iter().map(|row| (self.decode_key(row.key).ok(), *row)).collect();
        sort_by(&mut sorted, |(one, _), (other, _)| one.cmp(other));
        rows.iter_mut().zip(sorted).for_each(|(place, (_, row))| *place = row);
    }

    fn adds_up(&self) -> bool {
        R::ADDS_UP
    }

    fn add(&self, earlier: &mut Vec<u8>, later: &[u8]) -> Result<bool> {
        let value = |bytes| self.decode_value(EncodedRow { key: &[], value: Some(bytes), expires: NEVER });
        let (mut sum, later) = (value(earlier)?, value(later)?);
        self.absorb(&mut sum, &later);
        earlier.clear();
        self.encode_value(&sum, earlier)?;
        Ok(!R::is_zero(&sum))
    }

    fn blocks(&self, page: Encoded<'_>) -> Result<Arc<Vec<u8>>> {
        let mut pages = PageBuilder::of_one_page(Arc::new(self.clone()), None);
        for (key, value) in self.decode(page)? {
            push(self, &mut pages, &key, &value)?;
        }
        pages.finish_page();
        let page = pages.pages.first().and_then(|page| page.resident());
        page.cloned().ok_or_else(block::damaged)
    }

    fn encode(&self, page: Encoded<'_>, codec: Codec) -> Result<Vec<u8>> {
        R::encode(&self.decode(page)?, codec)
    }
}

/// Adds a row to pages.
///
/// # Errors
///
/// If it cannot be encoded.
pub(crate) fn push<R: Rows>(rows: &R, pages: &mut PageBuilder, key: &R::Key, value: &R::Value) -> Result<()> {
    let mut bytes = std::mem::take(&mut pages.scratch);
    bytes.clear();
    rows.encode_key(key, &mut bytes)?;
    let keys = bytes.len();
    let expires = rows.encode_value(value, &mut bytes)?;
    let (key_bytes, value) = bytes.split_at(keys);
    let value = expires.map(|_| value);
    pages.push(R::place(key), EncodedRow { key: key_bytes, value, expires: expires.unwrap_or(NEVER) });
    pages.scratch = bytes;
    Ok(())
}

/// Reads what [`encode`] has appended.
#[inline]
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| cannot(&error))
}

#[cold]
fn cannot(error: &postcard::Error) -> Error {
    Error::data(format!("state cannot be decoded: {error}; it was written by another type or is damaged"))
}
