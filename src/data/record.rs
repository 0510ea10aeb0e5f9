//! A record: a value in a stream, with its event time and the watermark of its split.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Milliseconds of event time, by convention since 1970-01-01 UTC; negative values lie before it.
pub type EventTime = i64;

/// Values that can flow between operators of one worker.
pub trait Data: Clone + Send + Sync + 'static {}
impl<T: Clone + Send + Sync + 'static> Data for T {}

/// Values that can be sent between workers, and kept as state.
pub trait Exchange: Data + Serialize + DeserializeOwned {}
impl<T: Data + Serialize + DeserializeOwned> Exchange for T {}

/// Keys of state.
///
/// Keys are routed and looked up by their [`Hash`] and kept in their [`Ord`]; both must agree with [`Eq`].
pub trait Key: Exchange + Hash + Ord + Debug {}
impl<T: Exchange + Hash + Ord + Debug> Key for T {}

/// When a record happened, and the watermark of its split when it was emitted.
///
/// The watermark in a stamp makes event time deterministic. Whether a record is late for something that ends
/// at `t` is decided by `watermark >= t`, and the watermark of a split is a function of what the split gave
/// before. How far other splits, workers and the dataflow have come plays no part, so the same input has the
/// same late records on any number of workers, in any interleaving, and in a replay.
///
/// The decision is safe: an operator's input frontier is at or below the watermark of every split, so a
/// record that is not late by its stamp never finds its window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When it happened: event time in milliseconds.
    pub timestamp: EventTime,
    /// The watermark of its split: the split had promised that nothing older would come.
    pub watermark: EventTime,
}

impl Stamp {
    /// The stamp of a record without event time.
    pub const UNTIMED: Stamp = Stamp { timestamp: EventTime::MIN, watermark: EventTime::MIN };

    /// True if a record with this stamp is late for a window that ends at `end`.
    #[inline]
    pub fn is_late_for(&self, end: EventTime) -> bool {
        self.watermark >= end
    }
}

/// A value and its stamp.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record<T> {
    /// The value.
    pub value: T,
    /// Its event time and the watermark of its split.
    pub stamp: Stamp,
}

impl<T> Record<T> {
    /// A value with its stamp.
    #[inline]
    pub fn new(value: T, stamp: Stamp) -> Record<T> {
        Record { value, stamp }
    }
}
