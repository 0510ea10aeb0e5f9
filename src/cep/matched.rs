//! What a pattern has found for a key.

use serde::{Deserialize, Serialize};

use super::buffer::Taken;
use crate::time::EventTime;

/// A whole match or, from [`timed_out`](super::PatternStream::timed_out), a partial one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Match<K, T> {
    /// The key.
    pub key: K,
    /// When it was decided, in event time: its last event's, unless it had to wait for another one or for a
    /// time-out; for a time-out, when that was; if it had to wait for the end of the input, the last
    /// millisecond before `EventTime::MAX`. It is also the record's event time.
    pub timestamp: EventTime,
    /// Its events, by the names of the stages that took them.
    pub events: Taken<T>,
}
