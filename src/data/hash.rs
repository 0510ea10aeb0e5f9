//! The hash that decides which worker owns a key.
//!
//! Each worker owns a range of a fixed 64-bit hash, and snapshots store the range of each page. So this
//! function must never change: not with the standard library's choice of hasher, not with a dependency's
//! version. It is the folded multiply of wyhash: each word is xored into the state, multiplied by an odd
//! constant to 128 bits, and the halves are xored.
//!
//! It does not withstand keys chosen by an attacker. A [`seeded`](Hash64::seeded) state does.

use std::hash::{BuildHasher, Hash, Hasher};

const SEED: u64 = 0x2d35_8dcc_aa6c_78a5;
const MULTIPLIER: u64 = 0x8bb8_4b93_962e_acc9;
const FINISH: u64 = 0x4b33_a62e_d433_d4a3;

/// The engine's hasher.
#[derive(Clone, Copy, Debug)]
pub struct Hash64(u64);

/// The fixed 64-bit hash of a key. About a nanosecond for an integer.
///
/// ```
/// // Fixed for ever: snapshots depend on it.
/// assert_eq!(highwater::data::hash64(&42u64), 0x839d_319b_ad53_924f);
/// ```
#[inline]
pub fn hash64<K: Hash + ?Sized>(key: &K) -> u64 {
    Hash64(SEED).hash_one(key)
}

/// The worker that owns a hash: the range of hashes is divided evenly among `workers`.
#[inline]
pub(crate) fn worker_of(hash: u64, workers: usize) -> usize {
    ((u128::from(hash) * workers as u128) >> 64) as usize
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hash64 {
    /// A hasher of the same quality whose hashes an outsider cannot predict.
    pub fn seeded(seed: u64) -> Hash64 {
        Hash64(fold(seed ^ SEED, MULTIPLIER))
    }
}

impl BuildHasher for Hash64 {
    type Hasher = Hash64;

    #[inline]
    fn build_hasher(&self) -> Hash64 {
        *self
    }
}

impl Hasher for Hash64 {
    #[inline]
    fn finish(&self) -> u64 {
        fold(self.0, FINISH)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut array = [0; 8];
            array.copy_from_slice(word);
            self.write_u64(u64::from_le_bytes(array));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut array = [0; 8];
            array[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(array) ^ ((rest.len() as u64) << 56));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, MULTIPLIER);
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_evenly_over_workers() {
        for workers in [1, 2, 3, 7, 64] {
            let mut counts = vec![0u32; workers];
            for key in 0..100_000u64 {
                counts[worker_of(hash64(&key), workers)] += 1;
            }
            let fair = 100_000 / workers as u32;
            assert!(counts.iter().all(|count| count.abs_diff(fair) < fair / 5), "{workers}: {counts:?}");
        }
    }

    #[test]
    fn the_hash_is_fixed() {
        assert_eq!(hash64("auction"), hash64(&String::from("auction")));
        assert_ne!(hash64("a"), hash64("a\0"));
        assert_ne!(Hash64::seeded(1).hash_one(1u64), hash64(&1u64));
    }
}
