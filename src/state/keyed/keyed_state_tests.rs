//! A keyed table against a map: what is found, what is due, what is handed over for a cut while entries
//! change, and what comes back after it was evicted.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::data::{Key, hash64};
use crate::metric::Metrics;
use crate::snapshot::{Codec, SavedTables, TableSnapshot};
use crate::state::backend::state_backend::{StateBackend, StateReaders};
use crate::state::keyed::entry::{Entry, Held};
use crate::state::keyed::keyed_snapshots::admit;
use crate::state::keyed::keyed_state::KeyedState;
use crate::state::lsm::expiry::{NEVER, is_over};
use crate::state::operator_state::OperatorState;
use crate::state::run::item_rows::ItemOrTombstone;
use crate::state::spill::budget::MemoryBudget;
use crate::state::spill::files::SharedBudget;
use crate::state::spill::footprint::Footprint;
use crate::state::table::key_table::Slot;
use crate::time::EventTime;

/// What tests look at.
impl<K: Key, E: Entry> KeyedState<K, E> {
    /// The number of keys in memory, of deadlines, of rows in the arrangement, and of evicted keys.
    pub(crate) fn counts(&self) -> [usize; 4] {
        let rows = match &self.write_back.backend {
            StateBackend::Arranged(arrangement) => arrangement.len(),
            StateBackend::SnapshotOnly { .. } => 0,
        };
        [self.len(), self.cache.listed, rows, self.cache.evicted.len()]
    }

    /// Shows the entries in memory.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&E)) {
        self.cache.table.iter().for_each(|(_, cached)| visit(&cached.entry));
    }

    /// The first deadline of a key in memory, as the entries say.
    pub(crate) fn least_deadline(&self) -> Option<EventTime> {
        let entries = self.cache.table.iter();
        entries.filter_map(|(_, cached)| cached.entry.deadline(&self.cache.context)).min()
    }

    /// Panics if what is known of what entries hold is not what they hold.
    pub(crate) fn check_held(&self) {
        let mut held = Held::default();
        self.each(&mut |entry| held.account(Held::default(), entry.held()));
        assert!(!self.is_limited() || self.cache.held == held, "{:?} {held:?}", self.cache.held);
    }

    /// Takes in all that another one's arrangement has, sealed up to an epoch.
    pub(crate) fn restore_from(&mut self, other: &KeyedState<K, E>, epoch: u64) {
        let StateBackend::Arranged(theirs) = &other.write_back.backend else { return };
        let mut rows = BTreeMap::new();
        theirs.each(&mut |key, kept| drop(rows.insert(key, kept)));
        let KeyedState { cache, write_back, budget, .. } = self;
        for ((hashed, ()), kept) in &rows {
            let entry = kept.clone().and_then(|(row, expires)| E::from_row(row, expires));
            admit(cache, budget.as_mut(), hashed.clone(), Slot::NONE, entry);
        }
        if let StateBackend::Arranged(own) = &mut write_back.backend {
            own.seal(epoch, &rows.into_iter().collect::<Vec<_>>());
        }
    }
}

/// A text that is looked at, or forgotten, so long after its number.
struct Text<const IS_RECALLED: bool> {
    number: i64,
    text: String,
}

impl<const IS_RECALLED: bool> Entry for Text<IS_RECALLED> {
    type Row = (i64, String);
    /// How long after its number it is due.
    type Context = i64;
    const TABLE: &'static str = "texts";
    const IS_RECALLED: bool = IS_RECALLED;

    fn row(&self) -> (i64, String) {
        (self.number, self.text.clone())
    }

    fn from_row((number, text): (i64, String), _: EventTime) -> Option<Self> {
        Some(Text { number, text })
    }

    fn deadline(&self, life: &i64) -> Option<EventTime> {
        (self.number % 3 != 0).then_some(self.number + life)
    }

    fn expires(&self) -> EventTime {
        if IS_RECALLED { NEVER } else { self.deadline(&LIFE).unwrap_or(NEVER) }
    }

    fn held(&self) -> Held {
        Held { bytes: self.text.len(), values: 0 }
    }

    fn sample(&self, _: &mut Footprint) {}
}

const LIFE: i64 = 200;

type Model = BTreeMap<u16, (i64, String)>;

/// A table, what should be in it, and the last cut.
struct Both<const IS_RECALLED: bool> {
    state: KeyedState<u16, Text<IS_RECALLED>>,
    model: Model,
    cut: Option<(TableSnapshot, Model)>,
    now: i64,
    epoch: u64,
    number: i64,
    compared: usize,
}

#[derive(Clone, Debug)]
enum Act {
    /// Sets the text of a key, of so many bytes.
    Set(u16, usize),
    /// Changes the number of a key, or lets all be as it was.
    Change(u16, bool),
    Remove(u16),
    Find(u16),
    /// Lets time pass, which brings what is due.
    Pass(i64),
    /// Closes the epoch; with a seal and cut, if someone asks.
    Close(bool),
    /// Copies so many entries of the last cut.
    Copy(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = || 0..80u16;
    vec(
        prop_oneof![
            8 => (key(), 0..200usize).prop_map(|(key, len)| Act::Set(key, len)),
            6 => (key(), any::<bool>()).prop_map(|(key, changes)| Act::Change(key, changes)),
            3 => key().prop_map(Act::Remove),
            4 => key().prop_map(Act::Find),
            2 => (0..60i64).prop_map(Act::Pass),
            3 => any::<bool>().prop_map(Act::Close),
            3 => (0..30usize).prop_map(Act::Copy),
        ],
        0..500,
    )
}

impl<const IS_RECALLED: bool> Both<IS_RECALLED> {
    fn new(state_readers: &StateReaders, budget: Option<MemoryBudget>) -> Both<IS_RECALLED> {
        let state = KeyedState::new(LIFE, state_readers, budget);
        Both { state, model: Model::new(), cut: None, now: 0, epoch: 0, number: 0, compared: 0 }
    }

    fn act(&mut self, act: Act) {
        self.number += 1;
        let number = self.now + self.number % 50;
        match act {
            Act::Set(key, len) => {
                let text = "x".repeat(len);
                match self.state.find(hash64(&key), &key) {
                    Some(slot) => self.state.change(slot, |entry| {
                        *entry = Text { number, text: text.clone() };
                        true
                    }),
                    None => {
                        self.state.insert(hash64(&key), key, Text { number, text: text.clone() });
                    }
                }
                self.model.insert(key, (number, text));
            }
            Act::Change(key, false) => {
                let slot = self.state.find(hash64(&key), &key);
                slot.into_iter().for_each(|slot| self.state.change(slot, |_| false));
            }
            Act::Change(key, true) => {
                if let Some(slot) = self.state.find(hash64(&key), &key) {
                    self.state.touch(slot).number = number;
                    self.state.settle(slot);
                }
                self.model.entry(key).and_modify(|(old, _)| *old = number);
            }
            Act::Remove(key) => {
                if let Some(slot) = self.state.find(hash64(&key), &key) {
                    self.state.remove(slot);
                }
                self.model.remove(&key);
            }
            Act::Find(key) => self.look_at(key),
            Act::Pass(millis) => self.pass(millis),
            Act::Close(is_asked) => self.close(is_asked),
            Act::Copy(mut entries) => self.copy(&mut entries),
        }
    }

    fn look_at(&mut self, key: u16) {
        let found = self.state.find(hash64(&key), &key);
        let found = found.map(|slot| self.state.get(slot)).map(|(found, entry)| (*found, entry.row()));
        assert_eq!(found, self.model.get(&key).map(|row| (key, row.clone())));
    }

    /// All that is due goes, as the model says.
    fn pass(&mut self, millis: i64) {
        self.now += millis;
        let deadline = |(number, _): &(i64, String)| (number % 3 != 0).then_some(number + LIFE);
        let expected: Vec<u16> = self
            .model
            .extract_if(.., |_, row| deadline(row).is_some_and(|deadline| deadline <= self.now))
            .map(|(key, _)| key)
            .collect();
        self.state.recall(self.now);
        let mut due: Vec<u16> = Vec::new();
        for (listed, slot) in self.state.due(self.now) {
            let (key, entry) = self.state.remove(slot).unwrap();
            assert!(listed <= entry.number + LIFE);
            due.push(key);
        }
        due.sort();
        if IS_RECALLED {
            assert_eq!(due, expected);
        } else {
            // Those that are evicted are forgotten where they are.
            assert!(due.iter().all(|key| expected.contains(key)), "{due:?} of {expected:?}");
        }
        let next = self.model.values().filter_map(deadline).min();
        if IS_RECALLED {
            assert!(next.is_none_or(|next| self.state.next_deadline().is_some_and(|told| told <= next)));
        }
        self.state.reach(self.now);
    }

    fn close(&mut self, is_asked: bool) {
        self.state.trim();
        if is_asked {
            self.copy(&mut usize::MAX.clone());
            self.state.seal(self.epoch);
            self.state.cut(self.epoch);
            let mut saved = SavedTables::default();
            self.state.save(&mut saved).unwrap();
            self.cut = saved.tables.pop().map(|table| (table, self.model.clone()));
        }
        self.state.evict(self.epoch);
        self.state.check_held();
        self.epoch += 1;
    }

    fn copy(&mut self, left: &mut usize) {
        if !self.state.copy(left) {
            return;
        }
        let Some((table, expected)) = self.cut.take() else { return };
        let rows = rows_of(&table, self.now);
        assert_eq!(rows, expected, "as of the cut");
        self.compared += 1;
    }
}

/// The state that a snapshot has.
fn rows_of(table: &TableSnapshot, now: i64) -> Model {
    let mut model = Model::new();
    let runs = match &table.coming {
        Some((coming, delta)) => coming.runs(*delta, None).unwrap().runs,
        None => table.runs.clone(),
    };
    for page in runs.iter().flat_map(|run| &run.pages) {
        let bytes = page.encode(Codec::Blocks).unwrap();
        let rows: Vec<(u16, (), ItemOrTombstone<(i64, String)>)> =
            Codec::Blocks.decode(&bytes, page.rows()).unwrap();
        for (key, (), kept) in rows {
            match kept.filter(|(_, expires)| !is_over(*expires, table.clock.min(now))) {
                Some((row, _)) => drop(model.insert(key, row)),
                None => drop(model.remove(&key)),
            }
        }
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_cut_is_the_state_of_its_time_however_it_is_copied(acts in acts()) {
        let state_readers = StateReaders { saved: true, ..StateReaders::default() };
        let mut both = Both::<true>::new(&state_readers, None);
        acts.into_iter().for_each(|act| both.act(act));
        both.close(true);
        both.copy(&mut usize::MAX.clone());
        (0..80).for_each(|key| both.look_at(key));
        prop_assert!(both.compared > 0);
    }

    #[test]
    fn evicted_entries_are_found_and_recalled(acts in acts(), bytes in 2_000..8_000usize) {
        evicts::<true>(acts, bytes)?;
    }

    #[test]
    fn evicted_entries_are_found_until_they_expire(acts in acts(), bytes in 2_000..8_000usize) {
        evicts::<false>(acts, bytes)?;
    }
}

fn evicts<const IS_RECALLED: bool>(acts: Vec<Act>, bytes: usize) -> Result<(), TestCaseError> {
    let memory = SharedBudget::new(bytes, std::env::temp_dir(), Arc::new(|error| panic!("{error}")));
    let budget = MemoryBudget::new(&memory, "texts", &Metrics::default());
    let state_readers = StateReaders { memory: Some(memory), ..StateReaders::default() };
    let mut both = Both::<IS_RECALLED>::new(&state_readers, Some(budget));
    acts.into_iter().for_each(|act| both.act(act));
    both.close(true);
    both.copy(&mut usize::MAX.clone());
    (0..80).for_each(|key| both.look_at(key));
    both.pass(10 * LIFE);
    prop_assert_eq!(both.model.values().filter(|(number, _)| number % 3 != 0).count(), 0);
    (0..80).for_each(|key| both.look_at(key));
    Ok(())
}

#[test]
fn what_is_listed_in_vain_does_not_pile_up() {
    let mut both = Both::<true>::new(&StateReaders::default(), None);
    for n in 0..100_000u32 {
        let key = (n % 60_000) as u16;
        both.act(Act::Set(key, 1));
        both.act(Act::Remove(key));
    }
    let [keys, listed, ..] = both.state.counts();
    assert!(keys == 0 && listed <= 1_100, "{listed} are listed for {keys} keys");
}
