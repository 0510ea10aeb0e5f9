//! Keys in the order of the hash that they are owned by.
//!
//! A worker owns a range of hashes. Rows in this order lie in ranges too: what a worker owns of them is one
//! stretch, whatever the number of workers, and so is each page. And most comparisons are of two numbers.

use serde::{Deserialize, Serialize};

use crate::data::{Key, hash64};

/// A key with its hash, by which it comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Hashed<K> {
    pub(crate) hash: u64,
    pub(crate) key: K,
}

impl<K: Key> Hashed<K> {
    /// A key that is owned by itself.
    #[inline]
    pub(crate) fn new(key: K) -> Hashed<K> {
        Hashed { hash: hash64(&key), key }
    }
}

/// What tells the hash that a key is owned by: its own, or that of the part of it that records are sent by.
pub(crate) type Owner<K> = fn(&K) -> u64;
