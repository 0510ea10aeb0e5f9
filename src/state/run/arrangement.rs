//! The rows of a table that can be read again, by their types, over an [LSM](crate::state::lsm::lsm) of them.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::snapshot::{RestoredOperator, TableSnapshot};
use crate::state::lsm::lsm::{Failures, Lsm};
use crate::state::lsm::page::Page;
use crate::state::lsm::row_type::{Prefix, RowPlace};
use crate::state::lsm::sorted_run::{SortedRun, pages_at};
use crate::state::run::cursor::Cursor;
use crate::state::run::incoming::{Incoming, Share};
use crate::state::run::rows::{Rows, push};
use crate::state::run::run_builder::{RunBuilder, sort};
use crate::state::spill::files::SharedBudget;

/// The state of one operator on one worker: what each epoch up to the last sealed one has changed.
///
/// Sealing `n` rows costs `n` plus the merges that they pay for, `O(log N)` rows each over time, where `N` is
/// all that is kept. Reading a key looks into each of the `O(log N)` runs.
pub(crate) struct Arrangement<R: Rows> {
    rows: R,
    lsm: Lsm,
}

impl<R: Rows> Arrangement<R> {
    /// No rows. They expire by `clock`, and lie in files if memory is limited.
    pub(crate) fn new(rows: R, clock: Rc<Cell<i64>>, memory: Option<&Rc<SharedBudget>>) -> Arrangement<R> {
        let lsm = Lsm::new(Arc::new(rows.clone()), clock, memory);
        Arrangement { rows, lsm }
    }

    /// Lets whatever goes wrong end the job, by a call of `fail`. Nothing must have been sealed.
    pub(crate) fn fail_by(&mut self, fail: Arc<dyn Fn(Error) + Send + Sync>) {
        self.lsm.fail_by(fail);
    }

    /// No rows, which do not expire and lie in memory.
    #[cfg(test)]
    pub(crate) fn unlimited(rows: R) -> Arrangement<R> {
        Arrangement::new(rows, Rc::new(Cell::new(i64::MIN)), None)
    }

    /// Adds what changed up to and including `epoch`: sorted rows, each key once.
    ///
    /// Epochs in which nothing changed need no call: the next run covers them. Gives the run, if it has rows.
    pub(crate) fn seal(&mut self, epoch: u64, sorted: &[(R::Key, R::Value)]) -> Option<Arc<SortedRun>> {
        debug_assert!(sorted.is_sorted_by(|a, b| a.0 < b.0), "rows must be sorted, each key once");
        let mut pages = self.lsm.build();
        let added = sorted.iter().try_for_each(|(key, value)| push(&self.rows, &mut pages, key, value));
        self.lsm.failures().keep(added);
        self.lsm.seal(epoch, pages)
    }

    /// Adds what changed up to and including `epoch`: rows in any order, of which the later of two for a key
    /// counts.
    pub(crate) fn seal_unsorted(&mut self, epoch: u64, mut rows: Vec<(R::Key, R::Value)>) {
        sort(&mut rows);
        self.seal(epoch, &rows);
    }

    /// Begins to build what changed, with rows in any order, of which the later of two for a key counts.
    pub(crate) fn build(&self, before: Vec<(R::Key, R::Value)>) -> RunBuilder<R> {
        RunBuilder::new(self.rows.clone(), self.lsm.build(), before)
    }

    /// Adds what changed up to and including `epoch`, as it was built.
    pub(crate) fn seal_built(&mut self, epoch: u64, built: RunBuilder<R>) {
        if let Some(pages) = self.lsm.failures().keep(built.finish()) {
            self.lsm.seal(epoch, pages);
        }
    }

    /// The runs, oldest first. Together they are the state as of the last sealed epoch, and remain so: they
    /// never change.
    pub(crate) fn runs(&self) -> &[Arc<SortedRun>] {
        self.lsm.runs()
    }

    /// Cursors at the first rows from a prefix on, one for each run.
    pub(crate) fn cursors(&self, from: Prefix) -> Vec<Cursor<R>> {
        let failures = || Some(Arc::clone(self.lsm.failures()));
        let cursor = |run: &Arc<SortedRun>| Cursor::new(self.rows.clone(), Arc::clone(run), from, failures());
        self.runs().iter().map(cursor).collect()
    }

    /// Calls `visit` for the rows from a prefix on, run by run, until it breaks off the run.
    pub(crate) fn scan(&self, from: Prefix, visit: &mut dyn FnMut(R::Key, R::Value) -> ControlFlow<()>) {
        for mut cursor in self.cursors(from) {
            while let Some((key, value)) = cursor.take() {
                if visit(key, value).is_break() {
                    break;
                }
            }
        }
    }

    /// Calls `visit` for the rows at a place, older runs first. Reads nothing that has none of them, but for
    /// one page in a hundred.
    pub(crate) fn range(&self, place: RowPlace, visit: &mut dyn FnMut(R::Key, R::Value)) {
        for page in pages_at(self.runs().iter().map(|run| &**run), place) {
            self.lsm.failures().keep(range(&self.rows, page, place, visit));
        }
    }

    /// Shows all rows, older runs first.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(R::Key, R::Value)) {
        self.scan((0, 0), &mut |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        });
    }

    /// What a snapshot needs of the state as of the last seal.
    ///
    /// # Errors
    ///
    /// If a row could not be encoded.
    pub(crate) fn save(&self, name: &str) -> Result<TableSnapshot> {
        if let Some(failed) = self.failed() {
            return Err(Error::data(failed));
        }
        let (runs, clock) = (self.lsm.outgoing(), self.lsm.clock.get());
        Ok(TableSnapshot { name: name.to_owned(), schema: R::schema(), clock, runs, coming: None })
    }

    /// Where what goes wrong is kept.
    pub(crate) fn failures(&self) -> &Arc<Failures> {
        self.lsm.failures()
    }

    /// What went wrong, if a row could not be encoded.
    pub(crate) fn failed(&self) -> Option<String> {
        self.lsm.failures().first()
    }

    /// Takes in a worker's share of what a snapshot has. Nothing must have been sealed.
    ///
    /// # Errors
    ///
    /// If the snapshot cannot be read, or has rows of other types.
    pub(crate) fn restore(&mut self, name: &str, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.take_in(&Incoming::open(from, name, share)?, &mut |_| {})
    }

    /// The same, once the share is known; shows the rows, page by page, older ones first.
    pub(crate) fn take_in(
        &mut self,
        incoming: &Incoming<'_, R>,
        visit: &mut dyn FnMut(Vec<(R::Key, R::Value)>),
    ) -> Result<()> {
        let clock = Rc::clone(&self.lsm.clock);
        let Arrangement { rows, lsm } = self;
        let mut pages = lsm.build_page();
        incoming.read((rows, &clock), &mut |read| {
            let Some(read) = read else {
                let next = lsm.build_page();
                lsm.adopt(std::mem::replace(&mut pages, next));
                return Ok(());
            };
            read.add_to(rows, &mut pages)?;
            visit(read.rows);
            Ok(())
        })
    }

    /// Adds a run from before the first epoch.
    #[cfg(test)]
    pub(crate) fn adopt(&mut self, pages: crate::state::lsm::page_builder::PageBuilder) {
        self.lsm.adopt(pages);
    }

    /// The value of `key`, if it has one.
    #[cfg(test)]
    pub(crate) fn get(&self, key: &R::Key) -> Option<R::Value> {
        let mut found: Option<R::Value> = None;
        self.range(R::place(key), &mut |other, value| {
            if other == *key {
                match &mut found {
                    Some(found) => self.rows.absorb(found, &value),
                    None => found = Some(value),
                }
            }
        });
        found.filter(|value| !R::is_zero(value))
    }

    /// The number of rows kept, those included that a later merge will drop.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.runs().iter().map(|run| run.len()).sum()
    }
}

/// Calls `visit` for the rows at a place in a page.
///
/// # Errors
///
/// If they cannot be read.
pub(crate) fn range<R: Rows>(
    rows: &R,
    page: &Page,
    place: RowPlace,
    visit: &mut dyn FnMut(R::Key, R::Value),
) -> Result<()> {
    let mut outcome = Ok(());
    page.range(rows, place.prefix, &mut |row| match rows.decode_row(row) {
        Ok((key, value)) => visit(key, value),
        Err(error) => outcome = Err(error),
    })?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Hashed, hash64};
    use crate::state::lsm::expiry::{NEVER, is_over};
    use crate::state::run::item_rows::{ItemOrTombstone, ItemRows};
    use crate::state::run::latest_and_sums::{Latest, Sums};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Key = Hashed<u64>;

    fn sorted<V>(rows: impl IntoIterator<Item = (u64, V)>) -> Vec<(Key, V)> {
        let mut rows: Vec<_> = rows.into_iter().map(|(key, value)| (Hashed::new(key), value)).collect();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// After each seal, every key reads as a map that did the same says.
        #[test]
        fn sums_agree_with_a_map(epochs in vec(btree_map(0..300u64, -2..3i64, 0..200), 1..40)) {
            let mut arrangement = Arrangement::unlimited(Sums::<Key, i64>::new());
            let mut oracle = BTreeMap::<u64, i64>::new();
            for (epoch, changes) in epochs.into_iter().enumerate() {
                for (key, diff) in &changes {
                    *oracle.entry(*key).or_default() += diff;
                }
                arrangement.seal(2 * epoch as u64, &sorted(changes));
                for key in 0..300 {
                    let expected = oracle.get(&key).copied().filter(|sum| *sum != 0);
                    prop_assert_eq!(arrangement.get(&Hashed::new(key)), expected);
                }
            }
            let mut all = BTreeMap::<u64, i64>::new();
            arrangement.each(&mut |key, sum| *all.entry(key.key).or_default() += sum);
            all.retain(|_, sum| *sum != 0);
            oracle.retain(|_, sum| *sum != 0);
            prop_assert_eq!(all, oracle);
        }

        /// In memory and in files, in epochs and in the midst of them; what was held on to stays as it was.
        #[test]
        fn the_latest_value_wins_until_it_expires(
            epochs in vec((btree_map(0..3000u64, proptest::option::of((0..9u8, 0..90i64)), 0..600), 0..3u8), 1..30),
            is_limited in any::<bool>(),
        ) {
            let memory = SharedBudget::new(1 << 20, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
            let clock = Rc::new(Cell::new(0));
            let rows = ItemRows::<u64, (), u8>::new(hash64);
            let mut arrangement =
                Arrangement::new(rows, Rc::clone(&clock), is_limited.then_some(&memory));
            let (mut oracle, mut epoch, mut held) = (BTreeMap::new(), 0, None);
            let dated = |item: Option<(u8, i64)>| item.map(|(value, at)| (value, if at > 60 { NEVER } else { at }));
            for (number, (changes, amid)) in epochs.into_iter().enumerate() {
                oracle.extend(changes.iter().map(|(key, item)| (*key, dated(*item))));
                let changes = sorted(changes).into_iter().map(|(key, item)| ((key, ()), dated(item)));
                let changes: Vec<_> = changes.collect();
                if amid == 0 {
                    arrangement.seal_unsorted(epoch, changes);
                } else {
                    arrangement.seal(epoch, &changes);
                    epoch += 1;
                    clock.set(2 * epoch as i64);
                }
                if number == 7 {
                    held = Some((arrangement.runs().to_vec(), oracle.clone()));
                }
            }
            let is_there = |item: &ItemOrTombstone<u8>| item.is_some_and(|(_, at)| !is_over(at, clock.get()));
            for (key, item) in &oracle {
                let found = arrangement.get(&(Hashed::new(*key), ())).flatten();
                prop_assert_eq!(found.filter(|_| is_there(&found)), item.filter(|_| is_there(item)));
            }
            if let Some((runs, oracle)) = held {
                let mut found = BTreeMap::new();
                for run in runs {
                    let mut cursor = Cursor::new(ItemRows::<u64, (), u8>::new(hash64), run, (0, 0), None);
                    while let Some(((key, ()), item)) = cursor.take() {
                        found.insert(key.key, item);
                    }
                }
                let there = |items: BTreeMap<u64, ItemOrTombstone<u8>>| {
                    items.into_iter().filter(|(_, item)| is_there(item)).collect::<Vec<_>>()
                };
                prop_assert_eq!(there(found), there(oracle));
            }
        }
    }

    #[test]
    fn retracted_rows_do_not_pile_up() {
        let mut arrangement = Arrangement::unlimited(Sums::<Key, i64>::new());
        for epoch in 0..2_000u64 {
            let rows = [(epoch, 1i64)].into_iter().chain((epoch >= 10).then(|| (epoch - 10, -1)));
            arrangement.seal(epoch, &sorted(rows));
        }
        assert!(arrangement.len() < 200, "{} rows are kept for 10 keys", arrangement.len());
        assert!(arrangement.runs().len() < 20, "{} runs", arrangement.runs().len());
    }

    #[test]
    fn no_seal_pays_for_a_large_merge() {
        let mut arrangement = Arrangement::unlimited(Latest::<Key, u64>::new());
        let (mut epoch, mut most) = (0, 0);
        let mut seal = |keys: std::ops::Range<u64>| {
            arrangement.seal(epoch, &sorted(keys.map(|key| (key, Some(epoch)))));
            epoch += 1;
            most = most.max(arrangement.runs().len());
        };
        seal(0..100_000);
        (0..300).for_each(|n| seal(100 * n..100 * (n + 3)));
        assert!(most < 40, "{most} runs");
        assert!(arrangement.len() < 250_000, "{} rows", arrangement.len());
    }
}
