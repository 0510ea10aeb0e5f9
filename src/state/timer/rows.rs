//! Entries of a timer queue as rows: in order of the time that they lie at, then of the hash that they are
//! owned by, then of arrival.
//!
//! Rows are over when that time has been reached, and merges drop them. So what is kept is what is still to
//! be done.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::data::sort_by;
use crate::error::Result;
use crate::snapshot::{Codec, RestoredOperator, Schema};
use crate::state::lsm::delta::encode;
use crate::state::lsm::row_type::{Encoded, Prefix, prefix_of_time};
use crate::state::run::incoming::{Share, is_reached, read_rows};
use crate::state::run::rows::{Rows, decode};
use crate::state::timer::migratable::Migratable;
use crate::time::EventTime;

/// The kind of rows that lie at a time: the first word of their schema.
pub(crate) const DATED: &str = "dated";

/// A row of an entry: the time that it lies at, the hash that it is owned by, and a number of its own.
pub(in crate::state) type At = (EventTime, u64, u64);

/// Rows of a timer queue: what is to be done, and its own time. They are over when the time has been reached
/// that they lie at.
pub(in crate::state) struct TimerRows<R>(PhantomData<fn() -> R>);

impl<R> TimerRows<R> {
    pub(in crate::state) fn new() -> TimerRows<R> {
        TimerRows(PhantomData)
    }
}

impl<R> Clone for TimerRows<R> {
    fn clone(&self) -> Self {
        TimerRows(PhantomData)
    }
}

impl<R: Migratable> Rows for TimerRows<R> {
    type Key = At;
    type Value = (EventTime, R);
    type Part = R::Part;

    const BY_TIME: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<R::With<P>>(DATED)
    }

    fn prefix((at, hash, _): &At) -> Prefix {
        (prefix_of_time(*at), *hash)
    }

    fn owner((_, hash, _): &At) -> u64 {
        *hash
    }

    fn encode_key(&self, at: &At, bytes: &mut Vec<u8>) -> Result<()> {
        encode(at, bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<At> {
        decode(bytes)
    }

    fn encode(rows: &[(At, (EventTime, R))], codec: Codec) -> Result<Vec<u8>> {
        codec.encode(rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> R::Part,
    ) -> Result<Vec<(At, (EventTime, R))>> {
        let row = |(at, (time, kept)): (At, (EventTime, R::With<P>))| (at, (time, R::own(kept, &own)));
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}

/// The entries that a snapshot has of a worker's share of a timer queue's table, in order of time, then of
/// arrival: for an operator that keeps them otherwise. All of them are in memory at once.
pub(crate) fn read_entries<R: Migratable>(
    table: &str,
    from: &RestoredOperator,
    share: &Share,
) -> Result<Vec<(EventTime, R)>> {
    let (rows, mut read) = (TimerRows::<R>::new(), Vec::new());
    let clock = read_rows(&rows, (table, from), share, &mut |at, row| read.push((at, row)))?;
    // Shards whose clocks differ have been read by the least of them.
    read.retain(|(at, _)| !is_reached::<TimerRows<R>>(at, clock));
    let mut entries: Vec<_> = read.into_iter().map(|(_, entry)| entry).collect();
    sort_by(&mut entries, |(one, _), (other, _)| one.cmp(other));
    Ok(entries)
}
