//! Ownership: which worker has the keys of which hashes.
//!
//! Keys are routed, kept and saved by ranges of their [hash](super::hash64). Which worker owns which range is
//! a map that a job is started with and that its snapshots keep; a snapshot is restored under any other.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A map from ranges of hashes to workers.
///
/// Costs a look-up in a table of 4,096 entries for each key that is routed, and a search among the ranges
/// that begin within one 4,096th of all hashes.
///
/// ```
/// use highwater::data::Ownership;
///
/// // The second of three workers has half of all keys.
/// let ownership = Ownership::weighted(&[1, 2, 1])?;
/// assert_eq!([0, 1 << 63, u64::MAX].map(|hash| ownership.worker_of(hash)), [0, 1, 2]);
/// assert_eq!(ownership.ranges_of(1).collect::<Vec<_>>(), [(1 << 62, (3 << 62) - 1)]);
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Ownership {
    workers: u32,
    /// Where each range begins, and its worker. The first begins at 0.
    ranges: Vec<(u64, u32)>,
    /// By the first bits of a hash, the range of the least hash that begins with them; and the last range.
    table: Vec<u32>,
}

/// A map as it is written.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    workers: u32,
    ranges: Vec<(u64, u32)>,
}

/// The first bits of a hash, by which its range is looked up.
const BITS: u32 = 12;

/// The most ranges of a map: more make it slow and manifests large.
const MOST: usize = 1 << 16;

impl Ownership {
    /// Ranges of one length, one for each worker, of which there is at least one.
    pub fn uniform(workers: u32) -> Ownership {
        let workers = workers.max(1);
        let begin = |worker: u32| (u128::from(worker) << 64).div_ceil(u128::from(workers)) as u64;
        let ranges: Vec<_> = (0..workers).map(|worker| (begin(worker), worker)).collect();
        Ownership { table: table(&ranges), workers, ranges }
    }

    /// Ranges of one length, unless there is no worker or more than there can be ranges.
    pub(crate) fn try_uniform(workers: u32) -> Result<Ownership> {
        match workers {
            0 => Err(Error::config("keys are to be owned by somebody")),
            _ if workers as usize > MOST => Err(Error::config("there are more workers than ranges of keys")),
            _ => Ok(Ownership::uniform(workers)),
        }
    }

    /// A range for each worker, as long as its weight says. A worker of weight 0 has no keys.
    ///
    /// # Errors
    ///
    /// If there is no weight, or all are 0.
    pub fn weighted(weights: &[u32]) -> Result<Ownership> {
        let all: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        if all == 0 {
            return Err(Error::config("keys are to be owned by somebody: give a worker a weight"));
        }
        let (mut before, mut ranges) = (0u128, Vec::new());
        for (worker, weight) in (0..).zip(weights) {
            if *weight > 0 {
                ranges.push(((before << 64).div_ceil(all) as u64, worker));
            }
            before += u128::from(*weight);
        }
        Ownership::new(weights.len() as u32, ranges)
    }

    /// So many workers, and ranges as where each begins and who has it, in order. The first begins at 0, and
    /// each ends where the next one begins. A worker may have several, or none.
    ///
    /// # Errors
    ///
    /// If the ranges are not in order, are not all hashes, or are of workers that there are not.
    pub fn new(workers: u32, ranges: Vec<(u64, u32)>) -> Result<Ownership> {
        let refused = |what: &str| Err(Error::config(format!("keys cannot be owned like this: {what}")));
        if ranges.first().is_none_or(|(begin, _)| *begin != 0) {
            return refused("the first range does not begin at 0");
        }
        if !ranges.is_sorted_by(|(one, _), (other, _)| one < other) {
            return refused("ranges are not in order");
        }
        if ranges.iter().any(|(_, worker)| *worker >= workers) {
            return refused("a range is of a worker that there is not");
        }
        if ranges.len() > MOST {
            return refused("there are more than 65,536 ranges");
        }
        Ok(Ownership { table: table(&ranges), workers, ranges })
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.workers as usize
    }

    /// The worker that owns a hash.
    #[inline]
    pub fn worker_of(&self, hash: u64) -> usize {
        let bits = (hash >> (u64::BITS - BITS)) as usize;
        let (first, next) = (self.table[bits] as usize, self.table[bits + 1] as usize);
        // Few ranges begin within what the first bits tell.
        let later = match next - first {
            0 => 0,
            _ => self.ranges[first + 1..=next].partition_point(|(begin, _)| *begin <= hash),
        };
        self.ranges[first + later].1 as usize
    }

    /// The ranges of a worker: the first and the last hash of each, in order.
    pub fn ranges_of(&self, worker: usize) -> impl Iterator<Item = (u64, u64)> {
        let ends = self.ranges.iter().skip(1).map(|(begin, _)| begin - 1).chain([u64::MAX]);
        let ranges = self.ranges.iter().zip(ends);
        ranges.filter(move |((_, owner), _)| *owner as usize == worker).map(|((begin, _), end)| (*begin, end))
    }

    /// True if some hash from one to another is a worker's.
    pub(crate) fn touches(&self, worker: usize, (first, last): (u64, u64)) -> bool {
        self.ranges_of(worker).any(|(begin, end)| begin <= last && first <= end)
    }

    /// True if all hashes from one to another are a worker's.
    pub(crate) fn holds(&self, worker: usize, (first, last): (u64, u64)) -> bool {
        let mut next = Some(first);
        for (begin, end) in self.ranges_of(worker) {
            next = next
                .and_then(|next| if (begin..=end).contains(&next) { end.checked_add(1) } else { Some(next) });
        }
        next.is_none_or(|next| next > last)
    }
}

impl Default for Ownership {
    /// One worker, which has all keys.
    fn default() -> Ownership {
        Ownership::uniform(1)
    }
}

/// By the first bits of a hash, the range of the least hash that begins with them; and the last range.
fn table(ranges: &[(u64, u32)]) -> Vec<u32> {
    let range = |bits: u64| ranges.partition_point(|(begin, _)| *begin <= bits << (u64::BITS - BITS)) - 1;
    (0..1 << BITS).map(|bits| range(bits) as u32).chain([ranges.len() as u32 - 1]).collect()
}

impl From<Ownership> for Written {
    fn from(Ownership { workers, ranges, .. }: Ownership) -> Written {
        Written { workers, ranges }
    }
}

impl TryFrom<Written> for Ownership {
    type Error = Error;

    fn try_from(Written { workers, ranges }: Written) -> Result<Ownership> {
        Ownership::new(workers, ranges)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    /// The worker of a hash, by looking at all ranges.
    fn owner(ownership: &Ownership, hash: u64) -> usize {
        let owners = (0..ownership.workers()).filter(|worker| {
            ownership.ranges_of(*worker).any(|(first, last)| (first..=last).contains(&hash))
        });
        let owners: Vec<_> = owners.collect();
        assert_eq!(owners.len(), 1, "{hash} is owned by {owners:?}");
        owners[0]
    }

    proptest! {
        #[test]
        fn each_hash_has_one_worker(
            begins in btree_map(any::<u64>(), 0..5u32, 0..40),
            near in vec((any::<prop::sample::Index>(), -2..3i64), 1..50),
            hashes in vec(any::<u64>(), 1..50),
        ) {
            let mut ranges: Vec<_> = begins.into_iter().filter(|(begin, _)| *begin > 0).collect();
            ranges.insert(0, (0, 3));
            let ownership = Ownership::new(5, ranges.clone()).unwrap();
            let near = near.iter().map(|(at, off)| ranges[at.index(ranges.len())].0.wrapping_add_signed(*off));
            for hash in hashes.into_iter().chain(near) {
                prop_assert_eq!(ownership.worker_of(hash), owner(&ownership, hash));
            }
            let bytes = postcard::to_allocvec(&ownership).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<Ownership>(&bytes).unwrap(), &ownership);
        }

        #[test]
        fn what_is_touched_and_what_is_held_is_told(
            workers in 1..9u32, worker in 0..9usize, ends in any::<(u64, u64)>(), wide in 0..64u32,
        ) {
            let ownership = Ownership::uniform(workers);
            let (first, last) = (ends.0, ends.0.saturating_add(ends.1 >> wide));
            let owners = ownership.worker_of(first)..=ownership.worker_of(last);
            prop_assert_eq!(ownership.touches(worker, (first, last)), owners.contains(&worker));
            prop_assert_eq!(ownership.holds(worker, (first, last)), owners == (worker..=worker));
        }

        #[test]
        fn uniform_ranges_are_what_they_were(workers in 1..1000u32, hash in any::<u64>()) {
            let before = (u128::from(hash) * u128::from(workers)) >> 64;
            prop_assert_eq!(Ownership::uniform(workers).worker_of(hash) as u128, before);
        }

        #[test]
        fn weights_are_shares(weights in vec(0..9u32, 1..9)) {
            let all: u32 = weights.iter().sum();
            let ownership = Ownership::weighted(&weights);
            prop_assert_eq!(ownership.is_ok(), all > 0);
            for (worker, weight) in weights.iter().enumerate().filter(|_| all > 0) {
                let ranges = ownership.as_ref().unwrap().ranges_of(worker);
                let share: f64 = ranges.map(|(first, last)| (last - first) as f64 / u64::MAX as f64).sum();
                prop_assert!((share - f64::from(*weight) / f64::from(all)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn maps_that_are_none_are_refused() {
        let told = |ranges: &[(u64, u32)]| Ownership::new(2, ranges.to_vec()).unwrap_err().to_string();
        assert!(told(&[]).contains("begin at 0") && told(&[(1, 0)]).contains("begin at 0"));
        assert!(told(&[(0, 0), (5, 1), (5, 0)]).contains("in order"));
        assert!(told(&[(0, 0), (5, 2)]).contains("there is not"));
        assert!(Ownership::weighted(&[]).is_err() && Ownership::weighted(&[0, 0]).is_err());
    }
}
