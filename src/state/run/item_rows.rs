//! The rows that the items of a state are kept as: what a key has under a sub-key and until when, or that it
//! is gone.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::data::{Exchange, Hashed, Key, Owner, look_ahead};
use crate::error::Result;
use crate::snapshot::block::{EncodedRow, RowKind};
use crate::snapshot::{Codec, Schema};
use crate::state::lsm::delta::encode;
use crate::state::lsm::row_type::Encoded;
use crate::state::run::rows::{LATEST, Rows, decode};

/// An item and when it expires; `None` if there is none any more.
pub(crate) type ItemOrTombstone<V> = Option<(V, i64)>;

/// A row of items.
pub(crate) type Row<K, S, V> = ((Hashed<K>, S), ItemOrTombstone<V>);

/// The rows of a state. The latest counts, until it expires.
pub(crate) struct ItemRows<K, S, V> {
    owner: Owner<K>,
    row: PhantomData<fn() -> (K, S, V)>,
}

impl<K, S, V> ItemRows<K, S, V> {
    /// Rows of keys that are owned by what `owner` says.
    pub(crate) fn new(owner: Owner<K>) -> ItemRows<K, S, V> {
        ItemRows { owner, row: PhantomData }
    }

    /// What tells the hash that keys are owned by.
    pub(crate) fn owner(&self) -> Owner<K> {
        self.owner
    }

    /// The key of the rows of a key.
    pub(crate) fn hashed(&self, key: K) -> Hashed<K> {
        Hashed { hash: (self.owner)(&key), key }
    }
}

impl<K, S, V> Clone for ItemRows<K, S, V> {
    fn clone(&self) -> Self {
        ItemRows { owner: self.owner, row: PhantomData }
    }
}

impl<K: Key, S: Key, V: Exchange> Rows for ItemRows<K, S, V> {
    type Key = (Hashed<K>, S);
    type Value = ItemOrTombstone<V>;
    type Part = V;

    const KIND: RowKind = RowKind::Expiring;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, S, P)>(LATEST)
    }

    fn owner((key, _): &(Hashed<K>, S)) -> u64 {
        key.hash
    }

    fn encode_key(&self, (key, sub): &(Hashed<K>, S), bytes: &mut Vec<u8>) -> Result<()> {
        encode(&(&key.key, sub), bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<(Hashed<K>, S)> {
        let (key, sub) = decode(bytes)?;
        Ok((self.hashed(key), sub))
    }

    fn encode_value(&self, kept: &ItemOrTombstone<V>, bytes: &mut Vec<u8>) -> Result<Option<i64>> {
        kept.as_ref().map(|(value, expires)| encode(value, bytes).map(|()| *expires)).transpose()
    }

    fn decode_value(&self, row: EncodedRow<'_>) -> Result<ItemOrTombstone<V>> {
        row.value.map(|value| Ok((decode(value)?, row.expires))).transpose()
    }

    fn encode(rows: &[Row<K, S, V>], codec: Codec) -> Result<Vec<u8>> {
        if codec.is_plain::<(K, S, ItemOrTombstone<V>)>() {
            let own = |((key, sub), kept): &Row<K, S, V>| (key.key.clone(), sub.clone(), kept.clone());
            return codec.encode(&rows.iter().map(own).collect::<Vec<_>>());
        }
        let rows: Vec<_> = rows.iter().map(|((key, sub), kept)| (&key.key, sub, kept)).collect();
        look_ahead(&rows);
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> V,
    ) -> Result<Vec<Row<K, S, V>>> {
        let row = |(key, sub, kept): (K, S, ItemOrTombstone<P>)| {
            ((self.hashed(key), sub), kept.map(|(part, expires)| (own(part), expires)))
        };
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}
