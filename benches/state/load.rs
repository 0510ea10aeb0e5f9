//! The streams whose state is kept.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) const RECORDS: usize = 3_000_000;

/// What a key and a value are, and how two values of a key become one.
pub(crate) trait Load: Clone + Debug + Default + Ord + Send + Sync + 'static {
    type Key: Ord + Hash + Clone + Debug + Send + Sync + Serialize + DeserializeOwned + 'static;
    type Value: Ord + Clone + Debug + Send + Sync + Serialize + DeserializeOwned + 'static;

    /// Joins a value to another. Associative and commutative.
    fn join(value: &mut Self::Value, other: &Self::Value);
}

/// A sum for each number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sums;

/// The last bid of each bidder in each auction, as in Nexmark's query 18: when it came, its price, and a
/// text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Latest;

impl Load for Sums {
    type Key = u64;
    type Value = u64;

    fn join(value: &mut u64, other: &u64) {
        *value += other;
    }
}

impl Load for Latest {
    type Key = (u64, u64);
    type Value = (u64, u64, String);

    fn join(value: &mut Self::Value, other: &Self::Value) {
        if *value < *other {
            value.clone_from(other);
        }
    }
}

/// Random numbers, the same in each run.
fn random(number: u64) -> u64 {
    let mut x = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A random number from 0 to just below 1.
fn fraction(number: u64) -> f64 {
    (random(number) >> 11) as f64 / (1u64 << 53) as f64
}

const MANY: u64 = 3_000_000;

impl Sums {
    fn of(key: impl Fn(u64) -> u64) -> Vec<(u64, u64)> {
        (0..RECORDS as u64).map(|n| (key(n), n % 100)).collect()
    }

    /// A thousand keys.
    pub(crate) fn few() -> Vec<(u64, u64)> {
        Sums::of(|n| random(n) % 1000)
    }

    /// Three million keys, all alike.
    pub(crate) fn uniform() -> Vec<(u64, u64)> {
        Sums::of(|n| random(n) % MANY)
    }

    /// Three million keys, of which the `n`-th is `n` times rarer than the first. Their order is another.
    pub(crate) fn zipf() -> Vec<(u64, u64)> {
        Sums::of(|n| random((MANY as f64).powf(fraction(n)) as u64))
    }
}

impl Latest {
    /// Bids of three hundred thousand pairs of bidders and auctions.
    pub(crate) fn bids() -> Vec<((u64, u64), (u64, u64, String))> {
        let bid = |n| {
            let pair = random(n) % 300_000;
            ((pair % 3000, pair / 3000), (n, random(n) % 10_000, format!("https://auction.example/item/{n}")))
        };
        (0..RECORDS as u64).map(bid).collect()
    }
}
