//! Rows of which the latest counts, and rows that add up.

use std::marker::PhantomData;

use differential_dataflow::difference::Semigroup;
use serde::de::DeserializeOwned;

use crate::data::{Exchange, Key};
use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::run::hashed::Hashed;
use crate::state::run::rows::Rows;
use crate::state::run::saves::{Encoded, LATEST, SUMS, Saves};
use crate::time::EventTime;

/// Rows whose latest value counts; `None` is the absence of the key.
pub(crate) struct Latest<K, V>(PhantomData<(K, V)>);

impl<K, V> Latest<K, V> {
    pub(crate) const fn new() -> Latest<K, V> {
        Latest(PhantomData)
    }
}

impl<K, V> Clone for Latest<K, V> {
    fn clone(&self) -> Self {
        Latest(PhantomData)
    }
}

impl<K: Ord + Clone + 'static, V: Clone + 'static> Rows for Latest<K, V> {
    type Key = K;
    type Value = Option<V>;

    fn absorb(&self, older: &mut Option<V>, newer: &Option<V>) {
        older.clone_from(newer);
    }

    fn is_vacant(&self, value: &Option<V>, oldest: bool) -> bool {
        oldest && value.is_none()
    }
}

/// Rows whose values add up.
pub(crate) struct Sums<K, R>(PhantomData<(K, R)>);

impl<K, R> Sums<K, R> {
    pub(crate) const fn new() -> Sums<K, R> {
        Sums(PhantomData)
    }
}

impl<K, R> Clone for Sums<K, R> {
    fn clone(&self) -> Self {
        Sums(PhantomData)
    }
}

impl<K: Ord + Clone + 'static, R: Semigroup + 'static> Rows for Sums<K, R> {
    type Key = K;
    type Value = R;

    fn absorb(&self, older: &mut R, newer: &R) {
        older.plus_equals(newer);
    }

    fn is_vacant(&self, value: &R, _oldest: bool) -> bool {
        value.is_zero()
    }
}

impl<K: Key, V: Exchange> Saves for Latest<Hashed<K>, V> {
    type Part = V;
    type Resident = Self;

    fn resident(&self) -> &Self {
        self
    }

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, P)>(LATEST)
    }

    fn owner(key: &Hashed<K>) -> u64 {
        key.hash
    }

    fn encode(rows: &[(Hashed<K>, Option<V>)], codec: Codec) -> Result<Vec<u8>> {
        let rows: Vec<_> = rows.iter().map(|(key, value)| (&key.key, value)).collect();
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> V,
    ) -> Result<Vec<(Hashed<K>, Option<V>)>> {
        let row = |(key, value): (K, Option<P>)| (Hashed::new(key), value.map(&own));
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}

/// What every worker has: rows of no key.
impl<V: Exchange> Saves for Latest<(), V> {
    type Part = V;
    type Resident = Self;

    fn resident(&self) -> &Self {
        self
    }

    const BY_KEY: bool = false;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<P>(LATEST)
    }

    fn owner((): &()) -> u64 {
        0
    }

    fn encode(rows: &[((), Option<V>)], codec: Codec) -> Result<Vec<u8>> {
        codec.encode_views(&rows.iter().map(|((), value)| value).collect::<Vec<_>>())
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> V,
    ) -> Result<Vec<((), Option<V>)>> {
        Ok(page.rows()?.into_iter().map(|value: Option<P>| ((), value.map(&own))).collect())
    }
}

/// Records of a collection without keys, and how often each is there. A record of another type would have
/// another owner.
impl<K: Key, R: Exchange + Semigroup> Saves for Sums<Hashed<K>, R> {
    type Part = ();
    type Resident = Self;

    fn resident(&self) -> &Self {
        self
    }

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, R)>(SUMS)
    }

    fn owner(key: &Hashed<K>) -> u64 {
        key.hash
    }

    fn encode(rows: &[(Hashed<K>, R)], codec: Codec) -> Result<Vec<u8>> {
        codec.encode_views(&rows.iter().map(|(key, sum)| (&key.key, sum)).collect::<Vec<_>>())
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        _: impl Fn(P),
    ) -> Result<Vec<(Hashed<K>, R)>> {
        Ok(page.rows()?.into_iter().map(|(key, sum): (K, R)| (Hashed::new(key), sum)).collect())
    }
}

/// A row of a collection: a record of a key at a time, and how often it is there.
type Counted<K, V, R> = ((Hashed<K>, V, EventTime), R);

impl<K: Key, V: Exchange + Ord, R: Exchange + Semigroup> Saves for Sums<(Hashed<K>, V, EventTime), R> {
    type Part = V;
    type Resident = Self;

    fn resident(&self) -> &Self {
        self
    }

    const ORDERED_BY_PART: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, P, EventTime, R)>(SUMS)
    }

    fn owner((key, ..): &(Hashed<K>, V, EventTime)) -> u64 {
        key.hash
    }

    fn encode(rows: &[Counted<K, V, R>], codec: Codec) -> Result<Vec<u8>> {
        let rows: Vec<_> = rows.iter().map(|((key, value, at), sum)| (&key.key, value, at, sum)).collect();
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> V,
    ) -> Result<Vec<Counted<K, V, R>>> {
        let row = |(key, value, at, sum): (K, P, EventTime, R)| ((Hashed::new(key), own(value), at), sum);
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}
