//! The runs of a state that is only saved, and which of them become one.
//!
//! Merging costs a row as much as writing it did, and gains something only where a row is in several runs: then all but the newest are dropped. So
//! runs of about one size become one when there are four of them and a third of their rows would go; when they are small, since each has pages that are not full; and when there are
//! many, lest a manifest name ever more of them.
//!
//! How many rows would go is told by a sample. Rows lie in order of hashes, so the first page of a run is a fair one: the rows of all runs up to the least of the keys that these
//! pages end with are looked at. A thousand rows of each run tell it to a few in a hundred.
//!
//! A state of which the same part changes from cut to cut is written once, and its part once more for every three cuts. One that gets new keys alone is
//! written once, and again when sixteen runs of a size have come together.

use super::run::PageOf;
use super::{Hashed, ItemRows};
use crate::data::{Exchange, Key};

/// A run.
pub(super) struct Stack<K: Key, S: Key, V: Exchange> {
    pub(super) epochs: (u64, u64),
    pub(super) pages: Vec<PageOf<ItemRows<K, S, V>>>,
    len: usize,
    sample: Sample<K, S>,
}

/// The keys of a run's first page.
pub(super) type Sample<K, S> = Vec<(Hashed<K>, S)>;

/// Runs of one size become one if there are so many of them, and it pays.
const FAN: usize = 4;

/// They do, whether it pays or not, if there are so many.
const MANY: usize = 16;

/// And if they have no more rows than this, all together.
const SMALL: usize = 16 << 10;

impl<K: Key, S: Key, V: Exchange> Stack<K, S, V> {
    pub(super) fn new(
        epochs: (u64, u64),
        pages: Vec<PageOf<ItemRows<K, S, V>>>,
        sample: Sample<K, S>,
    ) -> Stack<K, S, V> {
        Stack { epochs, len: pages.iter().map(|page| page.len()).sum(), pages, sample }
    }
}

/// The size of a run of so many rows: how often one has to be multiplied by the number of runs that become one to be as many.
fn size(len: usize) -> u32 {
    len.max(1).ilog(FAN)
}

/// Where the runs begin that are followed by those from a place on, which count as one of so many rows, and are of no greater size.
fn alike<K: Key, S: Key, V: Exchange>(runs: &[Stack<K, S, V>], from: usize, len: usize) -> usize {
    runs[..from].iter().rposition(|run| size(run.len) > size(len)).map_or(0, |larger| larger + 1)
}

/// True if a run of so many rows may make some of those before it, oldest first, and it become one.
pub(super) fn may_merge<K: Key, S: Key, V: Exchange>(runs: &[Stack<K, S, V>], len: usize) -> bool {
    runs.len() - alike(runs, runs.len(), len) + 1 >= FAN
}

/// From which of the runs on, oldest first, all become one now, if some do.
///
/// What has become one counts as one run of about as many rows as it will have: so it may be one of four in turn, and is not written twice.
pub(super) fn merges_from<K: Key, S: Key, V: Exchange>(runs: &[Stack<K, S, V>]) -> Option<usize> {
    let newest = runs.len().checked_sub(1)?;
    let (mut from, mut len) = (newest, runs[newest].len);
    loop {
        let first = alike(runs, from, len);
        let (many, merged) = (from - first + 1, &runs[first..]);
        let rows: usize = merged.iter().map(|run| run.len).sum();
        let (stay, all) = sampled(merged);
        if many < FAN || (rows > SMALL && many < MANY && 3 * stay > 2 * all) {
            return (from < newest).then_some(from);
        }
        (from, len) = (first, (rows as f64 * stay as f64 / all.max(1) as f64) as usize);
    }
}

/// How many rows would stay if runs became one, and how many there are, both in a sample.
fn sampled<K: Key, S: Key, V: Exchange>(runs: &[Stack<K, S, V>]) -> (usize, usize) {
    let more = runs.iter().filter(|run| run.len > run.sample.len());
    let limit = more.filter_map(|run| run.sample.last()).min();
    let keys = runs.iter().flat_map(|run| &run.sample);
    let mut keys: Vec<_> = keys.filter(|key| limit.is_none_or(|limit| *key <= limit)).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    (keys.len(), all)
}
