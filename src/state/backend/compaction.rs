//! The runs of a state that is only saved, and which of them become one.
//!
//! Merging costs a row as much as writing it did, and gains something only where a row is in several runs:
//! then all but the newest are dropped. So runs of about one size become one when there are four of them and
//! a third of their rows would go; when they are small, since each has pages that are not full; and when
//! there are many, lest a manifest name ever more of them. When half of all rows would go, all runs become
//! one: then what says that something is no more goes too, and what has expired. So there are not many more
//! than twice as many rows as there are items.
//!
//! How many rows would go is told by a sample. Rows lie in order of hashes, so the first page of a run is a
//! fair one: the rows of all runs up to the least of the keys that these pages end with are looked at. A
//! thousand rows of each run tell it to a few in a hundred.
//!
//! A state of which the same part changes from cut to cut is written once, and its part once more for every
//! three cuts. One that gets new keys alone is written once, and again when sixteen runs of a size have come
//! together.

use std::cmp::Reverse;

use crate::data::{Exchange, Key};
use crate::state::run::hashed::Hashed;
use crate::state::run::item_rows::Row;
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows, is_over};
use crate::state::run::sorted_run::PageOf;

/// A run.
pub(in crate::state) struct SavedRun<K: Key, S: Key, V: Exchange> {
    pub(in crate::state) epochs: (u64, u64),
    pub(in crate::state) pages: Vec<PageOf<ItemRows<K, S, V>>>,
    len: usize,
    sample: Sample<K, S>,
}

/// The keys of a run's first page, and when what they have expires; [`GONE`] if that is nothing.
pub(in crate::state) type Sample<K, S> = Vec<((Hashed<K>, S), i64)>;

/// Before all times.
const GONE: i64 = i64::MIN;

/// Runs of one size become one if there are so many of them, and it pays.
const FAN: usize = 4;

/// They do, whether it pays or not, if there are so many.
const MANY: usize = 16;

/// And if they have no more rows than this, all together.
const SMALL: usize = 16 << 10;

impl<K: Key, S: Key, V: Exchange> SavedRun<K, S, V> {
    pub(in crate::state) fn new(
        epochs: (u64, u64),
        pages: Vec<PageOf<ItemRows<K, S, V>>>,
        sample: Sample<K, S>,
    ) -> SavedRun<K, S, V> {
        SavedRun { epochs, len: pages.iter().map(|page| page.len()).sum(), pages, sample }
    }
}

/// The sample of a run whose first page has these rows.
pub(in crate::state) fn sample<K: Key, S: Key, V: Exchange>(rows: &[Row<K, S, V>]) -> Sample<K, S> {
    let until = |kept: &ItemOrTombstone<V>| kept.as_ref().map_or(GONE, |(_, expires)| *expires);
    rows.iter().map(|(key, kept)| (key.clone(), until(kept))).collect()
}

/// The size of a run of so many rows: how often one has to be multiplied by the number of runs that become
/// one to be as many.
fn size(len: usize) -> u32 {
    len.max(1).ilog(FAN)
}

/// Where the runs begin that are followed by those from a place on, which count as one of so many rows, and
/// are of no greater size.
fn alike<K: Key, S: Key, V: Exchange>(runs: &[SavedRun<K, S, V>], from: usize, len: usize) -> usize {
    runs[..from].iter().rposition(|run| size(run.len) > size(len)).map_or(0, |larger| larger + 1)
}

/// True if a run of so many rows may make it and some of those before it, oldest first, become one; not that
/// all become one when half of their rows would go, which is seldom.
pub(in crate::state) fn may_merge<K: Key, S: Key, V: Exchange>(
    runs: &[SavedRun<K, S, V>],
    len: usize,
) -> bool {
    runs.len() - alike(runs, runs.len(), len) + 1 >= FAN
}

/// From which of the runs on, oldest first, all become one now, if some do. The clock that rows expire by has
/// come to `clock`.
///
/// What has become one counts as one run of about as many rows as it will have: so it may be one of four in
/// turn, and is not written twice.
pub(in crate::state) fn merges_from<K: Key, S: Key, V: Exchange>(
    runs: &[SavedRun<K, S, V>],
    clock: i64,
) -> Option<usize> {
    let newest = runs.len().checked_sub(1)?;
    let (mut from, mut len) = (newest, runs[newest].len);
    loop {
        let first = alike(runs, from, len);
        let (many, rows) = (from - first + 1, rows(&runs[first..]));
        let stays = (many >= FAN).then(|| surviving_share(runs, first, clock));
        let Some(stays) = stays.filter(|stays| rows <= SMALL || many >= MANY || 3.0 * stays < 2.0) else {
            let half_goes = self::rows(runs) > SMALL && 2.0 * surviving_share(runs, 0, clock) <= 1.0;
            return if half_goes { Some(0) } else { (from < newest).then_some(from) };
        };
        (from, len) = (first, (rows as f64 * stays) as usize);
    }
}

fn rows<K: Key, S: Key, V: Exchange>(runs: &[SavedRun<K, S, V>]) -> usize {
    runs.iter().map(|run| run.len).sum()
}

/// The portion of the rows of all runs from a place on that would stay if these became one, by their samples.
fn surviving_share<K: Key, S: Key, V: Exchange>(runs: &[SavedRun<K, S, V>], from: usize, clock: i64) -> f64 {
    let is_oldest = from == 0;
    let runs = &runs[from..];
    let more = runs.iter().filter(|run| run.len > run.sample.len());
    let limit = more.filter_map(|run| run.sample.last()).map(|(key, _)| key).min();
    let samples = runs.iter().enumerate().flat_map(|(age, run)| run.sample.iter().map(move |row| (age, row)));
    let rows = samples.map(|(age, (key, until))| (key, Reverse(age), *until));
    let mut rows: Vec<_> = rows.filter(|(key, _, _)| limit.is_none_or(|limit| *key <= limit)).collect();
    let all = rows.len();
    rows.sort_unstable();
    // The newest stays.
    rows.dedup_by_key(|(key, _, _)| *key);
    rows.retain(|(_, _, until)| !is_oldest || !is_over(*until, clock));
    // If nothing is known, all stay.
    if all == 0 { 1.0 } else { rows.len() as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::data::hash64;
    use crate::state::run::item_rows::NEVER;

    type Rows = BTreeMap<(Hashed<u32>, ()), i64>;

    /// Runs as keys, and when what they have expires.
    #[derive(Default)]
    struct Runs {
        runs: Vec<Rows>,
        clock: i64,
        /// The rows that were written, and all that there were to write.
        written: usize,
        delivered: usize,
    }

    impl Runs {
        fn push_delta(&mut self, rows: impl Iterator<Item = (u32, i64)>) {
            let rows = rows.map(|(key, until)| ((Hashed { hash: hash64(&key), key }, ()), until));
            self.runs.push(rows.collect());
            let newest = self.runs.len() - 1;
            self.delivered += self.runs[newest].len();
            let free_segments: Vec<SavedRun<u32, (), u8>> = self.runs.iter().map(segment).collect();
            let from = merges_from(&free_segments, self.clock).unwrap_or(newest);
            assert!(
                from == 0 || from == newest || may_merge(&free_segments[..newest], free_segments[newest].len)
            );
            let mut merged = Rows::new();
            self.runs.drain(from..).for_each(|run| merged.extend(run));
            if from == 0 {
                merged.retain(|_, until| !is_over(*until, self.clock));
            }
            self.written += merged.len();
            self.runs.push(merged);
        }

        fn put(&mut self, keys: impl Iterator<Item = u32>) {
            self.push_delta(keys.map(|key| (key, NEVER)));
        }

        /// How many rows there are for each item, and how often each was written.
        fn costs(&self) -> (f64, f64) {
            let mut items = Rows::new();
            self.runs
                .iter()
                .for_each(|run| items.extend(run.iter().map(|(key, until)| (key.clone(), *until))));
            items.retain(|_, until| !is_over(*until, self.clock));
            let rows: usize = self.runs.iter().map(Rows::len).sum();
            (rows as f64 / items.len() as f64, self.written as f64 / self.delivered as f64)
        }
    }

    fn segment(rows: &Rows) -> SavedRun<u32, (), u8> {
        let sample = rows.iter().take(1024).map(|(key, until)| (key.clone(), *until)).collect();
        SavedRun { epochs: (0, 0), pages: Vec::new(), len: rows.len(), sample }
    }

    /// A sequence of numbers without much order.
    fn mixed(number: u32) -> u32 {
        hash64(&number) as u32
    }

    #[test]
    fn new_keys_are_not_written_again_before_there_are_many_runs() {
        let mut runs = Runs::default();
        (0..12).for_each(|cut| runs.put(cut * 30_000..(cut + 1) * 30_000));
        assert_eq!((runs.runs.len(), runs.costs()), (12, (1.0, 1.0)));
        (12..40).for_each(|cut| runs.put(cut * 30_000..(cut + 1) * 30_000));
        assert!(runs.runs.len() <= 16 + 2 && runs.costs().1 < 2.1, "{} {:?}", runs.runs.len(), runs.costs());
    }

    #[test]
    fn the_same_keys_become_one_run() {
        let mut runs = Runs::default();
        runs.put(0..200_000);
        (0..20).for_each(|_| runs.put(0..20_000));
        let (rows, written) = runs.costs();
        assert!(runs.runs.len() <= 5 && rows < 1.5 && written < 1.4, "{} {rows} {written}", runs.runs.len());
    }

    #[test]
    fn changes_all_over_take_no_more_than_twice_the_room() {
        let mut runs = Runs::default();
        runs.put(0..200_000);
        for cut in 0..50u32 {
            runs.put((0..20_000).map(|n| mixed(cut * 20_000 + n) % 200_000));
            assert!(cut % 3 > 0 || runs.costs().0 < 2.3, "{:?} after {cut}", runs.costs());
        }
        assert!(runs.costs().1 < 3.0, "{:?}", runs.costs());
    }

    #[test]
    fn what_comes_and_goes_takes_no_more_than_twice_the_room() {
        let mut runs = Runs::default();
        runs.put(0..60_000);
        for cut in 4..50u32 {
            let (come, go) = (cut * 20_000..(cut + 1) * 20_000, (cut - 1) * 20_000..cut * 20_000);
            let tombstones = go.filter(|_| cut > 4).map(|key| (key, GONE));
            runs.push_delta(come.map(|key| (key, NEVER)).chain(tombstones));
            assert!(cut % 3 > 0 || runs.costs().0 < 2.8, "{:?} after {cut}", runs.costs());
        }
        assert!(runs.costs().1 < 2.5, "{:?}", runs.costs());
    }

    #[test]
    fn what_expires_takes_no_more_than_twice_the_room() {
        let mut runs = Runs::default();
        for cut in 0..50u32 {
            runs.clock = i64::from(cut);
            runs.push_delta((cut * 20_000..(cut + 1) * 20_000).map(|key| (key, i64::from(cut) + 10)));
            assert!(cut % 3 > 0 || runs.costs().0 < 2.4, "{:?} after {cut}", runs.costs());
        }
        assert!(runs.costs().1 < 2.5, "{:?}", runs.costs());
    }

    #[test]
    fn small_runs_are_few() {
        let mut runs = Runs::default();
        for cut in 0..300 {
            runs.put(cut * 10..(cut + 1) * 10);
            assert!(runs.runs.len() <= 3 * 7, "{}", runs.runs.len());
        }
        let keys: BTreeSet<_> = runs.runs.iter().flat_map(Rows::keys).collect();
        assert_eq!(keys.len(), 3000);
    }

    #[test]
    fn runs_that_nothing_is_known_of_are_merged_when_there_are_many() {
        let blind = |_| SavedRun::<u32, (), u8> {
            epochs: (0, 0),
            pages: Vec::new(),
            len: 100_000,
            sample: Vec::new(),
        };
        assert_eq!(merges_from(&(0..15).map(blind).collect::<Vec<_>>(), 0), None);
        assert_eq!(merges_from(&(0..16).map(blind).collect::<Vec<_>>(), 0), Some(0));
    }
}
