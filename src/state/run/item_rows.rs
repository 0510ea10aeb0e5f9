//! The rows that the items of a state are kept as: what a key has under a sub-key and until when, or that it
//! is gone.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::data::{Exchange, Key, look_ahead};
use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::run::hashed::{Hashed, Owner};
use crate::state::run::rows::Rows;
use crate::state::run::saves::{Encoded, LATEST, Saves};

/// When an item expires that does not.
pub(crate) const NEVER: i64 = i64::MAX;

/// When an item expires that was written before its clock showed anything: as long after the clock first does
/// as it is to live.
pub(crate) const UNBEGUN: i64 = i64::MIN;

/// An item and when it expires; `None` if there is none any more.
pub(crate) type ItemOrTombstone<V> = Option<(V, i64)>;

/// A row of items.
pub(crate) type Row<K, S, V> = ((Hashed<K>, S), ItemOrTombstone<V>);

/// The rows of a state. The latest counts, until it expires.
pub(crate) struct ItemRows<K, S, V> {
    /// The time that has been reached by the clock that items expire by.
    reached: Rc<Cell<i64>>,
    owner: Owner<K>,
    row: PhantomData<fn() -> (K, S, V)>,
}

impl<K, S, V> ItemRows<K, S, V> {
    /// Rows of keys that are owned by what `owner` says.
    pub(crate) fn new(owner: Owner<K>) -> ItemRows<K, S, V> {
        ItemRows { reached: Rc::new(Cell::new(i64::MIN)), owner, row: PhantomData }
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

/// True if an item that expires then is over.
#[inline]
pub(crate) fn is_over(expires: i64, reached: i64) -> bool {
    expires <= reached && expires != NEVER && expires != UNBEGUN
}

impl<K, S, V> Clone for ItemRows<K, S, V> {
    fn clone(&self) -> Self {
        ItemRows { reached: Rc::clone(&self.reached), owner: self.owner, row: PhantomData }
    }
}

impl<K: Key, S: Key, V: Exchange> Rows for ItemRows<K, S, V> {
    type Key = (Hashed<K>, S);
    type Value = ItemOrTombstone<V>;

    fn absorb(&self, older: &mut ItemOrTombstone<V>, newer: &ItemOrTombstone<V>) {
        older.clone_from(newer);
    }

    fn is_vacant(&self, value: &ItemOrTombstone<V>, oldest: bool) -> bool {
        oldest && value.as_ref().is_none_or(|(_, expires)| is_over(*expires, self.clock()))
    }

    fn clock(&self) -> i64 {
        self.reached.get()
    }

    fn reach(&self, time: i64) {
        self.reached.set(time);
    }
}

impl<K: Key, S: Key, V: Exchange> Saves for ItemRows<K, S, V> {
    type Part = V;
    type Resident = Self;

    fn resident(&self) -> &Self {
        self
    }

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, S, P)>(LATEST)
    }

    fn owner((key, _): &(Hashed<K>, S)) -> u64 {
        key.hash
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
