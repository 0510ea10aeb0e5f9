//! Keys in the order of the hash that they are owned by.
//!
//! A worker owns a range of hashes. Rows in this order lie in ranges too: what a worker owns of them is one
//! stretch, whatever the number of workers, and so is each page. And most comparisons are of two numbers.

use serde::{Deserialize, Serialize};

use crate::data::{Key, hash64};

/// A key with its hash, by which it comes first.
///
/// State lies in this order, so it is the key of a state that differential's operators read: see
/// [`ArrangedStream`](crate::stream::ArrangedStream).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hashed<K> {
    pub(crate) hash: u64,
    pub(crate) key: K,
}

impl<K: Key> Hashed<K> {
    /// A key that is owned by itself.
    #[inline]
    pub fn new(key: K) -> Hashed<K> {
        Hashed { hash: hash64(&key), key }
    }
}

impl<K> Hashed<K> {
    /// The key.
    #[inline]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Its hash, by which it is owned.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The key, without its hash.
    #[inline]
    pub fn into_key(self) -> K {
        self.key
    }
}

/// What tells the hash that a key is owned by: its own, or that of the part of it that records are sent by.
pub(crate) type Owner<K> = fn(&K) -> u64;
