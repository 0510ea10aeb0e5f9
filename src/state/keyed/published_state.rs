//! What workers publish of a state for readers from outside: its runs as of the ends of epochs.
//!
//! Runs never change, so what is published is a list of pointers, and reading it disturbs no one. It is
//! published when a reader asks, which costs the seal that it asks for; or, if the job keeps a history, at
//! the end of each epoch, which costs a seal of what each epoch has changed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::data::Ownership;
use crate::lock::lock;
use crate::metric::Metric;
use crate::state::keyed::view::{PublishedEpoch, StateView};
use crate::state::lsm::sorted_run::SortedRun;

/// Where the workers publish what they seal of one state.
pub(crate) struct PublishedState<K, S, V> {
    board: Mutex<Board<K, S, V>>,
    changed: Condvar,
}

struct Board<K, S, V> {
    /// What each worker has published, older epochs first.
    workers: Vec<VecDeque<PublishedEpoch<K, S, V>>>,
    ownership: Arc<Ownership>,
    /// How many epochs are kept. None if only what is asked for is published.
    history: u64,
    /// The bytes of runs that only earlier epochs than the last have.
    held: Vec<(Metric, i64)>,
}

/// The number of publications of a worker that are kept if there is no history. Workers are never far apart,
/// and all must have published one.
const KEPT: usize = 8;

impl<K, S, V> PublishedState<K, S, V> {
    pub(crate) fn new() -> PublishedState<K, S, V> {
        let board = Board { workers: Vec::new(), ownership: Arc::default(), history: 0, held: Vec::new() };
        PublishedState { board: Mutex::new(board), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Board<K, S, V>> {
        lock(&self.board)
    }

    /// Makes room for the workers that own the keys, and for so many epochs. `held` counts the bytes that
    /// earlier ones take.
    pub(crate) fn prepare(&self, ownership: &Arc<Ownership>, history: u64, held: &Metric) {
        let workers = 0..ownership.workers();
        *self.lock() = Board {
            workers: workers.clone().map(|_| VecDeque::new()).collect(),
            ownership: Arc::clone(ownership),
            history,
            held: workers.map(|_| (held.clone(), 0)).collect(),
        };
    }

    pub(crate) fn publish(&self, worker: usize, state: PublishedEpoch<K, S, V>) {
        let left = self.lock().publish(worker, state);
        self.changed.notify_all();
        // Without the lock: the last pointer to a run frees it.
        drop(left);
    }

    /// The state as of the last epoch, at or after `epoch`, that all workers have published. Waits for one no
    /// longer than `wait`.
    pub(crate) fn view(&self, epoch: u64, wait: Duration) -> Option<StateView<K, S, V>> {
        let waited =
            self.changed.wait_timeout_while(self.lock(), wait, |board| board.common(epoch).is_none());
        let board = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(board, _)| board);
        board.as_of(board.common(epoch)?)
    }

    /// The state as of the end of an epoch, if all workers have published it.
    pub(crate) fn as_of(&self, epoch: u64) -> Option<StateView<K, S, V>> {
        self.lock().as_of(epoch)
    }

    /// The first and the last epoch as of whose ends the state is there.
    pub(crate) fn epochs(&self) -> Option<(u64, u64)> {
        let board = self.lock();
        let first = board.workers.iter().map(|published| published.front().map(|first| first.epoch));
        let first = first.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some((first, board.common(first)?))
    }
}

impl<K, S, V> Board<K, S, V> {
    /// Takes a publication in, and gives those that are not kept any more.
    fn publish(&mut self, worker: usize, state: PublishedEpoch<K, S, V>) -> Vec<PublishedEpoch<K, S, V>> {
        let Some(published) = self.workers.get_mut(worker) else { return Vec::new() };
        let replaced = published.back().map_or(0, |last| bytes_but(last, &state));
        published.push_back(state);
        if self.history == 0 {
            return published.drain(..published.len().saturating_sub(KEPT)).collect();
        }
        self.count(worker, replaced);
        // Of epochs that some worker has not come to, none is given up; at the end of the job there are no
        // later ones, and all stay.
        let ends = self.workers.iter().map(|published| published.back().map(|last| last.until));
        let end = ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().min());
        let first = end.filter(|end| *end < u64::MAX).map_or(0, |end| end.saturating_sub(self.history));
        let mut left = Vec::new();
        for worker in 0..self.workers.len() {
            let published = &mut self.workers[worker];
            let mut gone = 0;
            while published.front().is_some_and(|oldest| oldest.until <= first)
                && let Some(oldest) = published.pop_front()
            {
                gone += published.front().map_or(0, |next| bytes_but(&oldest, next));
                left.push(oldest);
            }
            self.count(worker, -gone);
        }
        left
    }

    /// Counts bytes that only earlier epochs have.
    fn count(&mut self, worker: usize, bytes: i64) {
        if bytes != 0
            && let Some((metric, held)) = self.held.get_mut(worker)
        {
            *held += bytes;
            metric.add(bytes);
        }
    }

    /// The last epoch from `least` on of whose end all workers have published the state: the first one that
    /// has this state.
    fn common(&self, least: u64) -> Option<u64> {
        let ends = self.workers.iter().map(|published| published.back().map(|last| last.until));
        let last = ends.collect::<Option<Vec<_>>>()?.into_iter().min()?.checked_sub(1)?;
        let others = self.workers.first().filter(|_| self.history == 0).into_iter().flatten().rev();
        let epochs = [last].into_iter().chain(others.map(|published| published.epoch));
        let first = |epoch: u64| {
            let first = self.at(epoch)?.map(|published| published.epoch).max().unwrap_or(epoch);
            Some(first.max(least)).filter(|first| *first <= epoch)
        };
        epochs.filter(|epoch| *epoch >= least).find_map(first)
    }

    /// What each worker has published that is the state as of the end of an epoch.
    fn at(&self, epoch: u64) -> Option<impl Iterator<Item = &PublishedEpoch<K, S, V>>> {
        let of = |published: &VecDeque<PublishedEpoch<K, S, V>>| {
            let number = published.partition_point(|published| published.epoch <= epoch).checked_sub(1)?;
            (epoch < published[number].until).then_some(number)
        };
        let numbers = self.workers.iter().map(of).collect::<Option<Vec<_>>>()?;
        Some(self.workers.iter().zip(numbers).map(|(published, number)| &published[number]))
    }

    fn as_of(&self, epoch: u64) -> Option<StateView<K, S, V>> {
        let workers = self.at(epoch)?.cloned().collect();
        Some(StateView { epoch, workers, ownership: Arc::clone(&self.ownership) })
    }
}

/// The bytes of the runs of a state that the one after it does not have. A run that is gone does not come
/// again.
fn bytes_but<K, S, V>(state: &PublishedEpoch<K, S, V>, next: &PublishedEpoch<K, S, V>) -> i64 {
    let is_gone = |run: &&Arc<SortedRun>| !next.runs.iter().any(|other| Arc::ptr_eq(run, other));
    state.runs.iter().filter(is_gone).map(|run| run.bytes()).sum::<usize>() as i64
}
