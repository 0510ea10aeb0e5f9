//! Rows of which the latest counts, and rows that add up.

use std::marker::PhantomData;

use differential_dataflow::difference::Semigroup;
use serde::de::DeserializeOwned;

use crate::data::{Exchange, Hashed, Key};
use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::lsm::delta::encode;
use crate::state::lsm::row_type::Encoded;
use crate::state::run::rows::{LATEST, Rows, SUMS, decode};
use crate::time::EventTime;

/// Rows whose latest value counts; `None` is the absence of the key.
pub(crate) struct Latest<K, V>(PhantomData<fn() -> (K, V)>);

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

/// Rows whose values add up.
pub(crate) struct Sums<K, R>(PhantomData<fn() -> (K, R)>);

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

impl<K: Key, V: Exchange> Rows for Latest<Hashed<K>, V> {
    type Key = Hashed<K>;
    type Value = Option<V>;
    type Part = V;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, P)>(LATEST)
    }

    fn owner(key: &Hashed<K>) -> u64 {
        key.hash
    }

    fn encode_key(&self, key: &Hashed<K>, bytes: &mut Vec<u8>) -> Result<()> {
        encode(&key.key, bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<Hashed<K>> {
        decode(bytes).map(Hashed::new)
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
impl<V: Exchange> Rows for Latest<(), V> {
    type Key = ();
    type Value = Option<V>;
    type Part = V;

    const BY_KEY: bool = false;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<P>(LATEST)
    }

    fn owner((): &()) -> u64 {
        0
    }

    fn encode_key(&self, (): &(), _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn decode_key(&self, _: &[u8]) -> Result<()> {
        Ok(())
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
impl<K: Key, R: Exchange + Semigroup> Rows for Sums<Hashed<K>, R> {
    type Key = Hashed<K>;
    type Value = R;
    type Part = ();

    const ADDS_UP: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, R)>(SUMS)
    }

    fn owner(key: &Hashed<K>) -> u64 {
        key.hash
    }

    fn absorb(&self, earlier: &mut R, later: &R) {
        earlier.plus_equals(later);
    }

    fn is_zero(sum: &R) -> bool {
        sum.is_zero()
    }

    fn encode_key(&self, key: &Hashed<K>, bytes: &mut Vec<u8>) -> Result<()> {
        encode(&key.key, bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<Hashed<K>> {
        decode(bytes).map(Hashed::new)
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

/// Records of keys, and how often each is there.
impl<K: Key, V: Exchange + Ord, R: Exchange + Semigroup> Rows for Sums<(Hashed<K>, V), R> {
    type Key = (Hashed<K>, V);
    type Value = R;
    type Part = V;

    const ADDS_UP: bool = true;

    const ORDERED_BY_PART: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, P, R)>(SUMS)
    }

    fn owner((key, _): &(Hashed<K>, V)) -> u64 {
        key.hash
    }

    fn absorb(&self, earlier: &mut R, later: &R) {
        earlier.plus_equals(later);
    }

    fn is_zero(sum: &R) -> bool {
        sum.is_zero()
    }

    fn encode_key(&self, (key, value): &(Hashed<K>, V), bytes: &mut Vec<u8>) -> Result<()> {
        encode(&(&key.key, value), bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<(Hashed<K>, V)> {
        let (key, value) = decode(bytes)?;
        Ok((Hashed::new(key), value))
    }

    fn encode(rows: &[((Hashed<K>, V), R)], codec: Codec) -> Result<Vec<u8>> {
        let rows: Vec<_> = rows.iter().map(|((key, value), sum)| (&key.key, value, sum)).collect();
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> V,
    ) -> Result<Vec<((Hashed<K>, V), R)>> {
        let row = |(key, value, sum): (K, P, R)| ((Hashed::new(key), own(value)), sum);
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}

/// A row of a collection: a record of a key at a time, and how often it is there.
type Counted<K, V, R> = ((Hashed<K>, V, EventTime), R);

impl<K: Key, V: Exchange + Ord, R: Exchange + Semigroup> Rows for Sums<(Hashed<K>, V, EventTime), R> {
    type Key = (Hashed<K>, V, EventTime);
    type Value = R;
    type Part = V;

    const ADDS_UP: bool = true;

    const ORDERED_BY_PART: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(K, P, EventTime, R)>(SUMS)
    }

    fn owner((key, ..): &(Hashed<K>, V, EventTime)) -> u64 {
        key.hash
    }

    fn absorb(&self, earlier: &mut R, later: &R) {
        earlier.plus_equals(later);
    }

    fn is_zero(sum: &R) -> bool {
        sum.is_zero()
    }

    fn encode_key(&self, (key, value, at): &(Hashed<K>, V, EventTime), bytes: &mut Vec<u8>) -> Result<()> {
        encode(&(&key.key, value, at), bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<(Hashed<K>, V, EventTime)> {
        let (key, value, at) = decode(bytes)?;
        Ok((Hashed::new(key), value, at))
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
