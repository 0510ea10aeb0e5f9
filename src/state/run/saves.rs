//! Rows that can be part of a snapshot: what they are made of, who owns them, and how they become bytes.

use serde::de::DeserializeOwned;

use crate::data::Exchange;
use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::run::rows::Rows;

/// The kind of rows of which the newest of a key counts: the first word of their schema.
pub(crate) const LATEST: &str = "latest";

/// The kind of rows of a key that are added up.
pub(crate) const SUMS: &str = "sums";

/// Rows that can be part of a snapshot.
pub(crate) trait Saves: Rows<Key: Send + Sync, Value: Send + Sync> {
    /// The same rows wherever their pages lie: what they are saved as does not depend on that, and is
    /// compiled once for both.
    type Resident: Saves<Key = Self::Key, Value = Self::Value, Part = Self::Part>;

    /// These rows as such.
    fn resident(&self) -> &Self::Resident;

    /// What of a row may once have been of another type. The rest says where it lies.
    type Part: Exchange;

    /// True if the part says where a row lies, too.
    const ORDERED_BY_PART: bool = false;

    /// What rows are made of that have this type for their part.
    fn schema_of<P: DeserializeOwned + 'static>() -> Schema;

    /// What the rows are made of.
    fn schema() -> Schema {
        Self::schema_of::<Self::Part>()
    }

    /// False if each worker has all rows.
    const BY_KEY: bool = true;

    /// The hash that a row's key is owned by.
    fn owner(key: &Self::Key) -> u64;

    /// The rows as bytes.
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
}

/// A page as it was written.
#[derive(Clone, Copy)]
pub(crate) struct Encoded<'a> {
    pub(in crate::state) bytes: &'a [u8],
    pub(in crate::state) rows: usize,
    pub(in crate::state) codec: Codec,
}

impl Encoded<'_> {
    /// Its rows.
    pub(crate) fn rows<T: DeserializeOwned + 'static>(self) -> Result<Vec<T>> {
        self.codec.decode(self.bytes, self.rows)
    }
}
