//! State seen from outside: the pages of all workers as of one epoch, while the job runs on.
//!
//! Pages never change, so a view is a list of pointers, and reading it disturbs no one. What it costs is the
//! seal that it asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::data::{Key, worker_of};
use crate::state::run::hashed::{Hashed, Owner};
use crate::state::run::item_rows::{ItemOrTombstone, is_over};
use crate::state::run::page::{self, Page};

/// The pages of one run.
type Pages<K, S, V> = Vec<Arc<Page<(Hashed<K>, S), ItemOrTombstone<V>>>>;

/// What one worker has published as of the end of an epoch.
pub(crate) struct PublishedEpoch<K, S, V> {
    pub(in crate::state) epoch: u64,
    pub(in crate::state) owner: Owner<K>,
    /// The time that items expire by.
    pub(in crate::state) reached: i64,
    /// The runs, oldest first.
    pub(in crate::state) runs: Vec<Pages<K, S, V>>,
}

impl<K, S, V> Clone for PublishedEpoch<K, S, V> {
    fn clone(&self) -> Self {
        PublishedEpoch {
            epoch: self.epoch,
            owner: self.owner,
            reached: self.reached,
            runs: self.runs.clone(),
        }
    }
}

/// Where the workers publish what they seal of one state.
pub(crate) struct PublishedState<K, S, V> {
    workers: Mutex<Vec<VecDeque<PublishedEpoch<K, S, V>>>>,
    changed: Condvar,
}

/// The number of epochs that a worker's publications are kept for. Workers are never far apart, and all must
/// have published one.
const KEPT: usize = 8;

impl<K, S, V> PublishedState<K, S, V> {
    pub(crate) fn new() -> PublishedState<K, S, V> {
        PublishedState { workers: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<VecDeque<PublishedEpoch<K, S, V>>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for so many workers.
    pub(crate) fn prepare(&self, workers: usize) {
        *self.lock() = (0..workers).map(|_| VecDeque::new()).collect();
    }

    pub(crate) fn publish(&self, worker: usize, state: PublishedEpoch<K, S, V>) {
        if let Some(published) = self.lock().get_mut(worker) {
            published.push_back(state);
            if published.len() > KEPT {
                published.pop_front();
            }
        }
        self.changed.notify_all();
    }

    /// The state as of the last epoch, at or after `epoch`, that all workers have published. Waits for one no
    /// longer than `wait`.
    pub(crate) fn view(&self, epoch: u64, wait: Duration) -> Option<StateView<K, S, V>> {
        let waited =
            self.changed.wait_timeout_while(self.lock(), wait, |workers| common(workers, epoch).is_none());
        let workers = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(workers, _)| workers);
        let epoch = common(&workers, epoch)?;
        let of = |published: &VecDeque<PublishedEpoch<K, S, V>>| {
            published.iter().find(|p| p.epoch == epoch).cloned()
        };
        Some(StateView { epoch, workers: workers.iter().filter_map(of).collect() })
    }
}

/// The last epoch from `least` on that all workers have published.
fn common<K, S, V>(workers: &[VecDeque<PublishedEpoch<K, S, V>>], least: u64) -> Option<u64> {
    let (first, others) = workers.split_first()?;
    let has =
        |published: &VecDeque<PublishedEpoch<K, S, V>>, epoch| published.iter().any(|p| p.epoch == epoch);
    let epochs = first.iter().map(|published| published.epoch).filter(|epoch| *epoch >= least);
    epochs.filter(|epoch| others.iter().all(|published| has(published, *epoch))).max()
}

/// One state of all keys as of the end of an epoch. It does not change any more.
pub struct StateView<K, S, V> {
    epoch: u64,
    workers: Vec<PublishedEpoch<K, S, V>>,
}

impl<K: Key, S: Key, V: Clone> StateView<K, S, V> {
    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The items of a key by their sub-keys. Costs a search in each run of the worker that owns the key.
    ///
    /// If a page lies in a file and cannot be read, its items are missing, and the job ends with an error
    /// that says so.
    pub fn items(&self, key: &K) -> BTreeMap<S, V> {
        let mut items = BTreeMap::new();
        let Some(first) = self.workers.first() else { return items };
        let key = Hashed { hash: (first.owner)(key), key: key.clone() };
        if let Some(PublishedEpoch { runs, reached, .. }) =
            self.workers.get(worker_of(key.hash, self.workers.len()))
        {
            for run in runs {
                page::range(run, key.hash, &|(k, _)| k.cmp(&key), &mut |(_, sub), kept| {
                    take(&mut items, sub, kept, *reached);
                });
            }
        }
        items
    }

    /// All items, in order. Costs a copy of all of them.
    pub fn all(&self) -> BTreeMap<(K, S), V> {
        let mut all = BTreeMap::new();
        for PublishedEpoch { runs, reached, .. } in &self.workers {
            for ((Hashed { key, .. }, sub), kept) in runs.iter().flatten().flat_map(|page| page.read()) {
                take(&mut all, (key, sub), kept, *reached);
            }
        }
        all
    }
}

/// Lets a later row count.
fn take<K: Ord, V>(items: &mut BTreeMap<K, V>, key: K, kept: ItemOrTombstone<V>, reached: i64) {
    match kept.filter(|(_, expires)| !is_over(*expires, reached)) {
        Some((value, _)) => drop(items.insert(key, value)),
        None => drop(items.remove(&key)),
    }
}

impl<K: Key, V: Clone> StateView<K, (), V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.items(key).remove(&())
    }
}
