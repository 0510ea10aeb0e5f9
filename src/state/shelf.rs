//! Where a worker leaves what a snapshot is to have of a state, unsorted, and the thread of snapshots takes it from.
//!
//! A worker that keeps running has no time to sort. It leaves copies of what has changed in a few piles by hash, as one delivery for each cut, and goes on. Who writes
//! the snapshot sorts the piles, pages them, and merges runs: so the runs of a state that is only saved, and never read, cost its worker the copies and
//! nothing else. Deliveries are numbered, and the runs *as of* a delivery are those that it and the ones before it made: a cut names the number.
//!
//! # Merges
//!
//! When the last four runs are of about one size, they become one. So each row is written again once for each time that the state is
//! four times as large as what changes between two cuts, and there are no more than four runs of each size. If one in a hundred of a million keys changes
//! from cut to cut, that is three bytes for each one that has changed (`cargo bench --bench snapshot -- changes`).

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::build::RunBuilder;
use super::released::{Lost, released};
use super::run::PageOf;
use super::saving::outgoing;
use super::{Hashed, ItemRows, Kept, Owner, Pile, Rows, merge};
use crate::data::{Exchange, Key};
use crate::error::{Error, Result};
use crate::snapshot::{self, Coming, Origin, PageRef, Received};

/// A row of items.
pub(crate) type Row<K, S, V> = ((Hashed<K>, S), Kept<V>);

/// Rows that say that something is no more.
pub(crate) type Gone<K, S> = BTreeSet<(Hashed<K>, S)>;

/// What has changed by a cut.
pub(crate) struct Delivery<K, S, V> {
    /// The epoch that it is the end of.
    pub(super) epoch: u64,
    /// The time that items expire by.
    pub(super) clock: i64,
    /// What is no more, unless it is in the piles.
    pub(super) gone: Gone<K, S>,
    /// What there is, in piles by ranges of hashes. Each item once. A row that has been taken out is `None`.
    pub(super) piles: Vec<Pile<Option<Row<K, S, V>>>>,
}

/// The deliveries of one state, and the runs that were made of them.
pub(crate) struct Shelf<K: Key, S: Key, V: Exchange> {
    owner: Owner<K>,
    /// Deliveries that nobody has taken yet. They are numbered from 1 on, and each is left only by the worker.
    coming: Mutex<VecDeque<Delivery<K, S, V>>>,
    sorted: Mutex<Sorted<K, S, V>>,
    /// Set when something that is merged could not be read.
    lost: Lost,
}

/// Runs, oldest first, and the number of the last delivery that is in them.
struct Sorted<K: Key, S: Key, V: Exchange> {
    last: u64,
    runs: Vec<Stack<K, S, V>>,
}

/// A run.
struct Stack<K: Key, S: Key, V: Exchange> {
    epochs: (u64, u64),
    len: usize,
    pages: Vec<PageOf<ItemRows<K, S, V>>>,
}

/// So many runs of a size become one.
const FAN: usize = 4;

impl<K: Key, S: Key, V: Exchange> Shelf<K, S, V> {
    pub(crate) fn new(owner: Owner<K>) -> Shelf<K, S, V> {
        let sorted = Mutex::new(Sorted { last: 0, runs: Vec::new() });
        Shelf { owner, coming: Mutex::default(), sorted, lost: Lost::default() }
    }

    /// Takes in a run that comes from another snapshot, after all others.
    pub(super) fn adopt(&self, pages: Vec<PageOf<ItemRows<K, S, V>>>) {
        lock(&self.sorted).runs.push(Stack::new((0, 0), pages));
    }

    /// A page of another snapshot, which can be read again: see [`released`].
    pub(super) fn released(
        &self,
        rows: (usize, (Hashed<K>, S)),
        origin: &Arc<Origin>,
        place: PageRef,
    ) -> PageOf<ItemRows<K, S, V>> {
        Arc::new(released(rows, (origin, place), self.owner, &self.lost))
    }

    /// Leaves the next delivery.
    pub(super) fn leave(&self, delivery: Delivery<K, S, V>) {
        lock(&self.coming).push_back(delivery);
    }
}

impl<K: Key, S: Key, V: Exchange> Sorted<K, S, V> {
    /// Takes in the next delivery. False if something could not be merged since it could not be read.
    fn take(&mut self, owner: Owner<K>, delivery: Delivery<K, S, V>, lost: &Lost) -> bool {
        let Delivery { epoch, clock, gone, piles } = delivery;
        let rows = ItemRows::new(owner);
        rows.reach(clock);
        let gone = gone.into_iter().map(|row| (row, None)).collect();
        let mut built = RunBuilder::new(rows.clone(), gone);
        piles.into_iter().for_each(|pile| unpile(pile, &mut built));
        let (_, pages) = built.finish();
        self.last += 1;
        if pages.is_empty() {
            return true;
        }
        let from = self.runs.last().map_or(0, |run| run.epochs.1);
        self.runs.push(Stack::new((from, epoch + 1), pages));
        self.merge(&rows, lost)
    }

    /// Merges the newest runs, as long as the newest of all is of the size of the oldest of them: then each size has had its full number. False if they stay as they
    /// are since they could not be read.
    fn merge(&mut self, rows: &ItemRows<K, S, V>, lost: &Lost) -> bool {
        while let Some(from) = self.runs.len().checked_sub(FAN) {
            if self.runs.last().map(Stack::size) < Some(self.runs[from].size()) {
                return true;
            }
            let runs = self.runs[from..].iter().enumerate();
            let merged = runs.rev().map(|(place, run)| (from + place, run.epochs, run.pages.clone()));
            let merged = merged.reduce(|(_, newer, pages), (place, older, below)| {
                (place, (older.0, newer.1), merge::at_once(rows, below, pages, place == 0))
            });
            if lost.take() {
                return false;
            }
            self.runs.truncate(from);
            let merged = merged.map(|(_, epochs, pages)| Stack::new(epochs, pages));
            self.runs.extend(merged.filter(|merged| merged.len > 0));
        }
        true
    }
}

/// Adds the rows of a pile, which come after all that were added, in order of their hashes: numbers are sorted and not rows, and each row moves once.
fn unpile<K: Key, S: Key, V: Exchange>(
    pile: Pile<Option<Row<K, S, V>>>,
    built: &mut RunBuilder<ItemRows<K, S, V>>,
) {
    let mut places: Vec<(u64, u32, u32)> = Vec::with_capacity(pile.len());
    let mut stacks = pile.into_stacks();
    for (stack, number) in stacks.iter().zip(0..) {
        let rows = stack.iter().flatten().zip(0..);
        places.extend(rows.map(|(((key, _), _), place)| (key.hash, number, place)));
    }
    places.sort_unstable();
    for same in places.chunk_by(|one, other| one.0 == other.0) {
        let rows =
            same.iter().filter_map(|(_, stack, place)| stacks[*stack as usize][*place as usize].take());
        built.group(|group| group.extend(rows));
    }
}

impl<K: Key, S: Key, V: Exchange> Stack<K, S, V> {
    fn new(epochs: (u64, u64), pages: Vec<PageOf<ItemRows<K, S, V>>>) -> Stack<K, S, V> {
        Stack { epochs, len: pages.iter().map(|page| page.len()).sum(), pages }
    }

    /// How often a row has to be multiplied by the number of runs that become one to be as many.
    fn size(&self) -> u32 {
        self.len.max(1).ilog(FAN)
    }
}

impl<K: Key, S: Key, V: Exchange> Coming for Shelf<K, S, V> {
    fn runs(&self, number: u64) -> Result<Received> {
        let (mut sorted, mut put_off) = (lock(&self.sorted), 0);
        while sorted.last < number {
            let next = lock(&self.coming).pop_front();
            let missing = || Error::data("a part of a snapshot was handed over before its state was");
            put_off += u64::from(!sorted.take(self.owner, next.ok_or_else(missing)?, &self.lost));
        }
        let run = |run: &Stack<K, S, V>| snapshot::Run {
            epochs: run.epochs,
            pages: run.pages.iter().map(outgoing::<ItemRows<K, S, V>>).collect(),
        };
        Ok(Received { runs: sorted.runs.iter().map(run).collect(), put_off })
    }

    fn release(&self, origin: &Arc<Origin>) {
        let mut sorted = lock(&self.sorted);
        for page in sorted.runs.iter_mut().flat_map(|run| &mut run.pages) {
            if let (Some(place), Some([.., (last, _)])) = (page.written().get(), page.rows()) {
                *page = self.released((page.len(), last.clone()), origin, place.clone());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
