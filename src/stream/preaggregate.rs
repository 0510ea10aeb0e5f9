//! Combining by key before sending.
//!
//! Values are added to their key's accumulator on the worker they come from, so few accumulators are sent to
//! the key's owner if keys repeat. The table for that is [`Preaggregator`]: one place for each of some
//! thousand hashes. A key whose place is taken by another evicts that one, which is sent. So the table never
//! grows, never probes and stays in the cache; where keys repeat it finds most of them, and where they do not
//! it costs a compare and a move.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::chain::{ChainSink, Collector, Ends, SendBuffer};
use crate::data::{Data, Exchange, Key, Stamp, hash64};
use crate::state::Migratable;
use crate::stream::consumers::batch_of;

/// An input to a keyed operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Keyed<K, I> {
    pub(crate) key: K,
    pub(crate) input: I,
    pub(crate) stamp: Stamp,
}

impl<K: Key, I: Exchange> Migratable for Keyed<K, I> {
    type Part = I;
    type With<P: DeserializeOwned + 'static> = Keyed<K, P>;

    fn own<P: DeserializeOwned + 'static>(with: Keyed<K, P>, own: impl Fn(P) -> I) -> Keyed<K, I> {
        Keyed { key: with.key, input: own(with.input), stamp: with.stamp }
    }
}

/// The terminal that sends each value under its key.
#[derive(Clone, Copy)]
pub(crate) struct ByKey;

impl<K: Data, T: Data> ChainSink<(K, T)> for ByKey {
    type Element = Keyed<K, T>;
    type Gather = Sent<K, T>;

    fn open(&self) -> Sent<K, T> {
        Sent(Vec::new())
    }
}

/// Values on their way to the owners of their keys.
pub(crate) struct Sent<K, T>(Vec<Keyed<K, T>>);

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

impl<K: Data, T: Data> SendBuffer for Sent<K, T> {
    type Element = Keyed<K, T>;

    #[inline]
    fn is_full(&self) -> bool {
        self.0.len() >= batch_of::<Keyed<K, T>>()
    }

    fn drain(&mut self, _: bool, send: &mut dyn FnMut(&mut Vec<Keyed<K, T>>)) {
        send(&mut self.0);
    }
}

/// A table with one place for each of some hashes, for values of a group `G` and a key.
pub(crate) struct Preaggregator<G, K, V> {
    places: Box<[Option<(G, K, V)>]>,
    /// The places that were filled since the last time they were emptied.
    filled: Vec<u32>,
}

/// The bytes that a table's places may take. Frequent keys stay in a core's L1 cache, all of it in L2.
const TABLE_BYTES: usize = 128 << 10;

impl<G: PartialEq, K: Key, V> Preaggregator<G, K, V> {
    pub(crate) fn new() -> Preaggregator<G, K, V> {
        let places = (TABLE_BYTES / size_of::<Option<(G, K, V)>>()).clamp(16, 4096);
        // A power of two, so that a mask replaces the division. There is only one key of size zero.
        let places = if size_of::<K>() == 0 { 1 } else { 1 << places.ilog2() };
        Preaggregator { places: (0..places).map(|_| None).collect(), filled: Vec::new() }
    }

    /// The value of `group` and `key`, or the place for it, which may hold another's.
    ///
    /// It takes no value and no closure, so that the caller's value stays in registers until one of the two
    /// arms wants it.
    #[inline(always)]
    pub(crate) fn find(&mut self, group: &G, key: &K) -> Result<&mut V, &mut Option<(G, K, V)>> {
        let index = if size_of::<K>() == 0 { 0 } else { hash64(key) as usize & (self.places.len() - 1) };
        // The index is always in range. Unwinding from a panic would drop the caller's value, which would
        // force it into memory; an abort does not.
        let Some(place) = self.places.get_mut(index) else { std::process::abort() };
        if !matches!(place, Some((g, k, _)) if g == group && k == key) {
            // Only at the first use: a replaced entry is in the list already.
            if place.is_none() {
                note(&mut self.filled, index);
            }
            return Err(place);
        }
        match place {
            Some((_, _, value)) => Ok(value),
            place => Err(place),
        }
    }

    /// Empties all places.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (G, K, V)> + '_ {
        let places = &mut self.places;
        self.filled.drain(..).filter_map(|index| places[index as usize].take())
    }
}

/// Records a filled place. It cannot unwind, so the caller needs no cleanup code; see
/// [`Preaggregator::find`].
#[allow(improper_ctypes_definitions, reason = "the ABI is for what it says of unwinding")]
#[inline(never)]
extern "C" fn note(filled: &mut Vec<u32>, index: usize) {
    filled.push(index as u32);
}

/// The terminal that combines values by key.
#[derive(Clone)]
pub(crate) struct Combine<A>(pub(crate) A);

impl<K: Key, T: Data, A: Aggregate<T>> ChainSink<(K, T)> for Combine<A> {
    type Element = Keyed<K, A::Acc>;
    type Gather = Combined<K, T, A>;

    fn open(&self) -> Combined<K, T, A> {
        Combined {
            aggregate: self.0.clone(),
            places: Preaggregator::new(),
            sent: Vec::new(),
            value: PhantomData,
        }
    }
}

/// Accumulators on their way to the owners of their keys.
pub(crate) struct Combined<K, T, A: Aggregate<T>> {
    aggregate: A,
    places: Preaggregator<(), K, (A::Acc, Stamp)>,
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
    #[inline(always)]
    fn push(&mut self, (key, value): (K, T), stamp: Stamp) {
        match self.places.find(&(), &key) {
            // An ignored value changes neither the accumulator nor its event time.
            Ok((acc, _)) if self.aggregate.ignores(acc, &value) => {}
            Ok((acc, all)) => {
                self.aggregate.add(acc, value);
                // The least watermark of all values: combining must not make a value late.
                all.timestamp = all.timestamp.max(stamp.timestamp);
                all.watermark = all.watermark.min(stamp.watermark);
            }
            Err(place) => {
                if let Some(((), key, (input, stamp))) =
                    place.replace(((), key, (self.aggregate.start(value), stamp)))
                {
                    self.sent.push(Keyed { key, input, stamp });
                }
            }
        }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> SendBuffer for Combined<K, T, A> {
    type Element = Keyed<K, A::Acc>;

    #[inline]
    fn is_full(&self) -> bool {
        self.sent.len() >= batch_of::<Keyed<K, A::Acc>>()
    }

    fn drain(&mut self, all: bool, send: &mut dyn FnMut(&mut Vec<Keyed<K, A::Acc>>)) {
        // Before `all`, accumulators stay in their places: more values may be added to them.
        if all {
            let rest = self.places.drain();
            self.sent.extend(rest.map(|((), key, (input, stamp))| Keyed { key, input, stamp }));
        }
        send(&mut self.sent);
    }
}
