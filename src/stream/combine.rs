//! Combining by key before sending.
//!
//! The terminal of a chain that leads to an aggregate: values meet their key's accumulator in a small table on the worker they
//! come from, and what is sent is one element for each distinct key of an activation instead of one for each
//! record. Where keys do not repeat, a table only costs; so the terminal watches how much it saves, and when that is
//! little it lets a number of rounds pass by without one.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::chain::{Collector, Ends};
use super::tap::{BATCH, Gather, Terminal};
use crate::data::{Data, Key, Stamp};
use crate::state::Table;

/// An input to a keyed operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keyed<K, I> {
    pub(crate) key: K,
    pub(crate) input: I,
    pub(crate) stamp: Stamp,
}

/// The terminal that sends each value under its key.
#[derive(Clone, Copy)]
pub struct Send;

impl<K: Data, T: Data> Terminal<(K, T)> for Send {
    type Element = Keyed<K, T>;
    type Gather = Sent<K, T>;

    fn open(&self) -> Sent<K, T> {
        Sent(Vec::new())
    }
}

/// Values on their way to the owners of their keys.
pub struct Sent<K, T>(Vec<Keyed<K, T>>);

impl<K: Data, T: Data> Ends for Sent<K, T> {
    type End = Self;

    #[inline]
    fn end(&mut self) -> &mut Self {
        self
    }
}

impl<K: Data, T: Data> Collector<(K, T)> for Sent<K, T> {
    #[inline(always)]
    fn push(&mut self, (key, input): (K, T), stamp: Stamp) {
        self.0.push(Keyed { key, input, stamp });
    }
}

impl<K: Data, T: Data> Gather for Sent<K, T> {
    type Element = Keyed<K, T>;

    #[inline]
    fn is_full(&self) -> bool {
        self.0.len() >= BATCH
    }

    fn drain(&mut self, send: &mut dyn FnMut(&mut Vec<Keyed<K, T>>)) {
        send(&mut self.0);
    }
}

/// The terminal that combines values by key.
#[derive(Clone)]
pub struct Combine<A>(pub(crate) A);

impl<K: Key, T: Data, A: Aggregate<T>> Terminal<(K, T)> for Combine<A> {
    type Element = Keyed<K, A::Acc>;
    type Gather = Combined<K, T, A>;

    fn open(&self) -> Combined<K, T, A> {
        let value = PhantomData;
        Combined {
            aggregate: self.0.clone(),
            saving: Saving::default(),
            table: Table::default(),
            sent: Vec::new(),
            value,
        }
    }
}

/// Accumulators on their way to the owners of their keys.
pub struct Combined<K, T, A: Aggregate<T>> {
    aggregate: A,
    saving: Saving,
    table: Table<K, (A::Acc, Stamp)>,
    sent: Vec<Keyed<K, A::Acc>>,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Ends for Combined<K, T, A> {
    type End = Self;

    #[inline]
    fn end(&mut self) -> &mut Self {
        self
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Collector<(K, T)> for Combined<K, T, A> {
    #[inline]
    fn push(&mut self, (key, value): (K, T), stamp: Stamp) {
        if self.saving.pays() {
            let aggregate = &self.aggregate;
            let start = |value| (aggregate.start(value), stamp);
            self.table.upsert(key, value, start, |(acc, least), value| {
                aggregate.add(acc, value);
                least.timestamp = least.timestamp.max(stamp.timestamp);
                least.watermark = least.watermark.min(stamp.watermark);
            });
        } else {
            self.sent.push(Keyed { key, input: self.aggregate.start(value), stamp });
        }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Gather for Combined<K, T, A> {
    type Element = Keyed<K, A::Acc>;

    #[inline]
    fn is_full(&self) -> bool {
        self.table.len() >= TABLE || self.sent.len() >= BATCH
    }

    fn drain(&mut self, send: &mut dyn FnMut(&mut Vec<Keyed<K, A::Acc>>)) {
        self.saving.round(self.table.len());
        for (key, (input, stamp)) in self.table.drain() {
            self.sent.push(Keyed { key, input, stamp });
            if self.sent.len() >= BATCH {
                send(&mut self.sent);
            }
        }
        send(&mut self.sent);
    }
}

/// The distinct keys that are combined before they are sent.
pub(crate) const TABLE: usize = 4096;

/// Whether combining saves enough to pay for its table.
#[derive(Default)]
pub(crate) struct Saving {
    records: usize,
    /// Rounds left to pass by.
    skip: u32,
}

impl Saving {
    /// Rounds without a table after one that saved little.
    const SKIP: u32 = 15;

    /// To be asked once for each record.
    #[inline(always)]
    pub(crate) fn pays(&mut self) -> bool {
        self.records += 1;
        self.skip == 0
    }

    /// Takes note of the end of a round in which the table found so many distinct keys.
    pub(crate) fn round(&mut self, distinct: usize) {
        let records = std::mem::take(&mut self.records);
        if self.skip > 0 {
            self.skip -= 1;
        } else if records >= BATCH && distinct * 3 > records * 2 {
            self.skip = Saving::SKIP;
        }
    }
}
