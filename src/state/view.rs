//! State seen from outside: the pages of all workers as of one epoch, while the job runs on.
//!
//! Pages never change, so a view is a list of pointers, and reading it disturbs no one. What it costs is the seal that it asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::data::{Key, hash64, worker_of};

/// Sorted rows of one run: an item of a key, or that it is gone.
type Pages<K, S, V> = Vec<Arc<Vec<((K, S), Option<V>)>>>;

/// What one worker has published: for some epochs, its runs, oldest first.
type Published<K, S, V> = VecDeque<(u64, Vec<Pages<K, S, V>>)>;

/// Where the workers publish what they seal of one state.
pub(crate) struct Board<K, S, V> {
    workers: Mutex<Vec<Published<K, S, V>>>,
    changed: Condvar,
}

/// The number of epochs that a worker's publications are kept for. Workers are never far apart, and all must have published one.
const KEPT: usize = 8;

impl<K, S, V> Board<K, S, V> {
    pub(crate) fn new() -> Board<K, S, V> {
        Board { workers: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Published<K, S, V>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for so many workers.
    pub(crate) fn prepare(&self, workers: usize) {
        *self.lock() = (0..workers).map(|_| VecDeque::new()).collect();
    }

    pub(crate) fn publish(&self, worker: usize, epoch: u64, runs: Vec<Pages<K, S, V>>) {
        if let Some(published) = self.lock().get_mut(worker) {
            published.push_back((epoch, runs));
            if published.len() > KEPT {
                published.pop_front();
            }
        }
        self.changed.notify_all();
    }

    /// The state as of the last epoch, at or after `epoch`, that all workers have published. Waits for one no longer than `wait`.
    pub(crate) fn view(&self, epoch: u64, wait: Duration) -> Option<StateView<K, S, V>> {
        let waited =
            self.changed.wait_timeout_while(self.lock(), wait, |workers| common(workers, epoch).is_none());
        let workers = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(workers, _)| workers);
        let epoch = common(&workers, epoch)?;
        let of = |published: &Published<K, S, V>| {
            published.iter().find(|(e, _)| *e == epoch).map(|(_, runs)| runs.clone())
        };
        Some(StateView {
            epoch,
            workers: workers.iter().map(|published| of(published).unwrap_or_default()).collect(),
        })
    }
}

/// The last epoch from `least` on that all workers have published.
fn common<K, S, V>(workers: &[Published<K, S, V>], least: u64) -> Option<u64> {
    let (first, others) = workers.split_first()?;
    let has = |published: &Published<K, S, V>, epoch| published.iter().any(|(e, _)| *e == epoch);
    let epochs = first.iter().map(|(epoch, _)| *epoch).filter(|epoch| *epoch >= least);
    epochs.filter(|epoch| others.iter().all(|published| has(published, *epoch))).max()
}

/// One state of all keys as of the end of an epoch. It does not change any more.
pub struct StateView<K, S, V> {
    epoch: u64,
    workers: Vec<Vec<Pages<K, S, V>>>,
}

impl<K: Key, S: Key, V: Clone> StateView<K, S, V> {
    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The items of a key by their sub-keys. Costs a search in each run of the worker that owns the key.
    pub fn items(&self, key: &K) -> BTreeMap<S, V> {
        let mut items = BTreeMap::new();
        let owner = worker_of(hash64(key), self.workers.len().max(1));
        for run in self.workers.get(owner).into_iter().flatten() {
            let page = run.partition_point(|page| page.last().is_some_and(|row| row.0.0 < *key));
            let rows = run[page..].iter().flat_map(|page| page.iter());
            for ((_, sub), value) in rows.skip_while(|row| row.0.0 < *key).take_while(|row| row.0.0 == *key) {
                match value {
                    Some(value) => drop(items.insert(sub.clone(), value.clone())),
                    None => drop(items.remove(sub)),
                }
            }
        }
        items
    }

    /// All items, in order. Costs a copy of all of them.
    pub fn all(&self) -> BTreeMap<(K, S), V> {
        let mut all = BTreeMap::new();
        for page in self.workers.iter().flatten().flatten() {
            for (key, value) in page.iter() {
                match value {
                    Some(value) => drop(all.insert(key.clone(), value.clone())),
                    None => drop(all.remove(key)),
                }
            }
        }
        all
    }
}

impl<K: Key, V: Clone> StateView<K, (), V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.items(key).remove(&())
    }
}
