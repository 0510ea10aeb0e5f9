//! Which sorted runs become one, and when.
//!
//! Merging costs a row as much as writing it did, and gains something only where a row is in several runs:
//! then all but the newest are dropped. So runs of about one size become one when there are four of them and
//! a third of their rows would go; when they are small, since each has pages that are not full; and when
//! there are many, lest a manifest name ever more of them. When half of all rows would go, all runs become
//! one: then what says that something is no more goes too, and what has expired. So there are not many more
//! than twice as many rows as there are items.
//!
//! How many rows would go is told by a sample. Rows lie in order of hashes, so the first ones of a run are a
//! fair one: the rows of all runs up to the least of the keys that these end with are looked at. Some hundred
//! rows of each run tell it to a few in a hundred. Runs in order of time have no sample: what of them is over
//! is dropped page by page, and they are merged when there are many.
//!
//! A state of which the same part changes from cut to cut is written once, and its part once more for every
//! three cuts. One that gets new keys alone is written once, and again when sixteen runs of a size have come
//! together.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::state::lsm::sorted_run::SortedRun;

/// Runs of one size become one if there are so many of them, and it pays.
const FAN: usize = 4;

/// They do, whether it pays or not, if there are so many.
const MANY: usize = 16;

/// And if they have no more rows than this, all together.
const SMALL: usize = 16 << 10;

/// The size of a run of so many rows: how often one has to be multiplied by the number of runs that become
/// one to be as many.
fn size(len: usize) -> u32 {
    len.max(1).ilog(FAN)
}

/// Where the runs begin that are followed by those from a place on, which count as one of so many rows, and
/// are of no greater size.
fn alike(runs: &[Arc<SortedRun>], from: usize, len: usize) -> usize {
    runs[..from].iter().rposition(|run| size(run.len) > size(len)).map_or(0, |larger| larger + 1)
}

/// True if a run of so many rows may make it and some of those before it, oldest first, become one; not that
/// all become one when half of their rows would go, which is seldom.
pub(super) fn may_merge(runs: &[Arc<SortedRun>], len: usize) -> bool {
    runs.len() - alike(runs, runs.len(), len) + 1 >= FAN
}

/// From which of the runs on, oldest first, all become one now, if some do. The clock that rows expire by has
/// come to `clock`.
///
/// What has become one counts as one run of about as many rows as it will have: so it may be one of four in
/// turn, and is not written twice.
pub(super) fn merges_from(runs: &[Arc<SortedRun>], clock: i64) -> Option<usize> {
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

fn rows(runs: &[Arc<SortedRun>]) -> usize {
    runs.iter().map(|run| run.len).sum()
}

/// The portion of the rows of all runs from a place on that would stay if these became one, by their samples.
fn surviving_share(runs: &[Arc<SortedRun>], from: usize, clock: i64) -> f64 {
    let is_oldest = from == 0;
    let runs = &runs[from..];
    let more = runs.iter().filter(|run| run.len > run.sample.len());
    let limit = more.filter_map(|run| run.sample.last()).map(|(prefix, _, _)| *prefix).min();
    let samples = runs.iter().enumerate().flat_map(|(age, run)| run.sample.iter().map(move |row| (age, row)));
    let rows = samples.map(|(age, (prefix, hash, over))| ((*prefix, *hash), Reverse(age), *over));
    let mut rows: Vec<_> =
        rows.filter(|((prefix, _), _, _)| limit.is_none_or(|limit| *prefix <= limit)).collect();
    let all = rows.len();
    rows.sort_unstable();
    // The newest stays.
    rows.dedup_by_key(|(key, _, _)| *key);
    // What never expires is not over at the end of time.
    rows.retain(|(_, _, over)| !is_oldest || *over > clock.min(i64::MAX - 1));
    // If nothing is known, all stay.
    if all == 0 { 1.0 } else { rows.len() as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::data::hash64;
    use crate::state::lsm::expiry::NEVER;

    /// When the rows of keys are over, by the hashes of the keys.
    type Rows = BTreeMap<(u64, u32), i64>;

    /// When a row is over that says that its key is no more.
    const GONE: i64 = i64::MIN;

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
            let rows = rows.map(|(key, until)| ((hash64(&key), key), until));
            self.runs.push(rows.collect());
            let newest = self.runs.len() - 1;
            self.delivered += self.runs[newest].len();
            let runs: Vec<Arc<SortedRun>> = self.runs.iter().map(run).collect();
            let from = merges_from(&runs, self.clock).unwrap_or(newest);
            assert!(from == 0 || from == newest || may_merge(&runs[..newest], runs[newest].len));
            let mut merged = Rows::new();
            self.runs.drain(from..).for_each(|run| merged.extend(run));
            if from == 0 {
                merged.retain(|_, until| *until > self.clock);
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
            self.runs.iter().for_each(|run| items.extend(run));
            items.retain(|_, until| *until > self.clock);
            let rows: usize = self.runs.iter().map(Rows::len).sum();
            (rows as f64 / items.len() as f64, self.written as f64 / self.delivered as f64)
        }
    }

    fn run(rows: &Rows) -> Arc<SortedRun> {
        let sample = rows.iter().take(256).map(|((hash, key), until)| (*hash, u64::from(*key), *until));
        Arc::new(SortedRun { len: rows.len(), ..SortedRun::new((0, 0), Vec::new(), sample.collect()) })
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
        let blind =
            |_| Arc::new(SortedRun { len: 100_000, ..SortedRun::new((0, 0), Vec::new(), Vec::new()) });
        assert_eq!(merges_from(&(0..15).map(blind).collect::<Vec<_>>(), 0), None);
        assert_eq!(merges_from(&(0..16).map(blind).collect::<Vec<_>>(), 0), Some(0));
    }
}
