//! A spine of runs, sealed epoch by epoch.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::rc::Rc;

use differential_dataflow::trace::implementations::spine_fueled::Spine;
use differential_dataflow::trace::{BatchReader, Description, Trace, TraceReader};
use timely::dataflow::operators::generic::OperatorInfo;

use crate::state::run::builder::{RunBuilder, sort};
use crate::state::run::merge::at;
use crate::state::run::page;
use crate::state::run::rows::Rows;
use crate::state::run::sorted_run::{Cursor, PageOf, SortedRun, pages};

/// The state of one operator on one worker: what each epoch up to the last sealed one has changed.
///
/// Sealing `n` rows costs `n` plus the merges that they pay for, `O(log N)` rows each over time, where `N` is
/// all that is kept. Reading a key looks into each of the `O(log N)` runs.
pub(crate) struct Arrangement<R: Rows> {
    pub(in crate::state) rows: R,
    spine: Spine<Rc<SortedRun<R>>>,
    /// Every epoch below this one is sealed, counted from `base` on.
    pub(in crate::state) upper: u64,
    /// The number of runs from before the first epoch, and of those that an epoch had beyond one.
    pub(in crate::state) base: u64,
}

impl<R: Rows> Arrangement<R> {
    pub(crate) fn new(rows: R, operator: OperatorInfo) -> Arrangement<R> {
        Arrangement { rows, spine: Spine::new(operator, None, None), upper: 0, base: 0 }
    }

    /// Adds what changed up to and including `epoch`: sorted rows, each key once.
    ///
    /// Epochs in which nothing changed need no call: the next run covers them.
    pub(crate) fn seal(&mut self, epoch: u64, sorted: Vec<(R::Key, R::Value)>) {
        if sorted.is_empty() {
            return;
        }
        let upper = self.upper_of(epoch);
        self.add(upper, pages(&self.rows, sorted));
    }

    /// Where the next run ends, if it is of `epoch`. There may be several of one epoch: state leaves memory
    /// in the midst of it too.
    fn upper_of(&mut self, epoch: u64) -> u64 {
        self.base = self.base.max(self.upper.saturating_sub(epoch));
        self.base + epoch + 1
    }

    /// Adds a run after all others, which goes up to `upper`.
    pub(in crate::state) fn add(&mut self, upper: u64, pages: Vec<PageOf<R>>) {
        debug_assert!(upper > self.upper, "what is before {upper} is sealed already");
        let (lower, upper) = (at(std::mem::replace(&mut self.upper, upper)), at(upper));
        let description = Description::new(lower, upper.clone(), at(0));
        self.spine.insert(Rc::new(SortedRun::from_pages(Some(self.rows.clone()), pages, description)));
        self.spine.set_logical_compaction(upper.borrow());
        self.spine.set_physical_compaction(upper.borrow());
    }

    /// Adds what changed up to and including `epoch`: rows in any order, of which the later of two for a key
    /// counts.
    pub(crate) fn seal_unsorted(&mut self, epoch: u64, mut rows: Vec<(R::Key, R::Value)>) {
        sort(&mut rows);
        self.seal(epoch, rows);
    }

    /// Begins to build what changed, with rows in any order, of which the later of two for a key counts.
    pub(crate) fn build(&self, before: Vec<(R::Key, R::Value)>) -> RunBuilder<R> {
        RunBuilder::new(self.rows.clone(), before)
    }

    /// Adds what changed up to and including `epoch`, as it was built.
    pub(crate) fn seal_built(&mut self, epoch: u64, built: RunBuilder<R>) {
        let pages = built.finish();
        if !pages.is_empty() {
            let upper = self.upper_of(epoch);
            self.add(upper, pages);
        }
    }

    /// The runs, oldest first. Together they are the state as of the last sealed epoch, and remain so: they
    /// never change.
    pub(crate) fn runs(&self) -> Vec<Rc<SortedRun<R>>> {
        let mut runs = Vec::new();
        self.spine.map_batches(|run| {
            if !run.is_empty() {
                runs.push(Rc::clone(run));
            }
        });
        runs
    }

    /// Calls `visit` for the rows from the first key that is not `below`, run by run, until it breaks off the
    /// run.
    pub(crate) fn scan(
        &self,
        below: &dyn Fn(&R::Key) -> bool,
        visit: &mut dyn FnMut(&R::Key, &R::Value) -> ControlFlow<()>,
    ) {
        self.spine.map_batches(|run| {
            let mut cursor = Cursor::default();
            cursor.seek(run, below);
            while let Some((key, value)) = cursor.row(run) {
                if visit(key, value).is_break() {
                    break;
                }
                cursor.next(run);
            }
        });
    }

    /// Calls `visit` for copies of the rows of a range of keys, older runs first: of the keys that `place`
    /// finds [`Equal`](Ordering::Equal), which are all part of the key with this hash. Reads no page that has
    /// none of them, but for one in a hundred.
    pub(crate) fn range(
        &self,
        hash: u64,
        place: &dyn Fn(&R::Key) -> Ordering,
        visit: &mut dyn FnMut(R::Key, R::Value),
    ) {
        self.spine.map_batches(|run| page::range(run.pages(), hash, place, visit));
    }

    /// The value of `key`, if it has one.
    #[cfg(test)]
    pub(crate) fn get(&self, key: &R::Key) -> Option<R::Value> {
        let mut found: Option<R::Value> = None;
        self.scan(&|k| k < key, &mut |k, value| {
            if k == key {
                match &mut found {
                    Some(found) => self.rows.absorb(found, value),
                    None => found = Some(value.clone()),
                }
            }
            ControlFlow::Break(())
        });
        found.filter(|value| !self.rows.is_vacant(value, true))
    }

    /// The number of rows kept, those included that a later merge will drop.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let mut len = 0;
        self.spine.map_batches(|run| len += run.len());
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::run::latest_and_sums::{Latest, Sums};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeMap;

    fn operator() -> OperatorInfo {
        OperatorInfo::new(0, 0, Rc::from([0]))
    }

    proptest! {
        /// After each seal, every key reads as a map that did the same says.
        #[test]
        fn sums_agree_with_a_map(epochs in vec(btree_map(0..300u64, -2..3i64, 0..200), 1..40)) {
            let mut arrangement = Arrangement::new(Sums::new(), operator());
            let mut oracle = BTreeMap::<u64, i64>::new();
            for (epoch, changes) in epochs.into_iter().enumerate() {
                for (key, diff) in &changes {
                    *oracle.entry(*key).or_default() += diff;
                }
                arrangement.seal(2 * epoch as u64, changes.into_iter().collect());
                for key in 0..300 {
                    let expected = oracle.get(&key).copied().filter(|sum| *sum != 0);
                    prop_assert_eq!(arrangement.get(&key), expected);
                }
            }
        }

        #[test]
        fn the_latest_value_wins_and_absence_is_a_value(
            epochs in vec((btree_map(0..3000u64, proptest::option::of(0..9u8), 0..600), 0..3u8), 1..30),
        ) {
            let mut arrangement = Arrangement::new(Latest::new(), operator());
            let mut oracle = BTreeMap::<u64, Option<u8>>::new();
            let mut epoch = 0;
            for (changes, amid) in epochs {
                oracle.extend(changes.iter().map(|(k, v)| (*k, *v)));
                let changes = changes.into_iter().collect();
                if amid == 0 {
                    arrangement.seal_unsorted(epoch, changes);
                } else {
                    arrangement.seal(epoch, changes);
                    epoch += 1;
                }
            }
            for (key, value) in oracle {
                prop_assert_eq!(arrangement.get(&key), value.map(Some));
            }
        }
    }

    #[test]
    fn retracted_rows_do_not_pile_up() {
        let mut arrangement = Arrangement::new(Sums::new(), operator());
        for epoch in 0..2_000u64 {
            let rows = [(epoch, 1i64)].into_iter().chain((epoch >= 10).then(|| (epoch - 10, -1)));
            let mut rows: Vec<_> = rows.collect();
            rows.sort();
            arrangement.seal(epoch, rows);
        }
        assert!(arrangement.len() < 200, "{} rows are kept for 10 keys", arrangement.len());
    }

    #[test]
    fn expired_rows_are_dropped_by_merges_and_old_states_stay_readable() {
        #[derive(Clone)]
        struct Expiring(Rc<Cell<u64>>);
        impl Rows for Expiring {
            type Key = u64;
            type Value = u64;
            fn absorb(&self, older: &mut u64, newer: &u64) {
                *older += newer;
            }
            fn is_vacant(&self, _: &u64, _: bool) -> bool {
                false
            }
            fn is_expired(key: &u64, clock: i64) -> bool {
                i64::try_from(*key).unwrap() < clock
            }
            fn clock(&self) -> i64 {
                self.0.get() as i64
            }
        }
        let horizon = Rc::new(Cell::new(0));
        let mut arrangement = Arrangement::new(Expiring(Rc::clone(&horizon)), operator());
        let mut kept = None;
        for epoch in 0..1_000u64 {
            arrangement.seal(epoch, (epoch..epoch + 20).map(|key| (key, 1)).collect());
            horizon.set(epoch);
            if epoch == 500 {
                let rows: u64 = arrangement.runs().iter().map(|run| run.len() as u64).sum();
                kept = Some((rows, arrangement.runs()));
            }
        }
        assert!(arrangement.len() < 400, "{} rows are kept for 20 keys", arrangement.len());
        let (rows, runs) = kept.unwrap();
        let read =
            |run: &Rc<SortedRun<_>>| run.pages().iter().map(|page| page.read().len() as u64).sum::<u64>();
        assert_eq!(runs.iter().map(read).sum::<u64>(), rows);
    }
}
