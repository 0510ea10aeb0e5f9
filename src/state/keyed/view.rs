//! State seen from outside: the runs of all workers as of the end of one epoch, while the job runs on.
//!
//! To look a key up costs a search in each run of the worker that owns it, of which a filter passes over
//! most. To read all keys costs a merge of all runs, of each of which one block is decoded at a time.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeBounds};
use std::sync::Arc;

use crate::data::{Exchange, Key, Ownership};
use crate::state::lsm::expiry::is_over;
use crate::state::lsm::row_type::RowPlace;
use crate::state::lsm::sorted_run::{SortedRun, pages_at};
use crate::state::run::arrangement::range;
use crate::state::run::cursor::Cursor;
use crate::state::run::item_rows::{ItemOrTombstone, ItemRows};

/// What one worker has published as of the end of an epoch.
pub(crate) struct PublishedEpoch<K, S, V> {
    pub(in crate::state) epoch: u64,
    /// The first epoch after it whose end may have another state.
    pub(in crate::state) until: u64,
    pub(in crate::state) rows: ItemRows<K, S, V>,
    /// The time that items expire by.
    pub(in crate::state) reached: i64,
    /// The runs, oldest first.
    pub(in crate::state) runs: Vec<Arc<SortedRun>>,
    /// What could not be sealed.
    pub(in crate::state) failed: Option<Arc<str>>,
}

impl<K, S, V> Clone for PublishedEpoch<K, S, V> {
    fn clone(&self) -> Self {
        PublishedEpoch {
            epoch: self.epoch,
            until: self.until,
            rows: self.rows.clone(),
            reached: self.reached,
            runs: self.runs.clone(),
            failed: self.failed.clone(),
        }
    }
}

/// One state of all keys as of the end of an epoch. It does not change any more.
///
/// It holds what it needs of the state, in memory and in local files, for as long as it is kept.
pub struct StateView<K, S, V> {
    pub(super) epoch: u64,
    pub(super) workers: Vec<PublishedEpoch<K, S, V>>,
    pub(super) ownership: Arc<Ownership>,
}

impl<K, S, V> Clone for StateView<K, S, V> {
    fn clone(&self) -> Self {
        let ownership = Arc::clone(&self.ownership);
        StateView { epoch: self.epoch, workers: self.workers.clone(), ownership }
    }
}

impl<K: Key, S: Key, V: Exchange> StateView<K, S, V> {
    /// What of the state could not be sealed, if there is such.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.workers.iter().find_map(|published| published.failed.as_deref())
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The items of a key by their sub-keys. Costs a search in each run of the worker that owns the key.
    ///
    /// If a page lies in a file and cannot be read, its items are missing, and the job ends with an error
    /// that says so. Values that their type's `Deserialize` refuses are missing, too.
    pub fn items(&self, key: &K) -> BTreeMap<S, V> {
        let mut items = BTreeMap::new();
        let Some(first) = self.workers.first() else { return items };
        let hash = first.rows.owner()(key);
        let place = RowPlace::of_hash(hash);
        if let Some(PublishedEpoch { rows, runs, reached, .. }) =
            self.workers.get(self.ownership.worker_of(hash))
        {
            for page in pages_at(runs.iter().map(|run| &**run), place) {
                // What cannot be read is missing, as is said above.
                let _ = range(rows, page, place, &mut |(other, sub), kept| {
                    if other.key == *key {
                        take(&mut items, sub, kept, *reached);
                    }
                });
            }
        }
        items
    }

    /// Shows all items, in no order that means something, but those of a key together and by their sub-keys,
    /// until `visit` breaks off. Holds a block of each run.
    pub fn scan(&self, mut visit: impl FnMut(K, S, V) -> ControlFlow<()>) {
        for PublishedEpoch { rows, runs, reached, .. } in &self.workers {
            let cursor = |run: &Arc<_>| Cursor::new(rows.clone(), Arc::clone(run), (0, 0), None);
            let mut cursors: Vec<_> = runs.iter().map(cursor).collect();
            while let Some(least) = cursors.iter().filter_map(|cursor| Some(&cursor.row()?.0)).min().cloned()
            {
                // Of several rows of a key the newest counts, which is in the last run.
                let here = cursors.iter_mut().filter(|cursor| cursor.row().is_some_and(|row| row.0 == least));
                let newest = here.filter_map(Cursor::take).last();
                if let Some(((hashed, sub), Some((value, expires)))) = newest
                    && !is_over(expires, *reached)
                    && visit(hashed.key, sub, value).is_break()
                {
                    return;
                }
            }
        }
    }

    /// The items of a range of keys, in order. Costs a [scan](StateView::scan) of all: keys lie in the order
    /// of their hashes.
    pub fn range(&self, keys: impl RangeBounds<K>) -> BTreeMap<(K, S), V> {
        let mut items = BTreeMap::new();
        self.scan(|key, sub, value| {
            if keys.contains(&key) {
                items.insert((key, sub), value);
            }
            ControlFlow::Continue(())
        });
        items
    }

    /// All items, in order. Costs a copy of all of them.
    pub fn all(&self) -> BTreeMap<(K, S), V> {
        self.range(..)
    }
}

/// Lets a later row count.
fn take<K: Ord, V>(items: &mut BTreeMap<K, V>, key: K, kept: ItemOrTombstone<V>, reached: i64) {
    match kept.filter(|(_, expires)| !is_over(*expires, reached)) {
        Some((value, _)) => drop(items.insert(key, value)),
        None => drop(items.remove(&key)),
    }
}

impl<K: Key, V: Exchange> StateView<K, (), V> {
    /// The value of a key. Costs a search in runs of the worker that owns it, from the newest one on, up to
    /// the one that has it.
    pub fn get(&self, key: &K) -> Option<V> {
        let hash = self.workers.first()?.rows.owner()(key);
        let place = RowPlace::of_hash(hash);
        let PublishedEpoch { rows, runs, reached, .. } = self.workers.get(self.ownership.worker_of(hash))?;
        let mut found = None;
        for page in pages_at(runs.iter().rev().map(|run| &**run), place) {
            let read = range(rows, page, place, &mut |(other, ()), kept| {
                if other.key == *key {
                    found = Some(kept);
                }
            });
            // Not an older value, where the newest one cannot be read.
            if read.is_err() || found.is_some() {
                break;
            }
        }
        found.flatten().filter(|(_, expires)| !is_over(*expires, *reached)).map(|(value, _)| value)
    }
}
